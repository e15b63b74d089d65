"""Which folders of W&B's belong to which run, and which of them may lack something."""

from pathlib import Path

import pytest

from aexp.trackers.wandb import marks, offline
from aexp.trackers.wandb.attach import other_rank

ID = "ab" * 16


def folder(workspace: Path, name: str, run_id: str = ID, size: int = 100) -> str:
    """Make a folder as the SDK does."""
    path = workspace / "wandb" / name
    path.mkdir(parents=True)
    (path / f"run-{run_id}.wandb").write_bytes(b"x" * size)
    return str(path)


def test_two_runs_of_the_same_second(tmp_path: Path) -> None:
    """The SDK numbers the second one's folder; both are of one run."""
    workspace = tmp_path / ID
    first = folder(workspace, f"offline-run-20261121_120000-{ID}")
    second = folder(workspace, f"offline-run-20261121_120000-{ID}-1")
    other = folder(workspace, f"offline-run-20261121_120000-{ID}-2", run_id=f"{ID}-2")
    found = offline.find(workspace)
    assert [(str(run.path), run.run_id) for run in found] == [
        (first, ID),
        (second, ID),
        (other, f"{ID}-2"),
    ]
    for path in (first, second):
        marks.opened(path, 1)
    assert marks.marked_folders(workspace, ID) == {first: 1, second: 1}


def test_openings_that_end_halfway(tmp_path: Path) -> None:
    earlier = folder(tmp_path, f"run-20261121_110000-{ID}")
    marks.begin(tmp_path, ID, 1)
    assert marks.marked_folders(tmp_path, ID) == {}
    half = folder(tmp_path, f"run-20261121_120000-{ID}", size=7)
    assert marks.marked_folders(tmp_path, ID) == {half: 1}
    assert [run.path for run in offline.find(tmp_path)] == [Path(half)]
    # A second try, which succeeds: it has all of the attempt.
    marks.begin(tmp_path, ID, 1)
    whole = folder(tmp_path, f"offline-run-20261121_120001-{ID}")
    marks.opened(whole, 1)
    assert marks.marked_folders(tmp_path, ID) == {whole: 1}
    assert [run.path for run in offline.find(tmp_path)] == [Path(whole)]
    marks.unmark(whole)
    assert marks.marked_folders(tmp_path, ID) == {}
    # One whose process was killed stays marked when the next attempt begins.
    marks.begin(tmp_path, ID, 2)
    lost = folder(tmp_path, f"run-20261121_130000-{ID}", size=7)
    marks.begin(tmp_path, ID, 3)
    last = folder(tmp_path, f"run-20261121_140000-{ID}")
    marks.opened(last, 3)
    assert marks.marked_folders(tmp_path, ID) == {lost: 2, last: 3}
    assert marks.read_mark(earlier) is None


@pytest.mark.parametrize("content", ["[", "{}", '{"run_id": 1, "attempt": "x", "known": {}}'])
def test_a_damaged_note_is_none(tmp_path: Path, content: str) -> None:
    marks.begin(tmp_path, ID, 1)
    (tmp_path / "wandb" / ".aexp-opening").write_text(content)
    path = folder(tmp_path, f"run-20261121_120000-{ID}")
    assert marks.read_mark(path) is None
    marks.begin(tmp_path, ID, 1)
    marks.opened(path, 1)
    assert marks.marked_folders(tmp_path, ID) == {path: 1}


def test_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert other_rank(tmp_path) is None
    monkeypatch.setenv("SLURM_PROCID", "2")
    assert other_rank(tmp_path) == "2 (SLURM_PROCID)"
    # The wrapper was task 2 of its own: that is no rank of the command's.
    (tmp_path / "tracker").mkdir()
    (tmp_path / "tracker" / "look.json").write_text('{"rank": "2"}')
    assert other_rank(tmp_path) is None
    monkeypatch.setenv("RANK", "0")
    assert other_rank(tmp_path) is None
    monkeypatch.setenv("RANK", "1")
    assert other_rank(tmp_path) == "1 (RANK)"
