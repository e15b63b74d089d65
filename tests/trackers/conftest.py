"""What the tests of trackers share: the services they talk to."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import wandb_server


@pytest.fixture
def wandb_service() -> Iterator[Any]:
    """Serve W&B's API on loopback for one test (`WandbService` of wandb_server.py)."""
    with wandb_server.serving() as service:
        yield service
