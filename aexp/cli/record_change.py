"""``aexp set-status``, ``close-thread``, ``link``."""

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import print_json
from aexp.model import printable, short
from aexp.paths import Repo


@click.command("set-status")
@click.argument("artifact_id", metavar="ID")
@click.argument("status", metavar="STATUS")
@dry_run_option
@json_option
def set_status(artifact_id: str, status: str, dry_run: bool, as_json: bool) -> None:
    """Change the status of a hypothesis, an experiment or a thread.

    \b
    hypothesis:  PROPOSED, TESTING, CONFIRMED, REJECTED
    experiment:  DESIGNED, RUNNING, COMPLETED, FAILED
    thread:      PROPOSED, EXPLORING, PROMOTED, CLOSED

    The frontmatter, the line that shows the status and the date are changed; every other
    byte of the file stays.

    \b
    Example:
      aexp set-status H001 CONFIRMED
    """
    from aexp.kb.change import set_artifact_status

    done = set_artifact_status(Repo.find(), artifact_id, status, dry_run=dry_run)
    if as_json:
        print_json({**done._asdict(), "dry_run": dry_run})
    elif not done.changed:
        click.echo(f"{artifact_id} is {done.new_status} already")
    else:
        verb = "would become" if dry_run else "is now"
        click.echo(
            f"{artifact_id} {verb} {done.new_status} (was {printable(done.old_status or 'unset')})"
        )


@click.command("close-thread")
@click.argument("thread_id", metavar="T###")
@click.option("--conclusion", metavar="TEXT", help="Written below ## Conclusion.")
@click.option("--promoted", is_flag=True, help="PROMOTED, it became a hypothesis; not CLOSED.")
@dry_run_option
@json_option
def close_thread(
    thread_id: str, conclusion: str | None, promoted: bool, dry_run: bool, as_json: bool
) -> None:
    """End a thread, with what was concluded.

    \b
    Example:
      aexp close-thread T001 --conclusion "Warmup matters; see H001." --promoted
    """
    from aexp.kb.change import close_thread as close

    word = "PROMOTED" if promoted else "CLOSED"
    done = close(Repo.find(), thread_id, conclusion=conclusion, status=word, dry_run=dry_run)
    if as_json:
        print_json({**done._asdict(), "dry_run": dry_run})
        return
    click.echo(f"{thread_id} {'would become' if dry_run else 'is now'} {done.new_status}")
    if done.conclusion_written:
        verb = "would be written" if dry_run else "written"
        click.echo(f"  conclusion {verb}: {done.path}")


@click.command("link")
@click.argument("job_id", metavar="JOB")
@click.option("--experiment", required=True, metavar="E###", help="The experiment to link it to.")
@click.option("--hypothesis", metavar="H###", help="Default: the one that the experiment tests.")
@click.option("--sub-hypothesis", metavar="H###", help="One of its sub_hypotheses.")
@dry_run_option
@json_option
def link(
    job_id: str,
    experiment: str,
    hypothesis: str | None,
    sub_hypothesis: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Link a run to another experiment; the ledger entry of an ended run follows.

    The run's identity and configuration stay as they are. A run may be linked while it
    executes.

    \b
    Example:
      aexp link 9f3a1b2c --experiment E002
    """
    from aexp.runs.link import link_run
    from aexp.runs.store import resolve_id

    repo = Repo.installed()
    done = link_run(
        repo,
        resolve_id(repo, job_id),
        experiment_id=experiment,
        hypothesis_id=hypothesis,
        sub_hypothesis_id=sub_hypothesis,
        dry_run=dry_run,
    )
    if as_json:
        print_json({**done._asdict(), "dry_run": dry_run})
        return
    verb = "unchanged:" if not done.changed else "would link" if dry_run else "linked"
    ids = [done.after[key] for key in ("experiment_id", "hypothesis_id", "sub_hypothesis_id")]
    click.echo(f"{verb} {short(done.job_id)} to {', '.join(one for one in ids if one)}")
