"""What a push asks of a remote, and that what is damaged here becomes no object there."""

from pathlib import Path
from typing import Any

import pytest

from aexp.checkpoints.push import object_key, push_run
from aexp.errors import CheckpointDamaged, RemoteAway
from aexp.remotes.store import Mismatch

MANY = 12


class Counting:
    """A remote that notes what is asked of it, and may fail."""

    def __init__(self, store: Any, fail_at: int = -1) -> None:
        self._store = store
        self._fail_at = fail_at
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        if self.calls.count("put_file") >= self._fail_at > 0:
            raise RemoteAway("gone", "later")
        return getattr(self._store, name)


def _small(step: int) -> dict[str, bytes]:
    return {f"{at:02}.bin": b"%d-%d" % (step, at) for at in range(MANY)}


def test_small_files_cost_one_request_each(in_folder: Any) -> None:
    remote = in_folder.add()
    in_folder.save(0, _small(0))
    first = Counting(in_folder.store)
    push_run(in_folder.repo, in_folder.job, remote, first)
    assert sorted(first.calls) == ["get", "put", *["put_file"] * MANY, "settle"]
    # What may be there is asked for, and not sent again.
    in_folder.save(1, _small(0))
    equal = Counting(in_folder.store)
    assert push_run(in_folder.repo, in_folder.job, remote, equal)[0].sent_bytes == 0
    assert sorted(equal.calls) == ["get", "put", "settle", *["size"] * MANY]
    assert push_run(in_folder.repo, in_folder.job, remote, Counting(in_folder.store)) == []
    assert in_folder.arrived() == [0, 1]


def test_what_a_failed_push_has_sent_is_not_sent_again(in_folder: Any) -> None:
    remote = in_folder.add()
    in_folder.save(0, _small(0))
    failed = Counting(in_folder.store, fail_at=MANY)
    assert not push_run(in_folder.repo, in_folder.job, remote, failed)[0].ok
    arrived = len(in_folder.store.keys("objects"))
    again = Counting(in_folder.store)
    assert push_run(in_folder.repo, in_folder.job, remote, again)[0].sent_files == MANY - arrived
    assert in_folder.arrived() == [0]


@pytest.mark.parametrize("size", [1_000, 2_000_000, 20_000_000])
def test_a_damaged_file_becomes_no_object(away: Any, size: int) -> None:
    """Also where it is only found when most of its parts were sent."""
    remote = away.add()
    saved = away.save(0, {"large.bin": bytes(size)})
    file = Path(saved.path) / "large.bin"
    file.chmod(0o644)
    with file.open("r+b") as stream:
        stream.seek(size - 1)
        stream.write(b"x")
    result = push_run(away.repo, away.job, remote)[0]
    assert isinstance(result.error, CheckpointDamaged), result.error
    (component,) = saved.manifest.components
    store = away.store
    assert store.size(object_key(component.sha256)) is None
    with pytest.raises(Mismatch):
        store.put_file("x/y", str(file), size, component.sha256)
    assert store.keys("x") == []
