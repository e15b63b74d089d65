"""A run whose attempt this process is, and what may happen to its checkpoints."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def repo(research: Any) -> Any:
    """Return the repository's paths, with an experiment E001."""
    from aexp.paths import Repo

    research.experiment("true {seed}")
    return Repo(research.root)


@pytest.fixture
def begin(research: Any, repo: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Queue a configuration, or take a run that was settled, and make this process its attempt."""

    def enter(sp: str = "seed=0", job_id: str | None = None) -> Any:
        import aexp
        from aexp.queue.add import add_to_queue
        from aexp.runs import claims
        from aexp.runs.status import begin_attempt

        if job_id is None:
            point = {key: float(value) for key, value in (p.split("=") for p in sp.split())}
            job = add_to_queue(experiment_id="E001", statepoint=point, repo_root=research.root)
            job_id = job.id
        claim = claims.acquire(repo, job_id)
        assert isinstance(claim, claims.Claim)
        number = begin_attempt(repo, claim).attempts[-1]["attempt"]
        monkeypatch.setenv("AEXP_JOB_ID", job_id)
        monkeypatch.setenv("AEXP_JOB_WORKSPACE", repo.run_dir(job_id))
        monkeypatch.setenv("AEXP_ATTEMPT", str(number))
        monkeypatch.setenv("AEXP_CLAIM", claim.owner.nonce)
        return aexp.current()

    return enter


@pytest.fixture
def end(repo: Any) -> Callable[..., None]:
    """End the present attempt of a run; it is queued again, or what is said."""

    def leave(run: Any, status: str = "queued") -> None:
        from aexp.files import remove
        from aexp.runs.outcome import Outcome
        from aexp.runs.status import end_attempt

        end_attempt(repo, run.id, Outcome(status))
        remove(repo.run_file(run.id, "claim"))

    return leave


@pytest.fixture
def run(begin: Callable[..., Any]) -> Any:
    """Return the handle of an attempt that this process executes."""
    return begin()


@pytest.fixture
def save() -> Callable[..., Any]:
    """Save a small checkpoint: one file of the step's own, one that never changes."""

    def saved(run: Any, step: int | None, **more: Any) -> Any:
        with run.checkpoint(step, **more) as folder:
            (folder / "model.bin").write_bytes(str(step).encode() * 1000)
            (folder / "optim").mkdir()
            (folder / "optim" / "frozen.bin").write_bytes(b"frozen" * 10_000)
        return run.latest_checkpoint(kind=more.get("kind", "checkpoint"), verify="none")

    return saved


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 4 MB, which root may."""
    import subprocess

    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "aexp-test", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
