"""The pointer from a run to a run of W&B that was opened without aexp."""

from typing import Any
from urllib.parse import quote, urlsplit

from aexp.errors import UsageError
from aexp.handle.place import Place
from aexp.model import Run, check_tag
from aexp.runs.jobs import batch_slug
from aexp.runs.status import change_run

_HINT = "give run_id, or url like https://wandb.ai/ENTITY/PROJECT/runs/ID"


def link_wandb(
    place: Place, entity: str | None, project: str | None, run_id: str | None, url: str | None
) -> dict[str, Any]:
    """Write the pointer into the run's document; an ended run's ledger entry follows.

    Raises
    ------
    UsageError
        If neither an id nor a usable address is given.
    """
    for what, text in (("entity", entity), ("project", project), ("run_id", run_id)):
        if text is not None:
            _check(what, text)
    if url is not None:
        entity, project, run_id = _from_url(url, entity, project, run_id)
    if not run_id:
        raise UsageError("the W&B run has no id", _HINT)
    if url is None and entity and project:
        url = f"https://wandb.ai/{quote(entity)}/{quote(project)}/runs/{quote(run_id)}"
    binding: dict[str, Any] = {
        "backend": "wandb",
        "run_id": run_id,
        "url": url,
        "project": project,
        "group": None,
    }

    def edit(run: Run) -> None:
        if place.attempt:
            place.check(run)
        binding["group"] = batch_slug(run)
        run.doc["tracker"] = binding

    change_run(place.repo, place.job_id, edit)
    return binding


def _from_url(
    url: object, entity: str | None, project: str | None, run_id: str | None
) -> tuple[str | None, str | None, str | None]:
    """Take from an address what was not given besides."""
    try:
        parts = urlsplit(_check("url", url))
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable or parts.username or parts.password:
        raise UsageError(f"{url!r} is not the address of a W&B run", _HINT)
    names = [name for name in parts.path.split("/") if name]
    if len(names) >= 4 and names[2] == "runs":
        return entity or names[0], project or names[1], run_id or names[3]
    return entity, project, run_id


def _check(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise UsageError(f"{what} is {type(text).__name__}, not text", _HINT)
    try:
        return check_tag(text)
    except UsageError:
        raise UsageError(f"{what} cannot be {text!r}", _HINT) from None
