"""``aexp lineage``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from aexp.cli.output import print_json
from aexp.cli.query_options import asked_catalogue
from aexp.errors import CorruptFile, RunNotFound
from aexp.model import printable, short

if TYPE_CHECKING:
    from aexp.catalogue.lineage import Edge, Lineage, Node


@click.command("lineage")
@click.argument("run", metavar="RUN")
@click.option("--up", is_flag=True, help="Only what it builds on.")
@click.option("--down", is_flag=True, help="Only what builds on it.")
@click.option("--depth", type=click.IntRange(1), metavar="N", help="How many steps; default all.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "dot"]),
    default="text",
    show_default=True,
    help="For people, for programs, for Graphviz.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def lineage(run: str, up: bool, down: bool, depth: int | None, style: str, as_json: bool) -> None:
    """Show what a run builds on, and what builds on it.

    A parent is a run that it was derived from (--derived-from), that it waited for (--after),
    whose checkpoint it began with or went on from, or that has made one of its inputs, to
    the byte. A parent that is not known here is shown by its id.

    \b
    Examples:
      aexp lineage 9f3a1b2c
      aexp lineage 9f3a1b2c --up --format json
      aexp lineage 9f3a1b2c --format dot | dot -Tsvg > lineage.svg
    """
    from aexp.catalogue.lineage import named_run, trace
    from aexp.runs.known import read_known

    with asked_catalogue() as catalogue:
        try:
            job_id = read_known(catalogue.repo, run).run.job_id
        except (RunNotFound, CorruptFile):
            named = named_run(catalogue, run.strip().lower())
            if named is None:
                raise
            job_id = named
        both = up == down
        found = trace(catalogue, job_id, up=up or both, down=down or both, depth=depth)
    if as_json or style == "json":
        print_json(found.to_dict())
    else:
        for line in _dot(found) if style == "dot" else _text(found, up or both, down or both):
            click.echo(line)


def _text(found: "Lineage", up: bool, down: bool) -> Iterator[str]:
    nodes = {node.job_id: node for node in found.nodes}
    yield _words(nodes[found.job_id])
    for wanted, title, tree in (
        (up, "builds on", _tree(found, nodes, "child", "parent")),
        (down, "is built on by", _tree(found, nodes, "parent", "child")),
    ):
        if wanted:
            lines = list(tree)
            yield f"{title}:" if lines else f"{title}: nothing that is known here"
            yield from lines


def _tree(found: "Lineage", nodes: "dict[str, Node]", near: str, far: str) -> Iterator[str]:
    """Return the runs on one side as an indented list; each is unfolded once."""
    steps: dict[str, dict[str, list[Edge]]] = {}
    for edge in found.edges:
        steps.setdefault(getattr(edge, near), {}).setdefault(getattr(edge, far), []).append(edge)
    unfolded = {found.job_id}
    todo = [(run, why, 1) for run, why in reversed(list(steps.get(found.job_id, {}).items()))]
    while todo:
        run, why, depth = todo.pop()
        again = " (see above)" if run in unfolded and run in steps else ""
        yield "  " * depth + f"{_words(nodes[run])}  [{_reasons(why)}]{again}"
        if run not in unfolded:
            unfolded.add(run)
            more = reversed(list(steps.get(run, {}).items()))
            todo += [(following, reasons, depth + 1) for following, reasons in more]


def _words(node: "Node") -> str:
    if not node.is_known:
        return f"{printable(node.job_id)}  not known here"
    when = "" if node.ended_at is None else f"{node.ended_at:%Y-%m-%d %H:%M}"
    outcome = None if node.outcome is None else f"outcome={node.outcome}"
    words = [short(node.job_id), node.experiment_id, node.name, node.status, outcome, when]
    return "  ".join(printable(word) for word in words if word)


def _reasons(edges: "list[Edge]") -> str:
    words = [edge.kind if edge.via_path is None else edge.via_path for edge in edges]
    shown = list(dict.fromkeys(printable(word) for word in words))
    return ", ".join(shown[:3]) + (f", {len(shown) - 3} more" if len(shown) > 3 else "")


def _dot(found: "Lineage") -> Iterator[str]:
    yield "digraph lineage {"
    yield '  rankdir="LR";'
    for node in found.nodes:
        words = [short(node.job_id), node.experiment_id or "", node.status or "not known here"]
        style = ', style="bold"' if node.distance == 0 else ""
        style += "" if node.is_known else ', style="dashed"'
        label = "\n".join(word for word in words if word)
        yield f"  {_quoted(node.job_id)} [label={_quoted(label)}{style}];"
    pairs: dict[tuple[str, str], list[Edge]] = {}
    for edge in found.edges:
        pairs.setdefault((edge.parent, edge.child), []).append(edge)
    for (parent, child), edges in pairs.items():
        yield f"  {_quoted(parent)} -> {_quoted(child)} [label={_quoted(_reasons(edges))}];"
    yield "}"


def _quoted(text: str) -> str:
    safe = "\n".join(printable(line) for line in text.split("\n"))
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
