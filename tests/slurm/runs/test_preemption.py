"""Training of 60 steps on a real cluster that lets it have about 20 of them at a time."""

import sys
import time
from typing import Any

from tests.preemption.conftest import Training

SOON_S = 2


def soon() -> str:
    """Return a moment as Slurm writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + SOON_S))


def test_training_goes_on_whatever_ends_it(campaign: Any) -> None:
    """A time limit, a signal ahead of it, a requeue, a preemption, and a lost node."""
    research, slurm = campaign.research, campaign.slurm
    training = Training(research)

    by_hand = (1, 3, 5)  # seeds; the others are Snakemake's

    def add(seed: int, pauses: str, resources: str) -> str:
        tag = "hand" if seed in by_hand else "engine"
        return training.add(pauses, seed, "--resources", resources, "--tag", tag)

    node = add(1, "20:40", "threads=4,constraint=new")
    limit = add(2, "20:40", "constraint=old")
    requeued = add(3, "20:40", "constraint=old")
    preempted = add(4, "20:40", "partition=scavenge,constraint=new")
    early = add(5, "20", "constraint=old")
    tagged = ("--config", "tag=engine")
    for job_id, options in ((node, ["-c", "4"]), (requeued, []), (early, [])):
        options += ["--mem=500", "-t", "9", "-C", "new" if job_id == node else "old"]
        options += ["-D", str(research.root), "-o", str(campaign.folder / job_id)]
        script = f"srun aexp run-queued {job_id}; test $? != 75 || scontrol requeue $SLURM_JOB_ID"
        wrap = f"export PATH={research.env['PATH']}; {script}"
        slurm.sbatch("--requeue", "--open-mode=append", *options, wrap=wrap)
    session = campaign.session(*tagged, "--slurm-init-seconds-before-status-checks", "1")

    def slurm_job(job_id: str) -> str:
        return str(training.attempts(job_id)[-1]["slurm_job_id"])

    def node_of(job_id: str) -> str:
        return next(job.nodes for job in slurm.squeue() if job.id == slurm_job(job_id))

    def paused(job_id: str, attempt: int) -> None:
        slurm.wait_until(lambda: training.paused(job_id, attempt), 120, f"attempt {attempt}")

    def set_limit() -> None:
        slurm.run(["scontrol", "update", f"JobId={slurm_job(limit)}", f"EndTime={soon()}"])

    grace = "from aexp.execution.grace import grace_now_s as g; print(g(1.0), g(0.0) < 300)"
    out = campaign.folder / "grace"
    slurm.sbatch("-t", "5", "--mem=100", "-o", str(out), wrap=f"{sys.executable} -c '{grace}'")

    paused(early, 1)
    # What --signal=TERM@... does: a signal to the step, the job runs on.
    slurm.run(["scancel", "--signal=TERM", slurm_job(early)])
    for attempt in (1, 2):
        paused(limit, attempt)
        set_limit()  # Slurm looks for jobs over their time every half minute
        for job_id in (requeued, preempted, node):
            paused(job_id, attempt)
        slurm.run(["scontrol", "requeue", slurm_job(requeued)])
        whole = ("-p", "short", "-w", node_of(preempted), "--exclusive", "--mem=100", "-t", "1")
        slurm.sbatch(*whole, "-o", "/dev/null", wrap="true")
        name = node_of(node)
        slurm.kill_node(int(name[1:]), noticed=True)
        slurm.start_node(int(name[1:]))

    code, output = session.ended()
    assert code == 0, output
    training.check(limit, [1, 21, 41], 2)
    training.check(requeued, [1, 21, 41], 3)
    training.check(preempted, [1, 21, 41], 4)
    training.check(node, [1, 15, 36], 1)  # it had no time to save
    training.check(early, [1, 21], 5)

    ends = {
        job_id: [(one["status"], one["cause"]) for one in training.attempts(job_id)]
        for job_id in (limit, requeued, preempted, node, early)
    }
    saved = ("queued", "preempted")
    for job_id in (limit, requeued, preempted):
        assert ends[job_id] == [saved, saved, ("complete", None)]
    assert ends[node] == [("queued", "node_fail")] * 2 + [("complete", None)]
    assert ends[early] == [saved, ("complete", None)]
    jobs = {job_id: {a["slurm_job_id"] for a in training.attempts(job_id)} for job_id in ends}
    assert [len(jobs[i]) for i in (limit, requeued, preempted, node, early)] == [3, 1, 1, 1, 1]
    seconds, is_bounded = out.read_text().split()  # ahead of a limit of five minutes
    assert float(seconds) > 200
    assert is_bounded == "True"
    assert research.doc(limit)["aexp_run"]["preemptions"] == 2
