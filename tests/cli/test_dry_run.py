"""--dry-run of every verb that has it writes nothing at all: the whole tree is compared."""

from collections.abc import Iterator
from typing import Any

import click
import pytest

from aexp.cli.commands import cli

CASES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("install",): ("--force", "--machine-label", "other"),
    ("install-slash-commands",): ("--target", "commands"),
    ("queue", "add"): ("--experiment", "E001", "--sweep", "seed=0..3", "--tag", "x"),
    ("queue", "run"): ("--continue-on-failure",),
    ("queue", "retry"): ("--all",),
    ("queue", "stop"): ("RUNNING",),
    ("queue", "remove"): ("--all",),
    ("queue", "clear"): (),
    ("queue", "release"): ("RELEASABLE",),
    ("queue", "materialize"): ("--runner", "slurm", "-o", "script.sh"),
    ("run-queued",): ("QUEUED",),
    ("reproduce",): ("ENDED", "--to", "../again", "--run"),
    ("new-run",): ("--experiment", "E001", "--sp", "seed=77"),
    ("ledger", "promote"): ("ENDED",),
    ("ledger", "backfill"): ("--overwrite",),
    ("ledger", "sync"): ("--no-pull", "--no-push"),
    ("ledger", "bundle"): ("results.tar",),
    ("ledger", "unbundle"): ("BUNDLE",),
    ("reconcile",): (),
    ("sync-offline",): ("--again",),
    ("new-thread",): ("--title", "x"),
    ("new-hypothesis",): ("--title", "x", "--thread", "T001"),
    ("new-experiment",): ("--title", "x", "--hypothesis", "H001", "--condition", 'a={"k": 1}'),
    ("new-finding",): ("--title", "x", "--experiment", "E001"),
    ("set-status",): ("E001", "COMPLETED"),
    ("close-thread",): ("T001", "--conclusion", "x"),
    ("finding", "cite"): ("F001", "--job", "ENDED"),
    ("runs-export-index",): (),
    ("bind-tracker",): ("QUEUED", "--backend", "wandb", "--project", "p"),
    ("link",): ("ENDED", "--experiment", "E002"),
    # `aexp run --dry-run` hands over to Snakemake, which keeps its own folder: tests/workflow.
    # `aexp finding check --write --dry-run` needs claims that hold: tests/claims.
}


def verbs(
    group: click.Group, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, (*prefix, name))
        else:
            yield (*prefix, name), command


def has_dry_run(command: click.Command) -> bool:
    return any("--dry-run" in parameter.opts for parameter in command.params)


def test_every_verb_with_a_dry_run_is_tried_here() -> None:
    found = {name for name, command in verbs(cli) if has_dry_run(command)}
    assert found == {*CASES, ("run",), ("finding", "check")}


WRITING = {
    "add", "run", "retry", "stop", "remove", "clear", "release", "materialize", "run-queued",
    "new-run", "promote", "backfill", "reconcile", "install", "install-slash-commands", "sync",
    "bundle", "unbundle", "new-thread", "new-hypothesis", "new-experiment", "new-finding",
    "set-status", "close-thread", "link",
}  # fmt: skip


def test_every_writing_verb_has_one() -> None:
    without = {name for name, command in verbs(cli) if not has_dry_run(command)}
    assert not {name for name in without if name[-1] in WRITING}


@pytest.fixture
def lively(research: Any, wait_until: Any) -> dict[str, str]:
    """A store with something for every verb: queued, running, failed, lost, unpromoted."""
    research.experiment("test {seed} != 11 || exit 1; test {seed} != 12 || exec sleep 69")
    queued, failed, ended = research.add("seed=10|11|13")
    running, lost = research.one("seed=12"), research.one("seed=14", "--command", "exec sleep 69")
    child = research.one("seed=15", "--after", failed)
    research.aexp("run-queued", failed, rc=1)
    research.aexp("run-queued", ended)
    research.aexp("new-thread", "--title", "question")
    research.aexp("new-hypothesis", "--title", "claim")
    research.aexp("new-experiment", "--title", "other", "--hypothesis", "H001")
    research.aexp("new-finding", "--title", "result", "--experiment", "E002")
    bundle = str(research.root.parent / "bundle.tar")
    research.aexp("ledger", "bundle", bundle)
    research.git("config", "user.name", "t")
    research.git("config", "user.email", "t@example.org")
    (research.root / ".aexp" / "ledger" / f"{ended}.json").unlink()
    (research.workspace(ended) / "terminal.json").unlink()
    research.start_aexp("run-queued", running, env={"AEXP_HEARTBEAT_S": "0"})
    owner = research.start_aexp("run-queued", lost, env={"AEXP_HEARTBEAT_S": "0"})
    wait_until(lambda: "proc" in research.doc(running)["queue"])
    wait_until(lambda: "proc" in research.doc(lost)["queue"])
    owner.kill()
    owner.wait()
    (research.root / "workflow" / "Snakefile").write_text("# changed\n")
    assert research.status(child) == "queued"
    names = {"QUEUED": queued, "ENDED": ended, "RUNNING": running, "RELEASABLE": lost}
    return {**names, "BUNDLE": bundle}


def test_nothing_is_written(research: Any, lively: dict[str, str]) -> None:
    before = research.tree()
    silent = []
    for name, arguments in CASES.items():
        words = [lively.get(word, word) for word in arguments]
        done = research.aexp(*name, *words, "--dry-run")
        if not done.stdout.strip():
            silent.append(name)
        after = research.tree()
        assert after == before, (name, {k for k in after if after[k] != before.get(k)})
    assert silent == []


def test_what_a_dry_run_announces_is_what_happens(research: Any, lively: dict[str, str]) -> None:
    for name, arguments in (
        (("queue", "retry"), ("--all",)),
        (("queue", "remove"), ("--all",)),
        (("queue", "add"), CASES["queue", "add"]),
    ):
        said = research.json(*name, *arguments, "--dry-run")
        did = research.json(*name, *arguments)
        if isinstance(said, dict):
            assert said["runs"] == did["runs"]
            assert said["num_queued"] == did["num_queued"] == 4
        else:
            assert [c["job_id"] for c in said] == [c["job_id"] for c in did] != []
    said = research.json("reconcile", "--dry-run")
    did = research.json("reconcile")
    assert said["restored"] == did["restored"]
    assert len(said["settled"]) == len(did["settled"]) == 1
