"""A stranger's SQL in a process of its own, for a caller that has to live on.

However much memory or time the query takes, it is that process that ends.
"""

import json
import subprocess
import sys
from typing import Any

from aexp.errors import UsageError
from aexp.paths import Repo

_GRACE_S = 15.0


def query_apart(repo: Repo, sql: str, *, timeout_s: float, max_rows: int) -> list[dict[str, Any]]:
    """Return the rows that one SELECT finds, by column name, as ``aexp sql --json`` has them.

    Raises
    ------
    UsageError
        If it is not one SELECT, is wrong, or takes more than it may.
    """
    limits = ["--timeout", f"{timeout_s:g}", "--max-rows", str(max_rows)]
    command = [sys.executable, "-P", "-m", "aexp", "sql", "-", "--json", *limits]
    try:
        done = subprocess.run(
            command,
            cwd=repo.root,
            input=sql.encode("utf-8", "surrogatepass"),
            capture_output=True,
            timeout=timeout_s + _GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"the query took longer than {timeout_s:g} s", "let it make less at once"
        ) from None
    if done.returncode != 0:
        raise _refused(done.stderr.decode(errors="replace"))
    rows = json.loads(done.stdout or b"[]")
    return rows if isinstance(rows, list) else []


def _refused(said: str) -> UsageError:
    error, hint = "the query was ended: it took more than it may", None
    for line in said.splitlines():
        if line.startswith("error: "):
            error = line.removeprefix("error: ")
        elif line.startswith("hint: "):
            hint = line.removeprefix("hint: ")
    return UsageError(error, hint)
