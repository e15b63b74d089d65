#!/usr/bin/env bash
# cluster.sh - a real Slurm cluster of virtual nodes on one machine, under one folder.
#
#   cluster.sh session    up, print "up ...", wait until standard input ends, down, remove the folder
#   cluster.sh up         install what is missing (root on Debian only), start, wait until idle;
#                         on a running lab: start again what died
#   cluster.sh down       cancel jobs, stop every daemon this script started, by its pid
#   cluster.sh status     one line per daemon and sinfo; exit 0 only if all are up
#   cluster.sh env        print export lines:  eval "$(cluster.sh env)"
#   cluster.sh kill-node N | start-node N      one virtual node, as if its power was cut
#   cluster.sh stop-ctld | start-ctld          the controller, down cleanly
#   cluster.sh kill-ctld                       by SIGKILL: it forgets up to 5 s of what it knew
#
# Settings (environment; `up` keeps them in the folder):
#   SLURM_LAB    folder for config, keys, state, logs, pids   (${TMPDIR:-/tmp}/slurm-lab-$UID);
#                keep it short, Unix sockets lie in it
#   SLURM_NODES  virtual nodes (4)          SLURM_NODE_CPUS  CPUs each claims (4)
#   SLURM_GPUS   fake GPUs on each of the last two nodes (2)
#   SLURM_NODE_MEM  MB each claims (8000)
#   SLURM_OWN_NAMES  0: nodes share this machine's host name, also where each could have its own (1)
#   SLURM_ACCT   1: also mariadbd and slurmdbd, so that sacct works (0)
#   SLURM_AUTH   munge | none  (munge; none needs no munged, one user only)
#   SLURM_PORT   first TCP port on 127.0.0.1 (chosen free; uses PORT..PORT+NODES+2)
#
# Not like a site: no cgroups, so a job over its memory ends FAILED (signal 9) and never
# OUT_OF_MEMORY; all nodes share one file system and, where unshare(1) may not make UTS
# namespaces, one host name.
set -u
LAB=${SLURM_LAB:-${TMPDIR:-/tmp}/slurm-lab-$(id -u)}
NODES=${SLURM_NODES:-4} NCPU=${SLURM_NODE_CPUS:-4} NMEM=${SLURM_NODE_MEM:-8000}
OWN_NAMES=${SLURM_OWN_NAMES:-1} GPUS=${SLURM_GPUS:-2} ACCT=${SLURM_ACCT:-0} AUTH=${SLURM_AUTH:-munge} PORT=${SLURM_PORT:-}
ME=$(id -un)
HOST=$(uname -n); HOST=${HOST%%.*}
export PATH=$PATH:/usr/sbin:/sbin SLURM_CONF=$LAB/etc/slurm.conf
case ${1:-} in up|session) ;; *) [ -f "$LAB/settings" ] && . "$LAB/settings";; esac

die() { echo "cluster.sh: $*" >&2; exit 1; }

# --- processes -----------------------------------------------------------------------------

lives() { kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.Z' "/proc/$1/status"; }
alive() { # alive NAME: does the pid in run/NAME.pid belong to that daemon of ours?
  local p; p=$(cat "$LAB/run/$1.pid" 2>/dev/null) || return 1
  [ -n "$p" ] && grep -qs "${1%%.*}" "/proc/$p/comm" && lives "$p"
}
stop() { # stop NAME [SIGNAL]
  local p; alive "$1" || { rm -f "$LAB/run/$1.pid"; return 0; }
  p=$(cat "$LAB/run/$1.pid" 2>/dev/null) || return 0; kill "-${2:-TERM}" "$p" 2>/dev/null
  for _ in $(seq 50); do lives "$p" || break; sleep 0.1; done
  lives "$p" && kill -KILL "$p" 2>/dev/null
  rm -f "$LAB/run/$1.pid"; return 0
}
tree() { local c; echo "$1"; for c in $(pgrep -P "$1"); do tree "$c"; done; } # who could tell first
kill_steps() { # kill_steps [NODE]: SIGKILL our slurmstepd daemons (of one node) and the jobs under them
  local s c
  for s in $(pgrep slurmstepd); do
    case $(readlink "/proc/$s/cwd") in "$LAB"/*) ;; *) continue;; esac
    if [ -n "${1:-}" ]; then
      c=$(pgrep -P "$s" | head -1); [ -n "$c" ] || continue
      tr '\0' '\n' 2>/dev/null <"/proc/$c/environ" | grep -qx "SLURMD_NODENAME=$1" || continue
    fi
    kill -KILL $(tree "$s") 2>/dev/null
  done
  # What outlives its parent belongs to init (a site's cgroups would find it): by its environment.
  for s in $(grep -lszx "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ); do
    grep -qszx "SLURMD_NODENAME=${1:-n[0-9]*}" "$s" || continue
    s=${s#/proc/}; kill -KILL "${s%/environ}" 2>/dev/null
  done
  return 0
}
wait_for() { # wait_for SECONDS TEXT COMMAND...
  local end=$((SECONDS+$1)) what=$2; shift 2
  while [ $SECONDS -lt $end ]; do timeout 3 "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  die "$what (logs: $LAB/log)"
}
daemons() {
  [ "$AUTH" = none ] || echo munged
  [ "$ACCT" = 1 ] && printf '%s\n' mariadbd slurmdbd
  echo slurmctld
  for ((n=1; n<=NODES; n++)); do echo "slurmd.n$n"; done
}
any_alive() { local d; for d in $(daemons); do alive "$d" && return 0; done; return 1; }

# --- ports ---------------------------------------------------------------------------------

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
choose_ports() { # PORT: the first of NODES+3 free ports, elsewhere for every process that asks
  local i p width=$(( (NODES + 12) / 10 * 10 ))
  if [ -n "$PORT" ]; then
    for ((p=PORT; p<PORT+NODES+3; p++)); do
      port_free "$p" || die "port $p on 127.0.0.1 is taken; set SLURM_PORT or leave it unset"
    done
    return 0
  fi
  for ((i=0; i<50; i++)); do
    PORT=$((20000 + ($$ + i*7) * width % 10000))   # below the ports that the system hands out
    for ((p=PORT; p<PORT+NODES+3; p++)); do port_free "$p" || continue 2; done
    return 0
  done
  die "no $((NODES+3)) free ports between 20000 and 30000 on 127.0.0.1; set SLURM_PORT"
}
assign_ports() { CTLD_PORT=$PORT DBD_PORT=$((PORT+1)) SQL_PORT=$((PORT+2)) ND_PORT=$((PORT+3)); }

# --- packages and configuration ------------------------------------------------------------

install() {
  local need=() log=$LAB/log/apt.log
  command -v slurmctld >/dev/null || need+=(slurmctld)
  command -v slurmd    >/dev/null || need+=(slurmd)
  command -v sbatch    >/dev/null || need+=(slurm-client)
  command -v pgrep     >/dev/null || need+=(procps)
  [ "$AUTH" = none ] || command -v munged >/dev/null || need+=(munge)
  if [ "$ACCT" = 1 ]; then
    command -v slurmdbd >/dev/null || need+=(slurmdbd)
    command -v mariadbd >/dev/null || need+=(mariadb-server)
  fi
  [ ${#need[@]} = 0 ] && return 0
  command -v apt-get >/dev/null || die "missing ${need[*]}, and this is not a Debian system"
  [ "$(id -u)" = 0 ] || die "missing ${need[*]}; as root: apt-get install --no-install-recommends ${need[*]}"
  echo "installing ${need[*]}" >&2
  apt() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
  apt install -y --no-install-recommends "${need[@]}" ||
  { apt update && apt install -y --no-install-recommends "${need[@]}"; } || die "cannot install ${need[*]} ($(tail -1 "$log"))"
}

configure() {
  local n g gres_type="" nodes="" acct auth first_gpu=$((NODES-1))
  [ $first_gpu -lt 1 ] && first_gpu=1
  declare -p NODES NCPU NMEM OWN_NAMES GPUS ACCT AUTH PORT | sed 's/declare -- //' >"$LAB/settings"
  : >"$LAB/etc/gres.conf"; : >"$LAB/etc/plugstack.conf"
  # slurmd looks for cgroups even if nothing uses them, and a container may have none
  local cgroup=disabled version; version=$(slurmd -V); version=${version##* }
  [ "${version%%.*}" -lt 24 ] && cgroup=cgroup/v1
  echo "CgroupPlugin=$cgroup" >"$LAB/etc/cgroup.conf"
  # any files whose names end in a number will do as GPUs
  for ((g=0; g<GPUS; g++)); do : >"$LAB/dev/gpu$g"; done
  if [ "$GPUS" -gt 0 ]; then
    gres_type="GresTypes=gpu"
    echo "NodeName=n[$first_gpu-$NODES] Name=gpu Type=fake File=$LAB/dev/gpu[0-$((GPUS-1))]" >"$LAB/etc/gres.conf"
  fi
  for ((n=1; n<=NODES; n++)); do
    nodes+="NodeName=n$n NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((ND_PORT+n-1)) CPUs=$NCPU RealMemory=$NMEM State=UNKNOWN"
    if [ "$GPUS" -gt 0 ] && [ $n -ge $first_gpu ]; then nodes+=" Gres=gpu:fake:$GPUS Feature=new,gpu"; else nodes+=" Feature=old"; fi
    nodes+=$'\n'
  done
  # cred_expire: otherwise a requeued or preempted job waits two minutes (reason BeginTime)
  auth="AuthType=auth/munge
AuthInfo=socket=$LAB/run/munge.sock,cred_expire=5
CredType=cred/munge"
  [ "$AUTH" = none ] && auth="AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none"
  acct="AccountingStorageType=accounting_storage/none"
  # AccountingStoragePass: for slurmdbd the clients ignore AuthInfo
  [ "$ACCT" = 1 ] && acct="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$DBD_PORT
$([ "$AUTH" = munge ] && echo "AccountingStoragePass=$LAB/run/munge.sock")
AccountingStoreFlags=job_comment"
  cat >"$LAB/etc/slurm.conf" <<CONF
ClusterName=lab
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=$ME
SlurmdUser=$ME
SlurmctldPort=$CTLD_PORT
$auth
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
SlurmctldPidFile=$LAB/run/slurmctld.pid
SlurmdPidFile=$LAB/run/slurmd.%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd.%n.log
PlugStackConfig=$LAB/etc/plugstack.conf
# nothing that needs cgroups or systemd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
# more CPUs and memory than the machine has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
$gres_type
# quick to schedule, to notice and to kill
SchedulerType=sched/backfill
PriorityType=priority/basic
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=5,defer_batch
CompleteWait=0
KillWait=3
SlurmdTimeout=10
SlurmctldTimeout=10
MessageTimeout=5
MinJobAge=3600
MaxArraySize=1001
MaxJobCount=20000
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobCompType=jobcomp/filetxt
JobCompLoc=$LAB/log/jobcomp.log
$acct
DefMemPerCPU=1000
$nodes
PartitionName=short   Nodes=ALL Default=YES MaxTime=1:00:00 DefaultTime=2:00 PriorityTier=10 PreemptMode=OFF
PartitionName=long    Nodes=ALL MaxTime=2-00:00:00 DefaultTime=60:00 PriorityTier=10 PreemptMode=OFF
PartitionName=scavenge Nodes=ALL MaxTime=1:00:00 DefaultTime=10:00 PriorityTier=1 PreemptMode=REQUEUE
CONF
  [ "$GPUS" -gt 0 ] && echo "PartitionName=gpu     Nodes=n[$first_gpu-$NODES] MaxTime=1:00:00 DefaultTime=10:00 PriorityTier=10 PreemptMode=OFF" >>"$LAB/etc/slurm.conf"
  [ "$ACCT" = 1 ] || return 0
  (umask 077; cat >"$LAB/etc/slurmdbd.conf" <<CONF
$(echo "$auth" | grep -v Cred)
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$DBD_PORT
SlurmUser=$ME
LogFile=$LAB/log/slurmdbd.log
PidFile=$LAB/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$SQL_PORT
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
CONF
  )
}

wrappers() {
  # snakemake-executor-plugin-slurm-jobstep removes SLURM_CONF from the environment of the srun
  # it starts inside a job ("Could not establish a configuration source"): put it back.
  local r; r=$(PATH=${PATH//"$LAB/bin:"/} command -v srun) || die "srun is missing"
  printf '#!/bin/sh\nexport SLURM_CONF="${SLURM_CONF:-%s}"\nexec %s "$@"\n' "$SLURM_CONF" "$r" >"$LAB/bin/srun"
  printf 'hostname "$1"; shift; exec "$@"\n' >"$LAB/bin/as-host"
  chmod 755 "$LAB/bin/srun"
}

# --- daemons -------------------------------------------------------------------------------

start_munge() {
  [ "$AUTH" = none ] && return 0
  alive munged && return 0
  [ -s "$LAB/etc/munge.key" ] || (umask 077; head -c 1024 /dev/urandom >"$LAB/etc/munge.key") || die "cannot write munge.key"
  rm -f "$LAB/run/munge.sock"*
  # --force: the folder may lie below a world-writable /tmp
  munged --force --key-file="$LAB/etc/munge.key" --socket="$LAB/run/munge.sock" \
    --pid-file="$LAB/run/munged.pid" --log-file="$LAB/log/munged.log" \
    --seed-file="$LAB/state/munge.seed" --num-threads=4 >/dev/null 2>>"$LAB/log/munged.err" </dev/null ||
    die "munged did not start: $(tail -qn1 "$LAB/log/munged.err" "$LAB/log/munged.log" 2>/dev/null)"
  wait_for 30 "munged gives no credential" sh -c "munge -S $LAB/run/munge.sock -n | unmunge -S $LAB/run/munge.sock"
}
start_acct() {
  [ "$ACCT" = 1 ] || return 0
  if ! alive mariadbd; then
    [ -d "$LAB/sql/mysql" ] || mariadb-install-db --no-defaults --user="$ME" --datadir="$LAB/sql" \
      --auth-root-authentication-method=normal --skip-test-db >"$LAB/log/sql-install.log" 2>&1 ||
      die "mariadb-install-db failed ($LAB/log/sql-install.log)"
    setsid mariadbd --no-defaults --user="$ME" --datadir="$LAB/sql" --socket="$LAB/run/sql.sock" \
      --port=$SQL_PORT --bind-address=127.0.0.1 --pid-file="$LAB/run/mariadbd.pid" \
      --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=0 --innodb-lock-wait-timeout=900 \
      --innodb-log-file-size=64M >"$LAB/log/mariadbd.log" 2>&1 </dev/null &
    wait_for 15 "mariadbd did not answer" mariadb --no-defaults -uroot -S "$LAB/run/sql.sock" -e 'select 1'
    mariadb --no-defaults -uroot -S "$LAB/run/sql.sock" -e "create database if not exists slurm_acct; \
      grant all on slurm_acct.* to 'slurm'@'%' identified by 'slurm'; \
      grant all on slurm_acct.* to 'slurm'@'localhost' identified by 'slurm'" || die "mariadb: no grant"
  fi
  alive slurmdbd && return 0
  setsid slurmdbd >/dev/null 2>>"$LAB/log/start.err" </dev/null || die "slurmdbd did not start ($LAB/log/slurmdbd.log)"
  wait_for 15 "slurmdbd does not answer" sacctmgr -n show cluster
  [ -n "$(sacctmgr -n show cluster lab)" ] || sacctmgr -i add cluster lab >/dev/null
  [ -n "$(sacctmgr -n show account lab)" ] || {
    sacctmgr -i add account lab Description=lab Organization=lab Cluster=lab >/dev/null
    sacctmgr -i add user "$ME" Account=lab >/dev/null; }
}
start_ctld() {
  alive slurmctld || setsid slurmctld -f "$SLURM_CONF" >/dev/null 2>>"$LAB/log/start.err" </dev/null ||
    die "slurmctld did not start: $(tail -qn2 "$LAB/log/slurmctld.log" "$LAB/log/start.err" 2>/dev/null)"
}
start_node() {
  # Each node with a host name of its own, where the system allows it: then a job's owner cannot
  # be found among the processes of the login node, and Slurm has to be asked, as on a site.
  local named=
  [ "$OWN_NAMES" = 1 ] && unshare --uts true 2>/dev/null && named="unshare --uts bash $LAB/bin/as-host n$1"
  alive "slurmd.n$1" || setsid $named slurmd -N "n$1" -f "$SLURM_CONF" >/dev/null 2>>"$LAB/log/start.err" </dev/null ||
    die "slurmd n$1 did not start: $(tail -qn2 "$LAB/log/slurmd.n$1.log" "$LAB/log/start.err" 2>/dev/null)"
}
all_up() { [ "$(sinfo -h -N -o '%N %t' | sort -u | grep -Ec ' (idle|mix|alloc|comp)$')" = "$NODES" ]; }
check_node() { [[ ${1:-} =~ ^[0-9]+$ ]] && [ "$1" -ge 1 ] && [ "$1" -le "$NODES" ] || die "no node '${1:-}': 1 to $NODES"; }

# --- verbs ---------------------------------------------------------------------------------

up() {
  local t0 n i; t0=$(date +%s%N)
  [ ${#LAB} -le 60 ] || die "the folder's path is too long for Unix sockets: $LAB; set SLURM_LAB"
  mkdir -p "$LAB"/{etc,run,state,spool,log,dev,sql,bin} || die "cannot write $LAB"
  chmod 755 "$LAB" "$LAB/run"
  if [ -f "$LAB/settings" ] && any_alive; then
    . "$LAB/settings"; assign_ports
  else
    install; choose_ports; assign_ports; configure
  fi
  for ((n=1; n<=NODES; n++)); do mkdir -p "$LAB/spool/n$n"; done
  wrappers; start_munge; start_acct; start_ctld
  for ((n=1; n<=NODES; n++)); do start_node $n; done
  wait_for 60 "slurmctld does not answer" scontrol ping
  for ((i=0; i<600; i++)); do
    all_up && break
    [ $((i % 30)) = 29 ] && scontrol update NodeName="n[1-$NODES]" State=RESUME 2>/dev/null
    sleep 0.1
  done
  all_up || die "nodes not idle: $(sinfo -h -N -o '%N=%t' | sort -u | tr '\n' ' ') (logs: $LAB/log)"
  echo "up in $(( ($(date +%s%N)-t0)/1000000 )) ms: $NODES nodes x $NCPU CPUs, acct=$ACCT auth=$AUTH port=$PORT folder=$LAB"
}
down() {
  local d n
  [ -d "$LAB/run" ] || { echo "nothing at $LAB"; return 0; }
  alive slurmctld && timeout 5 scancel -u "$ME" 2>/dev/null && sleep 0.5
  for d in $(daemons); do
    case $d in slurm*d.*|slurmctld) alive "$d" && kill -TERM "$(cat "$LAB/run/$d.pid")" 2>/dev/null;; esac
  done
  for ((n=1; n<=NODES; n++)); do stop "slurmd.n$n"; done
  kill_steps
  stop slurmctld; stop slurmdbd; stop mariadbd; stop munged; echo down
}
status() {
  local d rc=0
  for d in $(daemons); do
    if alive "$d"; then echo "$d up pid $(cat "$LAB/run/$d.pid")"; else echo "$d DOWN"; rc=1; fi
  done
  [ $rc = 0 ] && { timeout 5 sinfo -o '%P %a %l %D %t %N %G %f' || rc=1; }
  return $rc
}
session() { # everything ends when the caller closes our standard input, or dies
  [ -z "$(ls -A "$LAB" 2>/dev/null)" ] || die "$LAB is not empty"
  trap 'down >&2; rm -rf "$LAB"' EXIT
  trap '' INT HUP; trap 'exit 143' TERM
  up; cat >/dev/null
}

case ${1:-} in
session)    session;;
up)         up;;
down)       down;;
status)     status;;
env)        echo "export SLURM_CONF=$LAB/etc/slurm.conf PATH=$LAB/bin:\$PATH";;
kill-node)  check_node "${2:-}"; stop "slurmd.n$2" KILL; kill_steps "n$2";;
start-node) check_node "${2:-}"; start_node "$2";;
stop-ctld)  stop slurmctld;;
kill-ctld)  stop slurmctld KILL;;
start-ctld) start_ctld;;
*)          sed -n '2,/^set -u/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2;;
esac
