"""Tests that need a real service: a variable says what its absence means, and one line says so.

``auto`` (the default) reports the tests as not run, on one line that says why; ``required``
makes it a failure; ``off`` does not even try.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


@contextlib.contextmanager
def started(
    variable: str,
    name: str,
    start: Callable[[], AbstractContextManager[T]],
    absent: type[Exception],
) -> Iterator[T]:
    """Start a service, or skip or fail the test as `variable` says; `absent` says why it cannot."""
    wanted = os.environ.get(variable, "auto")
    if wanted not in ("auto", "required", "off"):
        pytest.fail(f"{variable}={wanted}: say auto, required or off", pytrace=False)
    if wanted == "off":
        pytest.skip(f"{name} tests not run: {variable}=off")
    with contextlib.ExitStack() as stack:
        try:
            service = stack.enter_context(start())
        except absent as reason:
            if wanted == "required":
                pytest.fail(f"{variable}=required, but: {reason}", pytrace=False)
            pytest.skip(f"{name} tests not run: {reason}")
        yield service


def keep_on_one_worker(items: list[pytest.Item], here: Path, group: str) -> list[pytest.Item]:
    """Have the tests below a folder executed one after another: one service is enough.

    Call it before pytest-xdist reads the groups; it returns those tests.
    """
    found = [item for item in items if here in item.path.parents]
    for item in found:
        item.add_marker(pytest.mark.xdist_group(group))
    return found


def in_one_place(report: pytest.TestReport, item: pytest.Item, here: Path) -> pytest.TestReport:
    """Give skipped tests one place in common, so that pytest's summary has one line for all."""
    if report.skipped and here in item.path.parents and isinstance(report.longrepr, tuple):
        report.longrepr = (str(here / "conftest.py"), None, report.longrepr[2])
    return report
