"""``aexp finding cite``: what is written, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aexp.kb.frontmatter import read_frontmatter
from aexp.ledger.digests import batch_digest, entry_digest

NAME = "kb/research/findings/F001-wider.md"
HAND = """---
id: F001
# which runs show it
supporting_runs:   # by hand
  - {type: job,   id: %s}   # the first one

tags: [a,   b]
---
# F001 — Wider

Text with trailing blanks.  \r
"""


def cited(lab: Any) -> Any:
    return read_frontmatter(str(lab.root / NAME))["supporting_runs"]


def entry(lab: Any, job_id: str) -> dict[str, Any]:
    return json.loads((lab.root / f".aexp/ledger/{job_id}.json").read_text())


def test_a_run_is_cited_by_the_beginning_of_its_id(lab: Any) -> None:
    first, second = lab.sweep(0.9, 0.8)
    lab.write(NAME, HAND % first)
    out = lab.cli("finding", "cite", "F001", "--job", second[:8])
    assert f"cited {{type: job, id: {second}}}  (1 run)" in out
    added = f"  - {{type: job, id: {second}}}\n"
    before = HAND % first
    assert lab.text == before.replace("# the first one\n", "# the first one\n" + added)
    assert "unchanged" in lab.cli("finding", "cite", "F001", "--job", second)
    lab.cli("finding", "cite", "F001", "--job", second[:8], "--remove")
    assert lab.text == before


def test_a_batch_is_cited_with_the_values_of_its_runs(lab: Any) -> None:
    lab.sweep(0.9, 0.8, sp={"lr": 0.1})
    lab.finding(cites=())
    select = ("--batch", "E001", "--select", "condition=full,lr=0.1")
    out = json.loads(lab.cli("finding", "cite", "F001", *select, "--json"))
    wanted = {
        "type": "batch",
        "experiment_id": "E001",
        "selector": {"condition": "full", "lr": 0.1},
    }
    assert out["citations"] == [wanted]
    assert out["runs"] == [2]
    assert out["changed"] is True
    assert cited(lab) == [wanted]
    assert lab.issues() == []
    assert json.loads(lab.cli("finding", "cite", "F001", *select, "--json"))["changed"] is False
    lab.cli("finding", "cite", "F001", *select, "--remove")
    assert cited(lab) == []


def test_pins_are_the_digests_of_the_ledger(lab: Any) -> None:
    ids = lab.sweep(0.9, 0.8)
    lab.finding(cites=())
    lab.cli("finding", "cite", "F001", "--job", ids[0], "--pin")
    lab.cli("finding", "cite", "F001", "--batch", "E001")
    assert cited(lab)[0]["digest"] == entry_digest(entry(lab, ids[0]))
    assert "digest" not in cited(lab)[1]
    lab.cli("finding", "cite", "F001", "--pin")
    assert cited(lab)[1]["digest"] == batch_digest([entry(lab, one) for one in ids])
    before = lab.text
    assert "unchanged" in lab.cli("finding", "cite", "F001", "--pin")
    assert "unchanged" in lab.cli("finding", "cite", "F001", "--batch", "E001")
    assert lab.text == before
    lab.entry(0, 0.95)
    assert "finding.entry_changed" in lab.codes()
    lab.cli("finding", "cite", "F001", "--pin")
    assert lab.issues() == []


def test_dry_run_writes_nothing(lab: Any) -> None:
    (job_id,) = lab.sweep(0.9)
    lab.finding(cites=())
    before = lab.text
    assert "would write" in lab.cli("finding", "cite", "F001", "--job", job_id, "--dry-run")
    assert lab.text == before
    assert not (lab.root / ".aexp/cache").exists()


@pytest.mark.parametrize(
    ("arguments", "rc", "says"),
    [
        (["--job", "ffff"], 1, "no run that is known here"),
        (["--job", "../x"], 2, "not a run id"),
        (["--job", "[red]"], 2, "not a run id"),
        (["--batch", "E009"], 1, "no run of E009"),
        (["--batch", "../E001"], 2, "not an experiment id"),
        (["--batch", "E001", "--select", "condition=none"], 1, "with condition=none"),
        (["--select", "condition=full"], 2, "goes with --batch"),
        (["--pin", "--remove", "--batch", "E001"], 2, "not both"),
        (["--remove"], 2, "nothing to remove"),
        (["--remove", "--job", "abc"], 1, "cites no run abc"),
        (["--remove", "--batch", "E001", "--select", "seed=7"], 1, "does not cite this batch"),
        ([], 2, "nothing to cite"),
    ],
)
def test_what_cannot_be_cited_is_refused(
    lab: Any, arguments: list[str], rc: int, says: str
) -> None:
    lab.sweep(0.9)
    lab.finding()
    before = lab.text
    lab.cli("finding", "cite", "F001", *arguments, rc=rc)
    assert says in lab.stderr
    assert lab.text == before


def test_findings_that_are_not_there(lab: Any) -> None:
    lab.sweep(0.9)
    for name, rc in (("F002", 1), ("E001", 2), ("../F001", 2)):
        for arguments in (("cite", name, "--batch", "E001"), ("check", name)):
            lab.cli("finding", *arguments, rc=rc)
            assert name in lab.stderr
            assert "hint:" in lab.stderr


def test_a_run_that_has_not_ended_is_refused(lab: Any) -> None:
    first, second = lab.sweep(0.9, 0.8)
    lab.local(second, "running")
    (lab.root / f".aexp/ledger/{second}.json").unlink()
    lab.finding(cites=())
    lab.cli("finding", "cite", "F001", "--job", second, rc=1)
    assert "is running; only ended runs can be cited" in lab.stderr
    lab.cli("finding", "cite", "F001", "--batch", "E001", "--select", "seed=1", rc=1)
    lab.cli("finding", "cite", "F001", "--batch", "E001", "--pin", rc=1)
    assert "1 of 2 runs of batch E001 have not ended" in lab.stderr
    lab.cli("finding", "cite", "F001", "--batch", "E001")
    assert "note: 1 of 2 runs" in lab.stderr
    lab.cli("finding", "cite", "F001", "--job", first, "--pin")


def test_a_run_of_the_store_alone_can_be_cited_but_not_pinned(lab: Any) -> None:
    (job_id,) = lab.sweep(0.9)
    lab.local(job_id, "complete")
    (lab.root / f".aexp/ledger/{job_id}.json").unlink()
    lab.finding(cites=())
    lab.cli("finding", "cite", "F001", "--job", job_id, "--pin", rc=1)
    assert "aexp ledger backfill" in lab.stderr
    lab.cli("finding", "cite", "F001", "--job", job_id)


def test_an_ambiguous_beginning_is_refused(lab: Any) -> None:
    lab.sweep(*[0.9] * 40)
    lab.finding(cites=())
    for digit in "0123456789abcdef":
        found = list((lab.root / ".aexp/ledger").glob(f"{digit}*.json"))
        if len(found) > 1:
            lab.cli("finding", "cite", "F001", "--job", digit, rc=1)
            assert "give more digits" in lab.stderr
            return
    raise AssertionError("forty runs and no digit twice")


def test_bytes_and_links_of_the_file_are_kept(lab: Any) -> None:
    (job_id,) = lab.sweep(0.9)
    path = lab.finding(cites=())
    real = path.with_name("real.txt")
    real.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    path.unlink()
    path.symlink_to(real.name)
    lab.cli("finding", "cite", "F001", "--job", job_id)
    data = real.read_bytes()
    assert path.is_symlink()
    assert data.startswith(b"\xef\xbb\xbf---\r\n")
    assert data.count(b"\n") == data.count(b"\r\n")
    assert cited(lab) == [{"type": "job", "id": job_id}]


def test_a_link_out_of_the_repository_is_refused(lab: Any, tmp_path_factory: Any) -> None:
    lab.sweep(0.9)
    path = lab.finding(cites=())
    outside = tmp_path_factory.mktemp("outside") / "note.md"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(outside)
    before = outside.read_bytes()
    lab.cli("finding", "cite", "F001", "--batch", "E001", rc=1)
    lab.cli("finding", "check", "F001", "--write", rc=1)
    assert outside.read_bytes() == before


def test_several_processes_at_once_lose_nothing(lab: Any) -> None:
    ids = lab.sweep(*[0.9] * 6)
    lab.finding(cites=())
    started = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "aexp", "finding", "cite", "F001", "--job", one],
            cwd=Path(lab.root),
            stdout=subprocess.DEVNULL,
        )
        for one in ids
    ]
    assert [process.wait(120) for process in started] == [0] * 6
    assert sorted(item["id"] for item in cited(lab)) == sorted(ids)
