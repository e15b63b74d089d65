"""Snakemake as the engine: the packaged rules, and helpers for a user's own rules.

In a Snakefile of your own::

    import aexp.workflow

    module aexp:
        snakefile: aexp.workflow.snakefile()
        config: config

    use rule * from aexp as aexp_*

    rule plot:
        input: aexp.workflow.completed(experiment="E001", tag="paper")
        ...
"""

import os
from typing import Any


def snakefile() -> str:
    """Return the path of the packaged workflow."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "Snakefile")


def rules() -> str:
    """Return the path of the packaged rules alone, without target and handlers."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.smk")


def queued(**filters: Any) -> list[str]:
    """Return the gates of all runs under a filter that are complete or still to be executed.

    A gate (``.runs/workspace/<id>/complete``) exists only for a complete run, so a rule
    with these inputs makes Snakemake execute the runs first and waits for their success.

    Parameters
    ----------
    **filters
        ``experiment``, ``hypothesis``, ``tag``, and state-point keys.
    """
    from aexp.workflow.helpers import paths

    return paths("gate", include_queued=True, **filters)


def completed(**filters: Any) -> list[str]:
    """Return the gates of all complete runs under a filter (see `queued`)."""
    from aexp.workflow.helpers import paths

    return paths("gate", **filters)


def sentinels(**filters: Any) -> list[str]:
    """Return the sentinels of all complete runs under a filter."""
    from aexp.workflow.helpers import paths

    return paths("sentinel", **filters)


def ledger_entries(**filters: Any) -> list[str]:
    """Return the ledger entries of all complete runs under a filter."""
    from aexp.workflow.helpers import paths

    return paths("ledger", **filters)
