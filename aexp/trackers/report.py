"""What a tracker's process leaves behind: how its side of an attempt went."""

import os
from typing import TYPE_CHECKING

from aexp.errors import AexpError
from aexp.files import pretty_json, temporary_name, write_atomic
from aexp.paths import Repo
from aexp.trackers.files import STATE, read_quietly, tracker_file

if TYPE_CHECKING:
    from aexp.trackers.follow import Follower


def report(
    repo: Repo,
    job_id: str,
    attempt: int,
    follower: "Follower | None",
    *,
    problem: str | None = None,
    hint: str | None = None,
    ended: bool = True,
) -> None:
    """Write it down, for the wrapper, for people and for a later sync; a full disk is no error."""
    known = read_quietly(repo, job_id, STATE).get("attempt")
    if isinstance(known, int) and known > attempt:
        return  # of a wrapper that is dead: the next attempt's word counts
    told = follower.problems if follower is not None else []
    state = {
        "attempt": attempt,
        "offline": follower.offline if follower is not None else None,
        "fallback": follower.fallback_words if follower is not None else None,
        "rows": follower.rows if follower is not None else 0,
        "opened": follower is not None and follower.handle is not None,
        "problem": problem or (told[0] if told else None),
        "problems": len(told) + bool(problem),
        "hint": hint,
        "ended": ended,  # and not killed
    }
    path = tracker_file(repo, job_id, STATE)
    try:
        if ended:
            write_atomic(path, pretty_json(state))
            return
        # A busy disk needs a second for what only a kill makes useful: this is not forced to it.
        temporary = temporary_name(path)
        with open(temporary, "wb") as file:
            file.write(pretty_json(state))
        os.replace(temporary, path)
    except (AexpError, OSError) as error:
        print(f"aexp: {error}", flush=True)
