"""``aexp watch``: what it shows, on a real terminal and without one, and that it gives it back."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TRAIN = """
import json, os, pathlib, sys, time
import aexp
run = aexp.current()
run.log({"loss": int(sys.argv[1]) + 0.5}, step=5)
run.heartbeat(step=5, total=20, message="warming up")
while not pathlib.Path("../go").exists():
    time.sleep(0.02)
json.dump({"loss": int(sys.argv[1]) / 4}, open(os.environ["AEXP_METRICS_PATH"], "w"))
"""


class Screen:
    """A process on a pseudo-terminal of its own, and what it shows there."""

    def __init__(
        self,
        research: Any,
        *arguments: str,
        size: tuple[int, int] = (100, 30),
        shell: str | None = None,
    ) -> None:
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self.resize(*size)
        self.data = b""
        watch = [sys.executable, "-P", "-m", "aexp", "watch", *arguments]
        self.process = subprocess.Popen(
            watch if shell is None else ["bash", "-c", shell, "bash", *watch],
            cwd=research.root,
            env={**research.env, "TERM": "xterm", "PYTHONUTF8": "1"},
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self.ours, 65536):
                self.data += data

    def resize(self, columns: int, lines: int) -> None:
        """Change the size; the kernel sends SIGWINCH to the foreground process."""
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """The lines of the last whole frame, without their colours."""
        frames = [frame for frame in self.text.split("\x1b[H")[1:] if "\x1b[J" in frame]
        if not frames:
            return []
        shown = frames[-1].split("\x1b[J")[0]
        return [re.sub(r"\x1b\[[0-9;]*[mK]", "", line) for line in re.split("\r+\n", shown)]

    @property
    def shown(self) -> str:
        return "\n".join(self.lines)

    @property
    def after(self) -> str:
        """What stands on the ordinary screen once the view has gone."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.text.split("\x1b[?1049l")[-1])

    def is_restored(self) -> bool:
        text = self.text
        return (
            text.count("\x1b[?1049h") == text.count("\x1b[?1049l") > 0
            and text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
            and text.rindex("\x1b[?7h") > text.rindex("\x1b[?7l")
            and termios.tcgetattr(self.theirs) == self.before
        )

    def wait(self) -> int:
        code = self.process.wait(timeout=30)
        with contextlib.suppress(OSError):  # until all that it wrote is here
            while select.select([self.ours], [], [], 0)[0] and self._reader.is_alive():
                time.sleep(0.01)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.theirs)
        self._reader.join(timeout=10)
        os.close(self.ours)


@pytest.fixture
def screen(research: Any) -> Iterator[Callable[..., Screen]]:
    made: list[Screen] = []

    def start(*arguments: str, **options: Any) -> Screen:
        made.append(Screen(research, *arguments, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def training(research: Any, wait_until: Any) -> list[str]:
    """Three runs: one that is running until ``../go`` exists, one complete, one queued."""
    (research.root / "train.py").write_text(TRAIN)
    research.experiment(f"{sys.executable} train.py {{seed}}")
    running, ended, queued = research.add("condition=full,seed=1..3", "--tag", "paper")
    document = research.workspace(ended) / "signac_job_document.json"
    doc = json.loads(document.read_text())
    doc.update(status="failed", ended_at="2026-01-01T00:00:00Z", wallclock_s=75.0)
    document.write_text(json.dumps(doc))
    research.start_aexp("run-queued", running)
    wait_until((research.workspace(running) / "progress.json").exists)
    wait_until((research.workspace(running) / "heartbeat").exists)
    return [running, ended, queued]


def test_one_view_without_a_terminal(research: Any, training: list[str]) -> None:
    running, ended, queued = training
    shown = research.aexp("watch").stdout
    assert "3 run(s): 1 queued, 1 running, 1 failed" in shown
    line = next(line for line in shown.splitlines() if line.startswith(running[:8]))
    for text in ("condition=full seed=1", "25%", "5/20", "loss=1.5", "warming up", "paper"):
        assert text in line
    assert next(line for line in shown.splitlines() if line.startswith(ended[:8])).split()[1] == (
        "failed"
    )
    assert queued[:8] not in shown
    assert "\x1b" not in shown
    seen = research.json("watch", "--tag", "paper")
    assert seen["totals"]["queued"] == seen["totals"]["running"] == 1
    assert [run["job_id"] for run in seen["ended"]] == [ended]
    one = seen["running"][0]
    assert (one["job_id"], one["owner"], one["attempt"]) == (running, "alive", 1)
    assert one["heartbeat_age_s"] < 30
    progress = one["progress"]
    assert (progress["fraction"], progress["step"], progress["total"]) == (0.25, 5, 20)
    assert progress["metrics"] == {"loss": 1.5}
    assert research.json("watch", "--tag", "other")["totals"]["running"] == 0
    assert "no run matches tag other" in research.aexp("watch", "--tag", "other").stdout
    assert "not both" in research.aexp("watch", "--once", "--until-done", rc=2).stderr


def test_the_other_verbs_show_it_too(research: Any, training: list[str]) -> None:
    running = training[0]
    for verb in (("status",), ("queue", "list"), ("list-runs",)):
        line = next(
            line
            for line in research.aexp(*verb).stdout.splitlines()
            if line.startswith(running[:8])
        )
        assert "25%  5/20  warming up" in line, verb
        assert "1.5" in line, verb
    shown = research.aexp("show-run", running).stdout
    assert "progress      25%  5/20  warming up\n" in shown
    assert "latest        loss = 1.5\n" in shown
    for verb in (("queue", "list"), ("list-runs",)):
        found = {row["job_id"]: row["progress"] for row in research.json(*verb)}
        assert found[running]["metrics"] == {"loss": 1.5}
        assert found[running]["message"] == "warming up"
        assert all(found[other] is None for other in training[1:] if other in found)
    assert research.json("show-run", running)["progress"]["fraction"] == 0.25
    (research.root.parent / "go").touch()
    research.aexp("watch", "--until-done", "--every", "0.1", "--sp", "seed=1")
    assert research.json("show-run", running)["progress"] is None
    assert research.json("show-run", running)["metrics"] == {"loss": 0.25}


def test_a_live_view_until_ctrl_c(
    research: Any, training: list[str], screen: Callable[..., Screen], wait_until: Any
) -> None:
    view = screen("--every", "0.2")
    wait_until(lambda: "loss=1.5" in view.shown)
    assert len(view.lines) <= 30
    assert all(len(line) <= 100 for line in view.lines)
    assert "q or Ctrl-C" in view.lines[-1]
    assert not termios.tcgetattr(view.theirs)[3] & termios.ECHO
    # The same run, a new row: seen at the next look.
    with (research.workspace(training[0]) / "series.jsonl").open("a") as file:
        file.write('{"attempt":1,"step":6,"time":1.0,"metrics":{"acc":0.875}}\n')
    wait_until(lambda: "acc=0.875" in view.shown and "loss=1.5" in view.shown)
    view.resize(50, 12)
    wait_until(lambda: view.lines and all(len(line) <= 50 for line in view.lines))
    assert len(view.lines) <= 12
    assert training[0][:8] in view.shown
    view.resize(140, 40)
    wait_until(lambda: "warming up" in view.shown)
    view.type("\x03")
    assert view.wait() == 0
    wait_until(view.is_restored)
    assert "1 running" in view.after
    assert "Traceback" not in view.text
    assert research.status(training[0]) == "running"


def test_other_ways_out_give_the_terminal_back(
    research: Any, training: list[str], screen: Callable[..., Screen], wait_until: Any
) -> None:
    typed, ended = screen("--every", "30"), screen("--every", "30")
    stopped = screen("--every", "30", shell='set -m; "$@"; echo the shell is back; read; fg')
    for view in (typed, ended, stopped):
        wait_until(lambda view=view: "25%" in view.shown)
    typed.type("q")
    assert typed.wait() == 0
    ended.process.send_signal(signal.SIGTERM)
    assert ended.wait() == 143
    stopped.type("\x1a")  # Ctrl-Z
    wait_until(lambda: "the shell is back" in stopped.text)
    assert stopped.is_restored()
    stopped.type("\n")
    wait_until(lambda: stopped.text.count("\x1b[?1049h") == 2)
    wait_until(lambda: "25%" in stopped.text.split("\x1b[?1049h")[-1])
    stopped.type("q")
    assert stopped.wait() == 0
    for view in (typed, ended, stopped):
        wait_until(view.is_restored)
        assert "Traceback" not in view.text


def test_until_done_follows_the_queue_to_its_end(
    research: Any, training: list[str], screen: Callable[..., Screen], wait_until: Any
) -> None:
    running, _, queued = training
    left = screen("--until-done", "--every", "30")
    view = screen("--until-done", "--every", "0.2")
    for each in (left, view):
        wait_until(lambda each=each: "25%" in each.shown)
    left.type("\x03")
    assert left.wait() == 130  # what comes after && would be told a lie
    (research.root.parent / "go").touch()
    wait_until(lambda: "nothing is running" in view.shown)
    assert "1 queued" in view.shown
    assert view.process.poll() is None
    research.aexp("run-queued", queued)
    assert view.wait() == 0
    wait_until(view.is_restored)
    assert "3 run(s): 2 complete, 1 failed" in view.after
    assert f"{queued[:8]}  complete" in view.after
    # In a script: it waits, then prints; with --json one document.
    seen = research.json("watch", "--until-done")
    ends = [run["ended_at"] for run in seen["ended"]]  # whole seconds: both may be the same
    assert ends == sorted(ends, reverse=True)
    assert {run["job_id"] for run in seen["ended"][:2]} == {queued, running}


def test_until_done_does_not_wait_for_what_cannot_run(research: Any, training: list[str]) -> None:
    owner = research.json("watch")["running"][0]["why"]
    os.kill(int(re.search(r"process (\d+)", owner)[1]), signal.SIGKILL)  # type: ignore[index]
    document = research.workspace(training[2]) / "signac_job_document.json"
    doc = json.loads(document.read_text())
    doc["aexp_run"]["after"] = ["f" * 32]  # a parent that this store does not have
    document.write_text(json.dumps(doc))
    done = research.aexp("watch", "--until-done")
    assert "owner dead" in done.stdout
    assert "1 run(s) have lost their owner" in done.stderr
    assert "1 queued run(s) cannot run, see: aexp queue list" in done.stderr
    assert research.json("watch")["running"][0]["owner"] == "dead"


def test_what_users_wrote_cannot_harm_the_view(
    research: Any, training: list[str], screen: Callable[..., Screen], wait_until: Any
) -> None:
    workspace = research.workspace(training[0])
    (workspace / "progress.json").write_text(
        json.dumps(
            {"fraction": 7, "step": "x", "total": 0, "message": "\x1b[2J\n\ud800" + "m" * 999}
        )
    )
    rows = [
        '{"attempt":1,"step":1,"metrics":{"a\\u001b[31m":1,"b\\ud800":2,"text":"no","n":NaN}}',
        "half a r",
        '{"attempt":1,"metrics":' + '{"x":' * 900 + "1" + "}" * 901,
        '{"attempt":9,"step":1,"metrics":{"of another attempt":1}}',
        '{"attempt":1,"step":7,"metrics":{"wide":1e400}}',
        '{"attempt":1,"step":8,"metrics":{"torn":',
    ]
    (workspace / "series.jsonl").write_text("\n".join(rows))
    os.mkfifo(workspace / "metrics.json")  # nobody will ever write: it is not waited for
    damaged = research.workspace(training[2]) / "signac_job_document.json"
    damaged.write_text("{")
    view = screen("--every", "0.2", size=(300, 30))
    wait_until(lambda: "wide=Infinity" in view.shown)
    assert "\x1b[2J" not in view.text
    assert r"\x1b[2J\n\ud800mmm" in view.shown
    assert r"a\x1b[31m=1 b\ud800=2 n=NaN" in view.shown
    assert "100%" in view.shown
    assert "step 7" in view.shown
    assert "another attempt" not in view.shown
    assert "torn" not in view.shown
    assert f"warning: {damaged} is not valid JSON" in view.shown
    # The damage is mended: seen at the next look.
    damaged.write_text('{"status": "queued", "queue": {"queued_at": "2026-01-01T00:00:00Z"}}')
    wait_until(lambda: "warning" not in view.shown and "1 queued" in view.shown)
    view.type("q")
    assert view.wait() == 0
    for verb in (("status",), ("queue", "list"), ("list-runs",), ("show-run", training[0])):
        assert "100%" in research.aexp(*verb).stdout
        research.aexp(*verb, "--json")


def test_the_store_may_vanish(
    research: Any, training: list[str], screen: Any, wait_until: Any
) -> None:
    view = screen("--every", "0.2")
    wait_until(lambda: "25%" in view.shown)
    hidden = research.root / ".runs" / "elsewhere"
    (research.root / ".runs" / "workspace").rename(hidden)
    wait_until(lambda: "there is no run" in view.shown)
    hidden.rename(research.root / ".runs" / "workspace")
    wait_until(lambda: "25%" in view.shown)
    view.type("q")
    assert view.wait() == 0
    assert "Traceback" not in view.shown


def test_a_dumb_terminal_gets_one_view(research: Any) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "aexp", "watch"],
        cwd=research.root,
        env={**research.env, "TERM": "dumb"},
        stdout=theirs,
    )
    os.close(theirs)
    assert process.wait(timeout=30) == 0
    shown = os.read(ours, 4096)
    os.close(ours)
    assert b"there is no run" in shown
    assert b"\x1b[?" not in shown


def test_a_look_reads_only_what_has_changed(research: Any, tmp_path: Path) -> None:
    """At thousands of runs a refresh is a list of stats, not a parse of everything."""
    from aexp.paths import Repo
    from aexp.runs import observe
    from aexp.runs.observe import Observer
    from aexp.runs.select import RunFilter

    ids = research.add("condition=full|cls,seed=0..49")
    observer = Observer(Repo(research.root), RunFilter())
    assert observer.look().totals["queued"] == 100
    read: list[str] = []
    original = observe.read_run

    def counted(repo: Repo, job_id: str) -> Any:
        read.append(job_id)
        return original(repo, job_id)

    observe.read_run = counted  # type: ignore[assignment]
    try:
        assert observer.look().totals["queued"] == 100
        assert read == []
        research.aexp("queue", "remove", ids[3])
        seen = observer.look()
    finally:
        observe.read_run = original
    assert set(read) == {ids[3]}
    assert seen.totals == {**seen.totals, "queued": 99, "abandoned": 1}
