"""The other side of a sync: which remote and branch, what it has, giving it ours."""

import re
from typing import NamedTuple

from aexp.errors import GitError, RemoteUnreachable, UsageError
from aexp.git import GitResult, GitTimeout, run_git
from aexp.paths import Repo

_NETWORK_TIMEOUT_S = 300.0
_NO_SUCH_BRANCH = 2  # of ls-remote --exit-code
_TO_PUSH = "error: failed to push some refs"
# Somebody else was faster, or is at work there just now.
_AGAIN = re.compile(
    r"^\[rejected\] \((fetch first|non-fast-forward)\)"
    r"|\((failed to update ref|failed to lock|reference already exists"
    r"|incorrect old value provided|cannot lock ref .*)\)$"
)
# A branch a, where a/b is wanted: that does not pass.
_IN_THE_WAY = re.compile(r"cannot lock ref '.*?: ('.*?' exists; cannot create .*)")
_CUT_OFF = re.compile(r"hung up|unexpected disconnect|early EOF|\[remote failure\]")
# No network says none of these; a wrong address, or a wrong key, does.
_PERMANENT = re.compile(
    r"does not appear to be a git repository|[Rr]epository .*not found|not found$"
    r"|[Pp]ermission denied|[Aa]uthentication failed|could not read Username"
    r"|Host key verification failed|returned error: 40[134]|Unable to find remote helper"
    r"|protocol .* (is )?not (allowed|supported)|dubious ownership|access denied",
)
_LATER = (
    "nothing is lost; run the same command again when the network is back, or carry the "
    "entries as a file: aexp ledger bundle"
)


class Remote(NamedTuple):
    """A branch of a configured remote.

    Attributes
    ----------
    name : str
        The remote, as ``git remote`` lists it.
    branch : str
        The branch there.
    """

    name: str
    branch: str

    @property
    def tracking(self) -> str:
        """The ref that keeps what was fetched last."""
        return f"refs/remotes/{self.name}/{self.branch}"


def current_branch(repo: Repo) -> str:
    """Return the branch that is checked out.

    Raises
    ------
    GitError
        If none is, or it has no commit yet.
    """
    head = run_git(repo, "symbolic-ref", "--quiet", "--short", "HEAD")
    if head.code != 0:
        raise GitError(
            "no branch is checked out (detached HEAD)", "check one out: git switch BRANCH"
        )
    if run_git(repo, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").code != 0:
        raise GitError(
            f"branch {head.text} has no commit yet",
            "commit the repository first: git add --all && git commit -m start",
        )
    return head.text


def choose(repo: Repo, branch: str, remote: str | None, remote_branch: str | None) -> Remote:
    """Return the remote and branch to sync with: what was asked for, else what git tracks.

    Raises
    ------
    UsageError
        If the remote is not configured, the branch's name is none, or there is no remote.
    """
    known = run_git(repo, "remote").text.split()
    tracked = run_git(repo, "config", f"branch.{branch}.remote").text
    if remote is None:
        remote = tracked if tracked in known else "origin" if "origin" in known else None
    if remote is None and len(known) == 1:
        remote = known[0]
    if remote is None:
        raise UsageError(
            "there is no remote to sync with" if not known else f"which remote? {', '.join(known)}",
            "name one with --remote, add one with git remote add, or carry the entries as a "
            "file: aexp ledger bundle",
        )
    if remote not in known:
        raise UsageError(f"{remote!r} is not a remote of this repository", "see: git remote -v")
    if remote_branch is None:
        merges = run_git(repo, "config", f"branch.{branch}.merge").text
        follows = tracked == remote and merges.startswith("refs/heads/")
        remote_branch = merges.removeprefix("refs/heads/") if follows else branch
    ref = f"refs/heads/{remote_branch}"
    if remote_branch.startswith("-") or run_git(repo, "check-ref-format", ref).code != 0:
        raise UsageError(f"{remote_branch!r} cannot be a branch", "see: git branch --all")
    return Remote(remote, remote_branch)


def tip(repo: Repo, remote: Remote) -> str | None:
    """Return the commit that the remote's branch is at; None when it has no such branch.

    Raises
    ------
    RemoteUnreachable
        If the remote does not answer.
    """
    ref = f"refs/heads/{remote.branch}"
    asked = _ask(repo, remote, "ls-remote", "--exit-code", remote.name, ref)
    if asked.code not in (0, _NO_SUCH_BRANCH):
        raise unreachable(remote, asked)
    # git matches the end of names: refs/mirror/refs/heads/main is listed for main, too.
    for line in asked.text.splitlines():
        commit, _, name = line.partition("\t")
        if name == ref:
            return commit
    return None


def fetch(repo: Repo, remote: Remote) -> str:
    """Fetch the remote's branch and return its commit.

    Raises
    ------
    RemoteUnreachable
        If the remote does not answer.
    """
    refspec = f"+refs/heads/{remote.branch}:{remote.tracking}"
    done = _ask(repo, remote, "fetch", "--quiet", "--no-tags", remote.name, refspec)
    in_the_way = _IN_THE_WAY.search(done.error)
    if in_the_way is not None:
        raise GitError(
            f"what {remote.name} has cannot be recorded here: {in_the_way[1]}",
            f"remove what the remote no longer has: git remote prune {remote.name}",
        )
    if done.code != 0:
        raise unreachable(remote, done)
    return run_git(repo, "rev-parse", "--verify", remote.tracking).text


def push(repo: Repo, remote: Remote) -> str | None:
    """Push the present commit; None when it has arrived, else why the remote was busy.

    Raises
    ------
    GitError
        If the remote refuses for a reason that does not pass, a rule of its own; or a
        pre-push hook of this clone does.
    RemoteUnreachable
        If it does not answer.
    """
    words = ("push", "--porcelain", remote.name, f"HEAD:refs/heads/{remote.branch}")
    done = _ask(repo, remote, *words)
    if done.code == 0:
        return None
    refused = [line for line in done.text.splitlines() if line.startswith("!")]
    if _CUT_OFF.search(f"{done.text}\n{done.error}") or (not refused and done.code != 1):
        raise unreachable(remote, done)
    if not refused:
        # The connection stood; so it was this clone's own hook, or something else of its own.
        said = [line for line in done.error.splitlines() if not line.startswith(_TO_PUSH)]
        raise GitError(
            f"git push failed here: {' / '.join(said[-3:]) or done.reason}",
            "mend that (a pre-push hook of this clone?), then call sync again; your entries "
            "are committed",
        )
    reason = refused[0].split("\t")[-1]
    in_the_way = _IN_THE_WAY.search(done.error)
    if in_the_way is None and _AGAIN.search(reason):
        return reason
    raise GitError(
        f"{remote.name} refuses the push: {in_the_way[1].strip() if in_the_way else reason}",
        f"push to a branch that you may write: aexp ledger sync --branch NAME "
        f"(your entries are committed here, on {current_branch(repo)})",
    )


def _ask(repo: Repo, remote: Remote, *words: str) -> GitResult:
    try:
        return run_git(repo, *words, timeout_s=_NETWORK_TIMEOUT_S)
    except GitTimeout as error:
        raise RemoteUnreachable(
            f"{remote.name} cannot be reached: {error.message}", _LATER
        ) from None


def unreachable(remote: Remote, done: GitResult) -> RemoteUnreachable:
    """Return the error for a remote that does not answer, or lets nobody in."""
    message = f"{remote.name} cannot be reached: {done.reason}"
    if _PERMANENT.search(done.error):
        return RemoteUnreachable(
            message,
            f"check its address (git remote get-url {remote.name}) and your key or password; "
            "nothing is lost: then run the same command again",
        )
    return RemoteUnreachable(message, _LATER)
