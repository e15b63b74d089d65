"""Object stores as remotes: S3 and what obstore brings besides."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from aexp.errors import RemoteAway, RemoteDenied, RemoteError
from aexp.model import printable
from aexp.remotes.config import Remote
from aexp.remotes.store import CheckedReader, Mismatch

# Parts of an upload: S3 takes 10,000, of 5 MiB and more.
_PART = 8 << 20
_MAX_PARTS = 9_000
_AT_ONCE = 8
_CONNECT_S = 5
# No request may be silent for longer; how long one takes in all depends on its size.
_SILENT_S = 300
_REQUEST_S = 86_400
_NO_BUCKET = "NoSuchBucket"
_RETRIES = 3
_RETRY_S = 60

_STATUS = re.compile(r"status code: (\d{3})")
_SAID = re.compile(r"<Code>([^<]{1,80})</Code>(?:.*?<Message>([^<]{1,300})</Message>)?", re.DOTALL)
# Where the library looks for credentials when there are none in the environment.
_METADATA = re.compile(r"169\.254\.\d+\.\d+|metadata\.google|computeMetadata")
_TO_MEND = (
    "check the credentials in the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, ...), then try: "
    "aexp remote test "
)


class ObjectStore:
    """A remote in a bucket."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            raise RemoteError(
                f"remote {remote.name}: {remote.url} needs the package obstore ({error})",
                'install it: pip install "aexp[s3]"',
            ) from None
        self._base = BaseError
        try:
            self._store: Any = from_url(remote.url, **_settings(remote))
        except (BaseError, ValueError, TypeError) as error:
            text = str(error).split("\n\nDebug source")[0]
            raise RemoteError(
                f"remote {remote.name}: {remote.url} cannot be opened: {printable(text)[:300]}",
                f"options may be missing: aexp remote add {remote.name} {remote.url} "
                "--option NAME=VALUE --replace; or variables of the environment",
            ) from None

    def size(self, key: str) -> int | None:
        """Return an object's size, None when there is no such object."""
        with self._translated(key):
            try:
                return int(self._store.head(key)["size"])
            except FileNotFoundError:
                return None

    def put(self, key: str, data: bytes) -> None:
        """Put a small object."""
        with self._translated(key):
            self._store.put(key, data)

    def put_file(self, key: str, path: str, size: int, sha256: str | None = None) -> None:
        """Put a file's content, in parts at the same time when it is large."""
        part = max(_PART, -(-size // _MAX_PARTS))
        at_once = max(2, min(_AT_ONCE, (256 << 20) // part))
        # What cannot be read here is not the remote's fault.
        with open(path, "rb") as file:
            if size <= part:
                data = file.read()
                if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
                    raise Mismatch
                self.put(key, data)
                return
            source = CheckedReader(file, size, sha256) if sha256 is not None else file
            try:
                with self._translated(key):
                    self._store.put(
                        key, source, use_multipart=True, chunk_size=part, max_concurrency=at_once
                    )
            except RemoteError:
                if isinstance(source, CheckedReader) and source.is_wrong:
                    raise Mismatch from None  # the parts that were sent become no object
                raise

    def settle(self) -> None:
        """Do nothing: what was answered is kept."""

    def get(self, key: str) -> bytes | None:
        """Return a small object, None when there is no such object."""
        with self._translated(key):
            try:
                return bytes(self._store.get(key).bytes())
            except FileNotFoundError as error:
                if _NO_BUCKET in str(error):
                    raise
                return None

    def get_file(self, key: str, path: str) -> bool:
        """Write an object to a file that does not exist yet; False when there is none."""
        with self._translated(key):
            try:
                pieces = self._store.get(key).stream(min_chunk_size=_PART)
            except FileNotFoundError as error:
                if _NO_BUCKET in str(error):
                    raise
                return False
        with open(path, "xb") as file:
            while True:
                with self._translated(key):
                    piece = next(pieces, None)
                if piece is None:
                    return True
                file.write(memoryview(piece))

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a folder, sorted."""
        with self._translated(prefix):
            pages = self._store.list(prefix, chunk_size=1000)
            return sorted(item["path"] for page in pages for item in page)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._translated(key):
            try:
                self._store.delete(key)
            except FileNotFoundError:
                return

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Raise what the library says as an error of ours; a missing object stays one."""
        try:
            yield
        except FileNotFoundError as error:
            if _NO_BUCKET in str(error):
                raise self._error(error, key) from None
            raise
        except (self._base, OSError, ValueError) as error:
            raise self._error(error, key) from None

    def _error(self, error: Exception, key: str) -> RemoteError:
        text = str(error).split("\n\nDebug source")[0]
        found = _STATUS.search(text)
        status = int(found[1]) if found else None
        said = _SAID.search(text)
        code = said[1] if said else ""
        short = ": ".join(part for part in said.groups() if part) if said else text
        what = f"remote {self._remote.name}: {printable(short)[:300]}"
        name = self._remote.name
        if _METADATA.search(text):
            return RemoteDenied(
                f"remote {name}: no credentials for {self._remote.url} were found", _TO_MEND + name
            )
        if code == _NO_BUCKET:
            return RemoteError(what, f"make the bucket {self._remote.address.host} first")
        kinds = [kind.__name__ for kind in type(error).__mro__]
        denied = {"PermissionDeniedError", "UnauthenticatedError"}.intersection(kinds)
        if denied or status in (401, 403):
            return RemoteDenied(what, _TO_MEND + name)
        if status is None or status >= 500 or status in (408, 429):
            return RemoteAway(what, f"nothing is lost; later: aexp push --remote {name}")
        return RemoteError(what, f"try: aexp remote test {name}")


def _settings(remote: Remote) -> dict[str, Any]:
    settings: dict[str, Any] = dict(remote.options)
    for name in ("virtual_hosted_style_request", "unsigned_payload", "sse_bucket_key_enabled"):
        if name in settings:
            settings[name] = bool(settings[name])
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "read_timeout": timedelta(seconds=_SILENT_S),
        "timeout": timedelta(seconds=_REQUEST_S),
    }
    service = remote.address.service
    endpoint = str(settings.get("endpoint") or _endpoint_of_environment(service))
    if endpoint.startswith("http://"):
        client["allow_http"] = True
    if service == "s3":
        if not any(os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION")):
            settings.setdefault("region", "us-east-1")
        provider = None if settings.get("skip_signature") else _aws_profile()
        if provider is not None:
            settings["credential_provider"] = provider
    settings["client_options"] = client
    settings["retry_config"] = {
        "max_retries": _RETRIES,
        "retry_timeout": timedelta(seconds=_RETRY_S),
        "backoff": {
            "init_backoff": timedelta(seconds=0.2),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
    return settings


def _endpoint_of_environment(service: str) -> str:
    if service != "s3":
        return ""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _aws_profile() -> Any:
    """Return what reads ``~/.aws`` and single sign-on, None where the environment is enough.

    obstore knows the environment and what machines in a cloud are given; the files of the
    AWS command line are read by boto3, through obstore's own bridge to it.
    """
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None
    home = os.path.expanduser("~/.aws")
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.join(home, "credentials"),
        os.environ.get("AWS_CONFIG_FILE") or os.path.join(home, "config"),
    )
    if not os.environ.get("AWS_PROFILE") and not any(os.path.isfile(file) for file in files):
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider()
    except ImportError:
        return None
    except Exception as error:  # boto3 has many: no such profile, none in it, ...
        raise ValueError(f"the AWS profile cannot be used: {error}") from None
