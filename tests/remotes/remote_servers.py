"""Real S3 servers on loopback, and a way to them that can be cut."""

import contextlib
import os
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.server_process import ServerProcess, free_port

KEY, SECRET, BUCKET = "AKID", "SECRETKEY", "bucket"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}


class Server(ServerProcess):
    """``rclone serve s3``, or moto."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        binaries = Path(sys.executable).parent
        if name == "rclone":
            (folder / "data" / BUCKET).mkdir(parents=True)
            words = [str(binaries / "rclone"), "serve", "s3", "--config", os.devnull]
            words += ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"]
            words += [str(folder / "data")]
        else:
            words = [str(binaries / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        super().__init__(words, folder, port)

    def wait(self) -> None:
        """Wait until it answers; make the bucket."""
        super().wait()
        if self.name == "moto":
            request = urllib.request.Request(f"{self.endpoint}/{BUCKET}", method="PUT")
            urllib.request.urlopen(request, timeout=30).close()


@contextlib.contextmanager
def serving(name: str, folder: Path) -> Iterator[Server]:
    """Serve S3 by ``rclone`` or ``moto``."""
    server = Server(name, folder)
    try:
        server.wait()
        yield server
    finally:
        server.close()


class Way:
    """A TCP way to a server: ``open``, ``shut`` (refused at once), or answering ``500``."""

    def __init__(self, port: int) -> None:
        self.state = "open"
        self.connections = 0
        self._port = port
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(client)
            if self.state == "shut":
                client.close()
            elif self.state == "500":
                threading.Thread(target=self._refuse, args=(client,), daemon=True).start()
            else:
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets.append(server)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pipe, args=pair, daemon=True).start()

    def _refuse(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.recv(65536)
            answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n"
            client.sendall(answer + b"connection: close\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        client.close()

    @staticmethod
    def _pipe(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def change(self, state: str) -> None:
        """Change what happens to connections; those that there are end."""
        self.state = state
        for item in self._sockets:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for item in self._sockets:
            item.close()
