"""Write the table of docs/validate.md from the table of the code.

python docs/generate_validate.py
"""

import re
from pathlib import Path

from aexp.validation.codes import CODES

PAGE = Path(__file__).parent / "validate.md"


def rows() -> list[str]:
    """Return one row of the table per code."""
    return [
        f"| `{name}` | {code.severity}{'*' if code.follows_strict_runs else ''} "
        f"| {code.trigger} | {code.mend} |"
        for name, code in CODES.items()
    ]


def updated(page: str) -> str:
    """Return the page with its table renewed."""
    head, line, rest = page.partition("| code | severity | trigger | mend |\n|---|---|---|---|\n")
    return head + line + "\n".join(rows()) + "\n" + re.sub(r"\A(\|.*\n)*", "", rest)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
