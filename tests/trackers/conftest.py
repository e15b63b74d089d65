"""What the tests of trackers share: the services they talk to."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import mlflow_server
import offline_runs
import wandb_server


@pytest.fixture
def wandb_service() -> Iterator[Any]:
    """Serve W&B's API on loopback for one test (`WandbService` of wandb_server.py)."""
    with wandb_server.serving() as service:
        yield service


@pytest.fixture(scope="session")
def _mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with mlflow_server.starting(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture
def mlflow_service(_mlflow_server: Any) -> Any:
    """Return a real ``mlflow server`` (`MlflowServer` of mlflow_server.py), one per session."""
    _mlflow_server.wait()
    return _mlflow_server


@pytest.fixture
def way_to_mlflow(mlflow_service: Any) -> Iterator[Any]:
    """Return a way to the server that the test can cut (`Way` of mlflow_server.py)."""
    way = mlflow_server.Way(mlflow_service.port)
    yield way
    way.close()


@pytest.fixture(scope="session")
def _offline_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return offline_runs.make(tmp_path_factory.mktemp("offline"))


@pytest.fixture
def offline(research: Any, _offline_template: Path) -> Any:
    """Return a repository whose runs get offline runs of W&B (`OfflineRuns`)."""
    return offline_runs.OfflineRuns(research, _offline_template)
