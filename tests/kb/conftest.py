"""A repository with a research record and nothing else."""

from pathlib import Path

import pytest

from aexp.kb import record
from aexp.paths import Repo


class Kb:
    """The notes of one repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repo = Repo(root)

    def file(self, artifact_id: str) -> Path:
        """Return the one file of an artifact."""
        (found,) = self.root.glob(f"kb/research/*/{artifact_id}-*.md")
        return found

    def text(self, artifact_id: str) -> str:
        """Return an artifact's file as it is."""
        return self.file(artifact_id).read_bytes().decode()

    def write(self, artifact_id: str, text: str) -> Path:
        """Write an artifact's file byte for byte."""
        folders = {"H": "hypotheses", "E": "experiments", "F": "findings", "T": "threads"}
        path = self.root / "kb" / "research" / folders[artifact_id[0]] / f"{artifact_id}-x.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def files(self) -> dict[str, bytes]:
        """Return every note with its content."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in (self.root / "kb").rglob("*")
            if path.is_file()
        }


@pytest.fixture
def kb(tmp_path: Path) -> Kb:
    """Give the test an empty record."""
    root = tmp_path / "repo"
    (root / ".git").mkdir(parents=True)
    return Kb(root)


@pytest.fixture
def chain(kb: Kb) -> Kb:
    """Give the test a thread, a hypothesis, an experiment and a finding."""
    record.new_thread(title="Question", repo_root=kb.root)
    record.new_hypothesis(title="Claim", thread_id="T001", repo_root=kb.root)
    record.new_experiment(title="Sweep", hypothesis_id="H001", repo_root=kb.root)
    record.new_finding(title="Result", experiment_id="E001", repo_root=kb.root)
    return kb
