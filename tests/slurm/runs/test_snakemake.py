"""Snakemake with the shipped profile: whatever dies, no run is lost, none executes twice."""

import os
import time
from typing import Any


def soon(seconds: int) -> str:
    """Return a moment as Slurm writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + seconds))


def test_forty_runs_by_snakemake_through_all_troubles(campaign: Any) -> None:
    research, slurm = campaign.research, campaign.slurm
    # The first has its node, which is to die, for itself.
    held = campaign.add("hold0", 1, "--resources", "threads=4")
    old = ("--resources", "constraint=old")  # the others leave it one, whoever comes first
    held += [campaign.add(f"hold{i}", 1, *old)[0] for i in range(1, 5)]
    node, limit, cancelled, stopped, requeued = held
    [memory] = campaign.add("memory", 1, "--resources", "mem_mb=450", "--max-faults", "2")
    [grows] = campaign.add("grow", 1, "--resources", "mem_mb=450*2")
    failing = campaign.add("fail", 2)
    good = campaign.add("ok", 30)
    [child] = campaign.add("last", 1, "--after", good[0])
    assert len({*held, memory, grows, *failing, *good, child}) == 40

    session = campaign.session()
    jobs = {line.job_id: line.slurm_job_id for line in campaign.started(*held)}

    # The controller is away for 15 s: nobody knows whether the owners live, so nobody
    # takes anything from them.
    slurm.kill_controller()
    began = time.monotonic()
    for job_id in (limit, node):
        said = research.aexp("run-queued", job_id, "--no-wait", rc=75).stderr
        assert "is being executed elsewhere" in said
    rows = {row["job_id"]: row for row in research.json("queue", "list")}
    if os.uname().nodename != campaign.lines("start", limit)[0].host:
        assert rows[limit]["state"] == "unknown", rows[limit]
    time.sleep(max(0.0, 15 - (time.monotonic() - began)))
    slurm.start_controller()
    assert research.status(limit) == research.status(node) == "running"

    # Slurm looks for jobs over their time every half minute.
    slurm.run(["scontrol", "update", f"JobId={jobs[limit]}", f"EndTime={soon(2)}"])
    slurm.run(["scancel", jobs[cancelled]])
    research.aexp("queue", "stop", stopped[:8])
    slurm.wait_until(lambda: research.status(stopped) == "stopped", what="the stop")
    slurm.run(["scontrol", "requeue", jobs[requeued]])
    for job_id in (limit, requeued):  # their first attempts are over
        slurm.wait_until(
            lambda job_id=job_id: campaign.attempts(job_id)[0][0] != "running", what="its end"
        )
    [name] = [job.nodes for job in slurm.squeue() if job.id == jobs[node]]
    slurm.kill_node(int(name[1:]), noticed=True)
    slurm.wait_until(lambda: slurm.state(jobs[node]) != "RUNNING", what="the loss of the node")
    slurm.start_node(int(name[1:]))

    code, output = session.ended()
    assert code == 1, output
    assert "36 of 40 run(s) complete" in output
    for job_id in (*failing, memory, stopped):
        assert f"not complete: {job_id[:8]}" in output
    campaign.check([*good, child, grows, limit, cancelled, requeued, node])
    campaign.check([*failing, memory], "failed")
    campaign.check([stopped], "stopped")

    assert {research.doc(i)["aexp_run"]["returncode"] for i in failing} == {3}
    assert "cause" not in research.entry(failing[0])
    # Without cgroups Slurm kills the whole step, and the wrapper may die before its word.
    lost = {("failed", "oom"), ("failed", "lost")}
    assert len(campaign.attempts(memory)) == campaign.faults(memory) == 2
    assert set(campaign.attempts(memory)) <= lost
    assert research.entry(memory)["cause"] == campaign.attempts(memory)[-1][1]
    assert asked_memory(campaign, memory) == [450, 450]
    assert campaign.attempts(grows)[0] in lost
    assert campaign.attempts(grows)[1:] == [("complete", None)]
    assert asked_memory(campaign, grows) == [450, 900]
    assert campaign.attempts(limit) == [("failed", "timeout"), ("complete", None)]
    assert campaign.faults(limit) == 1
    assert campaign.attempts(cancelled) == [("queued", "interrupted"), ("complete", None)]
    assert campaign.faults(cancelled) == 0
    assert campaign.attempts(requeued) == [("queued", "interrupted"), ("complete", None)]
    assert campaign.faults(requeued) == 0
    first, second = campaign.lines("start", requeued)
    assert first.slurm_job_id == second.slurm_job_id
    assert (first.restart, second.restart) == ("0", "1")
    assert campaign.attempts(node) == [("failed", "node_fail"), ("complete", None)]
    first, second = campaign.lines("start", node)
    assert (first.slurm_job_id, second.restart) == (second.slurm_job_id, "1")
    order = [line.job_id for line in campaign.lines("end")]
    assert order.index(good[0]) < order.index(child)

    again = research.snakemake("--profile", "profiles/slurm")
    assert "nothing to run" in again.stderr
    campaign.idle()


def asked_memory(campaign: Any, job_id: str) -> list[int]:
    """Return the megabytes that Slurm was asked for, for each attempt of a run."""
    asked = []
    for line in campaign.lines("start", job_id):
        shown = campaign.slurm.run(["scontrol", "-o", "show", "job", line.slurm_job_id]).stdout
        asked.append(int(shown.split("MinMemoryNode=")[1].split("M")[0]))
    return asked


def test_snakemake_killed_and_started_again_while_its_jobs_live(campaign: Any) -> None:
    slurm = campaign.slurm
    # Four CPUs each: one run a node, the others wait.
    ids = campaign.add("wait", 8, "--resources", "threads=4")
    first = campaign.session()
    slurm.wait_until(lambda: len(campaign.lines("start")) == 4, what="four runs")
    slurm.wait_until(lambda: len(campaign.jobs("PENDING")) == 4, what="four jobs to wait")
    pending = campaign.jobs("PENDING")
    first.kill()

    second = campaign.session()
    cancelled = "cancelled 4 Slurm job(s) that a dead session left pending"
    slurm.wait_until(lambda: cancelled in second.said(), what="the second session")
    assert len(campaign.jobs("RUNNING")) == 4
    campaign.go()
    code, output = second.ended()
    assert code == 0, output
    states = {job.id: job.state for job in slurm.squeue()}
    assert {states[job.id] for job in pending} == {"CANCELLED"}
    campaign.idle()
    campaign.check(ids)
    assert {len(campaign.attempts(job_id)) for job_id in ids} == {1}
