"""What runs stand on: parents that have been executed again, or are no longer fresh."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aexp.freshness.evidence import Evidence, parents_of
from aexp.freshness.verdict import STALE, UNVERIFIABLE, UPSTREAM, Reason
from aexp.model import short

_MAX_NAMED = 3
Judge = Callable[[str], tuple[Reason, ...]]


class Upstream:
    """The parents of every run, and what they make of it.

    Parameters
    ----------
    evidence : Evidence
        All runs.
    makers : mapping
        By digest, the runs that have made such a file, the last to end at the end.
    judge : callable
        Says why a run is not fresh by itself.
    """

    def __init__(self, evidence: Evidence, makers: Mapping[str, list[str]], judge: Judge) -> None:
        self._evidence = evidence
        self._makers = makers
        self._judge = judge
        self._states: dict[str, tuple[str, str] | None] = {}
        self._parents: dict[str, dict[str, str]] = {}

    def reasons(self, job_id: str) -> list[Reason]:
        """Return what the parents of a run make of it."""
        self._settle(job_id)
        return list(self._from_parents(job_id))

    def _from_parents(self, job_id: str) -> Iterator[Reason]:
        entry = self._evidence.ended[job_id]
        at_start = {
            item["job_id"]: item.get("ended_at")
            for item in _objects(entry.get("upstream"))
            if isinstance(item.get("job_id"), str)
        }
        found: dict[str, list[str]] = {}
        for parent, kind in self._parents_of(job_id).items():
            if kind == "checkpoint" and parent in self._evidence.active:
                continue  # it goes on; the checkpoint, known by its digest, is what it was
            for state, words in self._of_parent(parent, at_start):
                found.setdefault(state, []).append(words)
        for state, said in found.items():
            more = f", {len(said) - _MAX_NAMED} more" if len(said) > _MAX_NAMED else ""
            yield Reason(state, UPSTREAM, ", ".join(said[:_MAX_NAMED]) + more)

    def _of_parent(self, parent: str, at_start: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if parent in self._evidence.active:
            status = self._evidence.active[parent]
            yield STALE, f"run {short(parent)} is {status} again"
        elif parent not in self._evidence.ended:
            yield UNVERIFIABLE, f"run {short(parent)} is not known here"
        else:
            then, now = at_start.get(parent), self._evidence.ended[parent].get("ended_at")
            if then is not None and then != now:
                yield STALE, f"run {short(parent)} was executed again since"
            state = self._states.get(parent)
            if state is not None:
                yield state[0], f"run {short(parent)} is {state[0]} ({state[1]})"

    def _parents_of(self, job_id: str) -> dict[str, str]:
        """Return the parents that a run names, and those that have made its inputs."""
        if job_id not in self._parents:
            entry = self._evidence.ended[job_id]
            found = parents_of(entry)
            for item in _objects(entry.get("inputs")):
                # Several runs may have made the same bytes: one of them is enough.
                made = [
                    run for run in self._makers.get(str(item.get("sha256")), []) if run != job_id
                ]
                if made and not any(run in found for run in made):
                    found[made[-1]] = "content"
            self._parents[job_id] = found
        return self._parents[job_id]

    def _settle(self, job_id: str) -> None:
        """Find the state of every ancestor, parents first; a circle until nothing changes."""
        todo, begun = [job_id], set()
        settled: list[str] = []
        in_circles = False
        while todo:
            run = todo[-1]
            if run in self._states or run not in self._evidence.ended:
                todo.pop()
                continue
            if run not in begun:
                begun.add(run)
                parents = self._parents_of(run)
                todo += [p for p in parents if p not in begun]
                in_circles = in_circles or any(
                    p in begun and p not in self._states for p in parents
                )
                continue
            todo.pop()
            self._states[run] = self._state(run)
            settled.append(run)
        while in_circles:
            in_circles = False
            for run in settled:
                before, after = self._states[run], self._state(run)
                if _rank(after) > _rank(before):
                    self._states[run] = after
                    in_circles = True

    def _state(self, run: str) -> tuple[str, str] | None:
        return _worst([*self._judge(run), *self._from_parents(run)])


def _rank(state: tuple[str, str] | None) -> int:
    return 0 if state is None else 1 + (state[0] == STALE)


def _worst(reasons: list[Reason]) -> tuple[str, str] | None:
    for state in (STALE, UNVERIFIABLE):
        kinds = list(dict.fromkeys(reason.kind for reason in reasons if reason.state == state))
        if kinds:
            return state, ", ".join(kinds)
    return None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
