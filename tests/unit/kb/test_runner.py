from pathlib import Path

import pytest

from aexp.errors import ArtifactReadError
from aexp.kb.runner import Runner, load_runner
from aexp.paths import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    (tmp_path / "kb" / "research" / "experiments").mkdir(parents=True)
    return Repo(tmp_path)


def write(repo: Repo, frontmatter: str, body: str = "") -> None:
    path = Path(repo.experiments_dir) / "E001-x.md"
    path.write_text(f"---\n{frontmatter}\n---\n{body}")


def memory(repo: Repo) -> Path:
    return Path(repo.cache("runners", "E001.json"))


def test_nothing_is_kept_unless_asked_for(repo: Repo) -> None:
    write(repo, "runner_command: echo 1\ncreated: 2026-01-01")
    assert load_runner(repo, "E001") == Runner("echo 1", None)
    assert not memory(repo).exists()


def test_an_edit_is_seen_at_once(repo: Repo) -> None:
    for text, runner in (
        ("runner_command: echo 1", Runner("echo 1", None)),
        ("runner_command: echo 2", Runner("echo 2", None)),
        ("runner_command: echo 2\nprelude: module load x", Runner("echo 2", "module load x")),
        ("retries: 1", Runner(None, None)),
    ):
        write(repo, text)
        assert load_runner(repo, "E001", remember=True) == runner
        assert load_runner(repo, "E001", remember=True) == runner
        assert memory(repo).exists()


def test_a_broken_memory_counts_for_nothing(repo: Repo) -> None:
    write(repo, "runner_command: echo ü", body="é\r\n")
    load_runner(repo, "E001", remember=True)
    for content in (b"", b"[]", b"{", b'{"text": 1, "command": "rm"}'):
        memory(repo).write_bytes(content)
        assert load_runner(repo, "E001", remember=True) == Runner("echo ü", None)
    assert load_runner(repo, "E001") == Runner("echo ü", None)


def test_a_memory_that_cannot_be_written_does_not_matter(repo: Repo) -> None:
    write(repo, "runner_command: echo 1")
    Path(repo.root, ".aexp").write_text("not a folder")
    assert load_runner(repo, "E001", remember=True) == Runner("echo 1", None)


def test_what_is_wrong_is_said_every_time(repo: Repo) -> None:
    write(repo, "runner_command: 7")
    for _ in range(2):
        with pytest.raises(ArtifactReadError, match="runner_command is not a text"):
            load_runner(repo, "E001", remember=True)
