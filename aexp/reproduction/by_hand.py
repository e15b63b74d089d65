"""The command of an attempt that a person's own program has executed."""

import os
import shutil
import sys
from typing import Any

from aexp.errors import NotReproducible
from aexp.handle.program import command_of
from aexp.model import section, short
from aexp.paths import Repo


def command_by_hand(repo: Repo, job_id: str, facts: dict[str, Any], unknown: list[str]) -> str:
    """Return the command that starts the program again; within it the run is the current one.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    facts : dict
        The attempt's record.
    unknown : list of str
        Gets what will not be as it was.

    Raises
    ------
    NotReproducible
        If it is not recorded how the program was started, or that cannot be repeated.
    """
    program = section(facts, "by_hand")
    which = f"attempt {facts.get('attempt')} of run {short(job_id)} was executed by hand"
    hint = "put the code into a script, or queue it: aexp queue add"
    if not {"script", "module", "code"} & program.keys():
        lost = program.get("lost") or "how its program was started is not recorded"
        raise NotReproducible(f"{which}, and {lost}", hint)
    if program.get("lost"):
        raise NotReproducible(
            f"{which}, and {program['lost']}", "give secrets by variables of the environment"
        )
    script = str(program.get("script", ""))
    if os.path.isabs(script):
        if not os.path.exists(script):
            raise NotReproducible(f"{which}, and its program {script} is not here", hint)
        unknown.append(f"its program lies outside of the repository, as it is now: {script}")
    if os.path.isabs(str(program.get("cwd"))):
        unknown.append(
            f"it was started in {program['cwd']}, outside of the repository; now in the worktree"
        )
        program = {**program, "cwd": "."}
    if program.get("worker"):
        unknown.append(
            "it was one of several processes of its program, which all execute this run now"
        )
    elif program.get("block", 1) != 1:
        unknown.append(
            f"its program had executed {program['block'] - 1} runs before; now every block in it "
            "executes this one"
        )
    python = str(program.get("python"))
    if shutil.which(python) is None:
        unknown.append(f"its Python {python} is not here: {sys.executable} is used")
        python = sys.executable
    return command_of(program, python)
