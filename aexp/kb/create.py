"""Make hypotheses, experiments, findings and threads from their templates."""

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from aexp.errors import AexpError, ArtifactCreateError, ParameterError
from aexp.files import create_exclusive, remove
from aexp.kb.artifacts import (
    IMPACTS,
    KINDS,
    Artifact,
    Kind,
    artifact_names,
    check_id,
    check_inside,
    find_artifact,
    id_in_name,
    load_artifact,
)
from aexp.kb.edit import record_lock
from aexp.kb.experiments import json_value
from aexp.kb.links import FIXED, Backlinks, add_backlinks, check_link, check_target, links_block
from aexp.kb.slug import slug
from aexp.model import check_tag, utc_now
from aexp.paths import Repo

_PLACEHOLDER = re.compile(r"\{([A-Z_]+)\}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HIDDEN = frozenset(("Cf", "Cc", "Cs", "Co", "Zl", "Zp"))
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NOT_WORDS = frozenset("y n yes no on off true false null".split())  # noqa: SIM905
_LAST_NUMBER = 999_999_999


class ArtifactCreateResult(NamedTuple):
    """What was made.

    Attributes
    ----------
    artifact_id : str
        Its id.
    path : str
        Its file, relative to the repository.
    backlinks_patched, backlinks_already_present : list of str
        Parents that got a link to it, and those that had one.
    """

    artifact_id: str
    path: str
    backlinks_patched: list[str]
    backlinks_already_present: list[str]


class Draft(NamedTuple):
    """An artifact to be made.

    Attributes
    ----------
    kind : Kind
        What it will be.
    title : str
        One line.
    parents : mapping
        Placeholder to the id of the parent that fills it, for instance ``HYPOTHESIS_ID``.
    fields : mapping
        Placeholder to text, for the rest.
    links, tags : sequence of str
        More notes to link, and its tags.
    artifact_id : str or None
        The id to give it; default the smallest unused.
    """

    kind: Kind
    title: str
    parents: Mapping[str, str] = {}
    fields: Mapping[str, str] = {}
    links: Sequence[str] = ()
    tags: Sequence[str] = ()
    artifact_id: str | None = None


def create(repo: Repo, draft: Draft, *, dry_run: bool = False) -> ArtifactCreateResult:
    """Write an artifact's file and link it from its parents.

    Several processes may do so at once: each gets an id of its own.

    Raises
    ------
    ArtifactCreateError
        If a parent does not exist, the id is taken, or title, tag or link is unusable. Nothing
        has been written then.
    """
    title = check_title(draft.title)
    tags = [check_tag(tag) for tag in draft.tags]
    links = [check_link(name) for name in draft.links]
    if draft.artifact_id is not None:
        check_id(draft.artifact_id, draft.kind)
    try:
        check_inside(repo, repo.at(draft.kind.folder))
        for name in draft.parents.values():
            find_artifact(repo, name)
        for name in links:
            check_target(repo, name)
        with nullcontext() if dry_run else record_lock(repo):
            # First without writing: a parent that cannot be patched is found before the file is.
            add_backlinks(repo, "X", draft.parents.values(), dry_run=True)
            artifact_id, path = _write(repo, draft, title, tags, links, dry_run)
            done = _backlinks(repo, artifact_id, path, draft.parents.values(), dry_run)
    except ArtifactCreateError:
        raise
    except AexpError as error:
        raise ArtifactCreateError(error.message, error.hint) from error
    return ArtifactCreateResult(artifact_id, repo.relative(path), done.patched, done.present)


def _backlinks(
    repo: Repo, artifact_id: str, path: str, parents: Iterable[str], dry_run: bool
) -> Backlinks:
    try:
        return add_backlinks(repo, artifact_id, parents, dry_run=dry_run)
    except AexpError:
        if not dry_run:
            remove(path)
        raise


def _write(
    repo: Repo, draft: Draft, title: str, tags: list[str], links: list[str], dry_run: bool
) -> tuple[str, str]:
    """Take the smallest unused id, or the one asked for, and write the file."""
    kind = draft.kind
    while True:
        used = _used(repo, kind)
        artifact_id = draft.artifact_id or _smallest(kind, used)
        if artifact_id in used:
            raise ArtifactCreateError(
                f"{artifact_id} is already {used[artifact_id]}", "leave --id out, or take another"
            )
        path = repo.at(kind.folder, f"{artifact_id}-{slug(title)}.md")
        if dry_run:
            return artifact_id, path
        text = render(draft, artifact_id, title, tags, links)
        if create_exclusive(path, text.encode("utf-8")) and _is_only(repo, kind, artifact_id, path):
            return artifact_id, path


def _is_only(repo: Repo, kind: Kind, artifact_id: str, path: str) -> bool:
    """Return whether no writer without our lock took the same id; else withdraw."""
    own = os.path.basename(path)
    if all(name == own for name in artifact_names(repo, kind) if id_in_name(name) == artifact_id):
        return True
    remove(path)
    return False


def _used(repo: Repo, kind: Kind) -> dict[str, str]:
    used: dict[str, str] = {}
    for name in artifact_names(repo, kind):
        artifact_id = id_in_name(name)
        if artifact_id is not None:
            used.setdefault(artifact_id, name)
    return used


def _smallest(kind: Kind, used: Mapping[str, str]) -> str:
    numbers = {int(artifact_id[1:]) for artifact_id in used}
    return f"{kind.letter}{next(n for n in range(1, _LAST_NUMBER) if n not in numbers):03d}"


def check_title(title: str) -> str:
    """Return a title without blanks around it.

    Raises
    ------
    ArtifactCreateError
        If it is not one printable line of 1 to 300 characters.
    """
    plain = title.strip()
    try:
        plain.encode("utf-8")
    except UnicodeEncodeError:
        raise ArtifactCreateError(f"the title {title!r} is not UTF-8", "write it again") from None
    hidden = next((char for at, char in enumerate(plain) if _is_hidden(plain, at)), None)
    if hidden is not None:
        raise ArtifactCreateError(
            f"{title[:320]!a} cannot be a title: U+{ord(hidden):04X} does not show",
            "write it in one line of visible characters",
        )
    if not plain or len(plain) > 300:
        raise ArtifactCreateError(
            f"{title[:320]!r} cannot be a title", "a title is one line of 1 to 300 characters"
        )
    return plain


def _is_hidden(text: str, at: int) -> bool:
    """Return whether a character does not show, or changes how others do."""
    if unicodedata.category(text[at]) not in _HIDDEN:
        return False
    around = text[at - 1 : at] + text[at + 1 : at + 2]
    # Scripts that join their letters need these two between them.
    joins = text[at] in "\u200c\u200d" and len(around) == 2
    return not (joins and all(unicodedata.category(char)[0] in "LM" for char in around))


def render(
    draft: Draft, artifact_id: str, title: str, tags: Sequence[str], links: Sequence[str]
) -> str:
    """Return the text of a new file: the template with its placeholders filled."""
    parents = {name: value for name, value in draft.parents.items() if value}
    values = {
        **draft.fields,
        **parents,
        "ARTIFACT_ID": artifact_id,
        "TITLE": title,
        "DATE": utc_now()[:10],
        "TAGS": yaml_text(list(tags)),
        "LINKS_BLOCK": links_block([*parents.values(), *FIXED, *links]),
    }
    lines = []
    for line in draft.kind.template.split("\n"):
        names = _PLACEHOLDER.findall(line)
        if line.startswith("> ") and any(not values.get(name) for name in names):
            continue  # the line of a parent that this one has not
        filled = _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), line)
        lines.append(filled.rstrip() if names else filled)
    return "\n".join(lines)


def yaml_text(value: Any) -> str:
    """Return a JSON value as YAML on one line, words without quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml_text(k)}: {yaml_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(yaml_text(item) for item in value) + "]"
    if isinstance(value, str) and _WORD.fullmatch(value) and value.lower() not in _NOT_WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e")  # YAML 1.1 reads 1e-05 as text
    # What JSON leaves as it is and YAML does not allow.
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff]", lambda m: f"\\u{ord(m[0]):04x}", text)


def experiment_fields(
    runner_command: str | None, conditions: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, str]:
    """Return the placeholders that tell how an experiment is run.

    Raises
    ------
    ArtifactCreateError
        If a value is not one that a state point can hold.
    """
    blocks = dict(conditions or {})
    try:
        for name, block in blocks.items():
            if not name.strip() or _FORBIDDEN.search(name):
                raise ParameterError(f"{name!r} cannot be a condition", "give it a name")
            if not isinstance(block, Mapping):
                raise ParameterError(
                    f"condition {name} is not an object", 'write NAME={"key": value, ...}'
                )
            blocks[name] = json_value(block, f"conditions.{name}")
        written = "".join(f"\n  {yaml_text(name)}: {yaml_text(blocks[name])}" for name in blocks)
        command = yaml_text(runner_command or "")
        (command + written).encode("utf-8")
    except ParameterError as error:
        raise ArtifactCreateError(error.message, error.hint) from error
    except UnicodeEncodeError:
        raise ArtifactCreateError("the command is not UTF-8", "write it again") from None
    return {"RUNNER_COMMAND": command, "CONDITIONS": written or " {}"}


def check_impact(impact: str) -> str:
    """Return the word for a finding's impact, in capitals."""
    word = impact.strip().upper()
    if word not in IMPACTS:
        raise ArtifactCreateError(f"{impact!r} is not an impact", "one of: " + ", ".join(IMPACTS))
    return word


def hypothesis_of_finding(repo: Repo, experiment_id: str, wanted: str | None) -> str:
    """Return the hypothesis that a finding from an experiment is about.

    Raises
    ------
    ArtifactCreateError
        If the experiment does not test the one wanted, or none at all.
    """
    check_id(experiment_id, KINDS["E"])
    try:
        experiment = load_artifact(repo, experiment_id)
        if wanted is not None:
            find_artifact(repo, check_id(wanted, KINDS["H"]))
    except ArtifactCreateError:
        raise
    except AexpError as error:
        raise ArtifactCreateError(error.message, error.hint) from error
    tested = tested_hypotheses(experiment)
    if wanted is None and not tested:
        raise ArtifactCreateError(f"{experiment_id} names no hypothesis", "give --hypothesis H001")
    if wanted is not None and tested and wanted not in tested:
        raise ArtifactCreateError(
            f"{experiment_id} tests {tested[0]}, not {wanted}",
            f"give --hypothesis {tested[0]}, or list {wanted} under sub_hypotheses: in it",
        )
    return wanted or tested[0]


def tested_hypotheses(experiment: Artifact) -> list[str]:
    """Return the hypothesis of an experiment, and its sub-hypotheses."""
    listed = experiment.meta.get("sub_hypotheses")
    found = [experiment.parent("hypothesis"), *(listed if isinstance(listed, list) else [])]
    return [item for item in found if isinstance(item, str) and _is_hypothesis(item)]


def _is_hypothesis(text: str) -> bool:
    return KINDS["H"].id_pattern.fullmatch(text) is not None
