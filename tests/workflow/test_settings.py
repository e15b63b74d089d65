"""Settings of Snakemake and of runs: groups, resources, profiles, the short form."""

import re
from typing import Any

import pytest
import yaml


def shown_resources(output: str) -> dict[str, str]:
    """Return the resources of each run as Snakemake prints them."""
    found = {}
    for block in output.split("rule run_job:")[1:]:
        job_id = re.search(r"job_id=([0-9a-f]{32})", block)
        resources = re.search(r"resources: (.*)", block)
        assert job_id
        found[job_id[1]] = resources[1] if resources else ""
    return found


def test_resources_mixed_scaled_and_limiting(research: Any, witness: Any) -> None:
    witness.experiment(seconds="0.5", code="{code}")
    (plain,) = research.add("seed=0,code=0")
    (small,) = research.add("seed=1,code=0", "--resources", "mem_mb=100,runtime=5")
    (scaled,) = research.add("seed=2,code=4", "--resources", "mem_mb=200*2,gpus=1")
    others = research.add("seed=3..4,code=0", "--resources", "gpus=1,threads=1")
    shown = shown_resources(research.snakemake("-n", "--cores", "4").stdout)
    assert "mem_mb=100" in shown[small]
    assert "runtime=5" in shown[small]
    assert "mem_mb=200" in shown[scaled]
    assert "gpu=1" in shown[scaled]
    assert "mem_mb=100" not in shown[plain]
    assert "gpu=1" not in shown[plain]
    defaults = ("--default-resources", "mem_mb=77", "runtime=9")
    shown = shown_resources(research.snakemake("-n", *defaults).stdout)
    assert "mem_mb=77" in shown[plain]
    assert "runtime=9" in shown[plain]
    assert "mem_mb=100" in shown[small]
    assert "runtime=5" in shown[small]
    assert "mem_mb=200" in shown[scaled]
    assert "runtime=9" in shown[scaled]
    # One GPU for Snakemake: the three that ask for one come one after the other.
    research.snakemake("--cores", "4", "--resources", "gpu=1", rc=1)
    asking = {scaled, *others}
    at_once = 0
    for word, job_id in witness.lines():
        if job_id in asking:
            at_once += {"start": 1, "end": -1}[word]
            assert at_once <= 1
    assert research.entry(scaled)["resources"] == {
        "gpus": 1,
        "mem_mb": {"scale": 2.0, "start": 200},
    }
    # A person's retry begins with the first attempt's values, it is no failed attempt.
    research.aexp("queue", "retry", scaled)
    shown = shown_resources(research.snakemake("-n").stdout)
    assert "mem_mb=200" in shown[scaled]


def test_resources_grow_with_the_attempts_of_the_run(
    research: Any, witness: Any, processes: Any, wait_until: Any, finish: Any
) -> None:
    (job_id,) = research.add("seed=0,sleep=0,code=0", "--resources", "mem_mb=100*2,disk_mb=5")
    witness.hold(job_id)
    session = research.start_snakemake("--cores", "1", "--retries", "1")
    wait_until(lambda: witness.count("start")[job_id] == 1)
    wait_until(lambda: research.doc(job_id)["queue"].get("proc"))
    processes.kill(processes.wrappers())
    wait_until(lambda: witness.count("start")[job_id] == 2)
    witness.let_go(job_id)
    code, said = finish(session)
    assert code == 0, said
    assert "mem_mb=100," in said
    assert "mem_mb=200," in said, said
    assert len(research.entry(job_id)["attempts"]) == 2
    witness.assert_no_overlap()


def test_groups_and_failures(research: Any, witness: Any, evidence: Any) -> None:
    """Locally Snakemake runs the members of a group one by one: nobody's record is lost."""
    ids = research.add("seed=0..2,sleep=0,code=0|1")
    done = research.snakemake(
        *("--groups", "run_job=g", "--group-components", "g=3", "--cores", "2"), rc=1
    )
    assert "3 of 6 run(s) complete" in done.stderr
    assert len(evidence(research)) == 12
    assert {research.status(job_id) for job_id in ids} == {"complete", "failed"}
    assert set(witness.count("start").values()) == {1}


def test_looking_does_not_reconcile(research: Any, witness: Any, evidence: Any) -> None:
    done, due = research.add("seed=0..1,sleep=0,code=0")
    research.snakemake("--config", "limit=1")
    (research.workspace(done) / "terminal.json").unlink()
    before = evidence(research)
    for arguments in (["-n"], ["--dag"], ["--rulegraph"], ["--lint"], ["--list-rules"]):
        shown = research.snakemake(*arguments, rc=None)
        assert "Traceback" not in shown.stderr
        assert evidence(research) == before, arguments
        if arguments != ["--lint"]:
            assert shown.returncode == 0, (arguments, shown.stdout, shown.stderr)
    assert "made outputs again" not in research.snakemake("-n").stderr
    research.snakemake("--config", "limit=1")
    report = research.snakemake("--report", "report.html", rc=None)
    assert "Traceback" not in report.stderr
    assert report.returncode == 0, (report.stdout, report.stderr)
    assert (research.root / "report.html").stat().st_size > 1000
    assert research.status(due) == "complete"
    assert not list((research.root / ".aexp" / "cache" / "sessions").glob("*"))


@pytest.mark.slow
def test_the_short_form(research: Any, witness: Any) -> None:
    runs = research.add("seed=0..3,sleep=0,code=0", "--tag", "1e3")
    (other,) = research.add("seed=9,sleep=0,code=0", "--tag", "two words: it's 5%")
    done = research.aexp("run", "--tag", "1e3", "--cores", "1", "--dry-run")
    assert done.stdout.count("rule run_job:") == 4
    assert not witness.lines()
    done = research.aexp("run", "--tag", "1e3", "--experiment", "E001", "--limit", "2")
    assert witness.order() == runs[:2]
    assert "2 of 2 run(s) complete" in done.stderr
    # Further arguments are Snakemake's; its own --config does not undo ours, nor ours its.
    done = research.aexp(
        *("run", "--tag", "1e3", "--cores", "2", "--", "--quiet", "all"),
        *("--config", "limit=1", "mine=1"),
    )
    assert "1 of 1 run(s) complete" in done.stderr
    assert "rule run_job:" not in done.stderr + done.stdout
    assert witness.order() == runs[:3]
    done = research.aexp("run", "--tag", "two words: it's 5%")
    assert witness.order() == [*runs[:3], other]
    refused = research.aexp("run", "--cores", "many", rc=None)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    # A profile of the user's own counts key by key under the repository's.
    profile = research.root / "profiles" / "mine"
    profile.mkdir(parents=True)
    (profile / "config.yaml").write_text(
        yaml.safe_dump({"cores": 1, "keep-going": False, "quiet": ["rules"], "retries": 2})
    )
    done = research.aexp("run", "--profile", "profiles/mine", "--tag", "1e3")
    assert "1 of 1 run(s) complete" in done.stderr
    assert "rule run_job:" not in done.stderr
    # So do the repository's own settings, changed by hand.
    own = research.root / "workflow" / "profiles" / "default" / "config.yaml"
    settings = yaml.safe_load(own.read_text())
    assert settings["keep-going"] is True
    own.write_text(yaml.safe_dump({**settings, "cores": 1, "retries": 0}))
    research.add("seed=20..21,sleep=0,code=0")
    done = research.snakemake("--cores", "2")
    assert "2 of 2 run(s) complete" in done.stderr
