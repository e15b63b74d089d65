"""aexp reproduce: a run again as it was, beside an original that has moved on."""

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

TRAIN = """
import json, os, random, sys
import helper
random.seed(int(sys.argv[1]))
numbers = {"loss": helper.scale(random.random()), "text": {"words": len(sys.argv)}}
numbers["missing"] = float("nan")
with open(os.environ["AEXP_METRICS_PATH"], "w") as file:
    json.dump(numbers, file)
print("trained", sys.argv[2:])
"""
COMMAND = """python3 train.py {seed} {note} "it's {unknown}" && echo {lr}"""
NOTE = 'a "b" {seed} $HOME'


@pytest.fixture
def again(tmp_path: Path) -> Path:
    """Give a folder for the worktree that does not exist yet."""
    return tmp_path / "new" / "again it's"


def moved_on(research: Any) -> str:
    """Execute a run from a dirty tree with an untracked module; then change everything."""
    path = research.root
    research.experiment(COMMAND)
    (path / "train.py").write_text(TRAIN)
    (path / "constants.py").write_text("FACTOR = 1\n")
    research.git("add", "-A")
    research.git("commit", "-qm", "code")
    (path / "constants.py").write_text("FACTOR = 3.7\n")
    (path / "helper.py").write_text(
        "from constants import FACTOR\ndef scale(x):\n    return x * FACTOR\n"
    )
    (path / ".env").write_text("TOKEN=x\n")
    job_id = research.one(f"seed=3,lr:=0.1,note:={json.dumps(NOTE)}")
    research.aexp("run-queued", job_id)
    (path / "helper.py").unlink()
    (path / "constants.py").write_text("FACTOR = 99\n")
    (path / "train.py").write_text("raise SystemExit(9)\n")
    research.experiment("false")
    research.git("add", "train.py", "constants.py")
    research.git("commit", "-qm", "moved on")
    return str(job_id)


def worktrees(research: Any) -> list[str]:
    listed = research.git("worktree", "list", "--porcelain").splitlines()
    return [line.removeprefix("worktree ") for line in listed if line.startswith("worktree ")]


def test_a_dirty_tree_is_reproduced_exactly(research: Any, again: Path) -> None:
    job_id = moved_on(research)
    before = research.tree()

    plan = research.aexp("reproduce", job_id[:8])
    assert "git worktree add --detach DIR " in plan.stdout
    command = f"python3 train.py 3 '{NOTE}' \"it's {{unknown}}\" && echo 0.1"
    assert f"  {command}\n" in plan.stdout
    assert "not in the patch: .env (named like a secret)" in plan.stderr
    assert research.tree() == before

    result = research.json("reproduce", job_id[:8], "--to", str(again), "--run")

    assert result["comparison"]["equal"] is True
    original = research.entry(job_id)["metrics"]
    assert {m["name"]: m["reproduced"] for m in result["comparison"]["metrics"]} == original
    assert set(original) == {"loss", "missing", "text.words"}
    assert original["missing"] == "NaN"
    assert result["differences"] == []
    assert result["left_out"] == [{"name": ".env", "reason": "secret"}]
    assert (again / "helper.py").exists()
    assert (again / "constants.py").read_text() == "FACTOR = 3.7\n"
    assert not (again / ".env").exists()
    # It is the same run, executed in a store of its own, and not tracked anywhere.
    document = json.loads(
        (again / ".runs" / "workspace" / job_id / "signac_job_document.json").read_text()
    )
    assert document["status"] == "complete"
    assert document["aexp_run"]["reproduces"]["attempt"] == 1
    assert "tracker" not in document
    log = (again / ".runs" / "workspace" / job_id / "logs" / "1.log").read_text()
    assert log == (research.workspace(job_id) / "logs" / "1.log").read_text()
    assert NOTE in log
    # Of the original only git's list of worktrees has changed.
    after = research.tree()
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert all(name.startswith(".git/worktrees") for name in changed), changed
    assert len(worktrees(research)) == 2
    # A reproduction can be reproduced, from its own record.
    second = again.with_name("second")
    twice = research.json("reproduce", job_id, "--to", str(second), "--run", cwd=again)
    assert twice["comparison"]["equal"] is True
    assert (twice["command"], twice["branch"]) == (command, None)
    # Removed by hand, it can be made again at the same place; git forgets nothing else.
    subprocess.run(["rm", "-rf", str(again)], check=True)
    made = research.aexp("reproduce", job_id, "--to", str(again))
    assert f"aexp run-queued {job_id[:8]}" in made.stdout
    assert (
        json.loads((again / ".runs" / "workspace" / job_id / "signac_statepoint.json").read_text())
        == research.entry(job_id)["statepoint"]
    )


def test_a_difference_is_shown_and_fails(research: Any, again: Path) -> None:
    research.experiment("""echo '{"a": '$(date +%s%N)', "b": 1}' > "$AEXP_METRICS_PATH" """)
    job_id = research.one()
    research.aexp("run-queued", job_id, env={"OMP_NUM_THREADS": "3"})
    told = research.aexp("reproduce", job_id, env={"OMP_NUM_THREADS": "5"}).stdout
    differing = [line for line in told.splitlines() if line.startswith("differs: ")]
    assert differing == ["differs: variable OMP_NUM_THREADS: 3 then, 5 now"]
    done = research.aexp("reproduce", job_id, "--to", str(again), "--run", rc=1)
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["a"][3] == "NO"
    assert rows["b"][1:] == ["1", "1", "yes"]
    assert rows["(status)"][1:] == ["complete", "complete", "yes"]


def test_each_attempt_has_its_own_code(research: Any, tmp_path: Path) -> None:
    research.experiment("sh run.sh {seed}")
    write = 'echo "{\\"n\\": 1}" > $AEXP_METRICS_PATH; exit 5\n'
    (research.root / "run.sh").write_text(write)
    job_id = research.one()
    research.aexp("run-queued", job_id, rc=1)
    (research.root / "run.sh").write_text(write.replace("1}", "2}").replace("exit 5", "exit 0"))
    research.git("add", "-A")
    research.git("commit", "-qm", "mended")
    research.aexp("queue", "retry", job_id)
    research.aexp("run-queued", job_id)
    for number, value in (("1", 1), ("2", 2)):
        folder = tmp_path / f"attempt{number}"
        folder.mkdir()  # an empty one will do
        result = research.json(
            "reproduce", job_id, "--attempt", number, "--to", str(folder), "--run"
        )
        assert result["comparison"]["metrics"][0]["reproduced"] == value
        assert result["comparison"]["equal"] is True
    assert result["comparison"]["reproduced_status"] == "complete"
    refused = research.aexp("reproduce", job_id, "--attempt", "3", rc=1)
    assert "has no attempt 3" in refused.stderr
    assert "its attempts: 1, 2" in refused.stderr


def test_what_the_command_needs_beside_the_code(research: Any, tmp_path: Path) -> None:
    library = tmp_path / "library"
    subprocess.run(["git", "init", "-q", str(library)], check=True)
    (library / "lib.txt").write_text("7\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(library), "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(library), *identity, "commit", "-qm", "x"], check=True)
    research.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib"
    )
    ignored = research.root / ".gitignore"
    ignored.write_text(ignored.read_text() + "data/\n")
    research.git("commit", "-qam", "library")
    (research.root / "data").mkdir()
    (research.root / "data" / "x.txt").write_text("5\n")
    # Not committed, and not in the patch: the research record is not code.
    research.experiment(
        """echo '{"n": '$(cat lib/lib.txt data/x.txt | tr -d '[:space:]')$GREETING'}' """
        '> "$AEXP_METRICS_PATH"',
        "prelude: export GREETING=3\n",
        "E002",
    )
    added = research.json("queue", "add", "--experiment", "E002", "--sp", "seed=1")
    job_id = added["runs"][0]["job_id"]
    research.aexp("run-queued", job_id)
    assert research.entry(job_id)["metrics"] == {"n": 753}
    assert research.doc(job_id)["aexp_run"]["attempts"][0]["prelude"] == "export GREETING=3"
    path = next(research.root.glob("kb/research/experiments/E002*.md"))
    path.write_text(path.read_text().replace("GREETING=3", "GREETING=4"))
    before = worktrees(research)

    # Any failure after the worktree was made takes it away again, submodule and all.
    for name in ("nothing", "../elsewhere", ".gitignore"):
        target = tmp_path / "deep" / "er"
        research.aexp("reproduce", job_id, "--to", str(target), "--link", name, rc=2)
        assert not (tmp_path / "deep").exists()
    assert worktrees(research) == before
    assert not list((research.root / ".git" / "worktrees").glob("*"))
    assert not list((research.root / ".git" / "modules" / "lib" / "worktrees").glob("*"))

    told = research.aexp("reproduce", job_id, "--to", str(tmp_path / "dry"), "--dry-run")
    assert "the worktree lacks them: data/" in told.stderr
    assert not (tmp_path / "dry").exists()
    result = research.json(
        "reproduce", job_id, "--to", str(tmp_path / "again"), "--link", "data", "--run"
    )
    assert result["comparison"]["metrics"] == [
        {"name": "n", "original": 753, "reproduced": 753, "equal": True}
    ]
    assert any("E002 is not in the commit" in remark for remark in result["remarks"])


def test_the_ledger_alone(research: Any, tmp_path: Path) -> None:
    research.experiment("""echo '{"n": '{seed}'5}' > "$AEXP_METRICS_PATH" """)
    research.git("commit", "-qam", "experiment")
    clean = research.one("seed=1")
    research.aexp("run-queued", clean)
    bare = research.one("seed=2", "--no-commit")
    research.aexp("run-queued", bare)
    (research.root / "change.py").write_text("x\n")
    dirty = research.one("seed=3")
    research.aexp("run-queued", dirty)
    (research.root / "change.py").unlink()
    research.git("add", "-A")
    research.git("commit", "-qm", "results")
    clone = tmp_path / "clone"
    research.git("clone", "-q", str(research.root), str(clone))
    research.aexp("install", "--yes", "--machine-label", "there", cwd=clone)

    def there(*arguments: str, rc: int) -> Any:
        return research.aexp("reproduce", *arguments, rc=rc, cwd=clone)

    # With the documents that git has: they hold the command, but not what it ran in.
    plan = there(clean, rc=0)
    assert "the attempt's code, packages and Python are recorded on here alone" in plan.stderr
    assert "known on here alone" in there(dirty, rc=1).stderr
    shutil.rmtree(clone / ".runs" / "workspace")
    done = there(clean[:8], "--to", str(tmp_path / "again"), "--run", rc=0)
    assert [line.split() for line in done.stdout.splitlines()][-1] == ["n", "15", "15", "yes"]
    assert "the run's folder is on here: " in done.stderr
    assert "whether the run was executed with it is not recorded here" in done.stderr
    refused = there(dirty, rc=1).stderr
    assert "with changes that were not committed; they are known on here alone" in refused
    assert f"copy .runs/workspace/{dirty} from here" in refused
    assert "without a code version" in there(bare, rc=1).stderr
    assert "no run begins with" in there("0" * 32, rc=1).stderr


def test_refusals_leave_nothing(research: Any, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    research.git("init", "-q", "--bare", str(remote))
    research.git("remote", "add", "upstream", str(remote))
    job_id, queued = research.one("seed=1"), research.one("seed=2")
    (research.root / "new.py").write_text("x = 1\n")
    research.aexp("run-queued", job_id)
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").write_text("mine")
    before = research.tree()

    def refused(*arguments: str, rc: int = 2, run: str = job_id) -> str:
        return str(research.aexp("reproduce", run, *arguments, rc=rc).stderr)

    assert "is not empty" in refused("--to", str(full))
    assert "a file" in refused("--to", str(full / "file" / "below"))
    assert "lies in the repository" in refused("--to", str(research.root / "sub"))
    (tmp_path / "link").symlink_to(research.root)
    assert "lies in the repository" in refused("--to", str(tmp_path / "link" / "sub"))
    assert "need --to" in refused("--run")
    assert "has not been executed" in refused(rc=1, run=queued)
    assert "--attempt" in refused("--attempt", "0")
    again = str(tmp_path / "again")
    patch = research.workspace(job_id) / "environment" / "1.patch"
    kept = patch.read_bytes()
    patch.unlink()
    patch.write_bytes(kept.replace(b"x = 1", b"x = 2"))
    assert "1.patch was changed since" in refused("--to", again, rc=1)
    patch.unlink()
    assert "1.patch is missing" in refused("--to", again, rc=1)
    patch.write_bytes(kept)
    assert research.tree() == before
    research.git("commit", "--amend", "-qm", "another history")
    research.git("reflog", "expire", "--expire=now", "--all")
    research.git("gc", "-q", "--prune=now")
    message = refused("--to", again, rc=1)
    assert "is not in this repository" in message
    assert "hint: git fetch upstream" in message
    assert not Path(again).exists()
    assert (full / "file").read_text() == "mine"
    assert len(worktrees(research)) == 1


def test_ended_half_way_it_tidies_up(research: Any, again: Path, wait_until: Any) -> None:
    (research.root / ".gitattributes").write_text("slow filter=slow\n")
    (research.root / "slow").write_text("x\n")
    research.git("add", "-A")
    research.git("commit", "-qm", "slow")
    job_id = research.one()
    research.aexp("run-queued", job_id)
    research.git("config", "filter.slow.smudge", "sleep 2; cat")
    asked = research.start_aexp("reproduce", job_id, "--to", str(again))
    wait_until(lambda: (again / ".git").exists())
    asked.terminate()
    assert asked.wait(timeout=30) == 128 + signal.SIGTERM
    assert not again.parent.exists()
    assert len(worktrees(research)) == 1
    assert not list((research.root / ".git" / "worktrees").glob("*"))
