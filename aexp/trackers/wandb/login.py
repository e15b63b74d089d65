"""Which W&B service is meant, with which key, and whether it answers: without the SDK.

The SDK would say so too, after a minute and a half, or with an exception in a user's own
``wandb.init``. The look here takes one request and a stated time.
"""

import configparser
import http.client
import json
import netrc
import os
import re
import socket
import threading
import time
from contextlib import closing, suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aexp.errors import AexpError
from aexp.files import read_object, write_atomic
from aexp.paths import TRACKER

LOOK_S = 5.0
_RECENT_S = 30.0  # so long an answer is believed
_LOOK = "look.json"
_DEFAULT = re.compile(r"(?:DEFAULT_BASE_URL|base_url: str) = \"(https://[^\"]+)\"")
_QUERY = b'{"query": "query Viewer { viewer { id } }"}'
LATER = "the run is kept offline; afterwards: aexp sync-offline"
_LOGIN = "log in with: wandb login, or set WANDB_API_KEY"
_NETWORK = "check the network, WANDB_BASE_URL and proxies"


class Trouble(NamedTuple):
    """Why the service cannot be used now, and what to do about it."""

    message: str
    advice: str

    @property
    def hint(self) -> str:
        """The advice where a run goes on offline."""
        return f"{self.advice}; {LATER}"


def note(workspace: str | os.PathLike[str], trouble: Trouble | None) -> None:
    """Hand the answer of a look on to the process beside the run, and which rank asked."""
    folder = os.path.join(workspace, TRACKER)
    if os.path.isdir(folder):
        told = trouble._asdict() if trouble is not None else {}
        told |= {"at": time.time(), "rank": os.environ.get("SLURM_PROCID")}
        write_atomic(os.path.join(folder, _LOOK), json.dumps(told).encode())


def noted(workspace: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `note` has written, empty without it."""
    try:
        return read_object(os.path.join(workspace, TRACKER, _LOOK)) or {}
    except AexpError:
        return {}


def recent_trouble(workspace: str | os.PathLike[str] | None) -> Trouble | None:
    """Return the trouble that another process of this attempt has just met, if it has."""
    told = noted(workspace) if workspace is not None else {}
    at, message, advice = (told.get(key) for key in ("at", "message", "advice"))
    if not isinstance(at, int | float) or not 0 <= time.time() - at <= _RECENT_S:
        return None
    is_trouble = isinstance(message, str) and isinstance(advice, str)
    return Trouble(str(message), str(advice)) if is_trouble else None


def service_url() -> str | None:
    """Return the address of the W&B service that the SDK would use; None when unknown."""
    found = os.environ.get("WANDB_BASE_URL")
    if not found:
        config = os.environ.get("WANDB_CONFIG_DIR") or os.path.expanduser("~/.config/wandb")
        for path in (os.path.join("wandb", "settings"), os.path.join(config, "settings")):
            found = found or _base_url_in(path)
    found = found or _default_url()
    return found.rstrip("/") if found else None


def api_key(url: str) -> str | None:
    """Return the key for this service: ``WANDB_API_KEY``, or what ``wandb login`` has left."""
    key = os.environ.get("WANDB_API_KEY")
    if key:
        return key
    path = _netrc_file()
    if path is None:
        return None
    with suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
        found = netrc.netrc(path).authenticators(urlsplit(url).netloc)
        return found[2] if found else None
    return None


def can_log_in() -> bool:
    """Whether there is anything at all that the SDK could log in with."""
    named = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
    return any(os.environ.get(name) for name in named) or _netrc_file() is not None


def look(timeout_s: float = LOOK_S) -> Trouble | None:
    """Return why W&B cannot be used now, or None when nothing speaks against it.

    Never takes longer than `timeout_s`, not even where names are not resolved.
    """
    url = service_url()
    if not can_log_in():
        return Trouble("there is no key for W&B", _LOGIN)
    if url is None:
        return None
    key = None if os.environ.get("WANDB_IDENTITY_TOKEN_FILE") else api_key(url)
    said: list[Trouble | None] = []
    asking = threading.Thread(
        target=lambda: said.append(_ask(url, key, timeout_s)),
        name="aexp-look-at-wandb",
        daemon=True,
    )
    asking.start()
    asking.join(timeout_s)
    if not said:
        return Trouble(f"W&B at {url} does not answer within {timeout_s:g} s", _NETWORK)
    return said[0]


def _ask(url: str, key: str | None, timeout_s: float) -> Trouble | None:
    parts = urlsplit(url)
    if _proxied(parts.scheme, parts.hostname or ""):
        return None  # what is behind a proxy, the SDK finds out
    headers = {"Content-Type": "application/json", "User-Agent": "aexp"}
    if key is not None:
        headers["Authorization"] = "Basic " + _basic(key)
    is_tls = parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    try:
        with closing(kind(parts.hostname or "", parts.port, timeout=timeout_s)) as connection:
            connection.request("POST", parts.path + "/graphql", _QUERY, headers)
            with connection.getresponse() as response:
                status = response.status
    except TimeoutError:
        return Trouble(f"W&B at {url} does not answer within {timeout_s:g} s", _NETWORK)
    except (ConnectionError, socket.gaierror) as error:
        return Trouble(f"W&B at {url} cannot be reached: {error.strerror or error}", _NETWORK)
    except (OSError, http.client.HTTPException, ValueError):
        return None  # certificates and the like are settings of the SDK's that we do not know
    if status in (401, 403) and key is not None:
        return Trouble(f"W&B at {url} does not accept the key (HTTP {status})", _LOGIN)
    if status >= 500:
        return Trouble(f"W&B at {url} fails (HTTP {status})", _NETWORK)
    return None


def _basic(key: str) -> str:
    import base64

    return base64.b64encode(f"api:{key}".encode()).decode()


def _proxied(scheme: str, host: str) -> bool:
    from urllib.request import getproxies, proxy_bypass

    return bool(getproxies().get(scheme)) and not proxy_bypass(host)


def _netrc_file() -> str | None:
    paths = [os.environ.get("NETRC") or "~/.netrc", "~/_netrc"]
    return next((p for p in map(os.path.expanduser, paths) if os.path.isfile(p)), None)


def _default_url() -> str | None:
    """Return the address built into the installed SDK, which has changed, without its import."""
    from importlib.util import find_spec

    folders = getattr(find_spec("wandb"), "submodule_search_locations", None) or ()
    for folder in folders:
        for name in ("lib/urls.py", "wandb_settings.py"):
            with suppress(OSError, UnicodeDecodeError):
                with open(os.path.join(folder, "sdk", name), encoding="utf-8") as file:
                    found = _DEFAULT.search(file.read())
                if found:
                    return found[1]
    return None


def _base_url_in(path: str) -> str | None:
    settings = configparser.ConfigParser()
    with suppress(OSError, configparser.Error, UnicodeDecodeError):
        settings.read(path)
        return settings.get("default", "base_url", fallback=None)
    return None
