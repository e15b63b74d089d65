"""A git repository without aexp."""

import shutil
from typing import Any

import pytest


@pytest.fixture
def bare(research: Any) -> Any:
    """A git repository without aexp."""
    shutil.rmtree(research.root)
    research.root.mkdir()
    research.git("init", "-q")
    return research
