"""``aexp checkpoints pin | unpin | prune | branch`` and ``aexp gc``."""

import sys
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.checkpoints import checkpoint_argument, human
from aexp.cli.options import dry_run_option, ids_argument, json_option
from aexp.cli.output import configuration, note, print_json, print_table
from aexp.errors import EXIT_FAILED, AexpError
from aexp.model import printable, short
from aexp.paths import Repo
from aexp.runs.store import resolve_id, run_ids

if TYPE_CHECKING:
    from aexp.checkpoints.retention import Pruned
    from aexp.kb.retention import Retention

_many = click.argument("names", nargs=-1, required=True, metavar="CK...")
_NOT_WRITTEN = "nothing was written (--dry-run)"


@click.command("pin")
@_many
@click.option("--note", "why", default="", metavar="TEXT", help="Why, in one line.")
@dry_run_option
@json_option
def pin(names: tuple[str, ...], why: str, dry_run: bool, as_json: bool) -> None:
    """Keep checkpoints whatever a policy says, until they are unpinned.

    \b
    Example:
      aexp checkpoints pin ck_3fa1c2 --note "of the paper"
    """
    from aexp.checkpoints.pins import holder_of, pin, pins_of
    from aexp.checkpoints.store import find_checkpoint

    repo = Repo.installed()
    found = [find_checkpoint(repo, text) for text in names]
    rows = []
    for item in found:
        known = pins_of(repo, holder_of(item))
        changed = item.id not in known if dry_run else pin(repo, item, why)
        rows.append({"id": item.id, "run": holder_of(item), "changed": changed})
    _tell(rows, ("would pin" if dry_run else "pinned", "pinned already"), as_json)


@click.command("unpin")
@_many
@dry_run_option
@json_option
def unpin(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Take the pins of checkpoints back; nothing is dropped by that.

    \b
    Example:
      aexp checkpoints unpin ck_3fa1c2
    """
    from aexp.checkpoints.pins import holder_of, pins_of, unpin
    from aexp.checkpoints.store import find_checkpoint

    repo = Repo.installed()
    rows = []
    for item in [find_checkpoint(repo, text) for text in names]:
        job_id = holder_of(item)
        known = pins_of(repo, job_id)
        changed = item.id in known if dry_run else unpin(repo, job_id, item.id)
        rows.append({"id": item.id, "run": job_id, "changed": changed})
    _tell(rows, ("would unpin" if dry_run else "unpinned", "was not pinned"), as_json)


def _tell(rows: list[dict[str, Any]], words: tuple[str, str], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{words[0] if row['changed'] else words[1]}  {row['id'][:15]}")


@click.command("prune")
@ids_argument
@click.option("--all", "every_run", is_flag=True, help="The checkpoints of all runs.")
@click.option("--keep-last", type=click.IntRange(min=1), metavar="K", help="The newest K.")
@click.option("--keep-every", type=click.IntRange(min=1), metavar="N", help="One per N steps.")
@click.option(
    "--keep-best", multiple=True, metavar="M[:max][:K]", help="The best K by metric M (min)."
)
@click.option("--no-keep-final", is_flag=True, help="Final ones are like all others.")
@click.option("--damaged", is_flag=True, help="Drop damaged ones, too.")
@dry_run_option
@json_option
def prune(
    ids: tuple[str, ...],
    every_run: bool,
    keep_last: int | None,
    keep_every: int | None,
    keep_best: tuple[str, ...],
    no_keep_final: bool,
    damaged: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Drop the checkpoints of runs that are not to be kept.

    Without --keep options the policy of each run's experiment holds (checkpoints: in its
    frontmatter). There always stay: the newest that is whole, pinned ones, those that a run
    needs or a required remote lacks, and snapshots.

    \b
    Examples:
      aexp checkpoints prune 9f3a1b2c --keep-last 2 --keep-best val_loss --dry-run
      aexp checkpoints prune --all
    """
    from aexp.checkpoints.retention import policy_of
    from aexp.checkpoints.retention import prune as prune_run
    from aexp.kb.retention import read_retention

    if bool(ids) == every_run:
        raise click.UsageError("give run ids, or --all")
    given: dict[str, Any] = {
        "keep_last": keep_last,
        "keep_every": keep_every,
        "keep_best": list(keep_best) or None,
    }
    policy = None
    if any(value is not None for value in given.values()):
        policy = read_retention({**given, "keep_final": not no_keep_final}, "--keep")
    elif no_keep_final:
        raise click.UsageError("--no-keep-final goes with --keep-last, --keep-every or --keep-best")
    repo = Repo.installed()
    jobs = [resolve_id(repo, text) for text in ids] or run_ids(repo)
    done: list[Pruned] = []
    without = failed = 0
    for job_id in jobs:
        try:
            chosen: Retention | None = policy or policy_of(repo, job_id)
            without += chosen is None
            if chosen is not None or damaged:
                done.append(prune_run(repo, job_id, chosen, damaged=damaged, dry_run=dry_run))
        except AexpError as error:
            if len(jobs) == 1:
                raise
            failed += 1  # of that run alone nothing is dropped
            note(f"run {short(job_id)} is passed over: {printable(error.message)}")
    if as_json:
        print_json([_as_object(item, dry_run) for item in done])
    else:
        _tell_pruned(done, 0 if damaged else without, dry_run)
    if failed:
        sys.exit(EXIT_FAILED)


def _tell_pruned(done: "list[Pruned]", without: int, dry_run: bool) -> None:
    rows = [
        (
            *(short(item.job), "final" if one.checkpoint.step is None else one.checkpoint.step),
            *(one.checkpoint.id[:15], human(one.checkpoint.manifest.total_bytes)),
            ", ".join(one.reasons) or ("would be dropped" if dry_run else "dropped"),
        )
        for item in done
        for one in item.verdicts
        if dry_run or not one.is_kept
    ]
    if rows:
        print_table(("RUN", "STEP", "ID", "SIZE", "KEPT"), rows, wrap_last=True)
    count = sum(len(item.dropped) for item in done)
    freed = sum(item.freed_bytes for item in done)
    click.echo(f"would drop {count}" if dry_run else f"dropped {count}, {human(freed)} freed")
    if without:
        note(
            f"{without} runs have no policy and were left alone: give --keep-last, or write "
            "checkpoints: {keep_last: 3} into the experiment"
        )
    if dry_run:
        note(_NOT_WRITTEN)


def _as_object(done: "Pruned", dry_run: bool) -> dict[str, Any]:
    rows = [
        {
            "id": item.checkpoint.id,
            "step": item.checkpoint.step,
            "bytes": item.checkpoint.manifest.total_bytes,
            "kept": item.is_kept,
            "reasons": list(item.reasons),
        }
        for item in done.verdicts
    ]
    return {
        "run": done.job,
        "checkpoints": rows,
        "freed_bytes": done.freed_bytes,
        "dry_run": dry_run,
    }


@click.command("branch")
@checkpoint_argument
@click.option("--set", "changes", multiple=True, metavar="K=V,...", help="What is otherwise.")
@click.option("--sweep", metavar="K=V|V,...", help="Several runs: every combination.")
@click.option("--experiment", metavar="E###", help="Default: that of the checkpoint's run.")
@click.option("--tag", metavar="TAG", help="A label for the batch.")
@click.option("--command", metavar="TEMPLATE", help="Another command.")
@click.option("--resources", metavar="K=V,...", help="Other resources.")
@click.option("--no-wait", is_flag=True, help="Start before the checkpoint's run is complete.")
@click.option("--no-commit", is_flag=True, help="Leave the code version out of the identity.")
@dry_run_option
@json_option
def branch(
    checkpoint: str,
    changes: tuple[str, ...],
    sweep: str | None,
    experiment: str | None,
    tag: str | None,
    command: str | None,
    resources: str | None,
    no_wait: bool,
    no_commit: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Queue a run that begins with a checkpoint: as the run that saved it, but for --set.

    The checkpoint's id becomes part of the new run's state point (init_from): its first
    attempt finds it by run.restore() and AEXP_RESUME_FROM. It starts when the checkpoint's
    run is complete.

    \b
    Examples:
      aexp checkpoints branch ck_3fa1c2 --set lr=1e-4
      aexp checkpoints branch ck_3fa1c2 --sweep "lr=1e-4|1e-5" --tag cooldown --no-wait
    """
    from aexp.checkpoints.store import find_checkpoint
    from aexp.queue.branch import Branch
    from aexp.queue.resources import parse_resources
    from aexp.queue.sweep import parse_assignments

    repo = Repo.installed()
    values: dict[str, Any] = {}
    for text in changes:
        values |= parse_assignments(text)
    options: dict[str, Any] = {"wait_for_origin": not no_wait}
    given = {"tag": tag, "command": command, "include_commit": False if no_commit else None}
    options |= {key: value for key, value in given.items() if value is not None}
    if resources:
        options["resources"] = parse_resources(resources)
    found = find_checkpoint(repo, checkpoint)
    work = Branch(repo, found, options, experiment)
    plan = work.plan(values, sweep)
    done = plan.runs if dry_run else list(work.carry_out(plan))
    if as_json:
        print_json(
            {
                "checkpoint": found.id,
                "dry_run": dry_run,
                "command": plan.command,
                "runs": [planned._asdict() for planned in done],
            }
        )
        return
    rows = [
        (short(item.job_id), item.action, configuration(item.sp), item.note or None)
        for item in done
    ]
    print_table(("ID", "WHAT", "CONFIGURATION", "NOTE"), rows)
    for text in plan.warnings:
        note(f"warning: {printable(text)}")
    note(_NOT_WRITTEN if dry_run else "next: snakemake --cores 4    (or: aexp run --cores 4)")


@click.command("gc")
@click.option("--delete", is_flag=True, help="Remove it; without this nothing is changed.")
@click.option(
    "--min-age",
    default="1h",
    metavar="TIME",
    help="Leave what was used within this time (default 1h); 0 leaves nothing.",
)
@json_option
def gc(delete: bool, min_age: str, as_json: bool) -> None:
    """Say what no checkpoint needs any more, and with --delete remove it.

    That is: files of the content store that no checkpoint holds, and what saves left whose
    process has died. Checkpoints themselves are dropped by aexp checkpoints prune. It may run
    beside running jobs.

    \b
    Examples:
      aexp gc
      aexp gc --delete
    """
    from aexp.checkpoints.gc import collect
    from aexp.kb.experiments import parse_duration

    repo = Repo.installed()
    age = 0.0 if min_age.strip() == "0" else parse_duration(min_age)
    found = collect(repo, delete=delete, min_age_s=age)
    if as_json:
        print_json(
            {
                "deleted": delete,
                "garbage": [item._asdict() for item in found.garbage],
                "bytes": found.bytes,
                "objects": found.objects,
                "object_bytes": found.object_bytes,
                "young": found.young,
            }
        )
        return
    verb = "removed" if delete else "would remove"
    for kind, words in (
        ("object", "files of no checkpoint"),
        ("staged", "left by saves that died"),
        ("temporary", "unfinished writes"),
    ):
        items = [item for item in found.garbage if item.kind == kind]
        if items:
            size = human(sum(item.bytes for item in items))
            click.echo(f"{verb} {len(items)} {words}, {size}")
    if not found.garbage:
        click.echo("nothing to remove")
    kept = f"{found.objects} files, {human(found.object_bytes)}, stay"
    young = f"; {found.young} of them unused, but too young" if found.young else ""
    click.echo(kept + young)
    if found.garbage and not delete:
        note("nothing was removed; to remove it: aexp gc --delete")
