"""The other side of a sync: which remote and branch, what it has, giving it ours."""

from typing import NamedTuple

from aexp.errors import GitError, RemoteUnreachable, UsageError
from aexp.git import run_git
from aexp.paths import Repo

_NETWORK_TIMEOUT_S = 300.0
_NO_SUCH_BRANCH = 2  # of ls-remote --exit-code
_AGAIN = ("[rejected]", "lock", "failed to update ref", "reference already exists")


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
    asked = run_git(
        repo, "ls-remote", "--exit-code", remote.name, ref, timeout_s=_NETWORK_TIMEOUT_S
    )
    if asked.code == _NO_SUCH_BRANCH:
        return None
    if asked.code != 0:
        raise unreachable(remote, asked.reason)
    return asked.text.split()[0]


def fetch(repo: Repo, remote: Remote) -> str:
    """Fetch the remote's branch and return its commit.

    Raises
    ------
    RemoteUnreachable
        If the remote does not answer.
    """
    refspec = f"+refs/heads/{remote.branch}:{remote.tracking}"
    done = run_git(
        repo, "fetch", "--quiet", "--no-tags", remote.name, refspec, timeout_s=_NETWORK_TIMEOUT_S
    )
    if done.code != 0:
        raise unreachable(remote, done.reason)
    return run_git(repo, "rev-parse", "--verify", remote.tracking).text


def push(repo: Repo, remote: Remote) -> str | None:
    """Push the present commit; None when it has arrived, else why the remote was busy.

    Raises
    ------
    GitError
        If the remote refuses for a reason that does not pass: a rule of its own.
    RemoteUnreachable
        If it does not answer.
    """
    done = run_git(
        repo,
        *("push", "--porcelain", remote.name, f"HEAD:refs/heads/{remote.branch}"),
        timeout_s=_NETWORK_TIMEOUT_S,
    )
    if done.code == 0:
        return None
    refused = [line for line in done.text.splitlines() if line.startswith("!")]
    if not refused:
        raise unreachable(remote, done.reason)
    reason = refused[0].split("\t")[-1]
    if any(word in reason for word in _AGAIN):
        return reason
    raise GitError(
        f"{remote.name} refuses the push: {reason}",
        f"push to a branch that you may write: aexp ledger sync --branch NAME "
        f"(your entries are committed here, on {current_branch(repo)})",
    )


def unreachable(remote: Remote, reason: str) -> RemoteUnreachable:
    """Return the error for a remote that does not answer."""
    return RemoteUnreachable(
        f"{remote.name} cannot be reached: {reason}",
        "nothing is lost; run the same command again when the network is back, or carry the "
        "entries as a file: aexp ledger bundle",
    )
