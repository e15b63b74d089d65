"""The command line: thin files that parse, call one function of the library, and print.

Snakemake calls ``run-queued`` once per run, so a plain call of that verb is answered here,
without loading the parser that all other verbs share (`aexp.cli.commands`).
"""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from aexp.errors import EXIT_INTERNAL, AexpError

_FLAGS = frozenset({"--engine", "--remote", "--adopt", "--force"})


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    warnings.simplefilter("default", UserWarning)
    code = 0
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except AexpError as error:
        _complain(error.message, error.hint)
        code = error.exit_code
    except KeyboardInterrupt:
        _say("aborted")
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone (aexp queue list | head): no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        code = _internal(error)
    sys.exit(code)


def _run(arguments: Sequence[str]) -> int:
    flags = _FLAGS.intersection(arguments[1:])
    ids = [word for word in arguments[1:] if word not in flags]
    if arguments[:1] == ["run-queued"] and len(ids) == 1 and ids[0].isalnum():
        from aexp.execution.run import run_queued

        return run_queued(
            ids[0],
            engine="--engine" in flags,
            remote="--remote" in flags,
            adopt="--adopt" in flags,
            force="--force" in flags,
        )
    from aexp.cli.commands import run

    return run()


def _complain(message: str, hint: str | None) -> None:
    _say(f"error: {message}")
    if hint:
        _say(f"hint: {hint}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _internal(error: Exception) -> int:
    if os.environ.get("AEXP_DEBUG"):
        raise error
    if isinstance(error, OSError):
        _complain(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), None)
        return 1
    _complain(
        f"this is a defect of aexp: {type(error).__name__}: {error}",
        "the same command with AEXP_DEBUG=1 shows where; please report it",
    )
    return EXIT_INTERNAL


def _show_warning(message: Warning | str, *unused: object) -> None:
    _say(f"warning: {message}")
