"""The secrets that tests of this folder look for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def probes() -> ModuleType:
    """Return tests/environment/probes.py."""
    spec = importlib.util.spec_from_file_location("probes", Path(__file__).with_name("probes.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
