"""Installed packages, read from the names of their folders.

`importlib.metadata` opens a file per package and costs 40 ms to import; the folder
``numpy-2.1.0.dist-info`` says the same by its name. A site folder is read again only when
its modification time has changed.
"""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeGuard

from aexp.environment.digest import digest
from aexp.environment.scrub import strip_url
from aexp.errors import AexpError, CorruptFile
from aexp.files import read_bytes, read_object, write_atomic
from aexp.model import printable, section
from aexp.paths import Repo

_SETTLED_S = 2.0  # a folder that has just changed may change again within its clock's tick
_INFO = (".dist-info", ".egg-info")


class Packages(NamedTuple):
    """What is installed.

    Attributes
    ----------
    versions : dict
        Version by normalised name.
    sources : dict
        For what did not come from an index: ``url``, ``editable``, ``commit``, ``revision``.
    """

    versions: dict[str, str]
    sources: dict[str, dict[str, Any]]


def installed_packages(repo: Repo | None, folders: Iterable[str] | None = None) -> Packages:
    """Return what a Python finds on its path; of a name that is there twice, the first.

    Parameters
    ----------
    repo : Repo or None
        Where the listing of each site folder is kept; None to read them all.
    folders : iterable of str, optional
        Default: this process's ``sys.path``.
    """
    versions: dict[str, str] = {}
    sources: dict[str, dict[str, Any]] = {}
    own_library = os.path.dirname(os.__file__)
    for folder in dict.fromkeys(sys.path if folders is None else folders):
        path = os.path.abspath(folder or os.getcwd())
        if path == own_library or path.startswith(os.path.join(own_library, "lib-dynload")):
            continue
        for name, facts in sorted(_of_folder(repo, path).items()):
            if name in versions:
                continue
            versions[name] = str(facts.get("version", ""))
            source = {key: value for key, value in facts.items() if key != "version"}
            if source:
                sources[name] = source
    return Packages(dict(sorted(versions.items())), dict(sorted(sources.items())))


def conda_packages(prefix: str) -> dict[str, str]:
    """Return version and build of a conda environment's packages, Python or not."""
    try:
        names = os.listdir(os.path.join(prefix, "conda-meta"))
    except OSError:
        return {}
    found = {}
    for name in sorted(names):
        parts = name.removesuffix(".json").rsplit("-", 2)
        if name.endswith(".json") and len(parts) == 3:
            found[printable(parts[0])] = printable(f"{parts[1]} {parts[2]}")
    return found


def site_folders(prefix: str) -> list[str]:
    """Return where a Python installed at `prefix` keeps its packages."""
    from glob import glob

    places = [os.path.join(prefix, lib, "python3*", "site-packages") for lib in ("lib", "lib64")]
    if not os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        places.append(os.path.join(prefix, "lib", "python3*", "dist-packages"))
    found = [path for place in places for path in sorted(glob(place))]
    return list({os.path.realpath(path): path for path in found}.values())


def _of_folder(repo: Repo | None, path: str) -> dict[str, dict[str, Any]]:
    try:
        changed_at = os.stat(path).st_mtime_ns
    except OSError:
        return {}
    if repo is None or not path.endswith("-packages"):
        return _scan(path)
    cache = repo.cache("packages", digest(os.fsencode(path))[7:39] + ".json")
    try:
        kept = read_object(cache) or {}
    except CorruptFile:
        kept = {}
    known = kept.get("packages")
    if (kept.get("folder"), kept.get("mtime_ns")) == (path, changed_at) and _is_listing(known):
        return known
    found = _scan(path)
    if time.time_ns() - changed_at > _SETTLED_S * 1e9:
        content = {"folder": path, "mtime_ns": changed_at, "packages": found}
        with contextlib.suppress(AexpError):  # without a cache it is slow, not wrong
            write_atomic(cache, json.dumps(content).encode())
    return found


def _is_listing(value: object) -> TypeGuard[dict[str, dict[str, Any]]]:
    return isinstance(value, dict) and all(isinstance(item, dict) for item in value.values())


def _scan(path: str) -> dict[str, dict[str, Any]]:
    try:
        names = os.listdir(path)
    except OSError:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for folder in sorted(names):
        if folder.endswith(_INFO) and folder[0] not in "~.":
            name, facts = _package(os.path.join(path, folder))
            if name:
                found.setdefault(name, facts)
    return found


def _package(path: str) -> tuple[str, dict[str, Any]]:
    """Return a package's normalised name, and its version and source."""
    folder = os.path.basename(path)
    stem, kind = os.path.splitext(folder)
    name, _, version = stem.partition("-")
    if kind == ".egg-info":
        version = re.sub(r"-py\d.*$", "", version)
    if not version or (kind == ".dist-info" and not os.path.exists(f"{path}/METADATA")):
        told = _head(path)
        name, version = told.get("name", ""), told.get("version", "")
    if not name:
        return "", {}  # what a broken uninstallation has left
    facts: dict[str, Any] = {"version": printable(version)}
    if kind == ".dist-info":
        facts.update(_source(os.path.join(path, "direct_url.json")))
    elif os.path.isdir(path) and not os.path.dirname(path).endswith("-packages"):
        facts["editable"] = True  # found in its source folder
    return printable(re.sub(r"[-_.]+", "-", name).lower()), facts


def _head(path: str) -> dict[str, str]:
    """Return the first fields of a package's own description."""
    data = None
    for name in ("METADATA", "PKG-INFO", ""):
        place = os.path.join(path, name) if name else path
        if os.path.isfile(place):
            data = read_bytes(place)
            break
    fields = {}
    for line in (data or b"")[:2000].decode(errors="replace").splitlines():
        key, colon, value = line.partition(": ")
        if not colon:
            break
        fields[key.lower()] = value.strip()
    return fields


def _source(path: str) -> dict[str, Any]:
    """Return what ``direct_url.json`` says, without user names, passwords and queries."""
    try:
        told = read_object(path) or {}
    except CorruptFile:
        return {"unreadable": True}
    facts: dict[str, Any] = {}
    if isinstance(told.get("url"), str):
        facts["url"] = printable(strip_url(told["url"]))
    version_control = section(told, "vcs_info")
    for key, ours in (("commit_id", "commit"), ("requested_revision", "revision")):
        if isinstance(version_control.get(key), str):
            facts[ours] = printable(version_control[key])
    if section(told, "dir_info").get("editable") is True:
        facts["editable"] = True
    return facts
