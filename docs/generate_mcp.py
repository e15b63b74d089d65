"""Write the tables of docs/mcp.md from the server's tools: python docs/generate_mcp.py."""

from pathlib import Path

from aexp.mcp.server import FAMILIES
from aexp.mcp.tool import Tool

PAGE = Path(__file__).with_name("mcp.md")
BEGIN, END = "<!-- tools -->\n", "<!-- /tools -->\n"


def arguments(tool: Tool) -> str:
    """Return a tool's arguments, the optional ones in italics."""
    schema = tool.input_schema
    required = set(schema.get("required", ()))
    names = [
        f"`{name}`" if name in required else f"*{name}*" for name in schema.get("properties", {})
    ]
    return ", ".join(names) or "none"


def tables() -> str:
    """Return one table per family."""
    parts = []
    for family, tools in FAMILIES.items():
        rows = [
            f"| `{tool.name}` | {tool.effect.value} | {tool.summary.rstrip('.')} "
            f"| {arguments(tool)} |"
            for tool in tools.values()
        ]
        head = f"### {family.capitalize()}\n\n| tool | effect | what it does | arguments |"
        parts.append("\n".join([head, "|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def updated(page: str) -> str:
    """Return the page with its tables renewed."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    assert begin
    assert end
    return f"{head}{BEGIN}{tables()}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
