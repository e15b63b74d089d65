"""Log so many rows of three metrics, each by the call that training code would make.

``log_rows.py KIND COUNT``: ``bare`` is a JSON line per row in one unbuffered write; ``aexp``
the handle of a queued run; ``wandb`` its SDK offline; ``mlflow-sqlite`` and ``mlflow-files``
its fluent API with a store on the disk, in the current folder.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

Log = Callable[[dict[str, float], int], object]


def bare() -> tuple[Log, Callable[[], object]]:
    import json

    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    descriptor = os.open("rows.jsonl", flags)

    def log(metrics: dict[str, float], step: int) -> None:
        os.write(descriptor, (json.dumps({"step": step, "metrics": metrics}) + "\n").encode())

    return log, lambda: os.close(descriptor)


def aexp() -> tuple[Log, Callable[[], object]]:
    import aexp

    return aexp.current().log, lambda: None


def wandb() -> tuple[Log, Callable[[], object]]:
    import wandb as sdk

    settings = sdk.Settings(mode="offline", silent=True, console="off")
    run = sdk.init(project="bench", dir=".", settings=settings)
    return lambda metrics, step: run.log(metrics, step=step), run.finish


def mlflow_sqlite() -> tuple[Log, Callable[[], object]]:
    return _mlflow(f"sqlite:///{Path.cwd()}/mlflow.db")


def mlflow_files() -> tuple[Log, Callable[[], object]]:
    # Its maintainers keep stores of files for those who ask for them.
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    return _mlflow(Path.cwd().joinpath("mlruns").as_uri())


def _mlflow(uri: str) -> tuple[Log, Callable[[], object]]:
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.start_run()
    return lambda metrics, step: mlflow.log_metrics(metrics, step=step), mlflow.end_run


KINDS = {
    "bare": bare,
    "aexp": aexp,
    "wandb": wandb,
    "mlflow-sqlite": mlflow_sqlite,
    "mlflow-files": mlflow_files,
}

if __name__ == "__main__":
    log, end = KINDS[sys.argv[1]]()
    for step in range(int(sys.argv[2])):
        log({"loss": 1 / (step + 1), "accuracy": 0.5, "rate": 1e-3}, step)
    end()
