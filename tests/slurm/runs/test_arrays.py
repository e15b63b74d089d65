"""Slurm jobs that users write by hand: they share one queue and take nothing from each other."""

from collections import Counter
from typing import Any


def test_arrays_share_one_queue(campaign: Any) -> None:
    research, slurm = campaign.research, campaign.slurm
    ids = campaign.add("ok", 39, "--tag", "hand") + campaign.add("fail", 1, "--tag", "hand")
    others = campaign.add("other", 40, "--tag", "script")
    logs = research.root / "logs"
    logs.mkdir()

    def submit(array: str, command: str) -> str:
        words = ["sbatch", "--parsable", f"--array={array}", "--mem=100", "-t", "5"]
        words += ["-o", str(logs / "%A_%a"), "--wrap", command]
        return slurm.run(words, cwd=research.root, env=research.env).stdout.strip()

    command = 'aexp queue run --tag hand --index "$SLURM_ARRAY_TASK_ID"'
    staggered = submit("0-39%3", command)
    made = research.json(
        *("queue", "materialize", "--runner", "slurm", "--tag", "script", "--array-size", "15"),
        *("-o", "script.sh", "--slurm-time", "5", "--slurm-mem", "100"),
    )
    assert made["num_jobs"] == 40
    said = slurm.run(["bash", str(research.root / "script.sh")], cwd="/", env=research.env)
    assert said.stdout.count("Submitted batch job") == 3
    second = submit("0-39", command)
    campaign.idle(600)

    campaign.check(ids[:39] + others)
    campaign.check(ids[39:], "failed")
    assert {len(campaign.attempts(job_id)) for job_id in ids + others} == {1}
    states = {job.id: job.state for job in slurm.squeue()}
    for index in range(40):
        log = (logs / f"{staggered}_{index}").read_text()
        if index == 39 and "the run is failed" in log:
            assert states[f"{staggered}_{index}"] == "FAILED", log
        elif "being executed elsewhere" not in log:
            assert states[f"{staggered}_{index}"] == "COMPLETED", log
    executions = Counter(line.slurm_job_id for line in campaign.lines("start"))
    assert set(executions.values()) == {1}
    assert (logs / f"{second}_0").exists()
    chunks = Counter(job.state for job in slurm.squeue() if job.name == "aexp-queue-script")
    assert chunks == {"COMPLETED": 40}


def test_a_run_is_not_taken_from_a_requeued_job_that_lives(campaign: Any) -> None:
    """The second start of a job is the owner; anybody else asks Slurm and leaves it alone."""
    research, slurm = campaign.research, campaign.slurm
    [job_id] = campaign.add("wait")
    batch = 'test -n "$SLURM_RESTART_COUNT" || exec sleep 300; export PATH='
    job = slurm.sbatch(
        *("-o", str(campaign.folder / "out"), "-t", "5", "--chdir", str(research.root)),
        # As Snakemake's executor does it: everything of Slurm's but the id is gone.
        wrap=batch
        + research.env["PATH"]
        + f" AEXP_SLURM_START=$SLURM_JOB_ID:$SLURM_RESTART_COUNT; unset SLURM_RESTART_COUNT;"
        f" aexp run-queued {job_id}",
    )
    slurm.wait_until(lambda: slurm.state(job) == "RUNNING")
    slurm.run(["scontrol", "requeue", job])
    [line] = campaign.started(job_id)
    assert line.restart == "1"
    said = research.aexp("run-queued", job_id, "--no-wait", rc=75).stderr
    assert "is being executed elsewhere" in said
    research.aexp("reconcile")
    assert research.status(job_id) == "running"
    campaign.go()
    slurm.wait_until(lambda: slurm.state(job) == "COMPLETED")
    campaign.check([job_id])


def test_a_job_over_its_memory(campaign: Any) -> None:
    research, slurm = campaign.research, campaign.slurm
    [job_id] = campaign.add("memory")
    job = slurm.sbatch(
        *("-o", str(campaign.folder / "out"), "-t", "5", "--mem=300", "-D", str(research.root)),
        wrap=f"export PATH={research.env['PATH']}; exec aexp run-queued {job_id}",
    )
    slurm.wait_until(lambda: slurm.state(job) == "FAILED", what="Slurm to kill it")
    research.aexp("reconcile")
    assert campaign.attempts(job_id) == [("failed", "oom")]
    assert research.status(job_id) == "queued"
    assert campaign.faults(job_id) == 1
    assert not (research.workspace(job_id) / "claim").exists()


def test_hand_written_scripts_are_runs(campaign: Any) -> None:
    """One source line: each task is a run, and what scancel ends has an end."""
    research, slurm = campaign.research, campaign.slurm
    folder = research.root / "scripts" / "slurm"
    folder.mkdir(parents=True)
    (folder / "_aexp_env.sh").write_text(research.aexp("env", "shell").stdout)
    script = folder / "train.slurm"
    script.write_text(
        "#!/bin/bash\nsource scripts/slurm/_aexp_env.sh\n"
        "echo task $SLURM_ARRAY_TASK_ID\n[ $SLURM_ARRAY_TASK_ID = 0 ] || sleep 3000\n"
    )
    command = ["sbatch", "--parsable", "--array=0-1", "--mem=100", "-t", "5"]
    command += ["-o", str(folder / "%a.out"), str(script)]
    job = slurm.run(command, cwd=research.root, env=research.env).stdout.strip()
    out = folder / "1.out"
    slurm.wait_until(lambda: out.exists() and "task 1" in out.read_text(), 120, "task 1")
    slurm.run(["scancel", f"{job}_1"], env=research.env)
    campaign.idle()
    research.aexp("reconcile")
    found = {}
    for path in (research.root / ".runs" / "workspace").iterdir():
        entry = research.entry(path.name)
        found[entry["statepoint"]["array_task"]] = entry
    done, cancelled = found[0], found[1]
    assert done["statepoint"]["argv"] == ["bash", "scripts/slurm/train.slurm"]
    assert done["attempts"][0]["slurm_array_job_id"] == job
    assert (done["status"], len(found)) == ("complete", 2)
    assert (folder / "0.out").read_text().splitlines()[1] == "task 0"
    assert (cancelled["status"], cancelled["cause"]) == ("stopped", "interrupted")
