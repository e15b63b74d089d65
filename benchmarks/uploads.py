"""Pushing checkpoints beside the library's own plain upload of the same files.

To an S3 server on loopback (``rclone serve s3``) and to a folder. Ratios are of wall time:
uploads wait for others. The clock of both sides runs inside their process, see `upload_files`;
one row has whole processes.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row
from benchmarks.timing import Cost, environment, measure, median

_BOUND = "<= 1.25"  # 0.8 times as fast
_KEY, _SECRET, _BUCKET = "AKID", "SECRETKEY", "bucket"
_START_S = 60
_WAYS = {"loop": "obstore, file after file", "gather": "obstore, 8 at a time"}


class Target(NamedTuple):
    """A remote, and the same for the library alone."""

    name: str
    url: str
    options: dict[str, str]

    def beside(self, mark: str) -> tuple[str, str]:
        """Return a place of its own for a plain upload, and the options for it."""
        url = f"{self.url}-{mark}"
        if not self.options:
            Path(url.removeprefix("file://")).mkdir()
        return url, json.dumps(self.options)


class Uploads:
    """Measures with one run of one repository."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._repo = store.repository(place.folder("uploads"), place.aexp)
        self._env = {
            **environment(),
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
        }
        added = self._call(
            [place.aexp, "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--json"]
        )
        self._job = json.loads(added)["runs"][0]["job_id"]
        self._step = 0

    def rows(self, target: Target, what: str, files: int, size: int, bounds: bool) -> list[Row]:
        """Measure checkpoints of so many files of `size` bytes, each round with new ones."""
        options = [word for pair in target.options.items() for word in ("--option", "=".join(pair))]
        words = [
            self._place.aexp,
            "remote",
            "add",
            target.name,
            target.url,
            "--manual",
            "--replace",
        ]
        self._call([*words, *options])
        self._floor("push", self._repo, self._job, target.name)  # of other sizes
        costs: dict[str, list[Cost]] = {way: [] for way in (*_WAYS, "push")}
        rounds = self._place.size(5, 2)
        for number in range(rounds + 1):
            folder = self._save(files, size)
            order = list(costs)[number % 3 :] + list(costs)[: number % 3]
            for way in order:
                if way == "push":
                    told = self._floor("push", self._repo, self._job, target.name)
                    if told["checkpoints"] != 1 or told["bytes"] != files * size:
                        raise RuntimeError(f"not pushed as a whole: {told}")
                else:
                    told = self._floor(way, *target.beside(f"{way}-{self._step}"), folder)
                if number:  # the first round warms up
                    costs[way].append(Cost(told["cpu"], told["wall"], 0.0))
        medians = {way: median(found) for way, found in costs.items()}
        ours, loop = medians["push"], medians["loop"]
        to = f"push to {target.name}, {what}"
        rows = []
        for way, words_of in _WAYS.items():
            ratio = ours.wall_s / medians[way].wall_s
            bound = _BOUND if bounds and way == "loop" else ""
            rows.append(Row(to, words_of, ours, medians[way], ratio, bound))
        speed = files * size / 1e6
        note = f"{speed / ours.wall_s:.0f} MB/s, the library {speed / loop.wall_s:.0f} MB/s"
        rows[0] = rows[0]._replace(note=note)
        return rows + self._again(target, to)

    def _again(self, target: Target, to: str) -> list[Row]:
        """What was pushed once more, and equal files as a checkpoint of another step."""
        there = self._floor("push", self._repo, self._job, target.name)
        self._step += 1
        self._floor("save", self._repo, self._job, self._step, 0, 0)
        equal = self._floor("push", self._repo, self._job, target.name)
        cost = Cost(equal["cpu"], equal["wall"], 0.0)
        return [
            Row(f"{to}: once more, requests", ratio=there["calls"], bound="<= 0"),
            Row(
                f"{to}: equal files of another step, MB",
                "",
                cost,
                None,
                equal["bytes"] / 1e6,
                "<= 0",
            ),
            Row(f"{to}: equal files of another step, requests", ratio=equal["calls"]),
        ]

    def whole(self, target: Target, files: int, size: int) -> Row:
        """Measure whole processes: the interpreter's start and imports are in both."""
        ours: list[Cost] = []
        theirs: list[Cost] = []
        for number in range(self._place.size(3, 1) + 1):
            folder = self._save(files, size)
            url, options = target.beside(f"whole-{self._step}")
            plain = self._place.floor("upload_files", "loop", url, options, folder)
            push = [self._place.aexp, "push", "--remote", target.name]
            pair = [(theirs, plain), (ours, push)]
            for found, words in pair if number % 2 else reversed(pair):
                cost = measure(words, self._repo, env=self._env)
                if number:
                    found.append(cost)
        one, other = median(ours), median(theirs)
        what = f"aexp push to {target.name}, {files * size >> 20} MB: the whole process"
        return Row(what, "a Python with obstore", one, other, one.wall_s / other.wall_s)

    def _save(self, files: int, size: int) -> Path:
        self._step += 1
        told = self._floor("save", self._repo, self._job, self._step, files, size)
        return Path(told["path"])

    def _floor(self, *words: object) -> dict[str, Any]:
        command = self._place.floor("upload_files", *map(str, words))
        found: dict[str, Any] = json.loads(self._call(command).splitlines()[-1])
        return found

    def _call(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self._repo, env=self._env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)[:300]} exited with {done.returncode}: {done.stderr[-2000:]}"
            )
        return done.stdout


def run(place: Place) -> list[Row]:
    """Measure 64 MB in 4 files and 500 files of 16 kB, to a server and to a folder."""
    try:
        import obstore  # noqa: F401
    except ImportError:
        print("obstore is not installed; uploads are left out", file=sys.stderr)
        return []
    archive = place.folder("archive")
    archive.mkdir()
    uploads = Uploads(place)
    folder = Target("folder", f"file://{archive}", {})
    sizes = (
        (f"{place.size(64, 8)} MB in 4 files", 4, place.size(16, 2) << 20),
        (f"{place.size(500, 20)} files of 16 kB", place.size(500, 20), 16_384),
    )
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        targets = [folder]
        endpoint = stack.enter_context(_server(place))
        if endpoint:
            targets.insert(0, Target("s3", f"s3://{_BUCKET}/p", {"endpoint": endpoint}))
        for target in targets:
            for what, files, size in sizes:
                rows += uploads.rows(target, what, files, size, not place.quick)
            rows.append(uploads.whole(target, 4, sizes[0][2]))
    return rows


@contextlib.contextmanager
def _server(place: Place) -> Iterator[str]:
    """Serve S3 over a folder and yield its address; an empty one where rclone is not installed."""
    try:
        rclone = place.script("rclone")
    except RuntimeError as error:
        print(f"{error}; S3 is left out", file=sys.stderr)
        yield ""
        return
    data = place.folder("s3")
    (data / _BUCKET).mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--config", os.devnull, "--addr", f"127.0.0.1:{port}", "--auth-key"]
    process = subprocess.Popen(
        [rclone, "serve", "s3", *words, f"{_KEY},{_SECRET}", str(data)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("rclone serve s3 does not answer")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
