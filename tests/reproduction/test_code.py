"""The code of an attempt: what git knows, and a patch that gives the working tree again."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aexp.environment.code import CodeSnapshot, code_snapshot
from aexp.environment.patch import MAX_PATCH_BYTES
from aexp.environment.secret_files import is_secret_file
from aexp.git import code_state
from aexp.paths import Repo


class Tree:
    """A small git repository."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", *options)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        allow = ("-c", "protocol.file.allow=always")
        done = subprocess.run(
            ["git", *identity, *allow, *arguments], cwd=self.root, capture_output=True, check=True
        )
        return done.stdout.decode(errors="surrogateescape").strip()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def snapshot(self) -> CodeSnapshot:
        return code_snapshot(Repo(self.root))

    def files(self) -> dict[str, tuple[str, bytes]]:
        """Return mode and content of every file of the working tree."""
        found = {}
        for folder, folders, names in os.walk(os.fsencode(self.root)):
            if b".git" in folders:
                folders.remove(b".git")
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in [*names, *links]:
                path = os.path.join(folder, name)
                if name == b".git":
                    continue
                if os.path.islink(path):
                    content = ("link", os.readlink(path))
                else:
                    mode = "executable" if os.access(path, os.X_OK) else "plain"
                    content = (mode, Path(os.fsdecode(path)).read_bytes())
                found[os.fsdecode(os.path.relpath(path, os.fsencode(self.root)))] = content
        return found

    def again(self, snapshot: CodeSnapshot, where: Path) -> "Tree":
        """Return a worktree with the commit and the patch."""
        self.git("worktree", "add", "-q", "--detach", str(where), str(snapshot.commit))
        if snapshot.patch:
            apply = ["git", "apply", "--whitespace=nowarn", "-"]
            subprocess.run(apply, cwd=where, input=snapshot.patch, check=True)
        made = Tree.__new__(Tree)
        made.root = where
        return made


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "tree")
    made.write("train.py", "print(1)\n" * 20)
    made.write("old.py", "old\n")
    made.write("data.bin", bytes(range(256)) * 4)
    made.write("kb/note.md", "note\n")
    made.commit("first")
    return made


def test_a_clean_tree_has_no_patch(tree: Tree) -> None:
    head = tree.git("rev-parse", "HEAD")
    tree.write("kb/note.md", "changed\n")
    tree.write(".aexp/ledger/x.json", "{}")
    tree.write(".runs/workspace/x", "x")
    found = tree.snapshot()
    assert found == CodeSnapshot(
        commit=head, branch="main", dirty=False, code_commit=head, submodules={}
    )
    noted = tree.commit("notes")
    assert tree.snapshot()[:4] == (noted, "main", False, head)
    tree.git("checkout", "-q", "--detach")
    assert tree.snapshot().branch is None


def test_the_patch_gives_the_tree_again_and_the_index_stays(tree: Tree, tmp_path: Path) -> None:
    tree.git("config", "diff.noprefix", "true")
    tree.git("config", "diff.external", "false")
    tree.git("config", "color.ui", "always")
    tree.git("config", "status.showUntrackedFiles", "no")
    tree.git("config", "apply.whitespace", "fix")
    tree.write("train.py", "print(1)\n" * 10 + "print(2)  \n\n\n")
    tree.write("data.bin", bytes(reversed(range(256))) * 3)
    (tree.root / "old.py").unlink()
    tree.write("staged.py", "staged\n")
    tree.git("add", "staged.py", "-f")
    tree.git("add", "--intent-to-add", "train.py")
    tree.write('new folder/näme\n"of" it\t.py', "\n  x\r\ny")
    tree.write("diff --git a/x b/x", "diff --git a/y b/y\n\ndiff --git a/z b/z\n")
    tree.write("empty", "")
    tree.write(os.fsdecode(b"not-utf8-\xff"), b"\0\1\2")
    tree.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    (tree.root / "link").symlink_to("/nowhere")
    (tree.root / "train.py").chmod(0o755)
    tree.write(".gitignore", "ignored\n")
    tree.write("ignored", "x")
    index = (tree.root / ".git" / "index").read_bytes()
    stored = sorted((tree.root / ".git" / "objects").rglob("*"))

    found = tree.snapshot()

    assert found.dirty is True
    assert found.problem is None
    assert found.left_out == ()
    assert (tree.root / ".git" / "index").read_bytes() == index
    assert sorted((tree.root / ".git" / "objects").rglob("*")) == stored
    expected = tree.files()
    del expected["ignored"]
    again = tree.again(found, tmp_path / "again")
    assert again.files() == expected
    assert again.snapshot().patch == found.patch  # also from inside a worktree
    assert found.record()["patch"]["size"] == len(found.patch)
    assert code_state(Repo(tree.root)) == (found.code_commit, True)


def test_secrets_and_large_files_are_named_and_left_out(tree: Tree) -> None:
    tree.write("conf/api.key", "old-committed\n")
    tree.commit()
    tree.write("conf/api.key", "TOP-SECRET-VALUE\n")
    tree.write(".env", "TOKEN=TOP-SECRET-VALUE\n")
    tree.write("deep/.ssh/config", "TOP-SECRET-VALUE\n")
    tree.write("my_credentials.txt", "TOP-SECRET-VALUE\n")
    tree.write("big.bin", os.urandom((1 << 20) + 1))
    tree.write("fits.bin", b"x" * (1 << 20))
    tree.write("helper.py", "ok\n")
    Tree(tree.root / "nested").write("inner.py", "x")
    found = tree.snapshot()
    assert b"TOP-SECRET" not in found.patch
    assert b"old-committed" not in found.patch
    assert b"helper.py" in found.patch
    assert b"fits.bin" in found.patch
    assert [tuple(item) for item in found.left_out] == [
        (".env", "secret"),
        ("big.bin", "large"),
        ("conf/api.key", "secret"),
        ("deep/.ssh/config", "secret"),
        ("my_credentials.txt", "secret"),
        ("nested/", "repository"),
    ]
    assert found.left_out_count == 6


def test_a_patch_stays_below_its_limit(tree: Tree, tmp_path: Path) -> None:
    tree.write("huge.bin", b"x")
    tree.write("random.bin", b"x")
    tree.commit()
    tree.write("huge.bin", b"\0" * (MAX_PATCH_BYTES + 1))
    tree.write("random.bin", os.urandom(MAX_PATCH_BYTES))
    tree.write("train.py", "small\n")
    found = tree.snapshot()
    assert [tuple(item) for item in found.left_out] == [
        ("huge.bin", "large"),
        ("random.bin", "large"),
    ]
    assert 0 < len(found.patch) < 1000
    assert tree.again(found, tmp_path / "again").files()["train.py"] == ("plain", b"small\n")


def test_before_the_first_commit_the_patch_is_everything(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "tree")
    tree.write("a.py", "a\n")
    tree.write("b.py", "b\n")
    tree.git("add", "a.py")
    found = tree.snapshot()
    assert found[:4] == (None, "main", True, None)
    assert found.patch.count(b"diff --git ") == 2


def test_a_merge_in_conflict_is_what_lies_on_the_disk(tree: Tree, tmp_path: Path) -> None:
    tree.git("checkout", "-qb", "other")
    tree.write("old.py", "other\n")
    tree.commit()
    tree.git("checkout", "-q", "main")
    tree.write("old.py", "main\n")
    tree.commit()
    with pytest.raises(subprocess.CalledProcessError):
        tree.git("merge", "other")
    found = tree.snapshot()
    assert found.problem is None
    assert tree.again(found, tmp_path / "again").files() == tree.files()


def test_submodules_are_commits_not_patches(tree: Tree, tmp_path: Path) -> None:
    library = Tree(tmp_path / "library")
    library.write("lib.py", "1\n")
    first = library.commit()
    library.write("lib.py", "2\n")
    second = library.commit()
    tree.git("submodule", "--quiet", "add", str(library.root), "lib")
    tree.commit()
    assert tree.snapshot().submodules == {"lib": second}
    subprocess.run(["git", "checkout", "-q", first], cwd=tree.root / "lib", check=True)
    tree.write("lib/lib.py", "changed inside\n")
    found = tree.snapshot()
    assert (found.submodules, found.patch, found.dirty) == ({"lib": first}, b"", True)
    assert [tuple(item) for item in found.left_out] == [("lib", "repository")]
    inside = code_snapshot(Repo(tree.root / "lib"))  # a submodule as the repository itself
    tree.write("lib/new.py", "new\n")
    again = code_snapshot(Repo(tree.root / "lib"))
    assert inside.commit == first
    assert b"changed inside" in inside.patch
    assert b"new.py" in again.patch
    assert again.problem is None


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://me:hunter2@example.org/r.git?token=hunter2", "https://example.org/r.git"),
        ("git@example.org:group/r.git", "example.org:group/r.git"),
        ("ssh://git@example.org:2222/r.git", "ssh://example.org:2222/r.git"),
        ("/srv/git/r@home.git", "/srv/git/r@home.git"),
    ],
)
def test_a_remote_is_named_without_who_reads_it(tree: Tree, address: str, kept: str) -> None:
    tree.git("remote", "add", "other", "https://example.org/other.git")
    tree.git("remote", "add", "origin", address)
    assert tree.snapshot().remote == kept
    tree.git("config", "branch.main.remote", "other")
    tree.git("config", "branch.main.merge", "refs/heads/main")
    tree.git("update-ref", "refs/remotes/other/main", "HEAD")
    tree.git("config", "remote.other.fetch", "+refs/heads/*:refs/remotes/other/*")
    assert tree.snapshot().remote == "https://example.org/other.git"


def test_what_git_cannot_tell_is_a_remark(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_repository = tmp_path / "plain"
    no_repository.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    found = code_snapshot(Repo(no_repository))
    assert found.commit is None
    assert "not a git repository" in str(found.problem)
    if os.geteuid() == 0:
        os.chown(tree.root, 65534, 65534)
        monkeypatch.delenv("SUDO_UID", raising=False)
        found = tree.snapshot()
        assert found.commit is None
        assert "safe.directory" in str(found.problem)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in str(tree.snapshot().problem)
    assert tree.snapshot().record()["problem"]


_NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..", ".git") and not is_secret_file(name))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(_NAMES, st.binary(max_size=60), min_size=1, max_size=6), st.data())
def test_any_names_and_contents_come_back(
    tmp_path_factory: Any, files: dict[str, bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    tree = Tree(folder / "tree")
    names = [n for n in files if n.casefold() not in (".git", ".gitignore", ".gitattributes")]
    for name in names:
        if data.draw(st.booleans()):
            tree.write(f"d/{name}", files[name][::-1] + b"before")
    tree.write("base", "x")
    tree.commit()
    for name in names:
        tree.write(f"d/{name}", files[name])
    found = tree.snapshot()
    assert found.problem is None
    assert tree.again(found, folder / "again").files() == tree.files()
