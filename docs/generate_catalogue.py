"""Write the tables of docs/catalogue.md from the schema of the code.

python docs/generate_catalogue.py
"""

from pathlib import Path

from aexp.catalogue.schema import TABLES, VIEWS

PAGE = Path(__file__).parent / "catalogue.md"
START, END = "<!-- schema: generated -->\n", "<!-- end of schema -->\n"


def schema() -> str:
    """Return one section per table, and the views."""
    parts = []
    for table in TABLES:
        rows = [f"| `{c.name}` | {c.type} | {c.about} |" for c in table.shown]
        head = (
            f"### {table.name}\n\nOne row is {table.about}.\n\n| column | type | |\n|---|---|---|\n"
        )
        parts.append(head + "\n".join(rows) + "\n")
    rows = [f"| `{view.name}` | {view.about} |" for view in VIEWS]
    parts.append("### Views\n\n| view | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n" + "\n".join(parts) + "\n"


def updated(page: str) -> str:
    """Return the page with its tables renewed."""
    head, _, rest = page.partition(START)
    return head + START + schema() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
