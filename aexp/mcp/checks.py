"""Tools that check the research record, and this machine."""

import os
from typing import Annotated, Literal

from pydantic import Field

from aexp.doctor.examine import examine
from aexp.errors import UsageError
from aexp.mcp.results import Object, Result, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.paths import Repo
from aexp.validation.validate import validate_files, validate_repo

tools = Toolbox()


class Issue(Value):
    """One problem that validation has found."""

    code: str
    message: str
    severity: str
    path: str | None
    line: int | None
    detail: Object | None


class Validated(Result):
    """What validation has found."""

    ok: bool
    num_errors: int
    num_warnings: int
    errors: list[Issue]
    warnings: list[Issue]
    checked: dict[str, int]


class Diagnosis(Value):
    """What one check of this machine has found."""

    check: str
    level: Literal["ok", "warn", "error"]
    what: str
    mend: str | None


class Examined(Result):
    """What is wrong here, and the commands that mend it."""

    ok: bool
    checks: list[Diagnosis]


@tools.add(Effect.READS)
def validate(
    repo: Repo,
    mode: Annotated[
        Literal["full", "kb-only", "runs-only"],
        Field(description="Everything, only the notes, or only runs and what findings cite."),
    ] = "full",
    strict_runs: Annotated[
        Literal["error", "warn", "off"],
        Field(description="How bad the citation of a run is that nobody knows."),
    ] = "error",
    files: Annotated[
        list[Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,1000}$")]] | None,
        Field(description="Only these notes, relative to the repository.", max_length=1000),
    ] = None,
    limit: Annotated[
        int, Field(description="At most so many errors and so many warnings.", ge=1, le=5000)
    ] = 200,
) -> Validated:
    """Check the research record: notes, runs, the ledger, and what findings cite and claim.

    Each issue has a code, the file, and the line. The codes are in docs/validate.md.
    """
    if files is None:
        result = validate_repo(repo, mode=mode, strict_runs=strict_runs)
    elif mode != "full":
        raise UsageError("give files or a mode, not both")
    else:
        paths = [os.path.join(repo.root, name) for name in files]
        result = validate_files(paths, repo, strict_runs=strict_runs)
    errors = [Issue.model_validate(issue._asdict()) for issue in result.errors]
    warnings = [Issue.model_validate(issue._asdict()) for issue in result.warnings]
    return Validated(
        ok=result.ok,
        num_errors=len(errors),
        num_warnings=len(warnings),
        errors=errors[:limit],
        warnings=warnings[:limit],
        checked=result.checked,
    )


@tools.add(Effect.READS, needs=Needs.FOLDER)
def doctor(
    folder: str,
    only_problems: Annotated[bool, Field(description="Leave out what is as it should be.")] = True,
) -> Examined:
    """Find out what is wrong here: git, the install, the store, Snakemake, Slurm, trackers.

    `mend` is the command that a person types; nothing is changed.
    """
    found = [Diagnosis.model_validate(item._asdict()) for item in examine(folder)]
    shown = [item for item in found if not only_problems or item.level != "ok"]
    return Examined(ok=all(item.level != "error" for item in found), checks=shown)
