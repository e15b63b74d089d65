"""Addresses of remotes: what a URL may be, and what must never be in one."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from aexp.errors import UsageError
from aexp.model import printable

FOLDER = "file"
SSH = "ssh"
# What obstore takes, by the service behind it.
_SERVICES = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "az": "azure",
    "azure": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
SCHEMES = (FOLDER, SSH, *_SERVICES)
# What a service may be told besides its address. Nothing that opens a door is among them:
# the file is committed.
OPTIONS: Mapping[str, frozenset[str]] = {
    "s3": frozenset(
        {
            "endpoint",
            "region",
            "virtual_hosted_style_request",
            "skip_signature",
            "request_payer",
            "unsigned_payload",
            "server_side_encryption",
            "sse_kms_key_id",
            "sse_bucket_key_enabled",
        }
    ),
    "gs": frozenset({"endpoint", "skip_signature"}),
    "azure": frozenset({"account_name", "endpoint", "use_azure_cli", "skip_signature"}),
    FOLDER: frozenset(),
    SSH: frozenset(),  # they belong into ~/.ssh/config
}
_CREDENTIALS = (
    "give credentials to the library instead: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, ... in the environment"
)
_SSH_LOGIN = "use a key: ssh-copy-id HOST; what else ssh needs belongs into ~/.ssh/config"
# Host, user and folder end up in arguments of ssh and rsync and in a script for a shell: they
# hold nothing that means something to one of these. \w: letters and digits of any language.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
_PATH = re.compile(r"[\w.+,=@/-]+")
_SHORT = re.compile(r"(?:([^/@:]*)@)?([^/:]+):(.*)", re.DOTALL)  # [user@]host:path, as of scp
_SOUNDS_SECRET = re.compile(r"key|secret|token|passw|credential|sas|sig", re.IGNORECASE)


class Address(NamedTuple):
    """A URL that was checked.

    Attributes
    ----------
    scheme : str
        ``file``, ``ssh``, ``s3``, ``gs``, ``az``, ….
    host : str
        The bucket or container, or the machine; empty for a folder.
    path : str
        The folder, or the prefix in the bucket. ``/~/x`` is ``x`` in one's home at a machine.
    user : str
        Who one is at a machine; empty for whom ``ssh`` takes.
    port : int or None
        Where its ``sshd`` listens, if not where ``ssh`` looks by itself.
    """

    scheme: str
    host: str
    path: str
    user: str = ""
    port: int | None = None

    @property
    def service(self) -> str:
        """``file``, ``ssh``, or the kind of object store: ``s3``, ``gs``, ``azure``."""
        return _SERVICES.get(self.scheme, self.scheme)


def check_url(text: str) -> str:
    """Return the URL of a remote as it is kept.

    An absolute path stands for its folder.

    Raises
    ------
    UsageError
        If it holds a user name or password, or is none that a remote can have.
    """
    url = text.strip()
    if url.startswith("/"):
        # A path is taken as it is: in a URL "%" and "?" would mean something.
        url = "file://" + _quoted("/" + os.path.normpath(url).lstrip("/"))
        parse_url(url)
        return url
    short = _SHORT.fullmatch(url)
    if short is not None and not short[3].startswith("//"):
        if short[2].lower() in SCHEMES:
            raise UsageError(f"{short[2]}: without // is no URL", f"write it like {_LIKE}")
        user = f"{short[1]}@" if short[1] is not None else ""
        path = short[3] if short[3].startswith("/") else "/~/" + short[3].removeprefix("~/")
        url = f"ssh://{user}{short[2]}{path}"
    address = parse_url(url)
    netloc = "" if address.scheme == FOLDER else address.host
    if address.scheme == SSH:
        user = f"{address.user}@" if address.user else ""
        netloc = f"{user}{netloc}:{address.port}" if address.port else f"{user}{netloc}"
    return urlunsplit((address.scheme, netloc, _quoted(address.path), "", ""))


def parse_url(url: str) -> Address:
    """Return the parts of a remote's URL.

    Raises
    ------
    UsageError
        As `check_url`; the message repeats nothing that may be a password.
    """
    if not url.isprintable() or any(c.isspace() for c in url):
        raise UsageError("the URL of a remote is one word", f"write it like {_LIKE}")
    try:
        parts = urlsplit(url)
        host, user = parts.hostname or "", parts.username
        parts.port  # noqa: B018  (raises when it is no number)
    except ValueError:
        raise UsageError("the URL of the remote cannot be read", f"write it like {_LIKE}") from None
    if parts.scheme.lower() == SSH:
        return _parse_ssh(url)
    if user is not None or "@" in parts.netloc:
        raise UsageError("the URL of a remote must not hold a user name or password", _CREDENTIALS)
    if parts.query or parts.fragment:
        secret = _SOUNDS_SECRET.search(parts.query)
        raise UsageError(
            "the URL of a remote has no '?' and no '#'",
            _CREDENTIALS if secret else "give settings as options: --option endpoint=URL",
        )
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        named = f"{printable(scheme)}://" if scheme else repr(printable(url))
        raise UsageError(f"a remote cannot be at {named}", f"write it like {_LIKE}")
    # urlsplit makes a host small; the names of buckets may be told apart by it.
    host = parts.netloc
    path = unquote(parts.path)
    if any(part == ".." for part in path.split("/")):
        raise UsageError("the URL of a remote has no '..'", "write the path out")
    if scheme == FOLDER:
        if host not in ("", "localhost") or not path.strip("/"):
            raise UsageError(
                "file:// needs an absolute path on this machine", "write it like file:///mnt/x"
            )
        return Address(scheme, "", os.path.normpath(path))
    if not host or not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise UsageError(
            f"{scheme}:// needs the name of a bucket", f"write it like {scheme}://bucket/prefix"
        )
    return Address(scheme, host, path.rstrip("/"))


def _parse_ssh(url: str) -> Address:
    """Return the parts of ``ssh://[user@]host[:port]/path``."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    if ":" in login or parts.password is not None:
        raise UsageError("the URL of a remote must not hold a password", _SSH_LOGIN)
    if parts.query or parts.fragment:
        raise UsageError("the URL of a remote has no '?' and no '#'", _SSH_LOGIN)
    host, path = place.partition(":")[0], unquote(parts.path)
    if not _HOST.fullmatch(host) or ("@" in parts.netloc and not _USER.fullmatch(login)):
        raise UsageError(
            "ssh:// needs the name of a machine, and maybe a user's",
            f"write it like {_LIKE_SSH}; name others in ~/.ssh/config",
        )
    names = path.strip("/").split("/")
    inner = names[1:] if names[0] == "~" else names
    wrong = not any(inner) or not _PATH.fullmatch("/".join(inner))
    if wrong or ".." in names or any(name.startswith("-") for name in names):
        raise UsageError(
            "the folder of a remote at ssh:// has letters, digits and any of . _ + , = @ - "
            "in its path, and is not the whole disk or home",
            f"write it like {_LIKE_SSH}",
        )
    return Address(SSH, host, os.path.normpath("/" + "/".join(names)), login, parts.port)


def check_options(address: Address, options: Mapping[str, object]) -> dict[str, str | bool]:
    """Return a remote's options, as they are kept.

    Raises
    ------
    UsageError
        If one is unknown, or would be a secret in a committed file.
    """
    allowed = OPTIONS[address.service]
    kept: dict[str, str | bool] = {}
    for name, value in options.items():
        if name not in allowed:
            sounds = isinstance(name, str) and _SOUNDS_SECRET.search(name)
            known = ", ".join(sorted(allowed)) or "none"
            raise UsageError(
                f"{printable(name)} is no option of a remote at {address.scheme}://",
                _CREDENTIALS if sounds else f"options there are: {known}",
            )
        if isinstance(value, str) and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        if not isinstance(value, (str, bool)) or (isinstance(value, str) and not value.strip()):
            raise UsageError(f"the option {name} is {value!r}", "give it as text")
        if name == "endpoint":
            _check_endpoint(value)
        kept[name] = value
    return kept


def _check_endpoint(value: object) -> None:
    if "@" in str(value):
        raise UsageError("an endpoint must not hold a user name or password", _CREDENTIALS)
    try:
        parts = urlsplit(str(value))
        parts.port  # noqa: B018  (raises when it is no number)
    except ValueError:
        parts = urlsplit("")
    if parts.query or parts.fragment:
        raise UsageError("an endpoint must not hold a user name or password", _CREDENTIALS)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{printable(value)} is no endpoint", "write it like https://s3.example.org"
        )


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


_LIKE = (
    "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder "
    "or ssh://host/folder"
)
_LIKE_SSH = "ssh://user@host:22/folder, host:/folder or host:folder"
