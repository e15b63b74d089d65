"""The main job on a small real research repository: ``make demo``.

Makes a git repository from ``examples/digits``, installs aexp in it, queues 13 runs, executes them
with Snakemake and shows what came out. One run fails on purpose. Every command is printed before it
runs. Ends with 0 only if all went as the text says, the one failure included.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
SWEEP = "condition=logreg|svm|mlp,seed=0..3"
DESIGNED_FAILURE = "condition=mlp_hot,seed=0"
EXPECTED = {"complete": 12, "failed": 1}
TOTAL = sum(EXPECTED.values())


class DemoFailed(Exception):
    """Something went otherwise than the demo says."""


class Terminal:
    """Prints each command as a user would type it, then runs it in the demo's repository."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        # As in an activated environment: aexp, snakemake and python are those beside this Python.
        # Settings of the surrounding shell that aim at another repository stay outside.
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("AEXP_", "GIT_", "SNAKEMAKE_"))
        }
        self.env = {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def __call__(self, command: str, *, expect: int = 0) -> None:
        """Run a command in front of the user; `expect` is its exit code."""
        self._print(command)
        code = subprocess.run(
            command, shell=True, cwd=self.repo, env=self.env, stderr=subprocess.STDOUT
        ).returncode
        if code != expect:
            raise DemoFailed(f"`{command}` ended with exit code {code}, not {expect}")

    def follow(self, command: str, log: Path, *, expect: int) -> None:
        """Run the engine with its output in `log`, beside the repository; show what ends."""
        self._print(f"{command} > ../{log.name} 2>&1")
        shown = set(ledger(self.repo))
        with log.open("wb") as out:
            engine = subprocess.Popen(
                command, shell=True, cwd=self.repo, env=self.env, stdout=out, stderr=out
            )
            try:
                while engine.poll() is None:
                    self._progress(shown)
                    time.sleep(0.2)
            finally:
                engine.terminate()
                code = engine.wait()
        self._progress(shown)
        said = log.read_text(errors="replace").splitlines()
        for line in said if code == expect else []:
            if line.startswith("aexp: "):
                say(line)
        say(f"(exit code {code}; all that Snakemake said: {log})")
        if code != expect or len(shown) != TOTAL:
            raise DemoFailed(
                f"`{command}`: exit code {code} (expected {expect}), {len(shown)} runs ended "
                f"(expected {TOTAL}). Its last lines:\n" + "\n".join(said[-40:])
            )

    def _progress(self, shown: set[str]) -> None:
        for job_id, entry in sorted(ledger(self.repo).items()):
            if job_id in shown:
                continue
            shown.add(job_id)
            bar = "#" * len(shown) + "." * (TOTAL - len(shown))
            config, metrics = entry["statepoint"], entry.get("metrics", {})
            result = f"accuracy {metrics['accuracy']:.3f}" if "accuracy" in metrics else ""
            say(
                f"[{bar}] {len(shown):2d}/{TOTAL}  {job_id[:8]}  {entry['status']:<8}  "
                f"{config['condition']:<7} seed {config['seed']}  "
                f"{entry.get('wallclock_s', 0):4.1f} s  {result}".rstrip()
            )

    @staticmethod
    def _print(command: str) -> None:
        say(f"\n$ {command}")


def say(text: str = "") -> None:
    """Print a line at once, whatever reads it."""
    print(text, flush=True)


def heading(text: str) -> None:
    """Print the heading of a step."""
    say(f"\n== {text}")


def ledger(repo: Path) -> dict[str, dict]:
    """Return the ledger entries of a repository by run id."""
    files = (repo / ".aexp" / "ledger").glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in files}


def check(repo: Path) -> str:
    """Compare the ledger with what the demo promises; return the failed run's id."""
    entries = ledger(repo)
    counts = Counter(entry["status"] for entry in entries.values())
    if counts != EXPECTED:
        raise DemoFailed(f"the ledger has {dict(counts)}, not {EXPECTED}")
    for job_id, entry in entries.items():
        complete = entry["status"] == "complete"
        if complete and not 0.8 < entry.get("metrics", {}).get("accuracy", 0) <= 1:
            raise DemoFailed(f"run {job_id}: no plausible accuracy in {entry.get('metrics')}")
        if complete == (entry["statepoint"]["condition"] == "mlp_hot"):
            raise DemoFailed(f"run {job_id}: {entry['statepoint']} should not be {entry['status']}")
    return next(job_id for job_id, entry in entries.items() if entry["status"] == "failed")


def demo(repo: Path) -> None:
    """Go through the main job in `repo`, which does not exist yet."""
    for tool in ("git", "aexp", "snakemake"):
        if not shutil.which(tool, path=Terminal(repo).env["PATH"]):
            raise DemoFailed(f"{tool} is not installed")
    repo.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "digits", repo, ignore=shutil.ignore_patterns("__pycache__"))
    run = Terminal(repo)

    heading("A research repository: a script, a hypothesis, an experiment")
    say(f"copied examples/digits to {repo}; the commands below run there")
    run("ls train.py kb/research/*/*.md")
    run("git init --quiet")
    # A new machine may have no git identity; this one is the demo repository's own.
    run("git config user.name demo && git config user.email demo@localhost")
    run("aexp install --yes --machine-label demo")
    run("git add --all && git commit --quiet --message 'The digits repository, with aexp'")

    heading(f"Queue {TOTAL} runs: a sweep, and one run that is expected to fail")
    run(f'aexp queue add --experiment E001 --sweep "{SWEEP}"')
    run(f"aexp queue add --experiment E001 --sp {DESIGNED_FAILURE}")
    run("aexp queue list")

    heading("Execute them, two at a time")
    say("One of them diverges by design, so exit code 1 is expected: not everything is complete.")
    run.follow("snakemake --cores 2", repo.parent / f"{repo.name}.snakemake.log", expect=1)
    failed = check(repo)

    heading("Results")
    run("aexp list-runs --experiment E001")
    run("aexp status")

    heading("How a failure looks")
    run(f"aexp show-run {failed[:8]}")

    heading("The ledger: one small file per ended run, made for git")
    run("git add .aexp/ledger && git commit --quiet --message 'E001: results'")
    run("git show --stat --format=%s")
    best = max(
        (entry["metrics"]["accuracy"], job_id)
        for job_id, entry in ledger(repo).items()
        if entry["status"] == "complete"
    )[1]
    run(f"cat .aexp/ledger/{best}.json")

    heading("The same call again does nothing: nothing is due")
    run.follow("snakemake --cores 2", repo.parent / f"{repo.name}.again.log", expect=0)
    if check(repo) != failed:
        raise DemoFailed("the second call changed the ledger")

    say(f"""
== As promised: {EXPECTED["complete"]} complete, {EXPECTED["failed"]} failed by design

The repository is kept. What to type next:

  source {Path(sys.executable).parent}/activate
  cd {repo}
  aexp logs {failed[:8]}                        # all that the failed run printed
  aexp queue add --experiment E001 --sweep "condition=mlp,seed=4..9,epochs=40" --dry-run
  aexp queue retry --failed                 # run it again: its learning rate still is too high
  snakemake --cores 2
  aexp --help""")


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    stamp = time.strftime("%Y%m%d-%H%M%S")
    default = HERE.parent / "build" / f"demo-{stamp}-{os.getpid()}"
    parser.add_argument(
        "--dir",
        type=Path,
        default=default,
        help="the new repository's folder (default: build/demo-...)",
    )
    folder = parser.parse_args().dir.resolve()
    if folder.exists():
        parser.error(f"{folder} exists already")
    try:
        demo(folder)
    except DemoFailed as reason:
        sys.stdout.flush()
        print(f"\nThe demo did not go as it should: {reason}\nLook at: {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
