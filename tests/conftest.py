"""A real research repository for every test: real git, real files, real processes."""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Tests set repositories up, which puts them on the user's list of projects: not on a person's.
_CONFIG = tempfile.TemporaryDirectory(prefix="aexp-tests-", ignore_cleanup_errors=True)
atexit.register(_CONFIG.cleanup)
os.environ["XDG_CONFIG_HOME"] = _CONFIG.name

# Under nohup, or in the background of a script, every child would ignore them; tests send them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

AEXP = [sys.executable, "-P", "-m", "aexp"]
SNAKEMAKE = [sys.executable, "-P", "-m", "snakemake"]

EXPERIMENT = """---
id: "E001"
type: experiment
hypothesis: "H001"
runner_command: "{command}"
conditions:
  full: {{model: base, lr: 0.1}}
  cls: {{model: small, lr: 0.5}}
{more}---
# E001
"""


class Research:
    """A git repository with aexp installed and one experiment, E001."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AEXP_", "SLURM_", "GIT_", "CUDA_"))
        }
        self.env["AEXP_HEARTBEAT_S"] = "1"
        # As in an activated environment: commands of runs find this Python, and what it brings.
        programs = os.path.dirname(sys.executable)
        self.env["PATH"] = os.pathsep.join([programs, self.env.get("PATH", os.defpath)])
        self._started: list[subprocess.Popen[bytes]] = []

    def git(self, *arguments: str) -> str:
        """Run git and return its output."""
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def experiment(self, command: str, more: str = "", experiment_id: str = "E001") -> Path:
        """Write an experiment file with this runner command and further frontmatter lines."""
        folder = self.root / "kb" / "research" / "experiments"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{experiment_id}-test.md"
        text = EXPERIMENT.format(command=command.replace('"', '\\"'), more=more)
        path.write_text(text.replace('"E001"', f'"{experiment_id}"'))
        return path

    def aexp(
        self,
        *arguments: str,
        rc: int | None = 0,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line as a process of its own and insist on its exit code."""
        done = subprocess.run(
            [*AEXP, *arguments],
            cwd=cwd or self.root,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            errors="replace",
            input=input,
            timeout=300,
        )
        if rc is not None:
            assert done.returncode == rc, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *arguments: str, **options: Any) -> Any:
        """Run a verb with --json and return what it printed."""
        return json.loads(self.aexp(*arguments, "--json", **options).stdout)

    def add(self, sweep: str, *more: str) -> list[str]:
        """Queue a sweep of E001 and return the ids in its order."""
        runs = self.json("queue", "add", "--experiment", "E001", "--sweep", sweep, *more)["runs"]
        return [run["job_id"] for run in runs]

    def one(self, sp: str = "seed=0", *more: str) -> str:
        """Queue one configuration of E001 and return its id."""
        arguments = ("queue", "add", "--experiment", "E001", "--sp", sp, *more)
        return str(self.json(*arguments)["runs"][0]["job_id"])

    def tree(self) -> dict[str, bytes | None]:
        """Return every file of the repository with its content, to compare before and after."""
        return {
            str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else None
            for path in self.root.rglob("*")
        }

    def snakemake(
        self,
        *arguments: str,
        rc: int | None = 0,
        env: dict[str, str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the repository, with one core unless told otherwise."""
        if not any(a in ("--cores", "--profile", "-c") for a in arguments):
            arguments = ("--cores", "2", *arguments)
        done = subprocess.run(
            [*SNAKEMAKE, *arguments],
            cwd=self.root,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        if rc is not None:
            assert done.returncode == rc, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def start(self, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process that the fixture ends, with its session, if the test does not."""
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def start_aexp(
        self, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the command line in the background."""
        return self.start(*AEXP, *arguments, env=env)

    def start_snakemake(
        self, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start Snakemake in the background."""
        return self.start(*SNAKEMAKE, *arguments, env=env)

    def workspace(self, job_id: str) -> Path:
        """Return a run's folder."""
        return self.root / ".runs" / "workspace" / job_id

    def doc(self, job_id: str) -> dict[str, Any]:
        """Return a run's job document as it lies on disk."""
        return json.loads((self.workspace(job_id) / "signac_job_document.json").read_text())

    def status(self, job_id: str) -> str:
        """Return a run's status word."""
        return self.doc(job_id)["status"]

    def entry(self, job_id: str) -> dict[str, Any]:
        """Return a run's ledger entry."""
        return json.loads((self.root / ".aexp" / "ledger" / f"{job_id}.json").read_text())

    def close(self) -> None:
        """End what the test started, and every command of its runs."""
        for process in self._started:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for path in (self.root / ".runs" / "workspace").glob("*/signac_job_document.json"):
            try:
                process_record = json.loads(path.read_text()).get("queue", {}).get("proc", {})
                pid = process_record.get("pid")
                environ = Path(f"/proc/{pid}/environ").read_bytes() if pid else b""
                if path.parent.name.encode() in environ:
                    os.killpg(pid, signal.SIGKILL)
            except (OSError, ValueError, AttributeError, RecursionError):
                continue  # a test has damaged it


def wait_until(condition: Callable[[], Any], timeout: float = 120.0, every: float = 0.05) -> Any:
    """Return the condition's value once it is true; fail when it stays false."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"still false after {timeout} s")


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[..., Any]:
    """Give tests the function above."""
    return wait_until


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, so that no worker is left alone with them at the end."""

    def rank(item: pytest.Item) -> int:
        marks = [item.get_closest_marker(name) is not None for name in ("slurm", "slow")]
        return marks.index(True) if True in marks else len(marks)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def installed_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one installed repository that every test copies."""
    root = tmp_path_factory.mktemp("template") / "research"
    root.mkdir()
    research = Research(root)
    research.git("init", "-q")
    research.aexp("install", "--yes", "--machine-label", "here")
    research.experiment("echo {condition} {seed}")
    research.git("add", "-A")
    research.git("commit", "-qm", "start")
    return root


@pytest.fixture
def research(installed_template: Path, tmp_path: Path) -> Iterator[Research]:
    """Give the test a repository of its own."""
    import shutil

    root = tmp_path / "research"
    shutil.copytree(installed_template, root, symlinks=True)
    made = Research(root)
    yield made
    made.close()
