"""``aexp export``: the skill of coding agents, and the MCP server in their configuration."""

import json
import os
import tomllib
from collections.abc import Sequence
from typing import Any, NamedTuple

from aexp.errors import UsageError
from aexp.install.copy import copy_files
from aexp.install.install import MCP_FILE, MCP_SERVER
from aexp.install.merge_json import NotMergeable, merge_json, server
from aexp.install.scaffold import ScaffoldFile, agent_block
from aexp.install.target import InstallAction, Target

USER, WORKSPACE = "user", "workspace"
LEVELS = (USER, WORKSPACE)
_NAME = "aexp"


class _Tool(NamedTuple):
    """Where a coding agent looks, below a person's home and below a repository."""

    skills: dict[str, str]
    config: dict[str, str]


_TOOLS = {
    "claude": _Tool(
        {USER: ".claude/skills", WORKSPACE: ".claude/skills"},
        {USER: ".claude.json", WORKSPACE: MCP_FILE},
    ),
    "codex": _Tool(
        {USER: ".agents/skills", WORKSPACE: ".agents/skills"},
        {USER: ".codex/config.toml", WORKSPACE: ".codex/config.toml"},
    ),
    "cursor": _Tool(
        {USER: ".cursor/skills", WORKSPACE: ".cursor/skills"},
        {USER: ".cursor/mcp.json", WORKSPACE: ".cursor/mcp.json"},
    ),
    "gemini": _Tool(
        {USER: ".gemini/skills", WORKSPACE: ".gemini/skills"},
        {USER: ".gemini/settings.json", WORKSPACE: ".gemini/settings.json"},
    ),
}
TOOLS = tuple(_TOOLS)


def export(
    root: str,
    tools: Sequence[str],
    level: str,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> list[InstallAction]:
    """Write the skill file and register the MCP server; other entries stay as they are.

    A configuration that cannot be read as what it should be is left alone, and so is what a
    user has changed.

    Parameters
    ----------
    root : str
        The person's home, or the repository.
    tools : sequence of str
        Which agents: some of `TOOLS`.
    level : str
        ``user`` or ``workspace``.
    force : bool, default False
        Renew what was changed; a copy is kept.
    dry_run : bool, default False
        Only say what would be done.

    Raises
    ------
    UsageError
        If there is no such agent or level.
    InstallRefused
        If a folder is in the way of a file, or a file in the way of a folder.
    """
    for given, known, what in ((tools, TOOLS, "tool"), ((level,), LEVELS, "level")):
        for name in given:
            if name not in known:
                raise UsageError(f"there is no {what} {name!r}", "one of: " + ", ".join(known))
    target = Target(os.path.abspath(root), dry_run=dry_run)
    skill = agent_block("SKILL.md").encode()
    chosen = [_TOOLS[name] for name in dict.fromkeys(tools)]
    files = [
        ScaffoldFile(os.path.join(tool.skills[level], _NAME, "SKILL.md"), skill, True)
        for tool in chosen
    ]
    configs = [tool.config[level] for tool in chosen]
    target.require_free([*(file.name for file in files), *configs])
    copy_files(target, files, force=force)
    for config in configs:
        if config.endswith(".toml"):
            _merge_toml(target, config)
        else:
            merge_json(target, config, server(_NAME, MCP_SERVER), force=force)
    return target.actions


def _merge_toml(target: Target, name: str) -> None:
    """Append our table to a TOML file; the rest of it stays byte for byte."""
    if not target.is_ours(name):
        return
    text = target.read_text(name)
    try:
        before = _parse(text)
        servers = before.get("mcp_servers", {})
        present = servers.get(_NAME) if isinstance(servers, dict) else None
        if present == MCP_SERVER:
            target.note("skipped_identical", name)
            return
        if present is not None:
            words = f"it defines the server {_NAME} itself"
            target.note("preserved_user_modified", name, words)
            return
        new = text + ("\n" if text and not text.endswith("\n") else "") + _table(bool(text))
        after = _parse(new)
        if after != {**before, "mcp_servers": {**servers, _NAME: MCP_SERVER}}:
            raise NotMergeable("its mcp_servers cannot be added to")
    except NotMergeable as problem:
        target.note("skipped_conflict", name, f"{problem}; left alone")
        return
    target.note("updated" if text else "copied", name)
    target.write_text(name, new)


def _table(follows: bool) -> str:
    # A text or a list of texts is written the same in JSON and in TOML.
    lines = [f"{key} = {json.dumps(value)}" for key, value in MCP_SERVER.items()]
    return ("\n" if follows else "") + "\n".join([f"[mcp_servers.{_NAME}]", *lines]) + "\n"


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotMergeable(f"it is not valid TOML ({error})") from None
