# Written by aexp; the same text: aexp env shell
#
# One line gives a batch script provenance. It comes first, after the lines that make aexp
# available (module load, conda activate):
#
#     source scripts/slurm/_aexp_env.sh
#
# The script is then started once more from its first line, as a run of aexp: code, environment,
# output, exit code and metrics are recorded, and the end also when the job is cancelled.
# No option, trap or variable of the shell is changed, and a script that cannot be recorded
# goes on as it is. Options of `aexp exec` can be given before that line:
#
#     AEXP_EXEC_OPTIONS='--tag night --campaign lr-sweep'

__aexp_is_part_of_a_run() {
    if [ "${AEXP_UNRECORDED-}" = "${SLURM_JOB_ID:-none}" ]; then
        return 0
    fi
    # sbatch hands the environment of a run on to jobs that are none of it.
    if [ -n "${AEXP_CLAIM-}" ] && grep -q "\"nonce\": \"$AEXP_CLAIM\"" \
        "${AEXP_JOB_WORKSPACE-}/claim" 2>/dev/null; then
        if [ -z "${SLURM_JOB_ID-}" ]; then
            return 0
        fi
        if grep -q "\"slurm_job_id\": \"$SLURM_JOB_ID\"" "$AEXP_JOB_WORKSPACE/claim"; then
            return 0
        fi
    fi
    return 1
}

__aexp_record() {
    case $- in
    *i*)
        printf '%s\n' 'aexp: a shell at a prompt is not recorded; source this in a script' >&2
        return 0
        ;;
    esac
    if __aexp_is_part_of_a_run; then
        return 0
    fi
    if ! [ -f "$0" ] || ! [ -r "$0" ]; then
        printf '%s\n' "aexp: $0 is no script that could be started again; it is not recorded" >&2
        return 0
    fi
    if ! "${AEXP_PROGRAM:-aexp}" --version >/dev/null 2>&1; then
        printf '%s\n' "aexp: ${AEXP_PROGRAM:-aexp} cannot be started; this script is not recorded" >&2
        return 0
    fi
    if [ -n "${AEXP_EXEC_OPTIONS-}" ]; then
        export AEXP_EXEC_OPTIONS
    fi
    exec "${AEXP_PROGRAM:-aexp}" exec --shell "${BASH:-/bin/sh}" --beside "${BASH_SOURCE-}" \
        --started "$({ tr '\000' '\n' <"/proc/$$/cmdline"; } 2>/dev/null)" \
        --script "$0" -- "$@"
}

__aexp_record "$@"
unset -f __aexp_record __aexp_is_part_of_a_run
