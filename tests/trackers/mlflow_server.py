"""A real ``mlflow server`` with SQLite on loopback, and a way to it that can be cut."""

import contextlib
import json
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.server_process import ServerProcess, free_port


class MlflowServer(ServerProcess):
    """A server process, and what it says of its runs by its REST API."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        words = [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        super().__init__(words, folder, port, quiet, start_s=120)

    def ask(self) -> None:
        """Raise OSError while it does not answer from its database."""
        self.call("experiments/get-by-name?experiment_name=Default")

    def call(self, path: str, body: Any = None) -> Any:
        """Call its REST API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.uri}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def runs(self, project: str) -> list["SeenRun"]:
        """Return the runs of an experiment, oldest first."""
        found = self.call(f"experiments/get-by-name?experiment_name={project}")
        wanted = {"experiment_ids": [found["experiment"]["experiment_id"]], "max_results": 1000}
        runs = self.call("runs/search", wanted).get("runs", [])
        return sorted((SeenRun(self, run) for run in runs), key=lambda run: run.info["start_time"])

    def one(self, project: str) -> "SeenRun":
        """Return the only run of an experiment."""
        (run,) = self.runs(project)
        return run


class SeenRun:
    """A run as the server tells it."""

    def __init__(self, server: MlflowServer, run: dict[str, Any]) -> None:
        self._server = server
        self.info = run["info"]
        self.id = self.info["run_id"]
        self.status = self.info["status"]
        data = run["data"]
        self.tags = {one["key"]: one["value"] for one in data.get("tags", ())}
        self.params = {one["key"]: one["value"] for one in data.get("params", ())}
        self.metrics = {one["key"]: float(one["value"]) for one in data.get("metrics", ())}

    def history(self, key: str) -> list[tuple[int, float]]:
        """Return steps and values of a metric, in the order of the steps."""
        query = f"run_id={self.id}&metric_key={key}&max_results=25000"
        rows = self._server.call(f"metrics/get-history?{query}").get("metrics", [])
        return sorted((int(row.get("step", 0)), float(row["value"])) for row in rows)

    def artifacts(self, folder: str = "") -> list[str]:
        """Return the paths of its artifacts in a folder."""
        found = self._server.call(f"artifacts/list?run_id={self.id}&path={folder}")
        return sorted(one["path"] for one in found.get("files", ()))


class Way:
    """A port that leads to the server, until it does not.

    Attributes
    ----------
    state : str
        ``open``; ``hanging`` accepts and never answers; ``failing`` answers 500.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self.state = "open"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._begin(self._serve)

    def change(self, state: str) -> None:
        """Change the state and drop what is connected."""
        self.state = state
        with self._lock:
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Nothing listens there any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.change("closed")
        for thread in self._threads:
            thread.join()
        for end in (self._socket, *self._ends):
            end.close()

    def _begin(self, work: Any, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep(self, end: socket.socket) -> socket.socket:
        with self._lock:
            self._ends.append(end)
        return end

    def _serve(self) -> None:
        while True:
            try:
                client = self._keep(self._socket.accept()[0])
            except OSError:
                return
            self._begin(self._answer, client)

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.state == "failing":
                client.recv(65536)
                client.sendall(
                    b"HTTP/1.1 500 Internal Server Error\r\n"
                    b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
                )
                client.shutdown(socket.SHUT_RDWR)
            elif self.state == "open":
                server = self._keep(socket.create_connection(("127.0.0.1", self.to)))
                self._begin(_pass, server, client)
                _pass(client, server)


def _pass(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def starting(folder: Path) -> Iterator[MlflowServer]:
    """Start a server; the block begins while it does, see `MlflowServer.wait`."""
    server = MlflowServer(folder)
    try:
        yield server
    finally:
        server.close()
