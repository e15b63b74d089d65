"""Sync where git itself fails: nothing half-written, nothing left staged, the cause named."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aexp.errors import GitError, RemoteUnreachable
from aexp.git import run_git
from aexp.paths import Repo
from aexp.sharing import remote as remote_module
from aexp.sharing.commits import commit
from aexp.sharing.merging import merge_in
from aexp.sharing.remote import Remote, tip
from aexp.sharing.sync import sync

ORIGIN = Remote("origin", "main")


def ended(clone: Any, sp: str = "seed=0") -> str:
    job_id = clone.one(sp)
    clone.aexp("run-queued", job_id)
    return f".aexp/ledger/{job_id}.json"


def script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def slow_filter(clone: Any) -> None:
    """Let git take its time over each file that it reads or writes."""
    clone.git("config", "filter.slow.smudge", "sleep 1; cat")
    clone.git("config", "filter.slow.clean", "sleep 1; cat")
    (clone.root / ".git" / "info" / "attributes").write_text("*.slow filter=slow\n")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aexp.git._TIMEOUT_S", 0.5)


def test_a_merge_takes_as_long_as_it_takes(clones: Any, impatient: None) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    (laptop.root / "a.slow").write_text("news")
    laptop.git("add", "a.slow")
    laptop.git("commit", "-qm", "news")
    laptop.git("push", "-q", "origin", "main")
    cluster.git("fetch", "-q")
    slow_filter(cluster)
    theirs = cluster.git("rev-parse", "origin/main").strip()
    merge_in(Repo(cluster.root), theirs, "merge")
    assert (cluster.root / "a.slow").read_text() == "news"
    assert cluster.git("rev-parse", "HEAD").strip() == theirs


def test_a_commit_takes_as_long_as_it_takes(clones: Any, impatient: None) -> None:
    slow_filter(clones.laptop)
    (clones.laptop.root / "a.slow").write_text("mine")
    commit(Repo(clones.laptop.root), ["a.slow"], "slow")
    assert clones.laptop.git("show", "--name-only", "--format=").split() == ["a.slow"]


def test_git_that_takes_too_long_takes_its_lock_away(clones: Any) -> None:
    slow_filter(clones.laptop)
    (clones.laptop.root / "a.slow").write_text("mine")
    with pytest.raises(GitError, match="git add took longer"):
        run_git(Repo(clones.laptop.root), "-c", "a.b=c", "add", "a.slow", timeout_s=0.3)
    assert not (clones.laptop.root / ".git" / "index.lock").exists()


def test_a_remote_that_hangs(clones: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_module, "_NETWORK_TIMEOUT_S", 0.5)
    path = ended(clones.laptop)
    clones.laptop.git("remote", "set-url", "origin", "ssh://localhost/x")
    clones.laptop.git("config", "core.sshCommand", "sleep 20 #")
    with pytest.raises(RemoteUnreachable, match="git ls-remote took longer"):
        sync(Repo(clones.laptop.root))
    assert clones.laptop.git("show", "--name-only", "--format=").split() == [path]


@pytest.mark.parametrize("kind", ["new", "staged", "changed"])
def test_a_commit_that_fails_leaves_the_index_as_it_was(clones: Any, kind: str) -> None:
    laptop = clones.laptop
    path = laptop.root / ended(laptop)
    if kind == "changed":
        laptop.aexp("ledger", "sync")
    if kind != "new":
        text = path.read_text()
        path.write_text(text.replace(": 1", ": 1.0", 1))
        laptop.git("add", str(path))
        path.write_text(text.replace(": 1", ": 1.00", 1))
    laptop.git("config", "commit.gpgSign", "true")
    laptop.git("config", "gpg.program", "false")
    before = laptop.git("ls-files", "--stage"), laptop.git("status", "--porcelain")
    done = laptop.aexp("ledger", "sync", rc=1)
    assert "git commit failed: error: gpg failed to sign the data" in done.stderr
    assert (laptop.git("ls-files", "--stage"), laptop.git("status", "--porcelain")) == before


def test_what_was_staged_is_put_back_after_ctrl_c(
    clones: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop = clones.laptop
    path = ended(laptop)
    before = laptop.git("ls-files", "--stage")

    def interrupted(repo: Any, *words: str, **options: Any) -> Any:
        if "commit" in words:
            raise KeyboardInterrupt
        return run_git(repo, *words, **options)

    monkeypatch.setattr("aexp.sharing.commits.run_git", interrupted)
    with pytest.raises(KeyboardInterrupt):
        commit(Repo(laptop.root), [path], "x")
    assert laptop.git("ls-files", "--stage") == before


def test_no_hook_of_the_clone_runs_at_its_commits_and_merges(clones: Any) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    ended(cluster)
    cluster.aexp("ledger", "sync")
    ended(laptop, "seed=1")
    names = ("pre-commit", "prepare-commit-msg", "post-commit", "post-merge", "post-index-change")
    for name in names:
        script(laptop.root / ".git" / "hooks" / name, f"touch '{laptop.root}/ran-{name}'; exit 1")
    assert laptop.json("ledger", "sync")["pushed"]
    assert not list(laptop.root.glob("ran-*"))


def test_a_pre_push_hook_that_refuses_is_no_missing_network(clones: Any) -> None:
    laptop = clones.laptop
    ended(laptop)
    script(laptop.root / ".git" / "hooks" / "pre-push", "echo tests are red >&2; exit 1")
    done = laptop.aexp("ledger", "sync", rc=1)
    assert "tests are red" in done.stderr
    assert "pre-push" in done.stderr
    assert "reached" not in done.stderr


def test_the_branch_is_found_by_its_whole_name(clones: Any) -> None:
    bare = ("--git-dir", str(clones.remote))
    laptop = clones.laptop
    main = laptop.git("rev-parse", "main").strip()
    laptop.git("commit", "-q", "--allow-empty", "-m", "another")
    laptop.git("push", "-q", "origin", "HEAD:refs/aaa/refs/heads/main")
    laptop.git("push", "-q", "origin", "HEAD:refs/aaa/refs/heads/results")
    assert len(laptop.git(*bare, "for-each-ref").splitlines()) == 3
    assert tip(Repo(laptop.root), ORIGIN) == main
    assert tip(Repo(laptop.root), Remote("origin", "results")) is None


def test_a_branch_in_the_way_is_not_a_busy_remote(clones: Any) -> None:
    ended(clones.laptop)
    done = clones.laptop.aexp("ledger", "sync", "--branch", "main/results", rc=1)
    assert "'refs/heads/main' exists" in done.stderr
    assert "busy" not in done.stderr


def test_a_refusal_that_says_lock_is_final(clones: Any) -> None:
    hook = clones.remote / "hooks" / "pre-receive"
    script(hook, "date >> asked; echo 'the block is locked' >&2; exit 1")
    ended(clones.laptop)
    clones.laptop.aexp("ledger", "sync", "--branch", "unlocked", rc=1)
    assert len((clones.remote / "asked").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        ("[rejected] (fetch first)", True),
        ("[rejected] (non-fast-forward)", True),
        ("[remote rejected] (failed to update ref)", True),
        ("[remote rejected] (cannot lock ref 'refs/heads/main': is at a but expected b)", True),
        ("[remote rejected] (reference already exists)", True),
        ("[remote rejected] (branch is locked)", False),
        ("[remote rejected] (protected branch hook declined: block it)", False),
        ("[rejected] (would clobber existing tag)", False),
    ],
)
def test_which_refusals_pass(reason: str, again: bool) -> None:
    assert bool(remote_module._AGAIN.search(reason)) is again


@pytest.mark.parametrize(
    ("ssh", "said", "hint"),
    [
        ("echo 'me@host: Permission denied (publickey).' >&2; false", "publickey", "get-url"),
        ("echo 'ssh: connect to host x: No route to host' >&2; false", "No route", "network"),
    ],
)
def test_why_a_remote_is_not_reached(clones: Any, ssh: str, said: str, hint: str) -> None:
    clones.laptop.git("remote", "set-url", "origin", "ssh://localhost/x")
    script(clones.laptop.root.parent / "ssh", ssh)
    env = {"GIT_SSH": os.fspath(clones.laptop.root.parent / "ssh"), "GIT_SSH_VARIANT": "simple"}
    done = clones.laptop.aexp("ledger", "sync", rc=75, env=env)
    assert said in done.stderr
    assert hint in done.stderr
    assert "correct access rights" not in done.stderr


def test_a_wrong_address_is_told_as_such(clones: Any) -> None:
    clones.laptop.git("remote", "set-url", "origin", "../nowhere.git")
    done = clones.laptop.aexp("ledger", "sync", rc=75)
    assert "does not appear to be a git repository" in done.stderr
    assert "git remote get-url origin" in done.stderr


def test_the_rule_that_hides_the_ledger_is_named(clones: Any) -> None:
    path = clones.laptop.root / ".gitignore"
    path.write_text(path.read_text() + ".aexp/l*\n")
    line = len(path.read_text().splitlines())
    done = clones.laptop.aexp("ledger", "sync", rc=2)
    assert "'.aexp/l*'" in done.stderr
    assert f"line {line} of .gitignore" in done.stderr


def test_an_ignored_folder_in_the_way_of_a_file(clones: Any) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    (laptop.root / "data").write_text("theirs")
    subprocess.run(["git", "add", "-f", "data"], cwd=laptop.root, check=True)
    laptop.git("commit", "-qm", "data")
    laptop.git("push", "-q", "origin", "main")
    (cluster.root / ".git" / "info" / "exclude").write_text("data\n")
    (cluster.root / "data").mkdir()
    (cluster.root / "data" / "precious").write_text("mine")
    done = cluster.aexp("ledger", "sync", rc=1)
    assert "cannot be taken in: data" in done.stderr
    assert (cluster.root / "data" / "precious").read_text() == "mine"
