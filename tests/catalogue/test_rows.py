"""Each kind of source file becomes the rows that it should."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from aexp.catalogue.schema import TABLES, VIEWS
from aexp.runs.batches import known_runs

ROOT = Path(__file__).parents[2]
NOON = "2026-01-02T12:00:00Z"
LATER = "2026-01-02T13:00:00Z"
SHA = "ab" * 32


def test_a_run_of_the_ledger(place: Any) -> None:
    parent = place.entry(0, outputs=[{"path": "data/x.bin", "sha256": SHA, "size": 7}])
    attempt = {
        "attempt": 1,
        "status": "failed",
        "started_at": NOON,
        "ended_at": LATER,
        "host": "laptop",
        "slurm_job_id": "17",
        "max_rss_mb": 5.5,
        "environment": {"digest": "sha256:1", "software": "sha256:2"},
    }
    child = place.entry(
        1,
        status="failed",
        cause="oom",
        returncode=-9,
        tag="first",
        outcome="worse",
        outcome_residual=True,
        sidecar_mode="declared",
        after=[parent],
        derived_from=[parent],
        attempts=[{**attempt, "status": "queued"}, {**attempt, "attempt": 2}],
        environment={"digest": "sha256:1"},
        run_link={"experiment_id": "E007", "hypothesis_id": "H002"},
        inputs=[{"path": "in.bin", "sha256": SHA, "size": 7}],
        code_files={"count": 2000, "digest": f"sha256:{SHA}", "size": 9},
        sp={"code_commit": "c" * 40, "code_dirty": True, "condition": "full"},
    )
    columns = "source, status, cause, returncode, tag, tags, outcome, outcome_residual, n_attempts"
    assert place.rows(f"SELECT {columns} FROM runs WHERE job_id = ?", child) == [
        ("ledger", "failed", "oom", -9, "first", ["first"], "worse", True, 2)
    ]
    columns = "experiment_id, hypothesis_id, code_commit, code_dirty, condition, host, slurm_job_id"
    assert place.rows(f"SELECT {columns}, ended_at FROM runs WHERE job_id = ?", child) == [
        ("E007", "H002", "c" * 40, True, "full", "laptop", "17", datetime(2026, 1, 2, 3, 4, 5))
    ]
    assert place.rows("SELECT attempt, status, ended_at FROM attempts ORDER BY attempt") == [
        (1, "queued", datetime(2026, 1, 2, 13)),
        (2, "failed", datetime(2026, 1, 2, 13)),
    ]
    artifacts = "SELECT role, path, sha256, size, files FROM artifacts WHERE job_id = ? ORDER BY 1"
    assert place.rows(artifacts, child) == [
        ("code", None, SHA, 9, 2000),
        ("input", "in.bin", SHA, 7, 1),
    ]
    assert place.rows("SELECT child, parent, kind, via_path FROM edges ORDER BY kind") == [
        (child, parent, "after", None),
        (child, parent, "content", "in.bin"),
        (child, parent, "declared", None),
    ]


def test_runs_of_the_store_are_shown_as_everywhere_else(place: Any) -> None:
    """By the rule of `aexp ls`: the document counts, but for one that has ended elsewhere."""
    queued = place.run(1, {"status": "queued", "queue": {"queued_at": NOON, "tag": "x"}})
    attempt = {"attempt": 1, "status": "running", "command": "train --seed 2"}
    running = place.run(2, {"status": "running", "aexp_run": {"attempts": [attempt]}})
    place.run(3, {"status": "queued", "queue": {"queued_at": NOON}})
    elsewhere = place.entry(3, ended_at=LATER, metrics={"loss": 0.25})
    again = place.run(4, {"status": "queued", "queue": {"queued_at": LATER}})
    place.entry(4, ended_at=NOON)
    ended = {"status": "failed", "ended_at": NOON}
    promoted = {"registered_machine": "there", "promoted_at": NOON}
    same = place.run(5, {**ended, "aexp_run": promoted})
    place.entry(5, status="failed", ended_at=NOON, promoted_at=NOON)
    newer = place.run(6, {**ended, "aexp_run": {"metrics": {"val": {"loss": 2}}}})
    place.entry(6, ended_at=NOON)
    bare = place.run(7, {})
    (place.workspace(bare) / "signac_job_document.json").unlink()
    found = {
        job_id: rest for job_id, *rest in place.rows("SELECT job_id, source, status FROM runs")
    }
    assert found == {
        queued: ["store", "queued"],
        running: ["store", "running"],
        elsewhere: ["ledger", "complete"],
        again: ["store", "queued"],
        same: ["ledger", "failed"],
        newer: ["store", "failed"],
        bare: ["store", "created"],
    }
    assert {run.job_id: run.status for run in known_runs(place.repo)} == {
        job_id: status for job_id, (_, status) in found.items()
    }
    assert place.rows("SELECT command FROM runs WHERE status = 'running'") == [("train --seed 2",)]
    assert place.rows("SELECT key, value FROM metrics WHERE job_id = ?", newer) == [("val.loss", 2)]
    # A run that ends is another row at once.
    place.run(1, {"status": "complete", "queue": {"queued_at": NOON}})
    assert place.rows("SELECT status FROM runs WHERE job_id = ?", queued) == [("complete",)]


def test_the_record_its_citations_and_campaigns(place: Any) -> None:
    head = "---\nid: {id}\nstatus: {status}\ncreated: 2026-01-01\ntags: [a, b]\n{more}---\n"
    note = head + "# {id} — {title}\n"
    folder = "kb/research"
    for kind, artifact_id, status, more in (
        ("threads", "T001", "EXPLORING", ""),
        ("hypotheses", "H001", "TESTING", "thread: T001\n"),
        ("experiments", "E001", "RUNNING", "hypothesis: H001\nrunner_command: train {seed}\n"),
    ):
        text = note.format(id=artifact_id, status=status, more=more, title='Größe "x"')
        place.write(f"{folder}/{kind}/{artifact_id}-x.md", text)
    cited = place.entry(1)
    more = (
        f"impact: HIGH\nhypothesis: H001\nexperiment: E001\nsupporting_runs:\n"
        f"  - {{type: job, id: '{cited}', digest: 'sha256:{SHA}'}}\n"
        "  - {type: batch, experiment_id: E001, selector: {condition: full}}\n"
        "  - {type: job, id: nonsense}\n"
    )
    text = note.format(id="F001", status="x", more=more, title="Found")
    place.write(f"{folder}/findings/F001-x.md", text)
    title = 'Größe "x"'
    assert place.rows("SELECT thread_id, title, tags FROM threads") == [("T001", title, ["a", "b"])]
    assert place.rows("SELECT hypothesis_id, thread_id FROM hypotheses") == [("H001", "T001")]
    assert place.rows("SELECT hypothesis_id, runner_command FROM experiments") == [
        ("H001", "train {seed}")
    ]
    assert place.rows("SELECT impact, hypothesis_id, created FROM findings") == [
        ("HIGH", "H001", "2026-01-01")
    ]
    assert place.rows("SELECT type, job_id, experiment_id, selector, digest FROM citations") == [
        ("job", cited, None, None, f"sha256:{SHA}"),
        ("batch", None, "E001", '{"condition": "full"}', None),
        ("malformed", None, None, None, None),
    ]
    in_batch = place.entry(3, sp={"condition": "full"})
    place.entry(4, sp={"condition": "half"})
    place.entry(5, sp={"condition": "full", "experiment_id": "E002"})
    assert set(place.rows("SELECT finding_id, job_id, type FROM cited_runs")) == {
        ("F001", cited, "job"),
        ("F001", in_batch, "batch"),
    }
    own = {"schema_version": 1, "id": "wide", "campaign": "wide"}
    top = ".aexp/campaigns/wide"
    campaign = {"mode": "confirmation", "created_at": NOON, "question": "why?\nsay"}
    place.write(f"{top}/campaign.json", {**own, **campaign})
    late = place.entry(2)
    for job_id in (cited, late):
        place.write(f"{top}/runs/{job_id}.json", {**own, "job_id": job_id})
    assert place.rows("SELECT status, question FROM campaigns") == [("open", "why?\nsay")]
    ended = {"outcome": "supported", "concluded_at": LATER, "runs": [cited], "note": "so"}
    place.write(f"{top}/conclusion.json", {**own, **ended})
    assert place.rows("SELECT status, outcome, note FROM campaigns") == [
        ("concluded", "supported", "so")
    ]
    assert dict(place.rows("SELECT job_id, counts FROM campaign_runs")) == {
        cited: True,
        late: False,
    }
    told = dict(place.rows("SELECT job_id, campaigns FROM v_runs"))
    assert (told[cited], told[late]) == (["wide"], None)


def test_a_file_that_cannot_be_read_costs_itself_and_a_warning(place: Any) -> None:
    good = place.entry(1)
    lost = place.entry(2)
    ledger = ".aexp/ledger"
    place.write(f"{ledger}/{lost}.json", b"{")
    place.write(f"{ledger}/{'a' * 32}.json", {"job_id": "b" * 32})
    place.write(f"{ledger}/{'b' * 32}.json", b"<<<<<<< ours\n")
    place.write(f"{ledger}/{'c' * 32}.json", b"[" * 100_000)
    nested = b'{"a":' * 500 + b"1" + b"}" * 500
    head = f'{{"job_id": "{"e" * 32}", "status": "failed", "statepoint": '.encode()
    place.write(f"{ledger}/{'e' * 32}.json", head + nested + b"}")
    place.write(f"{ledger}/notes.txt", b"x")
    (place.root / ledger / f"{'d' * 32}.json").symlink_to(place.root / ledger / f"{good}.json")
    place.run(9, {"status": "queued"})
    broken = place.run(8, {"status": "queued"})
    (place.workspace(broken) / "signac_job_document.json").write_bytes(b"\xff")
    place.write("kb/research/findings/F001-x.md", b"---\n: [\n---\n")
    place.write(".aexp/campaigns/odd/campaign.json", b"{}")
    place.write(".aexp/campaigns/odd/runs/x.json", b"{}")
    with place.open() as catalogue:
        warned = "\n".join(catalogue.warnings)
        assert len(catalogue.warnings) == 11
        for name in (lost, "a" * 32, "merge conflict", "notes.txt", "link", broken, "F001", "odd"):
            assert name in warned
        assert catalogue.rows("SELECT count(*) FROM runs").rows == [(2,)]
        errors = catalogue.rows("SELECT count(*) FROM source_files WHERE error IS NOT NULL").rows
        assert errors == [(11,)]
    told = place.cli("catalog", "status", "--json", rc=1)
    assert json.loads(told[told.index("{") :])["faults"] == 11
    assert "nothing" not in place.cli("catalog", "verify", rc=1)
    # Mended, it is a run like any other.
    place.entry(2)
    assert place.rows("SELECT count(*) FROM runs") == [(3,)]


def test_verbs_of_the_catalogue(place: Any, keeping: None) -> None:
    for number in range(5):
        place.entry(number)
    assert "5 files, 0 with a fault" in place.cli("catalog", "rebuild", "--dry-run")
    assert place.files == []
    assert "5 files, 0 with a fault" in place.cli("catalog", "rebuild", "--verify")
    assert len(place.files) == 1
    told = json.loads(place.cli("catalog", "status", "--json"))
    assert (told["rows"]["runs"], told["sources"], told["faults"]) == (5, 5, 0)
    assert told["file"] == place.files[0]
    assert "says what its 5 source files say" in place.cli("catalog", "verify")
    assert json.loads(place.cli("catalog", "verify", "--json"))["differences"] == []


def test_the_page_has_the_tables(place: Any) -> None:
    """docs/catalogue.md: python docs/generate_catalogue.py renews it."""
    page = (ROOT / "docs/catalogue.md").read_text()
    for table in TABLES:
        part = page.split(f"### {table.name}\n", 1)[1].split("\n### ")[0]
        assert f"One row is {table.about}." in part
        listed = re.findall(r"^\| `(\w+)` \| ([A-Z\[\]]+) \| (.*) \|$", part, re.MULTILINE)
        assert listed == [tuple(column) for column in table.shown], table.name
    for view in VIEWS:
        assert f"| `{view.name}` | {view.about} |" in page
    told = place.cli("catalog", "schema", "--json")
    assert len(json.loads(told)) == len(VIEWS) + sum(1 + len(table.shown) for table in TABLES)
