"""aexp: an experiment queue for machine-learning research, with Snakemake as its engine.

Everything in ``__all__`` is imported when it is first used: ``import aexp`` itself loads
nothing, neither of other packages nor of the standard library.
"""

from aexp.version import __version__ as __version__

# As typing has it: importing that costs as much as the interpreter's start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOMES = {
    "ActiveRun": "aexp.handle.run",
    "current": "aexp.handle.open",
    "start": "aexp.handle.open",
    "run": "aexp.handle.open",
    "experiment": "aexp.handle.decorator",
    "MetricError": "aexp.errors",
    "DuplicatePendingJobWarning": "aexp.errors",
    "AexpError": "aexp.errors",
    "RunNotFound": "aexp.errors",
    "RunStoreNotInitialized": "aexp.errors",
    "RunnerCommandMissing": "aexp.errors",
    "StatusError": "aexp.errors",
    "StopJobError": "aexp.errors",
    "SweepParseError": "aexp.errors",
    "SweepSyntaxError": "aexp.errors",
    "add_many_to_queue": "aexp.queue.add",
    "add_to_queue": "aexp.queue.add",
    "clear_queue": "aexp.queue.change",
    "remove_from_queue": "aexp.queue.change",
    "retry_queued": "aexp.queue.change",
    "QueueEntry": "aexp.queue.pending",
    "list_queue": "aexp.queue.pending",
    "MaterializeResult": "aexp.queue.materialize",
    "materialize_queue": "aexp.queue.materialize",
    "run_queue": "aexp.queue.run",
    "stop_queued": "aexp.queue.stop",
    "parse_sweep": "aexp.queue.sweep",
    "run_queued": "aexp.execution.run",
    "Reproduction": "aexp.reproduction.reproduce",
    "plan_reproduction": "aexp.reproduction.reproduce",
    "reproduce": "aexp.reproduction.reproduce",
    "render_runner_command": "aexp.execution.render",
    "resolve_sp": "aexp.kb.conditions",
    "ArtifactCreateError": "aexp.errors",
    "ArtifactNotFound": "aexp.errors",
    "ArtifactNotFoundError": "aexp.errors",
    "ArtifactReadError": "aexp.errors",
    "Artifact": "aexp.kb.artifacts",
    "StatusChange": "aexp.kb.change",
    "ThreadStatusUpdate": "aexp.kb.change",
    "ArtifactCreateResult": "aexp.kb.create",
    "BatchCitation": "aexp.kb.findings",
    "JobCitation": "aexp.kb.findings",
    "citations": "aexp.kb.findings",
    "ArtifactRef": "aexp.kb.record",
    "add_backlink": "aexp.kb.record",
    "close_thread": "aexp.kb.record",
    "list_kb_artifacts": "aexp.kb.record",
    "load_artifact": "aexp.kb.record",
    "load_experiment": "aexp.kb.record",
    "load_finding": "aexp.kb.record",
    "load_hypothesis": "aexp.kb.record",
    "load_thread": "aexp.kb.record",
    "new_experiment": "aexp.kb.record",
    "new_finding": "aexp.kb.record",
    "new_hypothesis": "aexp.kb.record",
    "new_thread": "aexp.kb.record",
    "set_status": "aexp.kb.record",
    "BatchDetails": "aexp.runs.batches",
    "BatchSummary": "aexp.runs.batches",
    "list_batches": "aexp.runs.batches",
    "runs_for_experiment": "aexp.runs.batches",
    "show_batch": "aexp.runs.batches",
    "LinkResult": "aexp.runs.link",
    "batch_slug": "aexp.runs.jobs",
    "link_to_experiment": "aexp.runs.link",
    "RunSummary": "aexp.runs.jobs",
    "create_run": "aexp.runs.jobs",
    "find_runs": "aexp.runs.jobs",
    "get_run_store": "aexp.runs.jobs",
    "init_run_store": "aexp.runs.initialize",
    "mark_status": "aexp.runs.jobs",
    "open_run": "aexp.runs.jobs",
    "run_lifecycle": "aexp.runs.lifecycle",
    "summarize_run": "aexp.runs.jobs",
    "reconcile": "aexp.runs.reconcile",
    "MlflowAdapter": "aexp.trackers.mlflow.adapter",
    "NoopAdapter": "aexp.trackers.noop",
    "RunHandle": "aexp.trackers.contract",
    "RunRecord": "aexp.trackers.contract",
    "TrackerAdapter": "aexp.trackers.contract",
    "TrackerBinding": "aexp.trackers.contract",
    "TrackerInitError": "aexp.errors",
    "WandbAdapter": "aexp.trackers.wandb.adapter",
    "bind_tracker": "aexp.trackers.binding",
    "prepare_tracker": "aexp.trackers.wandb.prepare",
    "tracked_run": "aexp.trackers.wandb.prepare",
    "find_offline_runs": "aexp.trackers.sync.sync",
    "sync_offline_runs": "aexp.trackers.sync.sync",
    "backfill_ledger": "aexp.runs.promotion",
    "promote_to_ledger": "aexp.runs.promotion",
    "list_ledger_job_ids": "aexp.ledger.entries",
    "load_ledger_entry": "aexp.ledger.entries",
    "project_to_ledger_entry": "aexp.ledger.projection",
    "InstallAction": "aexp.install.target",
    "InstallRefused": "aexp.errors",
    "compute_scaffold_sha": "aexp.install.scaffold",
    "install_scaffold": "aexp.install.install",
    "install_slash_commands": "aexp.install.install",
    "is_scaffold_installed": "aexp.install.install",
    "Issue": "aexp.validation.issue",
    "ValidateResult": "aexp.validation.issue",
    "validate_file": "aexp.validation.validate",
    "validate_files": "aexp.validation.validate",
    "validate_repo": "aexp.validation.validate",
    "export_index": "aexp.runs.export_index",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> "Any":
    """Import a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aexp' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
