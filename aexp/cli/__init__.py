"""The command line: thin files that parse, call one function of the library, and print."""

import os
import sys
import warnings
from typing import NoReturn

import click

from aexp.cli.group import LazyGroup
from aexp.errors import EXIT_INTERNAL, AexpError
from aexp.version import __version__

VERBS = {
    "install": (
        "aexp.cli.install:install",
        "Set this repository up: run store, workflow, profiles.",
    ),
    "queue": ("aexp.cli.queue:queue", "Add, list, run, stop, retry and remove queued runs."),
    "run": ("aexp.cli.workflow:run", "Execute the queue with Snakemake."),
    "run-queued": ("aexp.cli.execution:run_queued", "Execute one queued run."),
    "status": ("aexp.cli.status:status", "Count runs per experiment and status."),
    "list-runs": ("aexp.cli.runs:list_runs", "List runs, with their metrics."),
    "show-run": ("aexp.cli.runs:show_run", "Show one run: configuration, attempts, error, log."),
    "logs": ("aexp.cli.logs:logs", "Print a run's output."),
    "new-run": ("aexp.cli.runs:new_run", "Create a run without queueing it."),
    "ledger": ("aexp.cli.ledger:ledger", "Promote ended runs into the git-committed ledger."),
    "reconcile": ("aexp.cli.reconcile:reconcile_store", "Repair what a crash left in the store."),
    "completion": ("aexp.cli.completion:completion", "Print the shell completion script."),
    "gate": ("aexp.cli.execution:gate", ""),
    "verdict": ("aexp.cli.execution:verdict", ""),
}
HIDDEN = frozenset({"gate", "verdict"})


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    hidden_verbs=HIDDEN,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin: aexp install, then write kb/research/experiments/E001-name.md, then "
    "aexp queue add --experiment E001 --sweep seed=0..3, then snakemake --cores 4.",
)
@click.version_option(__version__, prog_name="aexp")
def cli() -> None:
    """Queue experiments, execute them with Snakemake, keep a ledger that git can check."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    warnings.simplefilter("default", UserWarning)
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except AexpError as error:
        _complain(error.message, error.hint)
        code = error.exit_code
    except click.exceptions.Exit as request:
        code = request.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("aborted", err=True)
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone (aexp queue list | head): no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = _internal(error)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, hint: str | None) -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


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
    click.echo(f"warning: {message}", err=True)
