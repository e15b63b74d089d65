"""The packaged rules as a module of a user's own workflow."""

from typing import Any

import pytest

SNAKEFILE = """
import aexp.workflow


module aexp_rules:
    snakefile: aexp.workflow.snakefile()
    config: config


use rule * from aexp_rules as aexp_*


rule table:
    default_target: True
    input:
        aexp.workflow.{which}(experiment="E001", tag="paper"),
    output:
        "table.txt",
    shell:
        "wc -l {{input}} >{{output}}"
"""


@pytest.mark.slow
def test_a_downstream_rule_waits_behind_the_gate(research: Any, witness: Any) -> None:
    good = research.add("seed=0..1,sleep=0,code=0", "--tag", "paper")
    flag = research.root.parent / "mended"
    (bad,) = (
        run["job_id"]
        for run in research.json(
            *("queue", "add", "--experiment", "E001", "--sp", "seed=9", "--tag", "paper"),
            *("--command", f"test -e {flag}"),
        )["runs"]
    )
    (other,) = research.add("seed=5,sleep=0,code=0", "--tag", "other")
    own = research.root / "Snakefile.own"
    own.write_text(SNAKEFILE.format(which="queued"))
    table = research.root / "table.txt"
    done = research.snakemake("-s", str(own), "--workflow-profile", "none", "--keep-going", rc=1)
    assert "is failed, not complete" in done.stderr
    assert research.status(bad) == "failed"
    assert [research.status(job_id) for job_id in good] == ["complete"] * 2
    assert not table.exists()
    assert not (research.workspace(bad) / "complete").exists()
    assert all((research.workspace(job_id) / "complete").exists() for job_id in good)
    assert research.status(other) == "queued"
    # `completed` builds on what there is, without executing anything.
    own.write_text(SNAKEFILE.format(which="completed"))
    research.snakemake("-s", str(own), "--workflow-profile", "none")
    assert table.read_text().count("complete\n") == 2
    table.unlink()
    # Mended and retried: the rule runs; the finished runs are not executed again.
    flag.touch()
    research.aexp("queue", "retry", "--failed")
    own.write_text(SNAKEFILE.format(which="queued"))
    research.snakemake("-s", str(own), "--workflow-profile", "none")
    assert table.read_text().count("complete\n") == 3
    assert set(witness.count("start").values()) == {1}
    assert research.entry(bad)["status"] == "complete"
    # A run that is queued again closes its gate; complete again, what stands on it is made again.
    research.aexp("queue", "retry", good[0])
    assert not (research.workspace(good[0]) / "complete").exists()
    research.snakemake("--config", "tag=paper")
    assert witness.count("start")[good[0]] == 2
    done = research.snakemake("-s", str(own), "--workflow-profile", "none")
    assert "rule table:" in done.stderr
    assert witness.count("start")[good[0]] == 2
    # Nothing to do is nothing to do, and it says so by doing nothing.
    done = research.snakemake("-s", str(own), "--workflow-profile", "none")
    assert "Nothing to be done" in done.stderr
    assert research.status(other) == "queued"
