"""``aexp exec``: any command is a run."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from aexp.cli.commands import cli
from aexp.errors import AexpError, NotReproducible
from aexp.paths import Repo
from aexp.queue.change import retriable, retry_queued, select_for
from aexp.queue.pending import Queue
from aexp.reproduction.reproduce import plan_reproduction
from aexp.runs.select import RunFilter
from aexp.runs.store import compute_job_id

Newest = Callable[[], tuple[str, dict[str, Any]]]
Read = Callable[[str], dict[str, Any]]


def test_a_command_is_a_run(research: Any, newest: Newest, statepoint: Read) -> None:
    """Output, exit code, tags, parents, parameters and outputs, in document and ledger."""
    parent = research.aexp("exec", "--name", "first", "true").stderr.split()[2].rstrip(":")
    (research.root / "sub").mkdir()
    odd = "q'uo\"te <b> \N{SNOWMAN} {seed}"
    done = research.aexp(
        *("exec", "--tag", "night", "--tag", odd, "--name", odd, "--derived-from", parent[:9]),
        *("--sp", "lr:=0.1,text=x", "--out", "sub/*.txt", "--", "sh", "-c"),
        'cat; echo "$1" > made.txt; echo \'{"acc": 0.5}\' > "$AEXP_METRICS_PATH"; exit 3',
        *("sh", odd),
        rc=3,
        cwd=research.root / "sub",
        input="from stdin\n",
    )
    assert done.stdout == "from stdin\n"
    job_id, doc = newest()
    first, *_, last = done.stderr.splitlines()
    assert first.startswith(f"aexp: run {job_id}: cd sub && sh -c ")
    assert last.startswith(f"aexp: run {job_id}: failed, ")
    sp = statepoint(job_id)
    assert compute_job_id(sp) == job_id
    assert (sp["kind"], sp["cwd"], sp["lr"], sp["text"]) == ("adhoc", "sub", 0.1, "x")
    assert sp["argv"][-1] == odd
    assert (research.root / "sub" / "made.txt").read_text() == odd + "\n"
    entry = research.entry(job_id)
    assert entry["status"] == "failed"
    assert (entry["returncode"], entry["metrics"]) == (3, {"acc": 0.5})
    assert (entry["tag"], entry["tags"], entry["name"]) == ("night", ["night", odd], odd)
    assert entry["derived_from"] == [parent]
    assert [item["path"] for item in entry["outputs"]] == ["sub/made.txt"]
    assert entry["statepoint"]["code_commit"] == research.git("rev-parse", "HEAD").strip()
    assert (research.workspace(job_id) / "logs" / "1.log").read_text() == "from stdin\n"
    assert (research.workspace(job_id) / "terminal.json").exists()
    assert not (research.workspace(job_id) / "claim").exists()
    assert doc["aexp_run"]["attempts"][0]["environment"]["digest"].startswith("sha256:")

    # The same command again is another run; nothing is orphaned; both are listed with their tags.
    research.aexp("exec", "true")
    rows = {row["job_id"]: row for row in research.json("list-runs")}
    assert len(rows) == 3
    assert rows[job_id]["tag"] == "night"
    said = research.aexp("validate", "--runs-only", rc=None).stdout
    assert "run." not in said
    assert research.aexp("ledger", "verify").stdout.splitlines()[-1] == "OK"
    # It can be reproduced, and queued again, which executes the same command.
    said = research.aexp("reproduce", job_id)
    assert "cd sub && sh -c" in said.stdout
    command = plan_reproduction(job_id, repo_root=research.root).command
    away = research.workspace(job_id).rename(research.root.parent / "away")
    plan = plan_reproduction(job_id, repo_root=research.root)  # as of another machine
    assert (plan.recorded.origin, plan.command) == ("ledger", command)
    away.rename(research.workspace(job_id))
    research.aexp("queue", "retry", job_id)
    research.aexp("run-queued", job_id, rc=1)
    assert len(research.entry(job_id)["attempts"]) == 2


def test_a_command_that_cannot_be_started(research: Any, newest: Newest) -> None:
    """No traceback, no run that stays running."""
    done = research.aexp("exec", "no-such-command", "--flag", rc=127)
    assert "Traceback" not in done.stderr
    job_id, doc = newest()
    assert (doc["status"], doc["aexp_run"]["returncode"]) == ("failed", 127)
    assert research.entry(job_id)["cause"] == "cannot_start"
    script = research.root / "plain.txt"
    script.write_text("text\n")
    assert "Permission denied" in research.aexp("exec", "./plain.txt", rc=126).stderr
    script.unlink()
    script.symlink_to(script)
    research.aexp("exec", "./plain.txt", rc=126)
    # Nor can anything be done from a folder that is gone.
    (research.root / "gone").mkdir()
    line = f"rmdir ../gone; exec {sys.executable} -P -m aexp exec -- true"
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=research.root / "gone",
        env=research.env,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "the present folder has been removed" in done.stderr) == (1, True)


WRONG = {
    ("--derived-from", "ffffffff"): "no run begins with ffffffff",
    ("--derived-from", "tuesday"): "'tuesday' is not a run id",
    ("--campaign", "nowhere"): "nowhere",
    ("--tag", "two\nlines"): "cannot be a tag",
    ("--name", ""): "cannot be a tag",
    ("--agent-mode", "weird"): "weird",
    ("--out", "../elsewhere"): "inside the repository",
    ("--sp", "nonce=1"): "cannot be called nonce",
    ("--sp", "a.b=1"): "a.b",
    ("--nonsense",): "nonsense",
}


def test_what_is_wrong_is_said_before_anything_is_written(
    research: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(research.root)
    before = research.tree()
    for options, words in WRONG.items():
        with pytest.raises((AexpError, click.ClickException)) as refused:
            cli.main(["exec", *options, "--", "touch", "made"], standalone_mode=False)
        assert words in refused.value.message, options
    assert research.tree() == before
    done = research.aexp("exec", "--derived-from", "ffffffff", "--", "touch", "made", rc=1)
    assert done.stderr.startswith("error: no run begins with ffffffff\nhint: ")


def test_secrets_are_not_recorded(
    research: Any, newest: Newest, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    token = "sk-abcdefghijklmnopqrstuvwx0123456789"
    given = ("--sp", f"api_key={token},lr:=0.1", "--name", "say")
    done = research.aexp("exec", *given, "--", "echo", "--api-key", token)
    assert done.stdout == f"--api-key {token}\n"
    job_id, _ = newest()
    for path in (research.root / ".aexp" / "ledger", research.workspace(job_id)):
        for file in path.rglob("*.json"):
            assert token not in file.read_text()
    assert token not in done.stderr
    assert research.entry(job_id)["statepoint"]["lr"] == 0.1
    monkeypatch.chdir(research.root)
    cli.main(["show", job_id], standalone_mode=False)
    shown = capsys.readouterr().out
    assert token not in shown
    assert "\nname          say\n" in shown
    assert "E???" not in shown, "it is of no batch"
    (change,) = retry_queued([job_id], repo_root=research.root)
    assert not change.done
    assert "looks like a secret" in change.note
    assert research.status(job_id) == "complete"
    with pytest.raises(NotReproducible):  # it would be executed with the stars
        plan_reproduction(job_id, repo_root=research.root)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_is_recorded(
    research: Any, newest: Newest, wait_until: Any, number: signal.Signals
) -> None:
    """The command gets it, the run has ended, and nothing brings it back."""
    process = research.start_aexp("exec", "--", "sh", "-c", "echo ready; exec sleep 61")
    wait_until(lambda: process.stdout is not None and process.stdout.readline() == b"ready\n")
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    job_id, doc = newest()
    assert (doc["status"], doc["aexp_run"]["cause"]) == ("stopped", "interrupted")
    attempt = doc["aexp_run"]["attempts"][0]
    assert attempt["returncode"] == -number
    assert research.entry(job_id)["status"] == "stopped"


def test_what_kill_9_leaves_is_settled(research: Any, newest: Newest, wait_until: Any) -> None:
    """Nobody could record the end: reconcile does, and ends the command."""
    process = research.start_aexp(
        "exec", "--tag", "night", "--", "sh", "-c", "echo $$; exec sleep 62"
    )
    pids = [
        word
        for line in (process.stdout.readline(), process.stdout.readline())
        if (word := line.strip()).isdigit()
    ]
    process.kill()
    process.wait()
    repo = Repo(research.root)
    assert Queue(repo).due(RunFilter()) == [], "the queue does not take it, whatever its labels"
    running = select_for(repo, (), RunFilter(tag="night"), frozenset({"running"}))
    assert [run.job_id for run in running] == [newest()[0]], "it can be stopped by them"
    research.aexp("reconcile")
    assert retriable(repo, RunFilter(tag="night"), frozenset({"failed"})) == []
    job_id, doc = newest()
    assert (doc["status"], doc["aexp_run"]["cause"]) == ("failed", "lost")
    assert research.entry(job_id)["status"] == "failed"
    for pid in pids:
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{int(pid)}/cwd"))


def test_a_queue_beside_it_does_not_take_it(research: Any, newest: Newest) -> None:
    """It is never queued: what executes the queue meanwhile leaves it alone."""
    queued = research.one("seed=1")
    aexp = f"{sys.executable} -P -m aexp"
    research.aexp("exec", "--", "sh", "-c", f"{aexp} queue run; {aexp} queue list --json > list")
    assert research.status(queued) == "complete"
    listed = json.loads((research.root / "list").read_text())
    assert listed == []
    assert newest()[1]["status"] == "complete"


def test_a_campaign_gets_it_before_it_begins(research: Any, newest: Newest) -> None:
    research.aexp("campaign", "create", "lr", "--question", "Which?")
    research.aexp("exec", "--campaign", "lr", "true")
    job_id, _ = newest()
    assert (research.root / ".aexp" / "campaigns" / "lr" / "runs" / f"{job_id}.json").exists()
    research.aexp("campaign", "conclude", "lr", "--outcome", "done")
    before = research.tree()
    assert "concluded" in research.aexp("exec", "--campaign", "lr", "true", rc=1).stderr
    assert research.tree() == before


def test_a_script_that_must_say_what_its_results_mean(research: Any, newest: Newest) -> None:
    """The gate names what is missing; to pass over it is allowed and counted."""
    script = research.root / "scripts" / "experiments" / "train_net.py"
    script.parent.mkdir(parents=True)
    script.write_text("print(1)\n")
    command = ("--", sys.executable, "train_net.py")
    done = research.aexp("exec", *command, rc=1, cwd=script.parent)
    assert "scripts/experiments/train_net.aexp.toml is missing" in done.stderr
    assert list((research.root / ".runs" / "workspace").iterdir()) == []
    research.aexp("exec", "--no-sidecar", "--agent-mode", "autonomous", *command, cwd=script.parent)
    entry = research.entry(newest()[0])
    assert (entry["sidecar_mode"], entry["agent_mode"]) == ("bypassed", "autonomous")


def test_the_exit_code_is_the_commands(research: Any) -> None:
    """Also without a standard input, and through a pipe whose reader has gone."""
    research.aexp("exec", "--", "sh", "-c", "exit 75", rc=75)
    done = subprocess.run(
        f"{sys.executable} -P -m aexp exec -- sh -c 'seq 100000; exit 5' | head -1; "
        f'echo "${{PIPESTATUS[0]}}"; {sys.executable} -P -m aexp exec -- cat <&-; echo "$?"',
        shell=True,
        executable="/bin/bash",
        cwd=research.root,
        env=research.env,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["1", "5", "0"]
    assert "nobody reads the output any more" in done.stderr
