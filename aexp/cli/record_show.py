"""``aexp show-hypothesis``, ``show-experiment``, ``show-finding``, ``show-thread``."""

import re
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.options import json_option
from aexp.cli.output import configuration, print_json, print_table
from aexp.model import printable, short
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.kb.artifacts import Artifact

_PARENTS = frozenset({"thread", "hypothesis", "experiment"})
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def _load(repo: Repo, artifact_id: str, letter: str) -> "Artifact":
    from aexp.kb.artifacts import KINDS, check_id, load_artifact

    return load_artifact(repo, check_id(artifact_id, KINDS[letter]))


def _described(repo: Repo, artifact: "Artifact") -> dict[str, Any]:
    """Return what every kind shows: its fields, what hangs on it, its text."""
    from aexp.kb.links import linked_names
    from aexp.kb.record import list_kb_artifacts, reference

    children = list_kb_artifacts(repo, parent=artifact.artifact_id)
    return {
        **reference(repo, artifact)._asdict(),
        "children": [one._asdict() for one in children],
        "links": linked_names(artifact.text),
        "text": artifact.text,
    }


def _print(repo: Repo, artifact: "Artifact", shown: dict[str, Any]) -> None:
    _field(artifact.kind.name, f"{artifact.artifact_id}  {artifact.title}")
    for name in ("status", "impact", "thread", "hypothesis", "experiment", "created"):
        _field(name, _named(repo, shown[name]) if name in _PARENTS else shown[name])
    for name in ("last_updated", "completed"):
        _field(name.replace("_", " "), artifact.meta.get(name))
    _field("tags", ", ".join(artifact.tags))
    _field("file", shown["path"])
    summary = _summary(artifact)
    if summary:
        click.echo()
        for line in summary.splitlines():
            click.echo(("  " + printable(line)).rstrip())
    if shown["children"]:
        click.echo()
        rows = [
            (
                one["artifact_id"],
                one["status"] or (f"impact {one['impact']}" if one["impact"] else None),
                one["title"],
            )
            for one in shown["children"]
        ]
        print_table(("ID", "STATUS", "TITLE"), rows)


def _field(name: str, value: object) -> None:
    if value not in (None, "", [], {}):
        click.echo(f"{name:<14}{printable(value)}")


def _named(repo: Repo, artifact_id: str | None) -> str | None:
    from aexp.errors import AexpError
    from aexp.kb.artifacts import load_artifact

    if artifact_id is None:
        return None
    try:
        return f"{artifact_id}  {load_artifact(repo, artifact_id).title}"
    except AexpError as error:
        return f"{artifact_id}  ({error.message})"


def _summary(artifact: "Artifact") -> str:
    """Return the note's first section, without its template's remarks."""
    from aexp.kb.frontmatter import frontmatter_span
    from aexp.kb.markdown import find_section

    body = frontmatter_span(artifact.text, artifact.path)[2]
    section = find_section(artifact.text, artifact.kind.headings[0], body)
    if section is None:
        return ""
    text = _COMMENT.sub("", artifact.text[section.start : section.end])
    return re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n")).strip()


@click.command("show-hypothesis")
@click.argument("artifact_id", metavar="H###")
@json_option
def show_hypothesis(artifact_id: str, as_json: bool) -> None:
    """Show a hypothesis, and the experiments and findings about it.

    \b
    Example:
      aexp show-hypothesis H001
    """
    _show(artifact_id, "H", as_json)


@click.command("show-thread")
@click.argument("artifact_id", metavar="T###")
@json_option
def show_thread(artifact_id: str, as_json: bool) -> None:
    """Show a thread, and the hypotheses that belong to it.

    \b
    Example:
      aexp show-thread T001
    """
    _show(artifact_id, "T", as_json)


def _show(artifact_id: str, letter: str, as_json: bool) -> None:
    repo = Repo.find()
    artifact = _load(repo, artifact_id, letter)
    shown = _described(repo, artifact)
    if as_json:
        print_json(shown)
    else:
        _print(repo, artifact, shown)


@click.command("show-experiment")
@click.argument("artifact_id", metavar="E###")
@json_option
def show_experiment(artifact_id: str, as_json: bool) -> None:
    """Show an experiment, its runs by status, here and elsewhere, and its findings.

    \b
    Example:
      aexp show-experiment E001
    """
    from aexp.runs.batches import list_batches

    repo = Repo.find()
    artifact = _load(repo, artifact_id, "E")
    shown = _described(repo, artifact)
    batches = list_batches(experiment_id=artifact_id, repo_root=repo)
    counts: dict[str, int] = {}
    for batch in batches:
        for word, number in batch.statuses.items():
            counts[word] = counts.get(word, 0) + number
    conditions = artifact.meta.get("conditions")
    shown["runner_command"] = artifact.meta.get("runner_command") or None
    shown["conditions"] = conditions if isinstance(conditions, dict) else {}
    shown["runs"] = counts
    shown["batches"] = [batch._asdict() for batch in batches]
    if as_json:
        print_json(shown)
        return
    _print(repo, artifact, shown)
    click.echo()
    _field("command", shown["runner_command"])
    for name, block in shown["conditions"].items():
        values = configuration(block) if isinstance(block, dict) else block
        _field("condition", f"{printable(name)}: {values}")
    told = ", ".join(f"{number} {word}" for word, number in counts.items())
    _field("runs", told or "none")


@click.command("show-finding")
@click.argument("artifact_id", metavar="F###")
@json_option
def show_finding(artifact_id: str, as_json: bool) -> None:
    """Show a finding and the runs that it cites.

    \b
    Example:
      aexp show-finding F001
    """
    from aexp.kb.findings import citations

    repo = Repo.find()
    artifact = _load(repo, artifact_id, "F")
    shown = _described(repo, artifact)
    cited = citations(artifact)
    shown["citations"] = _resolved(repo, cited) if cited else []
    if as_json:
        print_json(shown)
        return
    _print(repo, artifact, shown)
    click.echo()
    if not cited:
        _field("cites", f"no run; add them: aexp finding cite {artifact_id} --batch E001")
        return
    rows = [
        (one["cites"], one["runs"], one["state"], "pinned" if one["digest"] else None)
        for one in shown["citations"]
    ]
    print_table(("CITES", "RUNS", "STATE", "PIN"), rows)


def _resolved(repo: Repo, cited: "list[Any]") -> list[dict[str, Any]]:
    from aexp.kb.findings import JobCitation, Malformed
    from aexp.validation.cited import resolve
    from aexp.validation.evidence import Evidence
    from aexp.validation.pins import name_of

    evidence = Evidence.read(repo)
    found = []
    for one in cited:
        if isinstance(one, Malformed):
            told: dict[str, Any] = {"cites": "(malformed)", "runs": 0, "state": one.reason}
            found.append({**told, "digest": None, "line": one.line, "job_ids": []})
            continue
        records = resolve(one, evidence)
        words: dict[str, int] = {}
        for record in records:
            where = {"ledger": "", "store": " (not in the ledger)", "index": " (index only)"}
            word = record.status + where[record.source]
            words[word] = words.get(word, 0) + 1
        state = ", ".join(f"{number} {word}" for word, number in sorted(words.items()))
        name = f"run {short(one.job_id)}" if isinstance(one, JobCitation) else name_of(one)
        found.append(
            {
                "cites": name,
                "runs": len(records),
                "state": state or "not known here",
                "digest": one.digest,
                "line": one.line,
                "job_ids": [record.job_id for record in records],
            }
        )
    return found
