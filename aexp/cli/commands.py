"""The parser of the command line: every verb, imported when it is called."""

import click

from aexp.cli.group import LazyGroup
from aexp.version import __version__

VERBS = {
    "install": (
        "aexp.cli.install:install",
        "Set this repository up: record, run store, workflow, agent files.",
    ),
    "install-slash-commands": (
        "aexp.cli.install:install_slash_commands",
        "Write the coding agent's slash commands alone.",
    ),
    "doctor": ("aexp.cli.doctor:doctor", "Find out what is wrong here, and what mends it."),
    "queue": ("aexp.cli.queue:queue", "Add, list, run, stop, retry and remove queued runs."),
    "run": ("aexp.cli.workflow:run", "Execute the queue with Snakemake."),
    "run-queued": ("aexp.cli.execution:run_queued", "Execute one queued run."),
    "status": ("aexp.cli.status:status", "Count runs per experiment and status."),
    "watch": (
        "aexp.cli.watch:watch",
        "Show the queue live: progress, metrics, what has just ended.",
    ),
    "list-runs": ("aexp.cli.runs:list_runs", "List runs, with their metrics."),
    "show-run": ("aexp.cli.runs:show_run", "Show one run: configuration, attempts, error, log."),
    "logs": ("aexp.cli.logs:logs", "Print a run's output."),
    "reproduce": (
        "aexp.cli.reproduce:reproduce",
        "Run a recorded attempt again as it was, and compare its metrics.",
    ),
    "new-run": ("aexp.cli.runs:new_run", "Create a run without queueing it."),
    "link": ("aexp.cli.record_change:link", "Link a run to another experiment or hypothesis."),
    "bind-tracker": ("aexp.cli.trackers:bind_tracker", "Bind a run to a tracker."),
    "trackers": ("aexp.cli.trackers:trackers", "List trackers; check an adapter."),
    "list-batches": (
        "aexp.cli.batches:list_batches",
        "Group runs by experiment and state-point values.",
    ),
    "show-batch": ("aexp.cli.batches:show_batch", "Show the runs of one batch and their numbers."),
    "env": (
        "aexp.cli.environment:env",
        "Show what an attempt ran in, compare two, work in one again.",
    ),
    "ledger": ("aexp.cli.ledger:ledger", "Keep, share and check the git-committed ledger."),
    "new-thread": ("aexp.cli.record_new:new_thread", "Open a question."),
    "new-hypothesis": ("aexp.cli.record_new:new_hypothesis", "Write down a testable claim."),
    "new-experiment": ("aexp.cli.record_new:new_experiment", "Design runs that test it."),
    "new-finding": ("aexp.cli.record_new:new_finding", "State what an experiment has shown."),
    "list-threads": ("aexp.cli.record_list:list_threads", "List the threads."),
    "list-hypotheses": ("aexp.cli.record_list:list_hypotheses", "List the hypotheses."),
    "list-experiments": ("aexp.cli.record_list:list_experiments", "List the experiments."),
    "list-findings": ("aexp.cli.record_list:list_findings", "List the findings."),
    "show-thread": ("aexp.cli.record_show:show_thread", "Show a thread and its hypotheses."),
    "show-hypothesis": (
        "aexp.cli.record_show:show_hypothesis",
        "Show a hypothesis, its experiments and findings.",
    ),
    "show-experiment": (
        "aexp.cli.record_show:show_experiment",
        "Show an experiment, its runs and findings.",
    ),
    "show-finding": ("aexp.cli.record_show:show_finding", "Show a finding and what it cites."),
    "set-status": (
        "aexp.cli.record_change:set_status",
        "Change the status of a hypothesis, experiment or thread.",
    ),
    "close-thread": ("aexp.cli.record_change:close_thread", "End a thread with its conclusion."),
    "finding": (
        "aexp.cli.finding:finding",
        "Cite runs in a finding; check what it claims against them.",
    ),
    "validate": (
        "aexp.cli.validate:validate",
        "Check the record: notes, runs, the ledger, and what findings cite.",
    ),
    "runs-export-index": (
        "aexp.cli.runs_index:runs_export_index",
        "List this store's ended runs for other clones (deprecated).",
    ),
    "mcp": ("aexp.cli.mcp:mcp", "Serve these verbs to a coding agent (MCP)."),
    "sync-offline": (
        "aexp.cli.sync_offline:sync_offline",
        "Bring offline runs of W&B and other trackers to their service.",
    ),
    "reconcile": ("aexp.cli.reconcile:reconcile_store", "Repair what a crash left in the store."),
    "completion": ("aexp.cli.completion:completion", "Print the shell completion script."),
    "gate": ("aexp.cli.execution:gate", ""),
    "verdict": ("aexp.cli.execution:verdict", ""),
    "hook": ("aexp.cli.hook:hook", ""),
}
HIDDEN = frozenset({"gate", "verdict", "hook"})


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


def run() -> int:
    """Parse the command line, call the verb, and return the exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0
