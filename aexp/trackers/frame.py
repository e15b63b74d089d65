"""What a tracker is told about a run: where it is filed, and what it stands for."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from aexp.environment.scrub import scrub, scrub_value
from aexp.errors import AexpError
from aexp.kb.artifacts import Artifact, load_artifact
from aexp.kb.markdown import find_section
from aexp.model import Run, short
from aexp.paths import Repo
from aexp.runs.slug import batch_slug

_MAX_TEXT = 4000
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
# What a template has in the place of an answer: "_Clear, falsifiable claim._", "{WHAT}", "TODO".
_PLACEHOLDER = re.compile(r"_[^_\n]*_|\*[^*\n]*\*|\{[^{}\n]*\}|<[^<>\n]*>|TODO.*|TBD.*|[-*.…\s]*")
_HYPOTHESIS = ("Local Hypothesis", "Objective")
_CRITERIA = ("Success Criteria", "Intent")


class Frame(NamedTuple):
    """What a tracker is told when a run is opened.

    Attributes
    ----------
    group : str
        ``H###/E###/condition``.
    tags : list of str
        ``kind=experiment``, the ids, ``condition=…``, and whatever was asked for.
    config : dict
        The state point, ``job_id``, the link as ``aexp``, and ``frame``: title, hypothesis
        and criteria from the notes. Without secrets.
    notes : str or None
        Markdown for people.
    name : str
        What people see instead of an id.
    """

    group: str
    tags: list[str]
    config: dict[str, Any]
    notes: str | None
    name: str


def frame_of(
    repo: Repo, run: Run, *, condition: str | None = None, extra_tags: Sequence[str] = ()
) -> Frame:
    """Return what a tracker is told about a run.

    Parameters
    ----------
    repo : Repo
        The repository, whose notes name title and hypothesis. Notes that are missing or
        cannot be read are left out.
    run : Run
        The run.
    condition : str, optional
        Instead of the state point's.
    extra_tags : sequence of str
        Further tags.
    """
    named = run if condition is None else run._replace(sp={**run.sp, "condition": condition})
    label = named.sp.get("condition")
    link = run.link
    ids = [link.get("hypothesis_id"), run.experiment_id, link.get("sub_hypothesis_id")]
    tags = ["kind=experiment", *(one for one in ids if isinstance(one, str) and one)]
    if label:
        tags.append(f"condition={label}")
    told = _told(repo, run)
    config = {**run.sp, "job_id": run.job_id, "aexp": dict(link), "frame": told}
    return Frame(
        batch_slug(named),
        [scrub_value(str(tag)) for tag in dict.fromkeys([*tags, *extra_tags])],
        scrub(config),
        _notes(told),
        f"{label or run.experiment_id or 'run'}-{short(run.job_id)}",
    )


def _told(repo: Repo, run: Run) -> dict[str, str]:
    experiment = _artifact(repo, run.experiment_id)
    hypothesis = _artifact(repo, run.link.get("hypothesis_id"))
    found = {
        "experiment_title": experiment.title if experiment else "",
        "local_hypothesis": _section(experiment, _HYPOTHESIS),
        "success_criteria": _section(experiment, _CRITERIA),
        "hypothesis_statement": _section(hypothesis, ("Statement",)),
    }
    return {key: scrub_value(text) for key, text in found.items() if text}


def _artifact(repo: Repo, artifact_id: object) -> Artifact | None:
    if not isinstance(artifact_id, str):
        return None
    try:
        return load_artifact(repo, artifact_id)
    except AexpError:
        return None


def _section(artifact: Artifact | None, titles: Sequence[str]) -> str:
    """Return what was written under the first of these headings, nothing for a placeholder."""
    for title in titles if artifact is not None else ():
        section = find_section(artifact.document.body, title)  # type: ignore[union-attr]
        if section is not None:
            text = "".join(f"{line.text}\n" for line in section.lines)
            text = _COMMENT.sub("", text).strip()
            if not _PLACEHOLDER.fullmatch(text):
                return text[:_MAX_TEXT]
    return ""


def _notes(told: dict[str, str]) -> str | None:
    title = told.get("experiment_title")
    claim = told.get("local_hypothesis") or told.get("hypothesis_statement")
    parts = [f"# {title}"] if title else []
    if claim:
        parts.append(f"**Hypothesis:** {claim}")
    return "\n\n".join(parts) or None
