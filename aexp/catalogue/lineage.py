"""What a run builds on, and what builds on it: its ancestors and descendants with the reasons."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.model import JOB_ID

if TYPE_CHECKING:
    from aexp.catalogue.catalogue import Catalogue

# Each pair once, whatever links them: `UNION` ends where nothing new is found, also in a circle.
_COMPONENT = """
WITH RECURSIVE pairs AS MATERIALIZED (SELECT DISTINCT child, parent FROM edges),
up(run) AS (SELECT $run::VARCHAR UNION SELECT parent FROM pairs JOIN up ON child = run),
down(run) AS (SELECT $run::VARCHAR UNION SELECT child FROM pairs JOIN down ON parent = run)
SELECT 'up', run FROM up UNION ALL SELECT 'down', run FROM down
"""
_EDGES = """
SELECT child, parent, kind, via_path, via_sha256 FROM edges
WHERE child IN (SELECT unnest($runs::VARCHAR[])) AND parent IN (SELECT unnest($runs::VARCHAR[]))
ORDER BY ALL
"""
_RUNS = """
SELECT job_id, status, experiment_id, name, outcome, started_at, ended_at FROM runs
WHERE job_id IN (SELECT unnest($runs::VARCHAR[]))
"""


class Edge(NamedTuple):
    """One reason why a run is the parent of another.

    Attributes
    ----------
    child, parent : str
        The runs.
    kind : str
        ``declared``, ``after``, ``checkpoint`` or ``content``.
    via_path, via_sha256 : str or None
        Of ``content``: the child's input that the parent has made.
    """

    child: str
    parent: str
    kind: str
    via_path: str | None = None
    via_sha256: str | None = None


class Node(NamedTuple):
    """One run of a lineage.

    Attributes
    ----------
    job_id : str
        The run.
    distance : int
        How many steps it is away: negative for ancestors, 0 the run itself.
    is_known : bool
        Whether store or ledger have it.
    status, experiment_id, name, outcome : str or None
        What they say about it.
    started_at, ended_at : datetime or None
        When.
    """

    job_id: str
    distance: int
    is_known: bool = False
    status: str | None = None
    experiment_id: str | None = None
    name: str | None = None
    outcome: str | None = None
    started_at: Any = None
    ended_at: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        stamps = {
            key: None if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")
            for key, value in (("started_at", self.started_at), ("ended_at", self.ended_at))
        }
        return {**self._asdict(), **stamps}


class Lineage(NamedTuple):
    """The ancestors and descendants of a run.

    Attributes
    ----------
    job_id : str
        The run.
    nodes : list of Node
        All runs, the run itself among them: ancestors first, the farthest at the beginning.
    edges : list of Edge
        What links them.
    """

    job_id: str
    nodes: list[Node]
    edges: list[Edge]

    def to_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "job_id": self.job_id,
            "runs": [node.to_dict() for node in self.nodes],
            "edges": [edge._asdict() for edge in self.edges],
        }


def trace(
    catalogue: "Catalogue",
    job_id: str,
    *,
    up: bool = True,
    down: bool = True,
    depth: int | None = None,
) -> Lineage:
    """Return the lineage of a run.

    Parameters
    ----------
    catalogue : Catalogue
        All runs.
    job_id : str
        The run; one that only others name is known by their word.
    up, down : bool
        Whether to follow parents, and children.
    depth : int, optional
        How many steps to follow; default all.
    """
    found: dict[str, set[str]] = {"up": {job_id}, "down": {job_id}}
    for way, run in catalogue.rows(_COMPONENT, {"run": job_id})[1]:
        found[way].add(run)
    above = _edges(catalogue, found["up"]) if up else []
    below = _edges(catalogue, found["down"]) if down else []
    parents: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    for edge in above:
        parents.setdefault(edge.child, []).append(edge.parent)
    for edge in below:
        children.setdefault(edge.parent, []).append(edge.child)
    distances = {run: -far for run, far in _distances(job_id, parents, depth).items()}
    for run, far in _distances(job_id, children, depth).items():
        distances.setdefault(run, far)
    facts = {row[0]: row[1:] for row in catalogue.rows(_RUNS, {"runs": sorted(distances)})[1]}
    nodes = [
        Node(run, far, run in facts, *facts.get(run, ()))
        for run, far in sorted(distances.items(), key=lambda item: (item[1], item[0]))
    ]
    edges = [
        edge
        for edge in sorted({*above, *below}, key=_edge_key)
        if edge.child in distances and edge.parent in distances
    ]
    return Lineage(job_id, nodes, edges)


def named_run(catalogue: "Catalogue", prefix: str) -> str | None:
    """Return the one run that begins so and that others name as their parent."""
    rows = catalogue.rows(
        "SELECT DISTINCT parent FROM links WHERE starts_with(parent, ?) LIMIT 2", [prefix]
    )[1]
    found = [run for (run,) in rows if JOB_ID.fullmatch(run)]
    return found[0] if len(found) == 1 else None


def _edges(catalogue: "Catalogue", runs: Iterable[str]) -> list[Edge]:
    rows = catalogue.rows(_EDGES, {"runs": sorted(runs)})[1]
    return [Edge(*row) for row in rows]


def _edge_key(edge: Edge) -> tuple[str, ...]:
    return tuple(value or "" for value in edge)


def _distances(start: str, steps: dict[str, list[str]], depth: int | None) -> dict[str, int]:
    found = {start: 0}
    frontier = [start]
    while frontier and (depth is None or found[frontier[0]] < depth):
        following = sorted(
            {run for at in frontier for run in steps.get(at, ()) if run not in found}
        )
        found.update(dict.fromkeys(following, found[frontier[0]] + 1))
        frontier = following
    return found
