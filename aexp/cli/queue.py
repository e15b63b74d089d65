"""``aexp queue``: the group of the queue's verbs."""

import click

from aexp.cli.group import LazyGroup

VERBS = {
    "add": ("aexp.cli.queue_add:add", "Queue runs: one configuration, or a sweep of them."),
    "list": ("aexp.cli.queue_list:list_", "List what is queued, and why it has not run yet."),
    "run": ("aexp.cli.queue_run:run", "Execute queued runs without Snakemake."),
    "retry": ("aexp.cli.queue_change:retry", "Queue ended runs again."),
    "stop": ("aexp.cli.queue_change:stop", "Stop runs that are executing."),
    "remove": ("aexp.cli.queue_change:remove", "Take queued runs out of the queue."),
    "clear": (
        "aexp.cli.queue_change:clear",
        "Take every queued run under a filter out of the queue.",
    ),
    "release": ("aexp.cli.queue_change:release", "Declare the owner of a run dead."),
    "materialize": ("aexp.cli.queue_run:materialize", "Write a script that executes the queue."),
}


@click.group("queue", cls=LazyGroup, verbs=VERBS)
def queue() -> None:
    """Add, list, run, stop, retry and remove queued runs.

    \b
    Example:
      aexp queue add --experiment E001 --sweep "condition=full|cls,seed=0..3"
    """
