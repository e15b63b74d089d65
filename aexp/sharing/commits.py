"""Commit the ledger and nothing else, whatever a person has staged or changed besides."""

import os
import stat
import time
from typing import NamedTuple

from aexp.errors import GitError, UsageError
from aexp.git import GitResult, run_git
from aexp.ledger.entries import load_ledger_entry
from aexp.model import JOB_ID, printable
from aexp.paths import Repo

LEDGER = ".aexp/ledger"
SHARED = (LEDGER, ".aexp/campaigns", ".aexp/runs-index")
_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
_LOCK_WAITS_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_FROM_INPUT = ("--pathspec-from-file=-", "--pathspec-file-nul")


class Pending(NamedTuple):
    """What of the shared folders git does not have yet.

    Attributes
    ----------
    files : list of str
        To commit, relative to the repository.
    left_out : list of str
        Files in the ledger's folder that are not entries.
    """

    files: list[str]
    left_out: list[str]


def check_ready(repo: Repo) -> None:
    """Insist that a commit can be made here: git, an identity, nothing half done.

    Raises
    ------
    GitError
        If a merge or rebase is going on, or git does not know who commits.
    UsageError
        If ``.gitignore`` hides the ledger.
    """
    for name, what in _UNFINISHED.items():
        where = run_git(repo, "rev-parse", "--git-path", name).text
        if os.path.exists(os.path.join(repo.root, where)):
            raise GitError(
                f"a {what} is going on in this repository",
                f"finish it (git {what} --continue) or give it up (git {what} --abort), "
                "then call sync again",
            )
    if run_git(repo, "var", "GIT_COMMITTER_IDENT").code != 0:
        raise GitError(
            "git does not know who you are, so it cannot commit",
            'git config user.name "Your Name" && git config user.email you@example.org',
        )
    probe = f"{LEDGER}/{'0' * 32}.json"
    if run_git(repo, "check-ignore", "--quiet", "--no-index", probe).code == 0:
        said = run_git(repo, "check-ignore", "--verbose", "--no-index", probe).text
        where, _, rest = said.partition(":")
        line, _, rule = rest.partition("\t")[0].partition(":")
        raise UsageError(
            f"the rule {printable(rule)!r} hides .aexp/ledger/ from git",
            f"remove it: line {line} of {printable(where)}; then: aexp install",
        )


def pending(repo: Repo) -> Pending:
    """Return the new and changed files of the shared folders.

    A deletion is never among them: Snakemake removes an entry while its run executes again.
    """
    new = run_git(repo, "ls-files", "-z", "--others", "--exclude-standard", "--", *SHARED)
    words = ("diff", "--name-only", "-z", "--relative", "--no-renames", "--diff-filter=d")
    changed = run_git(repo, *words, "HEAD", "--", *SHARED)
    files: list[str] = []
    left_out: list[str] = []
    for name in sorted({*new.names, *changed.names}):
        (files if _belongs(repo, name) else left_out).append(name)
    return Pending(files, left_out)


def _belongs(repo: Repo, name: str) -> bool:
    try:
        if not stat.S_ISREG(os.lstat(repo.at(name)).st_mode):
            return False
    except OSError:
        return False
    folder, _, base = name.rpartition("/")
    if base.startswith("."):
        return False  # of a writer at work, or of another program
    if folder != LEDGER:
        return True
    if not base.endswith(".json") or not JOB_ID.fullmatch(base[:-5]):
        return False
    # The caller names what is left out.
    return load_ledger_entry(repo, base[:-5], quiet=True) is not None


def commit(repo: Repo, files: list[str], message: str) -> None:
    """Commit these files only; what else is staged or changed stays as it is.

    Hooks do not run: they may move files of the working tree aside while runs execute.

    Raises
    ------
    GitError
        If git refuses; then the index is what it was.
    """
    if not files:
        return
    names = "\0".join(files).encode(errors="surrogateescape")
    before = run_git(repo, "rev-parse", "--verify", "HEAD").text
    staged = run_git(repo, "ls-files", "--stage", "-z", "--full-name", "--", *SHARED)
    try:
        added = _patiently(repo, names, "add", *_FROM_INPUT)
        if added.code != 0:
            raise _failed("add", added)
        words = ("commit", "--quiet", "--only", "--no-verify", "--message", message, *_FROM_INPUT)
        done = _patiently(repo, names, *words)
        if done.code != 0:
            raise _failed("commit", done)
    except BaseException:
        # Interrupted after the commit was made, there is nothing to put back.
        if run_git(repo, "rev-parse", "--verify", "HEAD").text == before:
            _unstage(repo, files, staged.names, len(before))
        raise


def _unstage(repo: Repo, files: list[str], staged: list[str], width: int) -> None:
    """Make the index say of these files what it said before."""
    prefix = run_git(repo, "rev-parse", "--show-prefix").text
    wanted = {prefix + name for name in files}
    lines = [f"0 {'0' * width}\t{name}" for name in sorted(wanted)]
    lines += [line for line in staged if line.partition("\t")[2] in wanted]
    data = "".join(line + "\0" for line in lines).encode(errors="surrogateescape")
    _patiently(repo, data, "update-index", "-z", "--index-info")


def _patiently(repo: Repo, names: bytes, *words: str) -> GitResult:
    """Call git again while another git command holds the index."""
    done = run_git(repo, "--literal-pathspecs", *words, data=names)
    for wait in _LOCK_WAITS_S:
        if "index.lock" not in done.error:
            break
        time.sleep(wait)
        done = run_git(repo, "--literal-pathspecs", *words, data=names)
    return done


def _failed(what: str, done: GitResult) -> GitError:
    if "index.lock" in done.error:
        return GitError(
            "another git command is working in this repository",
            "call sync again when it has ended (after a crash: remove .git/index.lock)",
        )
    return GitError(f"git {what} failed: {done.reason}", "mend that, then call sync again")
