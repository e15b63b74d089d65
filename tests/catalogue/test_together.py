"""Many processes at once, and folders and files in which nothing can be kept."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

READERS = 8
READER = """
import sys
import aexp.catalogue.open
aexp.catalogue.open.KEEP_FROM = 5
from aexp.catalogue import open_catalogue
from aexp.paths import Repo
repo, least = Repo(sys.argv[1]), sys.argv[2]
looks = 0
while True:
    with open(least) as file:
        wanted = int(file.read() or 0)
    with open_catalogue(repo) as catalogue:
        found = catalogue.user_query("SELECT count(*) FROM runs").rows[0][0]
        newest = catalogue.rows("SELECT max(num) FROM params WHERE key = 'seed'").rows[0][0]
        assert catalogue.warnings == []
    assert found >= wanted and newest >= wanted - 1, (found, newest, wanted)
    looks += 1
    if wanted >= 500:
        print(looks)
        break
"""


def test_eight_readers_beside_refreshes(place: Any, tmp_path: Path) -> None:
    """No reader fails, none says less than what was there when it began."""
    for number in range(200):
        place.entry(number)
    least = tmp_path / "least"
    least.write_text("200")
    command = [sys.executable, "-c", READER, str(place.root), str(least)]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(READERS)
    ]
    for number in range(200, 500):
        place.entry(number)
        _publish(least, number + 1)
        if number % 100 == 0:
            with place.open(rebuild=True) as catalogue:
                assert catalogue.rows("SELECT count(*) FROM runs").rows == [(number + 1,)]
        if number % 10 == 0:
            assert all(reader.poll() is None for reader in readers)
    for reader in readers:
        out, err = reader.communicate(timeout=120)
        assert (reader.returncode, err) == (0, "")
        assert int(out) >= 1
    assert len(place.files) == 1
    assert place.differences() == []


def _publish(path: Path, number: int) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(str(number))
    os.replace(temporary, path)


def test_threads_of_one_process(place: Any, keeping: None) -> None:
    for number in range(20):
        place.entry(number)
    found: list[Any] = []

    def look() -> None:
        for _ in range(3):
            found.append(place.rows("SELECT count(*) FROM runs")[0][0])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    place.open(rebuild=True).close()
    for thread in threads:
        thread.join(60)
    assert found == [20] * 12


def test_small_changes_are_read_and_the_file_stays(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aexp.catalogue.scan.RACY_NS", 0)  # all of it happens within 2 s
    for number in range(100):
        place.entry(number)
    assert place.rows("SELECT count(*) FROM runs") == [(100,)]
    (file,) = place.files
    gone = place.entry(0)
    (place.root / f".aexp/ledger/{gone}.json").unlink()
    place.entry(1, status="failed")
    place.entry(100)
    assert place.rows("SELECT status, count(*) FROM runs GROUP BY 1 ORDER BY 1") == [
        ("complete", 98 + 1),
        ("failed", 1),
    ]
    assert place.rows("SELECT count(*) FROM metrics") == [(100,)]
    assert place.files == [file]
    assert place.differences() == []
    # The same length, the same time of change: the change of the inode gives it away.
    path = place.root / f".aexp/ledger/{place.entry(1, status='failed')}.json"
    before = path.stat()
    path.write_bytes(
        path.read_bytes().replace(b'"failed"', b'"killed"').replace(b"killed", b"queued")
    )
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert place.rows("SELECT count(*) FROM runs") == [(99,)]
    assert place.files == [file]


@pytest.mark.parametrize(
    "how", ["no folder", "held", "garbage", "cut", "block", "pointer", "gone", "version"]
)
def test_it_answers_without_its_file(place: Any, keeping: None, how: str) -> None:
    for number in range(30):
        place.entry(number)
    cache = place.root / ".aexp/cache"
    if how == "no folder":  # as in a read-only checkout
        cache.write_text("a file stands where the folder should be")
    else:
        place.open().close()
        _harm(cache / "catalogue", place.files[0], how)
    place.entry(30)
    place.entry(3, status="failed")
    for _ in range(2):
        with place.open() as catalogue:
            found = catalogue.user_query("SELECT status, count(*) FROM runs GROUP BY 1 ORDER BY 1")
            assert found.rows == [("complete", 30), ("failed", 1)]
            total = catalogue.rows("SELECT sum(value) FROM metrics").rows
            assert total == [(31 * 0.5,)]
    assert place.differences() == []
    if how not in ("no folder", "held"):
        assert len(place.files) == 1  # written anew


def test_names_that_are_no_unicode(place: Any, keeping: None) -> None:
    """They are named in a warning, before and after a file is kept, and go with their files."""
    for number in range(10):
        place.entry(number)
    ledger = os.fsencode(place.root / ".aexp/ledger")
    names = [os.path.join(ledger, name) for name in (b"\xff.json", b"\xfe.json")]
    for name in names:
        with open(name, "wb") as file:
            file.write(b"{}")
    for rebuild in (False, True, False, False):
        with place.open(rebuild=rebuild) as catalogue:
            assert len(catalogue.warnings) == 2
            assert catalogue.opened.written or catalogue.opened.base
    for left, name in zip((1, 0), names, strict=True):
        os.unlink(name)
        with place.open() as catalogue:
            assert len(catalogue.warnings) == left
    assert place.differences() == []


def _harm(folder: Path, name: str, how: str) -> None:
    path = folder / name
    data = path.read_bytes()
    if how == "held":
        (folder / "current.json").unlink()
        descriptor = os.open(folder / "lock", os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # until this process ends
    elif how == "garbage":
        path.write_bytes(b"no database" * 1000)
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "block":
        path.write_bytes(data[:20_000] + b"\xff" * (len(data) - 20_000))
    elif how == "pointer":
        (folder / "current.json").write_bytes(b"{")
    elif how == "gone":
        path.unlink()
    else:
        pointer = json.loads((folder / "current.json").read_bytes())
        (folder / "current.json").write_text(json.dumps({**pointer, "schema_version": 0}))
