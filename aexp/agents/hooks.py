"""``aexp hook NAME``: answer a coding agent, and never be what breaks it."""

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module

from aexp.agents.payload import Answer, BadPayload, Payload
from aexp.errors import AexpError

# Exit code 2 is the agent's word for "blocked"; anything else that is not 0 is noise to it.
BLOCKED = 2

HOOKS: Mapping[str, str] = {
    "session-start": "aexp.agents.session_start:session_start",
    "chain": "aexp.agents.chain:chain",
    "write-guard": "aexp.agents.checks:write_guard",
    "stop": "aexp.agents.checks:stop",
}


def run_hook(name: str, data: bytes) -> int:
    """Answer one call of a hook on standard output and error, and return the exit code.

    A fault, whether in what the agent has sent, in the repository or in aexp, is a note on
    standard error and exit code 0.

    Parameters
    ----------
    name : str
        One of ``session-start``, ``chain``, ``write-guard``, ``stop``.
    data : bytes
        What came on standard input.
    """
    home = HOOKS.get(name)
    if home is None:
        return _note(name, f"there is no such hook; this version has {', '.join(HOOKS)}")
    off = os.environ.get("AEXP_HOOKS_OFF", "").replace(",", " ").split()
    if name in off or "all" in off:
        return 0
    module, _, attribute = home.partition(":")
    try:
        hook: Callable[[Payload], Answer] = getattr(import_module(module), attribute)
        answer = hook(Payload.parse(data))
    except BadPayload as problem:
        return _note(name, str(problem))
    except AexpError as error:
        return _note(name, f"{error.message} (aexp doctor says what mends it)")
    except Exception as error:
        if os.environ.get("AEXP_DEBUG"):
            raise
        return _note(name, f"this is a defect of aexp: {type(error).__name__}: {error}")
    if answer.text:
        _say(sys.stderr.fileno() if answer.blocks else sys.stdout.fileno(), answer.text)
    return BLOCKED if answer.blocks else 0


def _note(name: str, text: str) -> int:
    _say(sys.stderr.fileno(), f"aexp hook {name}: {text}; nothing was checked")
    return 0


def _say(descriptor: int, text: str) -> None:
    """Write whole lines, in UTF-8 whatever the locale."""
    view = memoryview((text.rstrip("\n") + "\n").encode("utf-8", errors="replace"))
    while view:
        view = view[os.write(descriptor, view) :]
