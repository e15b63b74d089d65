"""How a process was started that executes a run by hand, so that it can be started so again."""

import builtins
import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from aexp.environment.scrub import REDACTED, scrub_arguments, scrub_value
from aexp.paths import Repo

_MULTIPROCESSING = "from multiprocessing."


def own_program(repo: Repo, block: int) -> dict[str, Any]:
    """Return how this process was started, as an attempt's record keeps it.

    Parameters
    ----------
    repo : Repo
        The repository; paths below it are relative to it.
    block : int
        Which of the process's blocks this is, from 1.

    Returns
    -------
    dict
        ``python``, ``options``, ``arguments``, ``cwd``, and one of ``script``, ``module`` and
        ``code``; or ``lost``, why it cannot be started again. ``block`` and ``worker``.
    """
    options, kind, value, arguments = _command_line()
    folder = os.getcwd()
    if kind == "script":
        value, folder = _locate(value)
        value = _relative(repo, value)
    elif kind == "module" and sys.path and os.path.isdir(sys.path[0]):
        folder = sys.path[0]  # where it was started, whatever the script has made of it since
    clean = scrub_arguments(arguments)
    told: dict[str, Any] = {"python": sys.executable or "python3", "cwd": _relative(repo, folder)}
    if not kind:
        told["lost"] = "it was typed in an interactive session, or read from standard input"
    else:
        told[kind] = scrub_value(value) if kind == "code" else value
        told["options"], told["arguments"] = options, clean
        if clean != arguments or (kind == "code" and told[kind] != value):
            told["lost"] = f"its command line held what looks like a secret, kept as {REDACTED}"
    told["block"] = block
    if _is_worker():
        told["worker"] = True
    return told


def command_of(program: Mapping[str, Any], python: str | None = None) -> str:
    """Return the shell command that starts a program so, from its folder of the repository."""
    words = [python or str(program.get("python")), *map(str, program.get("options") or [])]
    folder = str(program.get("cwd") or ".")
    if "script" in program:
        script = str(program["script"])
        if not os.path.isabs(script) and not os.path.isabs(folder):
            script = os.path.relpath(script, folder)
        words.append(script if not script.startswith("-") else f"./{script}")
    elif "module" in program:
        words += ["-m", str(program["module"])]
    elif "code" in program:
        words += ["-c", str(program["code"])]
    command = shlex.join([*words, *map(str, program.get("arguments") or [])])
    return command if folder == "." else f"cd {shlex.quote(folder)} && {command}"


def _command_line() -> tuple[list[str], str, str, list[str]]:
    """Return the interpreter's options, what it executes and that one's arguments."""
    if hasattr(sys, "ps1") or hasattr(builtins, "get_ipython"):
        return [], "", "", []
    rest = list(sys.orig_argv[1:])
    options: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "-" or not word.startswith("-"):
            return options, *(("script", word, rest) if word != "-" else ("", "", []))
        for at, letter in enumerate(word[1:], start=1):
            if word.startswith("--") or letter not in "cmWX":
                continue
            is_apart = at == len(word) - 1
            value = (rest.pop(0) if rest else "") if is_apart else word[at + 1 :]
            if letter in "WX":
                options += [word, value] if is_apart else [word]
                break
            if at > 1:
                options.append(word[:at])
            if letter == "c" and value.startswith(_MULTIPROCESSING):
                return [], *_of_main()
            return options, "module" if letter == "m" else "code", value, rest
        else:
            if word != "-i":  # which would ask for more
                options.append(word)
            if word == "--check-hash-based-pycs" and rest:
                options.append(rest.pop(0))
    return [], "", "", []


def _of_main() -> tuple[str, str, list[str]]:
    """Return what the parent of a process that multiprocessing has started executes."""
    main = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", "")
    if name and not name.startswith("multiprocessing."):
        return "module", name.removesuffix(".__main__"), sys.argv[1:]
    if getattr(main, "__file__", None):
        return "script", sys.argv[0], sys.argv[1:]
    return "", "", []


def _locate(word: str) -> tuple[str, str]:
    """Return the full path of a script, and the folder that it was started in."""
    main = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    end = os.sep + os.path.normpath(word)
    if os.path.isabs(main) and not os.path.isabs(word) and main.endswith(end):
        return main, main[: -len(end)] or os.sep
    here = os.getcwd()
    if not os.path.isabs(word):
        for folder in (here, os.environ.get("PWD", "")):
            path = os.path.join(folder, word)
            if os.path.isabs(folder) and os.path.exists(path):
                return os.path.normpath(path), folder
    return os.path.abspath(main or word), here


def _relative(repo: Repo, path: str) -> str:
    """Return a path relative to the repository if it is in there, else the full one."""
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    for candidate in (real, os.path.realpath(path)):
        relative = os.path.relpath(candidate, os.path.realpath(repo.root))
        if relative != os.pardir and not relative.startswith(os.pardir + os.sep):
            return relative
    return path


def _is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None
