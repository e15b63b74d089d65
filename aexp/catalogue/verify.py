"""Compare what the catalogue says with what its source files say."""

from typing import NamedTuple

from aexp.catalogue.catalogue import Catalogue, open_catalogue
from aexp.catalogue.schema import TABLES
from aexp.catalogue.shape import Table
from aexp.paths import Repo

_SHOWN = 20
_LOOKS = 2


class Difference(NamedTuple):
    """A table that says something else.

    Attributes
    ----------
    table : str
        Its name.
    keys : list of str
        Runs, files or campaigns whose rows differ, at most twenty of them.
    number : int
        How many there are.
    """

    table: str
    keys: list[str]
    number: int


def differences(repo: Repo) -> list[Difference]:
    """Return where the catalogue differs from what its source files say just now.

    Runs go on meanwhile: only what differs twice is a difference.
    """
    found: list[Difference] = []
    for _ in range(_LOOKS):
        with open_catalogue(repo) as one, open_catalogue(repo, in_memory=True) as truth:
            found = compare(one, truth)
        if not found:
            break
    return found


def compare(one: Catalogue, other: Catalogue) -> list[Difference]:
    """Return the tables in which two catalogues differ."""
    found = []
    for table in TABLES:
        left, right = _digests(one, table), _digests(other, table)
        if left != right:
            keys = sorted(
                key for key in left.keys() | right.keys() if left.get(key) != right.get(key)
            )
            found.append(Difference(table.name, keys[:_SHOWN], len(keys)))
    return found


def _digests(catalogue: Catalogue, table: Table) -> dict[str, tuple[int, int]]:
    """Return per unit the number of its rows, and a sum over them that is blind to order."""
    rows = catalogue.rows(
        f"SELECT {table.key}, count(*), sum(hash(t)::HUGEINT) FROM {table.name} t GROUP BY 1"
    ).rows
    return {str(key): (count, int(total)) for key, count, total in rows}
