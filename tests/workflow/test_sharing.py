"""Two Snakemake sessions and an array of four tasks at once over one queue of sixty runs."""

import re
import sys
from typing import Any

import pytest

RUNS = 60
TASKS = 4


@pytest.mark.slow
def test_two_sessions_and_an_array(research: Any, witness: Any, finish: Any, evidence: Any) -> None:
    witness.experiment(seconds="0.1", code="0")
    ids = research.add(f"seed=0..{RUNS - 1}")
    # An array of sixty with four tasks at a time (%4): each slot takes every fourth index.
    aexp = f"{sys.executable} -P -m aexp"
    slot = (
        'worst=0; for i in $(seq "$0" 4 59); do '
        f'{aexp} queue run --index "$i" --array-id shared; code=$?; '
        '[ "$code" -gt "$worst" ] && worst=$code; done; exit "$worst"'
    )
    started = [research.start("/bin/sh", "-c", slot, str(number)) for number in range(TASKS)]
    started += [research.start_snakemake("--cores", "2") for _ in range(2)]
    for process in started:
        code, said = finish(process, timeout=280)
        assert code == 0, said
        assert not re.search("Traceback|Error|internal", said), said
    assert witness.count("start") == dict.fromkeys(ids, 1)
    assert witness.count("end") == dict.fromkeys(ids, 1)
    witness.assert_no_overlap()
    assert len(evidence(research)) == 2 * RUNS
    for job_id in ids:
        assert research.status(job_id) == research.entry(job_id)["status"] == "complete"
        assert len(research.entry(job_id)["attempts"]) == 1
    assert "nothing to repair" in research.aexp("reconcile").stdout
