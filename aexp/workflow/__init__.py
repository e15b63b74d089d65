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
from collections.abc import Callable
from typing import Any

InputFunction = Callable[..., list[str]]


def snakefile() -> str:
    """Return the path of the packaged workflow."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "Snakefile")


def rules() -> str:
    """Return the path of the packaged rules alone, without target and handlers."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.smk")


def queued(**filters: Any) -> InputFunction:
    """Return an input function: the gates of all runs that are complete or to be executed.

    A gate (``.runs/workspace/<id>/complete``) exists only for a complete run, so a rule
    with these inputs makes Snakemake execute the runs first and waits for their success.

    Parameters
    ----------
    **filters
        ``experiment``, ``hypothesis``, ``tag``, and state-point keys.

    Returns
    -------
    callable
        Snakemake calls it when it needs the rule, so that the store is not listed by every
        job that reads the Snakefile. For a list, call it with any argument.
    """
    return _paths("gate", include_queued=True, **filters)


def completed(**filters: Any) -> InputFunction:
    """Return an input function: the gates of all complete runs (see `queued`)."""
    return _paths("gate", **filters)


def sentinels(**filters: Any) -> InputFunction:
    """Return an input function: the sentinels of all complete runs (see `queued`)."""
    return _paths("sentinel", **filters)


def ledger_entries(**filters: Any) -> InputFunction:
    """Return an input function: the ledger entries of all complete runs (see `queued`)."""
    return _paths("ledger", **filters)


def _paths(kind: str, *, include_queued: bool = False, **filters: Any) -> InputFunction:
    def paths_of(wildcards: Any = None) -> list[str]:
        from aexp.workflow.helpers import paths

        return paths(kind, include_queued=include_queued, **filters)

    return paths_of
