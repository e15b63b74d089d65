"""What git knows: the folder, who commits, the ledger; and that it leaves working files alone."""

import os
import re
from collections.abc import Iterator

from aexp.doctor.ask import ask_git
from aexp.doctor.diagnosis import Diagnosis, error, ok, quoted, warn
from aexp.install.gitignore import BEGIN, END, NAME, has_legacy_rule, merged
from aexp.paths import DEFAULT_STORE, Repo

_LEAST = (2, 25)


def git_program(root: str) -> Iterator[Diagnosis]:
    """Check git itself and what it knows of this folder and its user."""
    answer = ask_git(root, "--version")
    if answer is None:
        yield error("git", "git is not installed or does not answer", "install git 2.25 or later")
        return
    match = re.search(r"(\d+)\.(\d+)", answer.text)
    version = (int(match[1]), int(match[2])) if match else _LEAST
    if version < _LEAST:
        yield warn("git", f"{answer.text.strip()} is old", "install git 2.25 or later")
    inside = ask_git(root, "rev-parse", "--show-toplevel")
    if inside is None or inside.code != 0:
        if inside and "dubious ownership" in inside.error:
            mend = f"git config --global --add safe.directory {quoted(root)}"
            yield error("git", "git refuses this folder: it belongs to somebody else", mend)
        else:
            what = (
                f"this is no git repository: {inside.reason if inside else 'git does not answer'}"
            )
            yield error("git", what, "git init")
        return
    yield ok("git", answer.text.strip())
    if ask_value(root, "user.email") is None or ask_value(root, "user.name") is None:
        yield warn(
            "git",
            "git does not know who commits, so the ledger cannot be committed",
            'git config user.name "You" && git config user.email you@example.org',
        )


def ask_value(root: str, name: str) -> str | None:
    """Return a setting of git, None when there is none."""
    answer = ask_git(root, "config", "--get", name)
    return answer.text.strip() or None if answer and answer.code == 0 else None


def ignore_rules(repo: Repo) -> Iterator[Diagnosis]:
    """Check that the ledger is visible to git and working files are not."""
    path = repo.at(NAME)
    text = ""
    if os.path.isfile(path):
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read()
    if has_legacy_rule(text):
        yield error(
            "gitignore",
            "a line .aexp/ outside our block hides the ledger from git",
            rf"sed -i -E '/^[[:space:]]*\/?\.aexp\/?[[:space:]]*(#.*)?$/d' {NAME}",
        )
    elif _is_ignored(repo, os.path.join(".aexp", "ledger", "0" * 32 + ".json")):
        yield error(
            "gitignore",
            "git ignores the ledger, by a rule of this repository or of this user",
            f"git check-ignore -v .aexp/ledger/{'0' * 32}.json    (names the rule; remove it)",
        )
    if merged(text, repo.store) != text:
        state = "is not of this version" if BEGIN in text and END in text else "is missing"
        yield warn("gitignore", f"the block of aexp in {NAME} {state}", _install(repo))
    elif not has_legacy_rule(text):
        yield ok("gitignore", "the ledger is visible to git, working files are not")
    yield from _tracked_working_files(repo)


def _is_ignored(repo: Repo, name: str) -> bool:
    answer = ask_git(repo, "check-ignore", "-q", "--no-index", name)
    return answer is not None and answer.code == 0


def _tracked_working_files(repo: Repo) -> Iterator[Diagnosis]:
    names = [f"{repo.store}/workspace/*/{name}" for name in ("terminal.json", "claim", "heartbeat")]
    answer = ask_git(repo, "ls-files", "--", *names, ".aexp/installed.json")
    tracked = answer.text.splitlines() if answer and answer.code == 0 else []
    if tracked:
        yield error(
            "gitignore",
            f"{len(tracked)} working file(s) of this machine are committed, {tracked[0]} first",
            "git rm --cached --quiet -- " + " ".join(quoted(name) for name in tracked[:10]),
        )


def _install(repo: Repo) -> str:
    store = "" if repo.store == DEFAULT_STORE else f" --run-store {quoted(repo.store)}"
    return f"aexp install --yes{store}"
