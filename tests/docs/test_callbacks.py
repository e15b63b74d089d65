"""docs/callbacks.md: the names it gives exist, with the arguments it gives them."""

import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import aexp

PAGE = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text()


def test_every_method_of_the_page_is_one_of_the_handle() -> None:
    names = set(re.findall(r"\brun\.([a-z_]+)\(", PAGE)) | {"list_inputs", "list_outputs"}
    assert {"start", "upload_directory_async", "download_asset", "latest_output"} <= names
    for name in names:
        assert callable(getattr(aexp.ActiveRun, name)), name


def test_the_arguments_of_the_table_are_taken() -> None:
    table = PAGE[PAGE.index("| there | here |") :]
    for name, arguments in re.findall(r"\| `run\.([a-z_]+)\(([^`]*)\)` \| the same", table):
        known = inspect.signature(getattr(aexp.ActiveRun, name)).parameters
        for argument in re.findall(r"(\w+)=", arguments):
            assert argument in known, (name, argument)


def test_the_modules_are_there() -> None:
    for module in re.findall(r"from (aexp\.\S+) import", PAGE):
        assert find_spec(module) is not None
