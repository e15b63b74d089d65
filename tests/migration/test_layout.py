"""``aexp migrate``: older layouts become the present one, once, with a copy of what was."""

import json
from typing import Any


def test_an_older_layout(research: Any) -> None:
    research.experiment("true")
    linked, bare, loose = research.add("seed=0|1|2")
    research.aexp("queue", "run")
    ledger = research.root / ".aexp" / "ledger"
    whole = {job_id: (ledger / f"{job_id}.json").read_bytes() for job_id in (linked, bare, loose)}
    path = research.workspace(linked) / "signac_job_document.json"
    doc = json.loads(path.read_text())
    doc["limina"] = doc.pop("aexp")
    path.write_text(json.dumps(doc))
    entry = json.loads(whole[bare])
    short = {key: entry[key] for key in entry if key not in ("schema_version", "wallclock_s")}
    (ledger / f"{bare}.json").write_text(json.dumps(short, indent=2, sort_keys=True) + "\n")
    first = {k: v for k, v in json.loads(whole[loose]).items() if k != "schema_version"}
    (ledger / f"{loose}.json").write_text(json.dumps(first))
    ignored = research.root / ".gitignore"
    clean = ignored.read_text()
    ignored.write_text("*.pt\n.aexp/\n" + clean)
    marker = research.root / ".aexp" / "installed.json"
    content = json.loads(marker.read_text())
    content["limina_vendor_sha"] = content.pop("scaffold_sha")
    marker.write_text(json.dumps(content))
    index = research.root / ".aexp" / "runs-index"
    index.mkdir()
    row = {"job_id": linked, "status": "complete"}
    (index / "old.json").write_text(
        json.dumps({"schema_version": 1, "machine_label": "old", "entries": [row]})
    )

    before = research.tree()
    said = research.json("migrate", "--dry-run")
    assert research.tree() == before
    assert said["backup"] is None
    done = research.json("migrate")
    assert done["changes"] == said["changes"]
    assert sorted({change["what"] for change in done["changes"]}) == [
        ".aexp/installed.json: limina_vendor_sha renamed",
        "a line that hides the ledger removed",
        "entry completed from its run",
        "entry rewritten in the present schema",
        "link renamed",
    ]
    assert any("git rm .aexp/runs-index/old.json" in remark for remark in done["remarks"])
    for job_id, data in whole.items():
        again = json.loads((ledger / f"{job_id}.json").read_bytes())
        assert {**again, "promoted_at": 0} == {**json.loads(data), "promoted_at": 0}
    assert "limina" not in path.read_text()
    assert ignored.read_text() == "*.pt\n" + clean
    assert json.loads(marker.read_text())["scaffold_sha"] == content["limina_vendor_sha"]
    backup = research.root / done["backup"]
    for name in (".gitignore", f".aexp/ledger/{bare}.json", ".aexp/installed.json"):
        assert (backup / name).read_bytes() == before[name]
    assert json.loads((backup / path.relative_to(research.root)).read_text())["limina"]
    after = research.tree()
    assert "nothing to migrate" in research.aexp("migrate").stdout
    assert research.tree() == after
    assert research.aexp("ledger", "verify").stdout.endswith("OK\n")


def test_what_is_damaged_or_later_is_left_alone(research: Any) -> None:
    job_id = research.one("seed=0")
    research.aexp("run-queued", job_id)
    path = research.root / ".aexp" / "ledger" / f"{job_id}.json"
    later = {**json.loads(path.read_text()), "schema_version": 2, "new": [1]}
    path.write_text(json.dumps(later))
    (path.parent / f"{'0' * 32}.json").write_text("{damaged")
    before = research.tree()
    done = research.aexp("migrate")
    assert "nothing to migrate" in done.stdout
    assert f"{'0' * 32}.json is damaged, and left alone" in done.stderr
    assert research.tree() == before
