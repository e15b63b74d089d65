"""``aexp checkpoints``: list, show and verify checkpoints, get one out."""

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.group import LazyGroup
from aexp.cli.options import dry_run_option, ids_argument, json_option
from aexp.cli.output import note, number, print_json, print_table
from aexp.errors import EXIT_FAILED, AexpError
from aexp.model import printable, short
from aexp.paths import Repo
from aexp.runs.store import resolve_id, run_ids

if TYPE_CHECKING:
    from aexp.checkpoints.store import Checkpoint

_CHANGES = "aexp.cli.checkpoints_change"
VERBS = {
    "ls": ("aexp.cli.checkpoints:list_", "List the checkpoints of some runs, or of all."),
    "show": ("aexp.cli.checkpoints:show", "Show one checkpoint: files, lineage, who needs it."),
    "verify": ("aexp.cli.checkpoints:verify", "Read every file and compare it to the manifest."),
    "get": ("aexp.cli.checkpoints:get", "Copy a checkpoint to a folder, verified."),
    "pin": (f"{_CHANGES}:pin", "Keep checkpoints whatever a policy says."),
    "unpin": (f"{_CHANGES}:unpin", "Take a pin back."),
    "prune": (f"{_CHANGES}:prune", "Drop checkpoints that are not to be kept."),
    "branch": (f"{_CHANGES}:branch", "Queue a run that begins with a checkpoint."),
}
checkpoint_argument = click.argument("checkpoint", metavar="CK")


@click.group("checkpoints", cls=LazyGroup, verbs=VERBS)
def checkpoints() -> None:
    """Checkpoints: what training can go on from. CK is the beginning of a checkpoint's id.

    \b
    Example:
      aexp checkpoints ls
    """


@click.command("ls")
@ids_argument
@click.option("--kind", type=click.Choice(["checkpoint", "snapshot"]), help="Only this kind.")
@json_option
def list_(ids: tuple[str, ...], kind: str | None, as_json: bool) -> None:
    """List the checkpoints of some runs, or of all: the newest of each run first.

    What cannot be used is listed with the reason; files are not read: see verify.

    \b
    Examples:
      aexp checkpoints ls 9f3a1b2c
      aexp checkpoints ls --kind snapshot --json
    """
    from aexp.checkpoints.pins import pins_of
    from aexp.checkpoints.store import Damage, list_checkpoints
    from aexp.checkpoints.verify import problems

    repo = Repo.installed()
    rows: list[dict[str, Any]] = []
    for job_id in _jobs(repo, ids):
        damaged: list[Damage] = []
        pinned: dict[str, Any] = {}
        found = list_checkpoints(repo, job_id, kind, damaged)
        if found:
            with contextlib.suppress(AexpError):
                pinned = pins_of(repo, job_id)
        for item in found:
            wrong = problems(item)
            rows.append(
                {"run": job_id, **_summary(item), "pinned": item.id in pinned, "damage": wrong}
            )
        rows += [
            {"run": job_id, "id": None, "path": item.path, "damage": [item.reason]}
            for item in damaged
            if kind is None or item.is_of(kind)
        ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("no checkpoints; see docs/checkpoints.md")
        return
    print_table(
        ("RUN", "STEP", "ID", "KIND", "SIZE", "SAVED", "METRICS", "STATE"),
        [_cells(row) for row in rows],
        wrap_last=True,
    )


def _summary(item: "Checkpoint") -> dict[str, Any]:
    manifest = item.manifest
    return {
        "id": item.id,
        "kind": item.kind,
        "step": item.step,
        "bytes": manifest.total_bytes,
        "files": len(manifest.components),
        "created_at": manifest.created_at,
        "reason": manifest.reason,
        "metrics": manifest.metrics,
        "path": str(item.path),
    }


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    state = [row["damage"][0]] if row["damage"] else []
    if row["id"] is None:
        return (short(row["run"]), None, None, None, None, None, None, "damaged: " + state[0])
    words = (["pinned"] if row["pinned"] else []) + [f"damaged: {text}" for text in state]
    metrics = " ".join(f"{key}={number(value)}" for key, value in list(row["metrics"].items())[:3])
    step = "final" if row["step"] is None else row["step"]
    saved = row["created_at"][:19].replace("T", " ")
    kind, size = row["kind"], human(row["bytes"])
    cells = (short(row["run"]), step, row["id"][:15], kind, size, saved, metrics)
    return (*cells, ", ".join(words))


@click.command("show")
@checkpoint_argument
@json_option
def show(checkpoint: str, as_json: bool) -> None:
    """Show one checkpoint: its files, where it comes from, who needs it, where it is pushed.

    \b
    Example:
      aexp checkpoints show ck_3fa1c2
    """
    from aexp.checkpoints.outbox import pushed_ids
    from aexp.checkpoints.pins import holder_of, pins_of
    from aexp.checkpoints.store import find_checkpoint
    from aexp.checkpoints.uses import branches, uses
    from aexp.checkpoints.verify import problems
    from aexp.remotes.config import list_remotes

    repo = Repo.installed()
    found = find_checkpoint(repo, checkpoint)
    job_id = holder_of(found)
    at = pushed_ids(repo, job_id, list_remotes(repo))
    facts: dict[str, Any] = {
        **found.manifest.to_object(),
        "path": str(found.path),
        "pinned": pins_of(repo, job_id).get(found.id),
        "needed": uses(repo, {found.id}).get(found.id),
        "branches": branches(repo, found.id),
        "remotes": sorted(name for name, ids in at.items() if found.id in ids),
        "damage": problems(found),
    }
    if as_json:
        print_json(facts)
        return
    left_out = {"schema", "components", "total_bytes"}
    for key, value in facts.items():
        if key not in left_out and value not in (None, [], {}):
            click.echo(f"{key:<13} {printable(_words(value))}")
    click.echo(f"{'size':<13} {human(found.manifest.total_bytes)}")
    rows = [(item.path, human(item.size), item.sha256[:16]) for item in found.manifest.components]
    print_table(("FILE", "SIZE", "SHA-256"), rows)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_words(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@click.command("verify")
@click.argument("names", nargs=-1, metavar="[CK|ID]...")
@click.option("--size", "by_size", is_flag=True, help="Compare sizes only; read no file.")
@json_option
def verify(names: tuple[str, ...], by_size: bool, as_json: bool) -> None:
    """Read every file of checkpoints and compare it to the manifest. Exit 1 if one is damaged.

    Of some checkpoints (ck_...), of some runs, or of all runs.

    \b
    Examples:
      aexp checkpoints verify
      aexp checkpoints verify 9f3a1b2c ck_3fa1c2
    """
    from aexp.checkpoints.store import Damage, find_checkpoint, list_checkpoints
    from aexp.checkpoints.verify import HASH, SIZE, problems

    repo = Repo.installed()
    by, damaged = (SIZE if by_size else HASH), []
    found = [find_checkpoint(repo, text) for text in names if text.lower().startswith("ck_")]
    jobs = [text for text in names if not text.lower().startswith("ck_")]
    unreadable: list[Damage] = []
    for job_id in _jobs(repo, jobs) if jobs or not names else []:
        found += list_checkpoints(repo, job_id, damaged=unreadable)
    rows: list[dict[str, Any]] = []
    for item in dict.fromkeys(found):
        wrong = problems(item, by)
        rows.append({"id": item.id, "path": str(item.path), "ok": not wrong, "damage": wrong})
    rows += [
        {"id": None, "path": item.path, "ok": False, "damage": [item.reason]} for item in unreadable
    ]
    damaged = [row for row in rows if not row["ok"]]
    if as_json:
        print_json(rows)
    else:
        for row in damaged:
            click.echo(f"DAMAGED  {printable(repo.relative(row['path']))}")
            for text in row["damage"]:
                click.echo(f"    {printable(text)}")
        click.echo(f"{len(rows) - len(damaged)} of {len(rows)} checkpoints are whole, by {by}")
    if damaged:
        sys.exit(EXIT_FAILED)


@click.command("get")
@checkpoint_argument
@click.argument("folder", metavar="DIR")
@dry_run_option
@json_option
def get(checkpoint: str, folder: str, dry_run: bool, as_json: bool) -> None:
    """Copy a checkpoint to a new or empty folder, verified; its files may be changed there.

    \b
    Example:
      aexp checkpoints get ck_3fa1c2 ./weights
    """
    from aexp.checkpoints.restore import copy_to
    from aexp.checkpoints.store import find_checkpoint

    found = find_checkpoint(Repo.installed(), checkpoint)
    if not dry_run:
        copy_to(found, folder)
    size = found.manifest.total_bytes
    if as_json:
        print_json({"id": found.id, "path": folder, "bytes": size, "dry_run": dry_run})
        return
    verb = "would copy" if dry_run else "copied"
    click.echo(f"{verb} {found.id[:15]} ({human(size)}) to {printable(folder)}")
    if dry_run:
        note("nothing was written (--dry-run)")


def _jobs(repo: Repo, ids: Sequence[str]) -> list[str]:
    return [resolve_id(repo, text) for text in ids] or run_ids(repo)


def human(size: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
