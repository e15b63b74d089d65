"""A real server process, and the SDK's own client that talks to it."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, Tool


class Agent:
    """A client with a server of its own, for tests that are not asynchronous."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self._client = client

    def tools(self) -> dict[str, Tool]:
        """Return the tools by name."""
        listed = self._portal.call(self._client.list_tools)
        return {tool.name: tool for tool in listed.tools}

    def result(self, name: str, **arguments: Any) -> CallToolResult:
        """Call a tool and return what came back."""
        return self._portal.call(self._client.call_tool, name, arguments)

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that succeeds; return its result, which the client has checked."""
        result = self.result(name, **arguments)
        assert not result.is_error, result.content
        return result.structured_content

    def fail(self, name: str, **arguments: Any) -> str:
        """Call a tool that refuses; return message and hint."""
        result = self.result(name, **arguments)
        assert result.is_error, result.structured_content
        (content,) = result.content
        assert "Traceback" not in content.text
        assert "defect" not in content.text
        assert result.structured_content["message"] in content.text
        return content.text

    def at_once(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[CallToolResult]:
        """Call tools in parallel; return the results in the order of the calls."""
        results: list[Any] = [None] * len(calls)

        async def one(number: int) -> None:
            name, arguments = calls[number]
            results[number] = await self._client.call_tool(name, arguments)

        async def everything() -> None:
            async with anyio.create_task_group() as group:
                for number in range(len(calls)):
                    group.start_soon(one, number)

        self._portal.call(everything)
        return results


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Give a function that starts a server in a folder and connects a client to it.

    At the end each server has written nothing to stderr.
    """
    logs: list[Path] = []
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def start(folder: Path, *more: str, env: dict[str, str] | None = None) -> Agent:
            log = tmp_path / f"server-{len(logs)}.log"
            logs.append(log)
            server = StdioServerParameters(
                command=sys.executable,
                args=["-P", "-m", "aexp", "mcp", *more],
                cwd=folder,
                env=env,
            )
            errors = stack.enter_context(log.open("w"))
            client = Client(stdio_client(server, errlog=errors))
            stack.enter_context(portal.wrap_async_context_manager(client))
            return Agent(portal, client)

        yield start
    assert [log.read_text() for log in logs] == [""] * len(logs)


@pytest.fixture
def agent(connect: Callable[..., Agent], research: Any) -> Agent:
    """Give an agent connected to a server in the test's repository."""
    return connect(research.root)


@pytest.fixture
def samples() -> Callable[[str], dict[str, dict[str, Any]]]:
    """Give a function: for every tool, arguments with which it does as much as it can."""

    def for_run(job_id: str) -> dict[str, dict[str, Any]]:
        finding = {"finding_id": "F001"}
        return {
            "list_runs": {},
            "show_run": {"job_id": job_id},
            "status": {},
            "logs": {"job_id": job_id},
            "new_run": {"experiment_id": "E001", "statepoint": {"seed": 9}},
            "queue_add": {"experiment_id": "E001", "sweep": "seed=0..3"},
            "queue_list": {},
            "queue_materialize": {"output_path": "run.sh"},
            "queue_remove": {"job_ids": [job_id]},
            "queue_retry": {"job_ids": [job_id]},
            "queue_stop": {"job_ids": [job_id]},
            "queue_clear": {"everything": True},
            "sync_offline": {},
            "bind_tracker": {"job_id": job_id},
            "list_batches": {},
            "show_batch": {"experiment_id": "E001"},
            "link_run": {"job_id": job_id, "experiment_id": "E001"},
            "new_hypothesis": {"title": "Wider is better"},
            "new_experiment": {"title": "Widths", "hypothesis_id": "H001"},
            "new_finding": {"title": "It is", "experiment_id": "E001"},
            "new_thread": {"title": "Width"},
            "close_thread": {"thread_id": "T001"},
            "set_status": {"artifact_id": "E001", "status": "COMPLETED"},
            "ledger_list": {},
            "ledger_show": {"job_id": job_id},
            "ledger_promote": {"job_id": job_id},
            "ledger_backfill": {"overwrite": True},
            "ledger_verify": {},
            "list_hypotheses": {},
            "list_experiments": {},
            "list_findings": {},
            "list_threads": {},
            "show_hypothesis": {"hypothesis_id": "H001"},
            "show_experiment": {"experiment_id": "E001"},
            "show_finding": finding,
            "show_thread": {"thread_id": "T001"},
            "finding_cite": {**finding, "batch": "E001"},
            "finding_check": finding,
            "finding_write": finding,
            "validate": {},
            "doctor": {},
        }

    return for_run
