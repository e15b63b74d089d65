"""The way of a run from the queue to the ledger."""

from typing import Any


def test_a_sweep_runs_to_the_ledger(research: Any) -> None:
    ids = research.add("condition=full|cls,seed=0..1")
    assert len(ids) == 4
    research.snakemake()
    assert [research.status(job_id) for job_id in ids] == ["complete"] * 4
    assert [research.entry(job_id)["status"] for job_id in ids] == ["complete"] * 4
