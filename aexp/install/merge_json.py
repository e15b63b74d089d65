"""Put entries of ours into JSON files of the user's: ``.mcp.json``, ``.claude/settings.json``."""

import json
import re
from collections.abc import Callable
from typing import Any

from aexp.install.target import Target

# Hooks that a tool of this layout has written, with the interpreter's path on one machine.
_FOREIGN_HOOK = re.compile(r"-m\s+aexp\.hooks\.\w+\s*$")

Merge = Callable[[dict[str, Any], bool], str | None]


class NotMergeable(ValueError):
    """The file is not the JSON that we could add to."""


def merge_json(target: Target, name: str, merge: Merge, *, force: bool) -> None:
    """Let `merge` edit the object in a JSON file, and write it when that changed it.

    A file that is not a JSON object is left alone. The file as it was is kept as
    ``<name>.orig`` (or ``.orig.1``, …) when `merge` says that it replaced something.
    """
    if not target.is_ours(name):
        return
    present = target.read(name)
    try:
        content = {} if present is None else _parse(present)
        before = json.dumps(content)
        replaced = merge(content, force)
    except NotMergeable as problem:
        target.note("skipped_conflict", name, f"{problem}; left alone")
        return
    if json.dumps(content) == before:
        detail = replaced or ""
        target.note("preserved_user_modified" if detail else "skipped_identical", name, detail)
        return
    if replaced and present is not None:
        target.note("updated", name, f"{replaced}; your version is now {target.keep(name)}")
    else:
        target.note("merged_json", name)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    target.write(name, text.encode("utf-8", errors="surrogatepass"))


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_without_duplicates)
    except NotMergeable:
        raise
    except (ValueError, RecursionError) as error:
        raise NotMergeable(f"it is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise NotMergeable("it is not a JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotMergeable("it has a key twice in one object")
    return value


def server(name: str, definition: dict[str, Any]) -> Merge:
    """Return the merge that registers an MCP server."""

    def merge(content: dict[str, Any], force: bool) -> str | None:
        servers = content.setdefault("mcpServers", {})
        if not isinstance(servers, dict):
            raise NotMergeable("its mcpServers is not an object")
        present = servers.get(name)
        if present == definition:
            return None
        if present is not None and not force:
            return f"it defines the server {name} itself; --force replaces that"
        servers[name] = json.loads(json.dumps(definition))
        return f"its server {name} was replaced" if present is not None else None

    return merge


def hooks(wanted: dict[str, list[dict[str, Any]]]) -> Merge:
    """Return the merge that registers hooks: event to groups of commands.

    A command that is registered for its event already stays as it is, with the timeout and
    matcher that the user gave it, unless forced. What an older tool of this layout has
    registered is replaced: it holds the path of one machine, and nothing answers there.
    """

    def merge(content: dict[str, Any], force: bool) -> str | None:
        events = content.setdefault("hooks", {})
        if not isinstance(events, dict):
            raise NotMergeable("its hooks is not an object")
        stale: list[str] = []
        ours = {hook["command"] for group in _groups(wanted) for hook in group["hooks"]}
        for event in list(events):
            groups = _checked(events[event], event)
            stale += _remove(groups, lambda command: bool(_FOREIGN_HOOK.search(command)))
            if force and groups != wanted.get(event):
                stale += _remove(groups, lambda command: command in ours, keep=wanted.get(event))
            if not groups and event not in wanted:
                del events[event]
        for event, own in wanted.items():
            groups = _checked(events.setdefault(event, []), event)
            present = {hook.get("command") for group in groups for hook in group["hooks"]}
            for group in own:
                if not present.intersection(hook["command"] for hook in group["hooks"]):
                    groups.append(json.loads(json.dumps(group)))
        return f"{len(stale)} hook(s) were replaced" if stale else None

    return merge


def _groups(events: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [group for groups in events.values() for group in groups]


def _checked(groups: Any, event: str) -> list[dict[str, Any]]:
    if not isinstance(groups, list) or not all(
        isinstance(group, dict)
        and isinstance(group.get("hooks"), list)
        and all(isinstance(hook, dict) for hook in group["hooks"])
        for group in groups
    ):
        raise NotMergeable(f"its hooks.{event} is not a list of objects with hooks")
    return groups


def _remove(
    groups: list[dict[str, Any]],
    unwanted: Callable[[str], bool],
    keep: list[dict[str, Any]] | None = None,
) -> list[str]:
    """Take commands out of an event's groups; return those that were there."""
    removed = []
    for group in list(groups):
        if keep and group in keep:
            continue
        gone = [hook for hook in group["hooks"] if unwanted(str(hook.get("command", "")))]
        removed += [str(hook["command"]) for hook in gone]
        group["hooks"] = [hook for hook in group["hooks"] if hook not in gone]
        if gone and not group["hooks"]:
            groups.remove(group)
    return removed
