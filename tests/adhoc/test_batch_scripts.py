"""A hand-written batch script with one ``source`` line: real shells, real signals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Newest = Callable[[], tuple[str, dict[str, Any]]]
Read = Callable[[str], dict[str, Any]]
HELPER = "scripts/slurm/_aexp_env.sh"


class Batch:
    """A repository with the helper, and scripts that source it."""

    def __init__(self, research: Any, tmp_path: Path) -> None:
        self.research = research
        self.folder = research.root / "scripts" / "slurm"
        self.folder.mkdir(parents=True)
        helper = research.aexp("env", "shell").stdout
        (research.root / HELPER).write_text(helper)
        # As in an environment that a script has activated.
        programs = tmp_path / "bin"
        programs.mkdir()
        program = programs / "aexp"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m aexp "$@"\n')
        program.chmod(0o755)
        self.env = {**research.env, "PATH": f"{programs}:{research.env['PATH']}"}
        self.programs = programs

    def script(self, text: str, name: str = "train.slurm") -> Path:
        """Write a script; SOURCE stands for the line."""
        path = self.folder / name
        path.write_text(text.replace("SOURCE", f". {HELPER}"))
        return path

    def run(
        self, *command: str, rc: int = 0, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Execute a command line and insist on its exit code."""
        done = subprocess.run(
            command,
            cwd=cwd or self.research.root,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert done.returncode == rc, (command, done.returncode, done.stdout, done.stderr)
        return done

    def count(self) -> int:
        """Return how many runs there are."""
        return len(list((self.research.root / ".runs" / "workspace").iterdir()))


@pytest.fixture
def batch(research: Any, tmp_path: Path) -> Batch:
    return Batch(research, tmp_path)


def test_the_line_makes_the_script_a_run(
    batch: Batch, newest: Newest, statepoint: Read, research: Any
) -> None:
    """Nothing of it leaks into the shell; arguments, traps and the exit code are the script's."""
    path = batch.script(
        """#!/bin/bash
AEXP_EXEC_OPTIONS='--tag "two words" --name fold --sp lr:=0.1'
SOURCE
echo "options=$- args=$#:$1:$2 id=$AEXP_JOB_ID exec=${AEXP_EXEC_OPTIONS-}"
echo "unset=$NOT_SET"
false
false | true
declare -F | grep -c aexp
trap -p EXIT
trap 'echo "bye $?"; exit 9' EXIT
bash scripts/slurm/other.sh
exit 7
"""
    )
    batch.script("SOURCE\necho other $AEXP_JOB_ID\n", "other.sh")
    done = batch.run("bash", str(path), "a b", "*", rc=9)
    job_id, doc = newest()
    lines = done.stdout.splitlines()
    plain = subprocess.run(["bash", "-c", "echo $-"], capture_output=True, text=True, check=True)
    assert set(lines[0].split()[0]) - set("options=") <= set(plain.stdout) | {"h", "B"}
    rest = ["unset=", "0", f"other {job_id}", "bye 7"]
    assert lines[0].endswith(
        f'args=2:a b:* id={job_id} exec=--tag "two words" --name fold --sp lr:=0.1'
    )
    assert lines[1:] == rest
    assert batch.count() == 1
    sp = statepoint(job_id)
    assert sp["argv"] == ["bash", "scripts/slurm/train.slurm", "a b", "*"]
    assert sp["lr"] == 0.1
    entry = research.entry(job_id)
    assert (entry["tag"], entry["name"], entry["returncode"]) == ("two words", "fold", 9)
    assert doc["status"] == "failed"

    # POSIX sh, strict from the first line, in a folder of its own; and a login shell's option.
    strict = batch.script("#!/bin/sh -eu\n. ../slurm/_aexp_env.sh\necho $-\n", "strict.sh")
    strict.chmod(0o755)
    done = batch.run("./strict.sh", cwd=strict.parent)
    assert {"e", "u"} <= set(done.stdout)
    assert statepoint(newest()[0])["argv"] == ["sh", "-eu", "strict.sh"]
    assert statepoint(newest()[0])["cwd"] == "scripts/slurm"
    # So are those that the shell was started with.
    lax = batch.script("SOURCE\nfalse | true\necho on\n", "lax.sh")
    assert batch.run("bash", "-o", "pipefail", "-e", str(lax), rc=1).stdout == ""
    assert statepoint(newest()[0])["argv"][:4] == ["bash", "-o", "pipefail", "-e"]


def test_a_script_that_cannot_be_recorded_goes_on(batch: Batch, tmp_path: Path) -> None:
    """Without aexp, with a broken one, elsewhere, with a wrong option, at a prompt."""
    path = batch.script("#!/bin/bash\nSOURCE\necho done $1\nexit 4\n")
    research = batch.research
    bare = {"PATH": "/usr/bin:/bin"}
    done = batch.run("bash", str(path), "1", rc=4, **bare)
    assert (done.stdout, "is not recorded" in done.stderr) == ("done 1\n", True)
    broken = batch.run("bash", str(path), "2", rc=4, AEXP_PROGRAM="/bin/false")
    assert (broken.stdout, "is not recorded" in broken.stderr) == ("done 2\n", True)
    wrong = batch.run("bash", str(path), "3", rc=4, AEXP_EXEC_OPTIONS="--campaign nowhere")
    assert wrong.stdout == "done 3\n"
    assert "nowhere" in wrong.stderr
    quoted = batch.run("bash", str(path), "4", rc=4, AEXP_EXEC_OPTIONS="--tag 'open")
    assert (quoted.stdout, "not recorded" in quoted.stderr) == ("done 4\n", True)
    for options in ("--help", "--dry-run", "--tag two words"):
        other = batch.run("bash", str(path), "6", rc=4, AEXP_EXEC_OPTIONS=options)
        assert other.stdout.endswith("done 6\n")
        assert "not recorded" in other.stderr
    outside = tmp_path / "elsewhere"
    (outside / "scripts" / "slurm").mkdir(parents=True)
    (outside / HELPER).write_text((research.root / HELPER).read_text())
    away = batch.run("bash", str(path), "5", rc=4, cwd=outside)
    assert (away.stdout, "not recorded" in away.stderr) == ("done 5\n", True)
    by_hand = batch.run("bash", "-ic", f". {HELPER}; echo still here")
    assert "still here" in by_hand.stdout
    assert "not recorded" in batch.run("bash", "-c", f". {HELPER}; true").stderr
    assert batch.count() == 0
    # A helper of a repository counts for a script that is started elsewhere.
    full = batch.script(f"#!/bin/bash\n. {research.root}/{HELPER}\necho ok\n", "far.sh")
    assert batch.run("bash", str(full), cwd=outside).stdout == "ok\n"
    assert batch.count() == 1


def test_signals(batch: Batch, newest: Newest, wait_until: Any, research: Any) -> None:
    """USR1 is the script's alone; TERM ends it, its traps run, and the end is recorded."""
    path = batch.script(
        """#!/bin/bash
SOURCE
trap 'echo checkpoint' USR1
trap 'echo saving; sleep 0.2; exit 3' TERM
sleep 63 &
echo "child $!"
wait
wait
"""
    )
    process = research.start("bash", str(path), env=batch.env)
    output = process.stdout

    def line(words: bytes) -> bytes:
        while words not in (found := output.readline()):
            assert found, "the script has ended"
        return found

    child = int(line(b"child").split()[1])
    process.send_signal(signal.SIGUSR1)
    line(b"checkpoint")
    assert os.path.exists(f"/proc/{child}")  # whom a USR1 would have killed
    process.send_signal(signal.SIGTERM)
    line(b"saving")
    assert process.wait(30) == 3
    job_id, doc = newest()
    assert (doc["status"], doc["aexp_run"]["cause"]) == ("stopped", "interrupted")
    assert doc["aexp_run"]["attempts"][0]["returncode"] == 3
    assert research.entry(job_id)["status"] == "stopped"
    wait_until(lambda: not os.path.exists(f"/proc/{child}/cwd"))


def test_arrays_requeues_and_jobs_that_submit_jobs(
    batch: Batch, newest: Newest, statepoint: Read, tmp_path: Path, research: Any
) -> None:
    """Slurm's own copy is named; tasks are runs; a requeued job goes on; nothing is inherited."""
    text = batch.script("#!/bin/bash\nSOURCE\necho $AEXP_ATTEMPT; exit ${FAIL:-0}\n").read_text()
    spool = tmp_path / "slurm_script"
    spool.write_text(text)
    job = {"SLURM_JOB_ID": "4711", "SLURM_CLUSTER_NAME": "c"}
    task = {**job, "SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "3"}
    assert batch.run("bash", str(spool), rc=5, FAIL="5", **task).stdout == "1\n"
    first, doc = newest()
    sp = statepoint(first)
    assert sp["argv"] == ["bash", "scripts/slurm/train.slurm"]
    assert sp["array_task"] == 3
    (attempt,) = research.entry(first)["attempts"]
    wanted = {"slurm_job_id": "4711", "slurm_array_job_id": "4700", "slurm_array_task_id": 3}
    assert {key: attempt[key] for key in wanted} == wanted
    # Requeued: the same run, one more attempt.
    assert batch.run("bash", str(spool), SLURM_RESTART_COUNT="1", **task).stdout == "2\n"
    entry = research.entry(first)
    assert (batch.count(), entry["status"], len(entry["attempts"])) == (1, "complete", 2)
    assert entry["attempts"][1]["slurm_restarts"] == 1
    # The next job of that number, years later, is another run; and so is the next task.
    assert batch.run("bash", str(spool), **task).stdout == "1\n"
    assert batch.run("bash", str(spool), **{**task, "SLURM_ARRAY_TASK_ID": "4"}).stdout == "1\n"
    assert batch.count() == 3
    # sbatch hands on the environment of the run that calls it.
    outer = batch.script(
        f"#!/bin/bash\nSOURCE\nSLURM_JOB_ID=4712 bash {spool}; bash {spool}\n", "outer.sh"
    )
    batch.run("bash", str(outer), **job)
    assert batch.count() == 5
    assert doc["status"] == "failed"


def test_a_requeued_job_is_the_same_run_whatever_its_first_start_has_left(
    batch: Batch, newest: Newest, research: Any, tmp_path: Path
) -> None:
    """Results that git does not have; a concluded campaign, a broken sidecar, an edited script."""
    sidecar = batch.folder / "train.aexp.toml"
    text = "#!/bin/bash\nSOURCE\necho $AEXP_ATTEMPT; echo 1 > result.txt; exit ${FAIL:-0}\n"
    script = batch.script(text)
    path = tmp_path / "slurm_script"
    shutil.copy(script, path)
    words = 'decision = "a"\nreasoning = "b"\n'
    sidecar.write_text(
        '[preregistration]\nquestion = "q"\n[metrics]\nacc = "float"\n'
        f'[outcomes.good]\ncondition = "acc > 1"\n{words}[outcomes.any]\nresidual = true\n{words}'
    )
    research.git("add", "-A")
    research.git("commit", "-qm", "script")
    research.aexp("campaign", "create", "night")
    job = {"SLURM_JOB_ID": "4720", "AEXP_EXEC_OPTIONS": "--campaign night --tag x"}
    assert batch.run("bash", str(path), rc=5, FAIL="5", **job).stdout == "1\n"
    first, doc = newest()
    assert doc["aexp_run"]["preregistration"]["mode"] == "declared"
    research.aexp("campaign", "conclude", "night", "--outcome", "done")
    sidecar.write_text("broken [")
    done = batch.run("bash", str(path), **job, SLURM_RESTART_COUNT="1")
    assert (done.stdout, "not recorded" in done.stderr) == ("2\n", False)
    script.write_text(script.read_text() + "# for the next job\n")
    done = batch.run("bash", str(path), **job, SLURM_RESTART_COUNT="2")
    assert (done.stdout, "not recorded" in done.stderr) == ("3\n", False)
    entry = research.entry(first)
    assert (batch.count(), entry["status"], len(entry["attempts"])) == (1, "complete", 3)
    assert (entry["outcome"], entry["tag"], entry["code_dirty"]) == ("any", "x", False)
    # One that begins is refused by all that.
    done = batch.run("bash", str(script), **{**job, "SLURM_JOB_ID": "4721"})
    assert "was concluded" in done.stderr
    assert batch.count() == 1


def test_a_killed_job_is_settled(
    batch: Batch, newest: Newest, wait_until: Any, research: Any
) -> None:
    """kill -9 of everything, as at the end of Slurm's patience; then the requeue."""
    path = batch.script("#!/bin/bash\nSOURCE\necho started\n[ -e again ] || sleep 64\n")
    job = {"SLURM_JOB_ID": "4713"}
    process = research.start("bash", str(path), env={**batch.env, **job})
    wait_until(lambda: b"started" in process.stdout.readline())
    _, doc = newest()
    os.killpg(doc["queue"]["proc"]["pgid"], signal.SIGKILL)
    process.kill()
    process.wait()
    (research.root / "again").touch()
    research.git("add", "again")
    done = batch.run("bash", str(path), **job, SLURM_RESTART_COUNT="1")
    assert done.stdout == "started\n"
    job_id, doc = newest()
    found = json.loads((research.workspace(job_id) / "terminal.json").read_text())
    assert found["status"] == doc["status"] == "complete"


def test_the_helper_is_plain_shell(batch: Batch) -> None:
    text = (batch.research.root / HELPER).read_text()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not re.search(r"(?<!un)set -", code)
    assert str(batch.research.root) not in text
    for shell in ("bash", "dash", "sh"):
        if any(os.access(f"{folder}/{shell}", os.X_OK) for folder in ("/bin", "/usr/bin")):
            subprocess.run([shell, "-n", HELPER], cwd=batch.research.root, check=True)
