"""A git worktree of one commit, made whole or not at all."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator

from aexp.errors import AexpError, GitError, NotReproducible, UsageError
from aexp.files import read_bytes
from aexp.git import run_git
from aexp.model import printable
from aexp.paths import Repo
from aexp.reproduction.code import Code

_NEW = "give a new folder outside the repository, for instance: --to ../again"


def check_folder(repo: Repo, folder: str) -> str:
    """Return the absolute path of a folder that may become the worktree.

    Raises
    ------
    UsageError
        If it is a file, holds anything, or lies in the repository itself.
    """
    path = os.path.realpath(folder)
    if printable(path) != path:
        raise UsageError(f"{path!r} cannot be the folder", _NEW)
    root = os.path.realpath(repo.root)
    if os.path.commonpath([path, root]) == root:
        raise UsageError(f"{path} lies in the repository, whose files are not touched", _NEW)
    try:
        if os.listdir(path):
            raise UsageError(f"{path} is not empty", _NEW)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        raise UsageError(f"{path} is, or lies below, a file", _NEW) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be used: {error.strerror}", _NEW) from None
    return path


def require_commit(repo: Repo, code: Code) -> None:
    """Insist that the repository has the commit.

    Raises
    ------
    NotReproducible
        Saying from where to fetch it.
    """
    if _has_commit(repo.root, code.commit):
        return
    where = f" (branch {printable(code.branch)})" if code.branch else ""
    raise NotReproducible(
        f"commit {code.commit[:12]}{where} is not in this repository", _how_to_fetch(repo, code)
    )


def _has_commit(root: str, commit: str) -> bool:
    if not commit or not all(digit in "0123456789abcdef" for digit in commit):
        return False
    return run_git(root, "cat-file", "-e", commit + "^{commit}").code == 0


def _how_to_fetch(repo: Repo, code: Code) -> str:
    from aexp.environment.code import remote_addresses

    addresses = remote_addresses(repo)
    for name, address in addresses.items():
        if code.remote == address:
            return (
                f"git fetch {name}    (the commit may be on no branch: then {name} {code.commit})"
            )
    if code.remote:
        return f"git fetch {printable(code.remote)} {code.commit}"
    if addresses:
        return "git fetch --all    (or push it from where the run was executed)"
    return "push it from where the run was executed, to a place that this repository can fetch"


@contextlib.contextmanager
def new_worktree(repo: Repo, path: str, code: Code) -> Iterator[list[str]]:
    """Make a worktree with the recorded code; take it away again if the block fails.

    Parameters
    ----------
    repo : Repo
        The repository, of which nothing but git's list of worktrees changes.
    path : str
        A folder that `check_folder` has passed.
    code : Code
        What to have there.

    Yields
    ------
    list of str
        What is not as it was, for people.
    """
    first = _first_missing(path)
    with _ends_are_raised():
        yield from _made_whole(repo, path, code, first)


def _made_whole(repo: Repo, path: str, code: Code, first: str) -> Iterator[list[str]]:
    made: list[tuple[str, str]] = []
    try:
        remarks: list[str] = []
        _add(repo.root, path, code.commit, made)
        for name, commit in sorted(code.submodules.items()):
            remark = _add_submodule(repo, path, name, commit, made)
            if remark:
                remarks.append(remark)
        if code.patch:
            apply_patch(path, code.patch)
        yield remarks
    except BaseException:
        for root, worktree in reversed(made):
            _remove(root, worktree)
        _tidy(path, first)
        raise


@contextlib.contextmanager
def _ends_are_raised() -> Iterator[None]:
    """Turn a wish that this process end into an exception, so that it tidies up first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, end)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL  # under nohup one stays ignored
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def apply_patch(path: str, patch: bytes) -> None:
    """Apply a patch to a working tree, whatever the user's configuration says of patches."""
    done = run_git(
        path,
        *("-c", "apply.ignoreWhitespace=no", "apply", "--whitespace=nowarn", "-"),
        data=patch,
    )
    if done.code != 0:
        raise NotReproducible(
            f"the recorded changes cannot be applied: {printable(done.reason)}",
            "the patch or the commit was changed since; reproduce another attempt (--attempt N)",
        )


def _add(root: str, path: str, commit: str, made: list[tuple[str, str]]) -> None:
    made.append((root, path))
    # Forced: a worktree that was deleted by hand is still in git's list.
    done = run_git(root, "worktree", "add", "--force", "--detach", path, commit)
    if done.code != 0:
        raise GitError(
            f"git cannot make a worktree at {path}: {printable(done.reason)}",
            "mend that, or give another folder",
        )


def _add_submodule(
    repo: Repo, path: str, name: str, commit: str, made: list[tuple[str, str]]
) -> str | None:
    """Check a submodule out from its repository here; return what is missing if that fails."""
    origin, target = repo.at(name), os.path.join(path, name)
    shown = printable(name)
    if not os.path.exists(os.path.join(origin, ".git")):
        return f"submodule {shown} is not checked out here: git submodule update --init {shown}"
    if not is_inside(target, path) or (os.path.isdir(target) and os.listdir(target)):
        return f"submodule {shown} cannot be checked out: its folder is taken"
    if not _has_commit(origin, commit):
        return f"submodule {shown} has no commit {commit[:12]} here: git -C {shown} fetch"
    _add(origin, target, commit, made)
    return None


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path leads into a folder, links followed."""
    real = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), real]) == real


def _remove(root: str, path: str) -> None:
    """Take a worktree away, with git's record of it."""
    record = _record_of(path)
    with contextlib.suppress(AexpError):
        if run_git(root, "worktree", "remove", "--force", path).code == 0:
            return
    if record is not None:
        shutil.rmtree(record, ignore_errors=True)


def _record_of(path: str) -> str | None:
    """Return the folder in which git keeps its record of a worktree."""
    with contextlib.suppress(AexpError):
        text = (read_bytes(os.path.join(path, ".git")) or b"").decode(errors="surrogateescape")
        found = text.removeprefix("gitdir: ").rstrip("\n")
        # Of nothing else: this folder will be deleted.
        if os.path.basename(os.path.dirname(found)) == "worktrees":
            return found
    return None


def _first_missing(path: str) -> str:
    """Return the uppermost folder that has to be made for `path`; "" if it is there."""
    missing = ""
    while not os.path.lexists(path):
        missing, path = path, os.path.dirname(path)
    return missing


def _tidy(path: str, first: str) -> None:
    """Leave an empty folder that was there, nothing where there was nothing."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        if not first:
            os.mkdir(path)
        while first and path != first:
            path = os.path.dirname(path)
            os.rmdir(path)  # unless somebody else has begun to use it
