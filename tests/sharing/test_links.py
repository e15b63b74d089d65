"""Folders of ours that are links: nothing is written through them, and it is said."""

import os
from pathlib import Path
from typing import Any

import pytest

FOLDERS = (".aexp", ".aexp/ledger", ".aexp/campaigns", ".aexp/runs-index", ".aexp/cache")


def lead_away(clone: Any, folder: str, outside: Path) -> None:
    """Move a folder out of the repository and leave a link to it."""
    path = clone.root / folder
    path.mkdir(parents=True, exist_ok=True)
    path.rename(outside)
    path.symlink_to(outside)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_sync_and_verify_and_doctor_tell(clones: Any, tmp_path: Path, folder: str) -> None:
    laptop, outside = clones.laptop, tmp_path / "outside"
    job_id = laptop.one("seed=0")
    laptop.aexp("run-queued", job_id)
    lead_away(laptop, folder, outside)
    before = content(outside), laptop.git("rev-parse", "HEAD")
    done = laptop.aexp("ledger", "sync", rc=1)
    assert f"{folder} is a link to {outside}" in done.stderr
    assert f"rm {folder} && mkdir {folder}" in done.stderr
    assert (content(outside), laptop.git("rev-parse", "HEAD")) == before
    found = laptop.json("ledger", "verify", "--fix", rc=1)
    assert ("folder.linked", folder) in [(p["code"], p["path"]) for p in found["problems"]]
    assert f"{folder} is a link to" in laptop.aexp("doctor", rc=None).stdout
    assert content(outside) == before[0]


@pytest.mark.parametrize("folder", FOLDERS[:2])
def test_nothing_is_written_through_them(clones: Any, tmp_path: Path, folder: str) -> None:
    laptop, cluster, outside = clones.laptop, clones.cluster, tmp_path / "outside"
    ids = laptop.add("seed=0..1")
    laptop.aexp("run-queued", ids[0])
    (laptop.root / ".aexp" / "ledger" / f"{ids[0]}.json").unlink()
    cluster.aexp("run-queued", cluster.one("seed=5"))
    cluster.aexp("ledger", "bundle", str(tmp_path / "x.tar"))
    lead_away(laptop, folder, outside)
    before = content(outside)
    for words in (("backfill",), ("promote", ids[0]), ("unbundle", str(tmp_path / "x.tar"))):
        done = laptop.aexp("ledger", *words, rc=1)
        assert f"{folder} is a link" in done.stderr
    # A run ends all the same; its document is the record.
    done = laptop.aexp("run-queued", ids[1], rc=None)
    assert f"{folder} is a link" in done.stderr
    assert laptop.status(ids[1]) == "complete"
    entries = {name for name in content(outside) if len(os.path.basename(name)) == 37}
    assert entries == {name for name in before if len(os.path.basename(name)) == 37}
    (laptop.root / folder).unlink()
    outside.rename(laptop.root / folder)
    assert len(laptop.json("ledger", "sync")["committed"]) == 2


def test_a_cache_that_is_a_link_within_the_repository(clones: Any) -> None:
    laptop = clones.laptop
    (laptop.root / ".aexp" / "cache").mkdir(exist_ok=True)
    lead_away(laptop, ".aexp/cache", laptop.root / "scratch")
    laptop.aexp("ledger", "sync")
    assert laptop.json("ledger", "verify")["problems"] == []
