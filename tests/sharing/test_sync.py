"""`aexp ledger sync` between real clones: what arrives, and what is left alone."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def entry_path(clone: Any, job_id: str) -> Path:
    return Path(clone.root / ".aexp" / "ledger" / f"{job_id}.json")


def ledger(clone: Any) -> dict[str, bytes]:
    folder = clone.root / ".aexp" / "ledger"
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def sync(clone: Any, *words: str, **options: Any) -> Any:
    return clone.json("ledger", "sync", *words, **options)


def head(clone: Any) -> str:
    return str(clone.git("rev-parse", "HEAD").strip())


def state(clone: Any) -> tuple[str, str, str, dict[str, Any]]:
    """What git and a person see of a clone."""
    own = (".git/", ".aexp/cache")
    files = {name: data for name, data in clone.tree().items() if not name.startswith(own)}
    index = clone.git("ls-files", "--stage")
    return head(clone), clone.git("status", "--porcelain"), index, files


def both_run(clones: Any, commit: Any) -> str:
    """One run, executed by both clones, each without knowing of the other."""
    job_id = clones.laptop.one("condition=full,seed=0", "--no-commit")
    commit(clones.laptop)
    clones.cluster.git("pull", "-q")
    for clone in (clones.laptop, clones.cluster):
        clone.aexp("run-queued", job_id)
    return str(job_id)


# --- the way there and back ----------------------------------------------------------------


def test_queue_here_run_there_by_snakemake(clones: Any, commit: Any) -> None:
    laptop, cluster, _ = clones.laptop, clones.cluster, clones.remote
    ids = laptop.add("condition=full|cls,seed=0..1")
    commit(laptop, "queue a sweep")
    sync(cluster)
    cluster.snakemake()
    done = sync(cluster)
    assert done["pushed"] is True
    assert sorted(done["committed"]) == sorted(f".aexp/ledger/{job_id}.json" for job_id in ids)
    assert sync(laptop)["received"] == sorted(ids)
    assert ledger(laptop) == ledger(cluster)
    for job_id in ids:
        assert laptop.entry(job_id)["registered_machine"] == "cluster"
        assert laptop.entry(job_id)["status"] == "complete"
    for clone in (laptop, cluster):
        found = clone.json("ledger", "verify")
        assert found["problems"] == []
        assert found["entries"] == 4
    listed = laptop.json("queue", "list")
    assert {run["job_id"] for run in listed} == set(ids)
    assert all("elsewhere" in json.dumps(run) for run in listed)
    assert not sync(laptop)["pushed"]
    assert not sync(cluster)["pushed"]


def test_a_finding_on_the_laptop_cites_what_the_cluster_ran(clones: Any, commit: Any) -> None:
    """The reason for all this: no error and no warning, in the clone and in a bare reader's."""
    laptop, cluster = clones.laptop, clones.cluster
    (laptop.root / "kb" / "research" / "experiments" / "E001-test.md").unlink()
    laptop.aexp("new-hypothesis", "--title", "Wider is better")
    laptop.aexp("new-experiment", "--title", "Width", "--hypothesis", "H001")
    add = ("queue", "add", "--experiment", "E001", "--sweep", "width=1|2,seed=0..1")
    commit(laptop, "plan")
    laptop.aexp(*add, "--command", "echo {width}", "--no-commit")
    commit(laptop, "queue")
    sync(cluster)
    cluster.snakemake()
    sync(cluster)
    ids = sync(laptop)["received"]
    assert len(ids) == 4
    laptop.aexp("new-finding", "--title", "Yes", "--hypothesis", "H001", "--experiment", "E001")
    laptop.aexp("finding", "cite", "F001", "--batch", "E001", "--pin")
    reader = type(laptop)(clones.remote.parent / "reader")
    commit(laptop, "finding")
    subprocess.run(["git", "clone", "-q", str(clones.remote), str(reader.root)], check=True)
    sync(cluster)
    for clone in (laptop, cluster, reader):
        found = clone.json("validate", rc=None)
        assert (found["errors"], found["warnings"]) == (0, 0), found["issues"]


def test_what_ended_before_is_promoted(clones: Any) -> None:
    job_id = clones.laptop.one("seed=0")
    clones.laptop.aexp("run-queued", job_id)
    entry_path(clones.laptop, job_id).unlink()
    assert sync(clones.laptop)["promoted"] == [job_id]
    assert sync(clones.cluster)["received"] == [job_id]


def test_different_runs_of_two_clones_merge(clones: Any) -> None:
    ids = []
    for clone, seed in ((clones.laptop, "1"), (clones.cluster, "2")):
        ids.append(clone.one(f"seed={seed}"))
        clone.aexp("run-queued", ids[-1])
    assert sync(clones.laptop)["pushed"]
    assert sync(clones.cluster)["pushed"]
    sync(clones.laptop)
    assert set(ledger(clones.laptop)) == {f"{job_id}.json" for job_id in ids}
    assert ledger(clones.laptop) == ledger(clones.cluster)
    assert head(clones.laptop) == head(clones.cluster)
    assert len(clones.cluster.git("log", "-1", "--format=%P").split()) == 2


def test_the_same_run_of_two_clones_is_settled_by_the_rule(clones: Any, commit: Any) -> None:
    from aexp.ledger.merge import merge

    job_id = both_run(clones, commit)
    ours, theirs = clones.laptop.entry(job_id), clones.cluster.entry(job_id)
    assert ours != theirs
    for _ in range(2):
        for clone in (clones.laptop, clones.cluster):
            sync(clone)
    assert clones.laptop.entry(job_id) == clones.cluster.entry(job_id) == merge(ours, theirs)
    for clone in (clones.laptop, clones.cluster):
        # Repair, promotion of everything, and another sync leave it so: no ping-pong.
        clone.aexp("reconcile")
        clone.aexp("ledger", "backfill", "--overwrite")
        assert not sync(clone)["committed"]
        found = clone.json("ledger", "verify")
        assert {p["severity"] for p in found["problems"]} <= {"info"}
        assert clone.entry(job_id) == merge(ours, theirs)


def test_a_retry_supersedes_the_entry_that_all_clones_have(clones: Any, commit: Any) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    job_id = laptop.one("seed=0", "--command", "test -e ../fixed")
    laptop.aexp("run-queued", job_id, rc=1)
    sync(laptop)
    sync(cluster)
    (laptop.root.parent / "fixed").touch()
    laptop.aexp("queue", "retry", job_id)
    assert sync(laptop)["committed"] == []
    laptop.aexp("run-queued", job_id)
    sync(laptop)
    assert sync(cluster)["received"] == [job_id]
    assert cluster.entry(job_id)["status"] == "complete"


def test_both_have_an_older_entry_and_made_a_new_one(clones: Any, commit: Any) -> None:
    """No line of the two new versions is mixed, though git could merge them line by line."""
    job_id = both_run(clones, commit)
    for clone in (clones.laptop, clones.cluster, clones.laptop):
        sync(clone)
    changes = {clones.laptop: {"metrics": {"a": 1}}, clones.cluster: {"wallclock_s": 0.125}}
    for clone, change in changes.items():
        entry = {**clone.entry(job_id), **change}
        entry_path(clone, job_id).write_text(json.dumps(entry, indent=2, sort_keys=True) + "\n")
    written = [ledger(clone) for clone in (clones.laptop, clones.cluster)]
    for clone in (clones.laptop, clones.cluster, clones.laptop):
        sync(clone)
    assert ledger(clones.laptop) == ledger(clones.cluster)
    assert ledger(clones.laptop) in written


def test_a_plain_git_pull_obeys_the_rule(clones: Any, commit: Any) -> None:
    from aexp.ledger.merge import merge

    job_id = both_run(clones, commit)
    ours, theirs = clones.laptop.entry(job_id), clones.cluster.entry(job_id)
    sync(clones.laptop)
    sync(clones.cluster, "--no-pull", "--no-push")
    clones.cluster.git("pull", "-q", "--no-rebase", "--no-edit", "origin", "main")
    assert clones.cluster.entry(job_id) == merge(ours, theirs)
    assert clones.cluster.git("status", "--porcelain", "--untracked-files=no", ".aexp") == ""


# --- what is not its business --------------------------------------------------------------


def test_a_persons_work_stays_as_it_is(clones: Any, commit: Any) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    for name in ("staged", "unstaged", "both", "removed"):
        (laptop.root / name).write_text("1\n")
    commit(laptop)
    sync(cluster)
    (cluster.root / "other").write_text("news")
    commit(cluster)
    (laptop.root / "staged").write_text("2\n")
    (laptop.root / "both").write_text("2\n")
    (laptop.root / "new-staged").write_text("new\n")
    laptop.git("add", "staged", "both", "new-staged")
    laptop.git("rm", "-q", "--cached", "removed")
    (laptop.root / "both").write_text("3\n")
    (laptop.root / "unstaged").write_text("2\n")
    (laptop.root / "untracked").write_text("mine\n")
    job_id = laptop.one("seed=0")
    laptop.aexp("run-queued", job_id)
    before = laptop.git("status", "--porcelain", ":!.aexp")
    staged = laptop.git("diff", "--cached", "--", ":!.aexp")
    done = sync(laptop)
    assert done["committed"] == [f".aexp/ledger/{job_id}.json"]
    assert laptop.git("status", "--porcelain", ":!.aexp") == before
    assert laptop.git("diff", "--cached", "--", ":!.aexp") == staged
    assert (laptop.root / "both").read_text() == "3\n"
    assert (laptop.root / "other").read_text() == "news"
    ours = laptop.git("show", "--name-only", "--format=", "HEAD^1").split()
    assert ours == [f".aexp/ledger/{job_id}.json"]


def test_changes_of_both_sides_in_other_files_merge_line_by_line(clones: Any, commit: Any) -> None:
    path = "notes.md"
    (clones.laptop.root / path).write_text("".join(f"{n}\n" for n in range(20)))
    commit(clones.laptop)
    sync(clones.cluster)
    for clone, line in ((clones.laptop, 2), (clones.cluster, 17)):
        lines = (clone.root / path).read_text().splitlines()
        lines[line] += " changed"
        (clone.root / path).write_text("\n".join(lines) + "\n")
        clone.git("commit", "-qam", "edit")
    for clone in (clones.laptop, clones.cluster, clones.laptop):
        sync(clone)
        assert clone.git("status", "--porcelain", "--untracked-files=no") == ""
    text = (clones.laptop.root / path).read_text()
    assert "2 changed\n" in text
    assert "17 changed\n" in text


@pytest.mark.parametrize("kind", ["lines", "binary", "removed", "attribute"])
def test_a_conflict_elsewhere_changes_nothing(clones: Any, commit: Any, kind: str) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    if kind == "attribute":
        (laptop.root / ".gitattributes").write_text("notes.md merge=union\n")
    (laptop.root / "notes.md").write_bytes(b"\0\1" if kind == "binary" else b"first\n")
    commit(laptop)
    sync(cluster)
    for clone, text in ((laptop, b"mine\n"), (cluster, b"theirs\n")):
        (clone.root / "notes.md").write_bytes((b"\0" if kind == "binary" else b"") + text)
        if kind == "removed" and clone is cluster:
            (clone.root / "notes.md").unlink()
        clone.git("commit", "-qam", "edit")
    sync(laptop)
    job_id = cluster.one("seed=0")
    cluster.aexp("run-queued", job_id)
    (cluster.root / "draft").write_text("untracked")
    sync(cluster, "--no-pull", "--no-push")
    before = state(cluster)
    done = cluster.aexp("ledger", "sync", rc=1)
    assert "notes.md" in done.stderr
    assert "git pull" in done.stderr
    assert state(cluster) == before
    # As the hint says: a person merges, then it works.
    try:
        cluster.git("pull", "-q", "--no-rebase", "--no-edit", "origin", "main")
    except subprocess.CalledProcessError:
        (cluster.root / "notes.md").write_text("settled\n")
        cluster.git("add", "notes.md")
        cluster.git("commit", "-q", "--no-edit")
    assert sync(cluster)["pushed"]
    assert sync(laptop)["received"] == [job_id]


@pytest.mark.parametrize("how", ["changed", "staged", "untracked", "ignored"])
def test_uncommitted_work_in_the_way_is_never_overwritten(
    clones: Any, commit: Any, how: str
) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    if how in ("changed", "staged"):
        (laptop.root / "notes.md").write_text("first\n")
        commit(laptop)
        sync(cluster)
    (laptop.root / "notes.md").write_text("theirs\n")
    commit(laptop)
    (cluster.root / "notes.md").write_text("precious\n")
    if how == "staged":
        cluster.git("add", "notes.md")
    if how == "ignored":
        (cluster.root / ".git" / "info" / "exclude").write_text("notes.md\n")
    before = state(cluster)
    done = cluster.aexp("ledger", "sync", rc=1)
    assert "notes.md" in done.stderr
    assert "commit" in done.stderr
    assert state(cluster) == before


def test_a_removed_entry_is_not_committed_as_removed(clones: Any) -> None:
    """Snakemake removes an entry while its run executes again."""
    job_id = clones.laptop.one("seed=0")
    clones.laptop.aexp("run-queued", job_id)
    sync(clones.laptop)
    clones.laptop.aexp("queue", "retry", job_id)
    entry_path(clones.laptop, job_id).unlink()
    done = sync(clones.laptop)
    assert (done["committed"], done["pushed"]) == ([], False)
    sync(clones.cluster)
    assert entry_path(clones.cluster, job_id).exists()


def test_what_is_no_entry_is_left_out_and_named(clones: Any) -> None:
    laptop = clones.laptop
    job_id = laptop.one("seed=0")
    laptop.aexp("run-queued", job_id)
    folder = laptop.root / ".aexp" / "ledger"
    data = entry_path(laptop, job_id).read_bytes()
    junk = {
        "README.md": b"mine",
        "f" * 32 + ".json": b"{",
        "e" * 32 + ".json": data,
        "installed.json": b"{}",
    }
    for name, content in junk.items():
        (folder / name).write_bytes(content)
    (folder / ("d" * 32 + ".json")).symlink_to("/etc/hostname")
    done = laptop.aexp("ledger", "sync")
    for name in [*junk, "d" * 32 + ".json"]:
        assert name in done.stderr
    assert laptop.git("show", "--name-only", "--format=").split() == [f".aexp/ledger/{job_id}.json"]


def test_campaigns_and_the_index_travel_too(clones: Any) -> None:
    for name in ("campaigns/C001.json", "runs-index/laptop.json"):
        path = clones.laptop.root / ".aexp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    sync(clones.laptop)
    sync(clones.cluster)
    assert (clones.cluster.root / ".aexp" / "campaigns" / "C001.json").exists()
    assert (clones.cluster.root / ".aexp" / "runs-index" / "laptop.json").exists()
    assert not (clones.cluster.root / ".aexp" / "cache" / "x").exists()
    tracked = clones.cluster.git("ls-files", ".aexp").split()
    assert tracked == [".aexp/campaigns/C001.json", ".aexp/runs-index/laptop.json"]


def test_commit_hooks_do_not_run(clones: Any) -> None:
    """They may move the working tree's files aside while runs execute."""
    hook = clones.laptop.root / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    hook.chmod(0o755)
    clones.laptop.aexp("run-queued", clones.laptop.one("seed=0"))
    assert sync(clones.laptop)["pushed"]
    assert not (clones.laptop.root / "ran").exists()


def test_a_dry_run_says_it_and_does_nothing(clones: Any) -> None:
    clones.cluster.aexp("run-queued", clones.cluster.one("seed=1"))
    sync(clones.cluster)
    laptop = clones.laptop
    first, second = laptop.add("seed=2..3")
    laptop.aexp("run-queued", first)
    laptop.aexp("run-queued", second)
    entry_path(laptop, second).unlink()
    before = laptop.tree()
    said = sync(laptop, "--dry-run")
    assert laptop.tree() == before
    did = sync(laptop)
    assert said["behind"] is True
    assert said["promoted"] == did["promoted"] == [second]
    assert said["committed"] == did["committed"]
    assert said["pushed"] is did["pushed"] is True
    again = sync(laptop, "--dry-run")
    assert (again["behind"], again["pushed"], again["committed"]) == (False, False, [])


def test_halves_of_it(clones: Any) -> None:
    laptop, cluster = clones.laptop, clones.cluster
    job_id = laptop.one("seed=0")
    laptop.aexp("run-queued", job_id)
    assert sync(laptop, "--no-push", "--no-pull")["committed"]
    assert laptop.git("rev-list", "--count", "origin/main..").strip() == "1"
    assert sync(laptop, "--no-pull")["pushed"]
    cluster.aexp("run-queued", cluster.one("seed=1"))
    done = cluster.aexp("ledger", "sync", "--no-pull", rc=2)
    assert "--no-pull" in done.stderr
    assert sync(cluster, "--no-push")["received"] == [job_id]
    assert sync(laptop)["received"] == []
    assert sync(cluster, "-m", "my words")["pushed"]
    assert len(sync(laptop)["received"]) == 1


# --- others at the same time ---------------------------------------------------------------


def test_the_remote_moves_between_fetch_and_push(clones: Any) -> None:
    """The cluster's own pre-push hook lets the laptop push first: a race that is always lost."""
    laptop, cluster = clones.laptop, clones.cluster
    ids = [clone.one(f"seed={n}") for n, clone in enumerate((laptop, cluster))]
    for clone, job_id in zip((laptop, cluster), ids, strict=True):
        clone.aexp("run-queued", job_id)
    hook = cluster.root / ".git" / "hooks" / "pre-push"
    once = f'test -e "{cluster.root}/.git/once" && exit 0; touch "{cluster.root}/.git/once"'
    call = f'cd "{laptop.root}" && "{sys.executable}" -P -m aexp ledger sync >&2'
    hook.write_text(f"#!/bin/sh\n{once}\n{call}\n")
    hook.chmod(0o755)
    assert sync(cluster)["received"] == [ids[0]]
    sync(laptop)
    assert ledger(laptop) == ledger(cluster)
    assert len(ledger(laptop)) == 2


def test_a_remote_that_always_moves_is_given_up(clones: Any) -> None:
    """Exit code 75: the same command can be called again."""
    laptop, cluster = clones.laptop, clones.cluster
    hook = cluster.root / ".git" / "hooks" / "pre-push"
    hook.write_text(f'#!/bin/sh\ncd "{laptop.root}" && unset GIT_DIR && '
                    'git commit -q --allow-empty -m x && git push -q origin main\n')  # fmt: skip
    hook.chmod(0o755)
    cluster.aexp("run-queued", cluster.one("seed=0"))
    done = cluster.aexp("ledger", "sync", "--retries", "1", rc=75)
    assert "busy" in done.stderr
    hook.unlink()
    assert sync(cluster)["pushed"]


@pytest.mark.slow
def test_two_clones_sync_at_once_and_converge(clones: Any) -> None:
    pair = (clones.laptop, clones.cluster)
    shared = [clone.add("seed=0..2", "--no-commit") for clone in pair]
    assert shared[0] == shared[1]
    own = [
        clone.add(f"seed={10 * n}..{10 * n + 2}", "--no-commit") for n, clone in enumerate(pair, 1)
    ]
    for turn in range(3):
        for number, clone in enumerate(pair):
            clone.aexp("run-queued", shared[number][turn])
            clone.aexp("run-queued", own[number][turn])
        started = [clone.start_aexp("ledger", "sync") for clone in pair for _ in range(2)]
        for process in started:
            assert process.wait(timeout=120) == 0, process.stdout.read()
    for clone in (*pair, *pair):
        sync(clone)
    assert head(pair[0]) == head(pair[1])
    assert ledger(pair[0]) == ledger(pair[1])
    assert len(ledger(pair[0])) == 9
    for clone in pair:
        assert clone.git("status", "--porcelain", ".aexp") == ""
        clone.git("fsck", "--strict")


def test_while_another_git_command_holds_the_index(clones: Any) -> None:
    laptop = clones.laptop
    laptop.aexp("run-queued", laptop.one("seed=0"))
    lock = laptop.root / ".git" / "index.lock"
    lock.touch()
    done = laptop.aexp("ledger", "sync", rc=1)
    assert "another git command" in done.stderr
    lock.unlink()
    assert sync(laptop)["pushed"]


def test_killed_while_pushing_it_is_called_again(clones: Any) -> None:
    laptop = clones.laptop
    job_id = laptop.one("seed=0")
    laptop.aexp("run-queued", job_id)
    hook = laptop.root / ".git" / "hooks" / "pre-push"
    # The hook's parent is git, whose parent is aexp.
    hook.write_text("#!/bin/sh\nkill -9 $(ps -o ppid= -p $PPID)\nexit 1\n")
    hook.chmod(0o755)
    done = laptop.aexp("ledger", "sync", rc=None)
    assert done.returncode == -signal.SIGKILL
    hook.unlink()
    assert sync(laptop)["pushed"]
    assert sync(clones.cluster)["received"] == [job_id]


def test_called_by_a_git_hook(clones: Any) -> None:
    """The hook's environment points to another index and repository."""
    laptop = clones.laptop
    laptop.aexp("run-queued", laptop.one("seed=0"))
    env = {"GIT_DIR": "/nowhere/.git", "GIT_INDEX_FILE": "/nowhere/index"}
    assert sync(laptop, env=env)["pushed"]


# --- when it cannot ------------------------------------------------------------------------


def test_no_network_fails_cleanly_and_can_be_repeated(clones: Any) -> None:
    laptop = clones.laptop
    job_id = laptop.one("seed=0")
    laptop.aexp("run-queued", job_id)
    away = clones.remote.with_name("away.git")
    clones.remote.rename(away)
    for _ in range(2):
        done = laptop.aexp("ledger", "sync", rc=75)
        assert "cannot be reached" in done.stderr
        assert "Traceback" not in done.stderr
    assert laptop.git("status", "--porcelain", ".aexp") == ""
    away.rename(clones.remote)
    assert sync(laptop)["pushed"]
    assert sync(clones.cluster)["received"] == [job_id]


def test_a_remote_that_refuses_is_asked_once(clones: Any) -> None:
    hook = clones.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\ndate >> asked\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    clones.laptop.aexp("run-queued", clones.laptop.one("seed=0"))
    done = clones.laptop.aexp("ledger", "sync", rc=1)
    assert "refuses" in done.stderr
    assert len((clones.remote / "asked").read_text().splitlines()) == 1
    done = clones.laptop.aexp("ledger", "sync", "--branch", "results", rc=1)
    hook.unlink()
    assert sync(clones.laptop, "--branch", "results")["pushed"]
    refs = clones.laptop.git("ls-remote", "origin")
    assert "refs/heads/results" in refs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--remote", "nowhere"), "not a remote"),
        (("--remote", "--upload-pack=touch pwned"), "not a remote"),
        (("--remote", "ext::sh -c touch% pwned"), "not a remote"),
        (("--remote", "../remote.git"), "not a remote"),
        (("--branch", "--force"), "cannot be a branch"),
        (("--branch", "a..b"), "cannot be a branch"),
        (("--branch", "+main"), None),
        (("--retries", "-1"), "retries"),
    ],
)
def test_names_are_checked(clones: Any, words: tuple[str, ...], said: str | None) -> None:
    before = clones.laptop.git("ls-remote", "origin")
    done = clones.laptop.aexp("ledger", "sync", *words, rc=2 if said else None)
    assert said is None or said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (clones.laptop.root / "pwned").exists()
    assert said is None or clones.laptop.git("ls-remote", "origin") == before


def test_without_a_remote(research: Any) -> None:
    research.git("config", "user.name", "t")
    research.git("config", "user.email", "t@example.org")
    research.aexp("run-queued", research.one("seed=0"))
    done = research.aexp("ledger", "sync", rc=2)
    assert "git remote add" in done.stderr
    assert research.json("ledger", "sync", "--no-pull", "--no-push")["committed"]


@pytest.mark.parametrize("what", ["detached", "merge", "identity", "hidden", "unborn"])
def test_a_repository_that_is_not_ready(clones: Any, commit: Any, what: str) -> None:
    laptop = clones.laptop
    laptop.aexp("run-queued", laptop.one("seed=0"))
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    if what == "detached":
        laptop.git("checkout", "-q", "--detach")
    elif what == "merge":
        laptop.git("branch", "side")
        commit(laptop)
        laptop.git("commit", "-q", "--allow-empty", "-m", "x")
        laptop.git("checkout", "-q", "side")
        laptop.git("commit", "-q", "--allow-empty", "-m", "y")
        laptop.git("merge", "-q", "--no-commit", "--no-ff", "main")
    elif what == "identity":
        laptop.git("config", "user.useConfigOnly", "true")
        laptop.git("config", "--unset", "user.email")
    elif what == "hidden":
        path = laptop.root / ".gitignore"
        path.write_text(path.read_text() + ".aexp/\n")
    else:
        laptop.git("checkout", "-q", "--orphan", "empty")
    said = {
        "detached": "git switch",
        "merge": "git merge --abort",
        "identity": "git config user.name",
        "hidden": ".gitignore",
        "unborn": "no commit yet",
    }
    before = laptop.tree()
    done = laptop.aexp("ledger", "sync", rc=2 if what == "hidden" else 1, env=env)
    assert said[what] in done.stderr
    assert laptop.tree() == before


def test_histories_that_have_nothing_in_common(clones: Any) -> None:
    laptop = clones.laptop
    laptop.git("checkout", "-q", "--orphan", "other")
    laptop.git("commit", "-q", "-m", "another beginning")
    before = head(laptop)
    done = laptop.aexp("ledger", "sync", "--branch", "main", rc=1)
    assert "no common history" in done.stderr
    assert head(laptop) == before


def test_a_repository_within_a_larger_one(tmp_path: Path, research: Any) -> None:
    """The research lives in a subfolder of a git repository; both sides change an entry."""

    def git(folder: Path, *words: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)

    bare, top = tmp_path / "bare.git", tmp_path / "top"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    git(tmp_path, "init", "-q", "-b", "main", str(top))
    (top / "lib.txt").write_text("x\n")
    git(research.root, "checkout-index", "--all", f"--prefix={top}/sub/")
    (top / "sub" / ".aexp").mkdir(exist_ok=True)
    marker = (research.root / ".aexp" / "installed.json").read_bytes()
    (top / "sub" / ".aexp" / "installed.json").write_bytes(marker)
    git(top, "add", "-A")
    git(top, "add", "-f", "sub/.aexp/installed.json")
    git(top, "commit", "-qm", "start")
    git(top, "remote", "add", "origin", str(bare))
    git(top, "push", "-qu", "origin", "main")
    git(tmp_path, "clone", "-q", str(bare), str(tmp_path / "two"))
    pair = [type(research)(folder / "sub") for folder in (top, tmp_path / "two")]
    for number, clone in enumerate(pair):
        git(clone.root, "config", "user.name", "t")
        git(clone.root, "config", "user.email", "t@example.org")
        for seed in (0, number + 1):
            clone.aexp("run-queued", clone.one(f"seed={seed}", "--no-commit"))
    for clone in (*pair, *pair):
        sync(clone)
    assert ledger(pair[0]) == ledger(pair[1])
    assert len(ledger(pair[0])) == 3


def test_the_messages_name_no_defect(clones: Any) -> None:
    done = clones.laptop.aexp("ledger", "sync", "-m", "--amend")
    assert not re.search("Traceback|defect", done.stdout + done.stderr)
    assert os.path.isdir(clones.remote)
