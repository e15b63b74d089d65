"""The name that the runs of one batch share."""

from aexp.model import Run


def batch_slug(run: Run) -> str:
    """Return ``H###/E###/condition``, the name that runs of one batch share."""
    hypothesis = run.link.get("hypothesis_id") or "_"
    condition = run.sp.get("condition")
    return (
        f"{hypothesis}/{run.experiment_id or 'E???'}/{condition if condition else run.job_id[:8]}"
    )
