"""The list of tools is pinned: what there is, what each does, and that none executes a run."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "aexp" / "mcp"

READS = {
    "list_runs",
    "show_run",
    "status",
    "logs",
    "list_batches",
    "show_batch",
    "queue_list",
    "ledger_list",
    "ledger_show",
    "ledger_verify",
    "list_hypotheses",
    "list_experiments",
    "list_findings",
    "list_threads",
    "show_hypothesis",
    "show_experiment",
    "show_finding",
    "show_thread",
    "finding_check",
    "validate",
    "doctor",
}
ADDS = {"new_run", "new_hypothesis", "new_experiment", "new_finding", "new_thread"}
CHANGES = {
    "queue_add",
    "queue_remove",
    "queue_clear",
    "queue_retry",
    "queue_stop",
    "queue_materialize",
    "ledger_promote",
    "ledger_backfill",
    "finding_cite",
    "finding_write",
    "link_run",
    "close_thread",
    "set_status",
    "sync_offline",
    "bind_tracker",
}
NETWORK = {"sync_offline"}
# What executes runs, commands, or what others have written.
EXECUTING = re.compile(
    r"aexp\.(execution|workflow|cli|environment)(\.|$)|aexp\.queue\.run$|aexp\.processes"
    r"|subprocess|multiprocessing|pty|shlex|runpy|code$|importlib|pickle"
)


def test_the_list_of_tools(agent: Any) -> None:
    tools = agent.tools()
    assert set(tools) == READS | ADDS | CHANGES
    for name, tool in tools.items():
        hints = tool.annotations
        assert hints.read_only_hint == (name in READS), name
        assert hints.destructive_hint == (name in CHANGES), name
        assert hints.open_world_hint == (name in NETWORK), name
        assert tool.description
        assert tool.input_schema["type"] == tool.output_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert "notices" in tool.output_schema["properties"]


def test_every_argument_is_described_and_bounded(agent: Any) -> None:
    for name, tool in agent.tools().items():
        for argument, schema in tool.input_schema["properties"].items():
            assert '"description"' in str(schema).replace("'", '"') or "enum" in str(schema), (
                name,
                argument,
            )
            for part in leaves(schema):
                bounded = {"maxLength", "pattern", "enum", "const"} & set(part)
                assert part.get("type") != "string" or bounded, (name, argument)
                assert part.get("type") != "integer" or {"minimum", "maximum"} <= set(part)


def leaves(schema: Any) -> list[dict[str, Any]]:
    if not isinstance(schema, dict):
        return []
    inner = [schema.get("items"), *schema.get("anyOf", [])]
    return [schema, *(leaf for item in inner for leaf in leaves(item))]


def test_no_argument_is_a_command(agent: Any) -> None:
    for name, tool in agent.tools().items():
        for argument in tool.input_schema["properties"]:
            words = argument.split("_")
            assert not {"command", "exec", "shell", "args", "env", "prelude"} & set(words), name


def test_the_server_imports_nothing_that_executes() -> None:
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                assert not EXECUTING.match(name), f"{path.name} imports {name}"


def test_no_tool_executes_a_run(agent: Any, research: Any, samples: Callable[..., Any]) -> None:
    research.experiment("touch executed-{seed}")
    job_id = research.one("seed=0")
    calls = samples(job_id)
    assert calls.keys() == agent.tools().keys()
    for name, arguments in calls.items():
        agent.result(name, **arguments)
    assert list(research.root.rglob("executed-*")) == []
    for path in (research.root / ".runs" / "workspace").iterdir():
        if len(path.name) == 32:
            assert "attempts" not in research.doc(path.name).get("aexp_run", {})


def test_tools_that_read_write_nothing(
    agent: Any, research: Any, samples: Callable[..., Any]
) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    before = research.tree()
    for name, arguments in samples(job_id).items():
        if name in READS:
            agent.result(name, **arguments)
            assert research.tree() == before, name
