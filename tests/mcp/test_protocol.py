"""The server as a process: parallel calls, what arrives on stdin, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

HELLO: list[dict[str, Any]] = [
    {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]


class Wire:
    """A server process, and lines to and from it as they are."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def send(self, *lines: bytes | dict[str, Any]) -> None:
        assert self.process.stdin is not None
        for line in lines:
            data = line if isinstance(line, bytes) else json.dumps(line).encode()
            self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def call(self, number: int, name: str, **arguments: Any) -> None:
        parameters = {"name": name, "arguments": arguments}
        self.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters})

    def read(self) -> dict[str, Any]:
        """Return the next line, which is a message of the protocol and nothing else."""
        assert self.process.stdout is not None
        message = json.loads(self.process.stdout.readline())
        assert message["jsonrpc"] == "2.0"
        return message

    def answer(self, number: int) -> dict[str, Any]:
        """Return the answer to a request; before it there may be errors about other lines."""
        while (message := self.read()).get("id") != number:
            assert "error" in message or message["result"]["isError"], message
        return message


@contextmanager
def server(research: Any, *wrapper: str) -> Iterator[Wire]:
    process = subprocess.Popen(
        [*wrapper, sys.executable, "-P", "-m", "aexp", "mcp"],
        cwd=research.root,
        env=research.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wire = Wire(process)
    try:
        wire.send(*HELLO)
        assert wire.answer(0)["result"]["serverInfo"]["name"] == "aexp"
        yield wire
    finally:
        process.kill()
        process.communicate()


def test_the_server_ends_with_its_input(research: Any) -> None:
    with server(research) as wire:
        wire.call(1, "status")
        assert not wire.answer(1)["result"]["isError"]
        out, errors = wire.process.communicate(timeout=60)
        assert (out, errors, wire.process.returncode) == (b"", b"", 0)


def test_what_has_begun_is_finished_when_the_input_ends(research: Any) -> None:
    with server(research) as wire:
        wire.call(1, "queue_add", experiment_id="E001", sweep="seed=0..199")
        wire.process.communicate(timeout=120)
        assert wire.process.returncode == 0
    # Whether or not it had begun: every run is whole.
    queued = research.json("queue", "list")
    assert len(queued) in (0, 200)
    assert not list((research.root / ".runs" / "workspace").glob(".new-*"))


def test_a_client_that_has_gone(research: Any, wait_until: Callable[..., Any]) -> None:
    with server(research) as wire:
        assert wire.process.stdout is not None
        assert wire.process.stderr is not None
        wire.process.stdout.close()
        wire.call(1, "status")
        wire.call(2, "list_runs")
        wire.process.wait(timeout=60)
        assert wire.process.stderr.read() == b""
        assert wire.process.returncode == 0


def test_signals_end_the_server(research: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with server(research) as wire:
            wire.process.send_signal(number)
            wire.process.wait(timeout=60)
            assert wire.process.stderr is not None
            assert wire.process.stderr.read() == b""


def test_lines_that_are_no_requests(research: Any) -> None:
    deep = b"[" * 200_000
    with server(research) as wire:
        wire.send(b"not JSON", b"{}", b"[]", b"null", b"\xff\xfe\x00", b"", deep)
        nested = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
        head = b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"queue_add",'
        wire.send(head + b'"arguments":{"experiment_id":"E001","statepoint":' + nested + b"}}}")
        wire.send(head + b'"arguments":{"experiment_id":"E001","statepoint":{"a":NaN}}}}')
        wire.send({"jsonrpc": "2.0", "id": 6, "method": "no/such", "params": {}})
        wire.send({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": 5}})
        wire.call(8, "status")
        answer = wire.answer(8)
        assert answer["result"]["structuredContent"]["experiments"] == {}
        _, errors = wire.process.communicate(timeout=60)
        assert b"Traceback" not in errors
        assert wire.process.returncode == 0


def test_nothing_but_the_protocol_on_stdout(research: Any) -> None:
    """Git hooks, warnings and children print where they like: not into the protocol."""
    job_id = research.one("seed=0")
    (research.workspace(job_id) / "signac_job_document.json").write_text("broken")
    fsmonitor = research.root / "noisy.sh"
    fsmonitor.write_text("#!/bin/sh\necho noise\necho noise >&2\ncat\n")
    fsmonitor.chmod(0o755)
    research.git("config", "core.fsmonitor", str(fsmonitor))
    with server(research) as wire:
        for number, name in enumerate(("list_runs", "validate", "doctor", "queue_list"), start=1):
            wire.call(number, name)
            assert "result" in wire.answer(number)
        wire.call(9, "queue_add", experiment_id="E001", statepoint={"seed": 1})
        assert not wire.answer(9)["result"]["isError"]
        out, _ = wire.process.communicate(timeout=60)
        assert out == b""


def test_parallel_calls_do_not_lose_each_other(agent: Any, research: Any) -> None:
    adds = [
        ("queue_add", {"experiment_id": "E001", "statepoint": {"seed": seed}, "tag": "together"})
        for seed in range(12)
    ]
    same = [("queue_add", {"experiment_id": "E001", "statepoint": {"seed": 99}})] * 6
    reads = [("list_runs", {}), ("validate", {}), ("ledger_verify", {})] * 3
    results = agent.at_once([*adds, *same, *reads])
    assert [result.content for result in results if result.is_error] == []
    assert agent.call("queue_list", tag="together")["total"] == 12
    assert agent.call("queue_list")["total"] == 13
    # One by one or all at once: each of the six says that the same run is queued.
    ids = {result.structured_content["jobs"][0]["job_id"] for result in results[12:18]}
    assert len(ids) == 1


def test_each_call_hears_its_own_warnings_only(agent: Any, research: Any) -> None:
    bad = research.one("seed=0")
    (research.workspace(bad) / "signac_job_document.json").write_text("broken")
    calls: list[tuple[str, dict[str, Any]]] = [("list_runs", {}), ("list_experiments", {})] * 12
    results = agent.at_once(calls)
    for (name, _), result in zip(calls, results, strict=True):
        notices = result.structured_content["notices"]
        assert len(notices) == (1 if name == "list_runs" else 0), (name, notices)


def test_a_slow_call_does_not_hold_up_the_others(
    agent: Any, research: Any, wait_until: Callable[..., Any]
) -> None:
    research.experiment("trap '' TERM; touch up-{seed}; sleep 600")
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: (research.root / "up-0").exists())
    ended: dict[str, float] = {}

    def timed(name: str, arguments: dict[str, Any]) -> None:
        agent.call(name, **arguments)
        ended[name] = time.monotonic()

    from threading import Thread

    slow = Thread(target=timed, args=("queue_stop", {"job_ids": [job_id], "grace_s": 8}))
    slow.start()
    wait_until(lambda: "stop" in str(research.doc(job_id)))
    timed("status", {})
    slow.join()
    assert ended["status"] < ended["queue_stop"]
    wait_until(lambda: research.status(job_id) == "stopped")


def test_without_the_extra(research: Any, tmp_path: Any) -> None:
    """The verb says what to install; every other verb works."""
    blocked = tmp_path / "blocked"
    (blocked / "mcp").mkdir(parents=True)
    (blocked / "mcp" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'mcp'\", name='mcp')"
    )
    command = [sys.executable, "-m", "aexp", "mcp"]
    env = {**research.env, "PYTHONPATH": os.fspath(blocked)}
    done = subprocess.run(
        command, cwd=research.root, env=env, capture_output=True, text=True, input=""
    )
    assert done.returncode == 1
    assert "pip install 'aexp[mcp]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
