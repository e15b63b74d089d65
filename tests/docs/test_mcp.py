"""docs/mcp.md: its tables are the server's tools, its registration the one that is installed."""

import importlib.util
import json
import re
from pathlib import Path

from aexp.install.install import MCP_SERVER

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mcp.md"


def test_the_tables_are_fresh() -> None:
    path = ROOT / "docs" / "generate_mcp.py"
    spec = importlib.util.spec_from_file_location("generate_mcp", path)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    page = PAGE.read_text()
    assert page == generator.updated(page), "run: python docs/generate_mcp.py"


def test_the_registration_is_the_one_that_install_writes() -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert json.loads(block) == {"mcpServers": {"aexp": MCP_SERVER}}
