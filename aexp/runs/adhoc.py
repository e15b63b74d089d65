"""Ad-hoc runs: of a command that a person types, or a function that a script calls.

They belong to no experiment. Their state point says ``kind: adhoc`` and has a nonce, so that
the same command executed twice is two runs. Nothing queues them again: however their
execution ends, that is the run's end.
"""

import contextlib
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aexp.errors import AexpError, GitError, NotReproducible, ParameterError, UsageError
from aexp.git import CodeState, code_state
from aexp.model import CREATED, Run, check_tag, short, utc_now
from aexp.paths import Repo
from aexp.runs.create import check_state_point, publish_run
from aexp.runs.document import block_of
from aexp.runs.known import read_known
from aexp.runs.store import compute_job_id, read_run

ADHOC = "adhoc"
HIDDEN = "***"  # stands for what looks like a secret, as everywhere
_OURS = frozenset(
    {
        "kind",
        "nonce",
        "argv",
        "cwd",
        "array_task",
        "imported",
        "experiment_id",
        "hypothesis_id",
        "sub_hypothesis_id",
        "code_commit",
        "code_dirty",
    }
)


class Labels(NamedTuple):
    """What a person says about an ad-hoc run, beside its parameters.

    Attributes
    ----------
    name : str or None
        What is executed, in a word.
    tags : tuple of str
        Labels.
    derived_from : tuple of str
        Ids of the runs whose results it builds on.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    derived_from: tuple[str, ...] = ()


def check_labels(
    repo: Repo,
    *,
    name: str | None = None,
    tags: Sequence[str] = (),
    derived_from: Sequence[str] = (),
) -> Labels:
    """Check names, tags and the ids of parents, of which a unique beginning is enough.

    Raises
    ------
    UsageError
        If a name or tag is not one printable line.
    RunNotFound
        If no run of the store or the ledger begins so, or more than one.
    """
    if isinstance(tags, str):
        raise UsageError(f"tags is the text {tags!r}, not a list", f"write it like [{tags!r}]")
    parents = [read_known(repo, text).run.job_id for text in derived_from]
    return Labels(
        None if name is None else check_tag(name),
        tuple(dict.fromkeys(check_tag(tag) for tag in tags)),
        tuple(dict.fromkeys(parents)),
    )


def state_point(
    nonce: str,
    parameters: Mapping[str, Any],
    *,
    argv: Sequence[str] | None = None,
    cwd: str | None = None,
    array_task: int | None = None,
    code: CodeState | None = None,
) -> dict[str, Any]:
    """Return the state point of an ad-hoc run.

    Parameters
    ----------
    nonce : str
        Tells this execution from any other of the same command.
    parameters : mapping
        Its configuration.
    argv : sequence of str, optional
        The command, without secrets.
    cwd : str, optional
        Its folder, relative to the repository.
    array_task : int, optional
        The task of a Slurm array.
    code : CodeState, optional
        The code's version.

    Raises
    ------
    ParameterError
        If a parameter has one of these names, or cannot be stored.
    """
    for key in sorted(_OURS & parameters.keys()):
        raise ParameterError(f"a parameter cannot be called {key}", "give it another name")
    sp: dict[str, Any] = {"kind": ADHOC, "nonce": nonce}
    if argv is not None:
        sp["argv"] = list(argv)
    if cwd not in (None, "."):
        sp["cwd"] = cwd
    if array_task is not None:
        sp["array_task"] = array_task
    if code is not None:
        sp["code_commit"], sp["code_dirty"] = code.commit, code.dirty
    sp.update(parameters)
    check_state_point(sp)
    return sp


def new_nonce() -> str:
    """Return a nonce that no other execution has."""
    return os.urandom(6).hex()


def known_code(repo: Repo) -> CodeState | None:
    """Return the code's version, None where git cannot tell."""
    try:
        return code_state(repo)
    except GitError:
        return None


def document(labels: Labels, record: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the job document of an ad-hoc run that has not begun.

    `record` has further keys of our own block.
    """
    ours: dict[str, Any] = {"once": True, "max_faults": 1, **(record or {})}
    doc: dict[str, Any] = {"status": CREATED, "created_at": utc_now(), "aexp_run": ours}
    write_labels(doc, labels)
    return doc


def write_labels(doc: dict[str, Any], labels: Labels) -> None:
    """Write what a person says about a run into its document."""
    ours = block_of(doc, "aexp_run")
    if labels.name is not None:
        ours["name"] = labels.name
    if labels.tags:
        ours["tags"] = list(labels.tags)
        block_of(doc, "queue")["tag"] = labels.tags[0]
    if labels.derived_from:
        ours["derived_from"] = list(labels.derived_from)


def create_adhoc(repo: Repo, sp: dict[str, Any], doc: dict[str, Any]) -> str:
    """Write an ad-hoc run, with status ``created``, and return its id."""
    job_id = compute_job_id(sp)
    publish_run(repo, job_id, sp, doc)
    return job_id


def discard_unbegun(repo: Repo, job_id: str) -> None:
    """Remove a run that was just created and has been refused before it began."""
    with contextlib.suppress(AexpError, OSError):
        run = read_run(repo, job_id)
        if is_adhoc(run) and run.status == CREATED and not run.attempts:
            shutil.rmtree(repo.run_dir(job_id))


def is_adhoc(run: Run) -> bool:
    """Return whether a run belongs to no experiment by intention."""
    return run.sp.get("kind") == ADHOC


def recorded_command(run: Run) -> tuple[list[str], str] | None:
    """Return command and folder that an ad-hoc run's state point has, None without a command.

    Raises
    ------
    NotReproducible
        If the command held a secret, which is not recorded.
    """
    argv, cwd = run.sp.get("argv"), run.sp.get("cwd", ".")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        return None
    if any(HIDDEN in word for word in argv):
        raise NotReproducible(
            f"the command of run {short(run.job_id)} held what looks like a secret, which is "
            f"recorded as {HIDDEN}",
            "type it again: aexp exec -- COMMAND; give secrets by variables of the environment",
        )
    return argv, cwd if isinstance(cwd, str) else "."


def command_text(argv: Sequence[str], cwd: str = ".") -> str:
    """Return a command as a line for a shell in the repository."""
    line = shlex.join(argv)
    return line if cwd == "." else f"cd {shlex.quote(cwd)} && {line}"
