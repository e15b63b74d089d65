"""Snakemake's group jobs: several runs in one Slurm job."""

from typing import Any

GROUPS = ("--groups", "run_job=g", "--group-components")


def test_a_cancelled_group_goes_on_where_it_was(campaign: Any) -> None:
    """Snakemake deletes the outputs of members that had ended; nothing is executed again."""
    short = ("--resources", "runtime=5")  # a chain in a group asks for the sum
    parents = campaign.add("ok", 2, *short)
    after = [word for parent in parents for word in ("--after", parent)]
    held = campaign.add("hold", 1, *short, *after)
    failing = campaign.add("fail", 1, *short)
    session = campaign.session(*GROUPS, "g=4")
    [line] = campaign.started(*held)
    assert {end.job_id for end in campaign.lines("end", *parents)} == set(parents)
    assert {start.slurm_job_id for start in campaign.lines("start")} == {line.slurm_job_id}
    campaign.slurm.run(["scancel", line.slurm_job_id])

    code, output = session.ended()
    assert code == 1, output
    assert "Removing output files" in output
    assert "3 of 4 run(s) complete" in output
    assert f"not complete: {failing[0][:8]} failed" in output
    campaign.check([*parents, *held])
    campaign.check(failing, "failed")
    assert campaign.attempts(held[0]) == [("queued", "interrupted"), ("complete", None)]
    assert {len(campaign.attempts(job_id)) for job_id in parents} == {1}
    assert campaign.attempts(failing[0])[-1] == ("failed", None)


def test_a_group_that_no_node_can_hold_stays_queued(campaign: Any) -> None:
    ids = campaign.add("ok", 5)
    code, output = campaign.session(*GROUPS, "g=5").ended()
    assert code == 1, output
    assert not campaign.lines("start")
    assert {campaign.research.status(job_id) for job_id in ids} == {"queued"}
    for job_id in ids:
        assert f"not complete: {job_id[:8]} queued" in output
    assert "0 of 5 run(s) complete" in output
