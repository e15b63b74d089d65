"""The remotes of a repository: one small file each, committed to git, without credentials."""

import os
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aexp.errors import (
    AexpError,
    CorruptFile,
    CorruptFileWarning,
    RemoteNotFound,
    StoreReadOnly,
    UsageError,
)
from aexp.files import create_exclusive, pretty_json, read_object, write_atomic
from aexp.paths import Repo
from aexp.remotes.address import FOLDER, SSH, Address, check_options, check_url, parse_url
from aexp.remotes.place import remotes_dir

AUTO = "auto"
MANUAL = "manual"
SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ENDING = ".json"
_SERVERS = ("account_name", "endpoint")


class Remote(NamedTuple):
    """A name with an address.

    Attributes
    ----------
    name : str
        What people call it.
    url : str
        Where it is, without credentials.
    push : str
        ``auto``: runs upload their checkpoints by themselves; ``manual``: ``aexp push`` does.
    required : bool
        Whether a run is done only when its checkpoints are there.
    options : dict
        What its service is told besides the address: ``endpoint``, ``region``, ….
    """

    name: str
    url: str
    push: str = AUTO
    required: bool = False
    options: Mapping[str, str | bool] = {}

    @property
    def address(self) -> Address:
        """The URL's parts."""
        return parse_url(self.url)

    @property
    def place(self) -> str:
        """What tells it from others: buckets of two servers may have one URL."""
        servers = [f"{key}={self.options[key]}" for key in _SERVERS if key in self.options]
        return " ".join([self.url, *servers])

    def to_object(self) -> dict[str, Any]:
        """Return what its file holds."""
        body: dict[str, Any] = {"schema": SCHEMA, "url": self.url, "push": self.push}
        body["required"] = self.required
        if self.options:
            body["options"] = dict(self.options)
        return body


def takes_checkpoints(remote: Remote) -> bool:
    """Return whether checkpoints can be pushed to a remote: to all but machines."""
    return remote.address.service != SSH


def takes_record(remote: Remote) -> bool:
    """Return whether the record can be synced with a remote: with machines and folders."""
    return remote.address.service in (SSH, FOLDER)


def list_remotes(repo: Repo) -> list[Remote]:
    """Return all remotes by name.

    Raises
    ------
    CorruptFile
        If a file there cannot be read as a remote.
    """
    return [_read(repo, name) for name in _names(repo)]


def readable_remotes(repo: Repo) -> list[Remote]:
    """Return the remotes whose files can be read; of each other one there is a warning."""
    found = []
    for name in _names(repo):
        try:
            found.append(_read(repo, name))
        except AexpError as error:
            warnings.warn(error.message, CorruptFileWarning, stacklevel=2)
    return found


def _names(repo: Repo) -> list[str]:
    try:
        names = os.listdir(remotes_dir(repo))
    except (FileNotFoundError, NotADirectoryError):
        return []
    known = sorted(name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING))
    return [name for name in known if _NAME.fullmatch(name)]


def automatic_remotes(repo: Repo) -> list[Remote]:
    """Return the remotes to which runs upload by themselves."""
    return [remote for remote in list_remotes(repo) if remote.push == AUTO]


def get_remote(
    repo: Repo,
    name: str | None = None,
    *,
    fits: Callable[[Remote], bool] = lambda _: True,
    like: str = "s3://bucket/prefix",
) -> Remote:
    """Return the remote of that name; without one the only remote that fits.

    Raises
    ------
    RemoteNotFound
        If there is none, or without a name more than one.
    """
    if name is not None:
        if os.path.isfile(_path(repo, check_name(name))):
            return _read(repo, name)
        known = ", ".join(_names(repo)) or "none"
        raise RemoteNotFound(
            f"there is no remote {name}", f"remotes here: {known}; add one: aexp remote add"
        )
    every = list_remotes(repo)
    remotes = [remote for remote in every if fits(remote)]
    if len(remotes) == 1:
        return remotes[0]
    if not remotes:
        what = "no remote for this" if every else "no remote"
        raise RemoteNotFound(f"this repository has {what}", f"add one: aexp remote add NAME {like}")
    names = ", ".join(remote.name for remote in remotes)
    raise RemoteNotFound(f"there are several remotes: {names}", "say which by its name")


def make_remote(
    name: str,
    url: str,
    *,
    push: str = AUTO,
    required: bool = False,
    options: Mapping[str, object] | None = None,
) -> Remote:
    """Return a remote whose parts were all checked; nothing is contacted or written.

    Raises
    ------
    UsageError
        If a part cannot be one of a remote, or is a credential.
    """
    checked = check_url(url)
    if push not in (AUTO, MANUAL):
        raise UsageError(f"{push!r} is no way to push", f"{AUTO} or {MANUAL}")
    kept = check_options(parse_url(checked), options or {})
    made = Remote(check_name(name), checked, push, bool(required), kept)
    if takes_checkpoints(made):
        return made
    if required:
        raise UsageError(
            f"{checked} cannot be required: no checkpoints are uploaded to a machine",
            "leave --required out; name a bucket or a folder for checkpoints",
        )
    return made._replace(push=MANUAL)


def add_remote(repo: Repo, remote: Remote, *, replace: bool = False) -> str:
    """Write a remote's file and return its path.

    Raises
    ------
    UsageError
        If the name is taken and `replace` is not given.
    """
    path = _path(repo, remote.name)
    data = pretty_json(remote.to_object())
    if replace:
        write_atomic(path, data)
    else:
        try:
            os.makedirs(remotes_dir(repo), exist_ok=True)
        except OSError as error:
            raise StoreReadOnly(
                f"cannot make {remotes_dir(repo)}: {error.strerror}", "check its permissions"
            ) from error
        if not create_exclusive(path, data):
            raise UsageError(
                f"there is a remote {remote.name} already",
                f"change it: aexp remote add {remote.name} {remote.url} --replace",
            )
    return path


def remove_remote(repo: Repo, name: str) -> Remote:
    """Forget a remote; what lies there stays there.

    Raises
    ------
    RemoteNotFound
        If there is none of that name.
    """
    path = _path(repo, check_name(name))
    if not os.path.isfile(path):
        get_remote(repo, name)
    try:
        remote = _read(repo, name)
    except AexpError:
        remote = Remote(name, "")  # a file that cannot be read can be removed all the same
    try:
        os.unlink(path)
    except OSError as error:
        raise StoreReadOnly(f"cannot remove {path}: {error.strerror}", "check the folder") from None
    return remote


def check_name(name: str) -> str:
    """Return `name` if it can be a remote's."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a remote",
            "use letters, digits, dots, dashes and underscores, at most 63",
        )
    return name


def _path(repo: Repo, name: str) -> str:
    return os.path.join(remotes_dir(repo), name + _ENDING)


def _read(repo: Repo, name: str) -> Remote:
    path = _path(repo, name)
    body = read_object(path)
    if body is None:
        raise RemoteNotFound(f"there is no remote {name}", "see: aexp remote list")
    url, options = body.get("url"), body.get("options", {})
    push, required = body.get("push", AUTO), body.get("required", False)
    if not isinstance(url, str) or not isinstance(options, dict) or type(required) is not bool:
        raise CorruptFile(
            f"{path} describes no remote", "add it again: aexp remote add NAME URL --replace"
        )
    try:
        return make_remote(name, url, push=push, required=required, options=options)
    except UsageError as error:
        raise CorruptFile(f"{path}: {error.message}", error.hint) from None
