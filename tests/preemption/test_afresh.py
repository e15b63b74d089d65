"""Runs that are executed once more: complete ones from the beginning, others go on."""

from pathlib import Path
from typing import Any

import pytest

from aexp.checkpoints.pins import pin
from aexp.checkpoints.retention import prune
from aexp.checkpoints.store import list_checkpoints
from aexp.kb.retention import Retention
from aexp.paths import Repo

# As many steps as the file "steps" says; then the exit code in the file "code".
SCRIPT = """
echo "from=$(basename "${AEXP_RESUME_FROM:-nothing}")"
step=0
if [ -n "$AEXP_RESUME_FROM" ]; then step=$(cat "$AEXP_RESUME_FROM"/step*); fi
here=$(dirname "$0")
while [ "$step" -lt "$(cat "$here/steps")" ]; do
    step=$((step + 1))
    echo "$step" > "$AEXP_CHECKPOINT_DIR/.new"
    mv "$AEXP_CHECKPOINT_DIR/.new" "$AEXP_CHECKPOINT_DIR/step-$step"
done
exit "$(cat "$here/code")"
"""


class Steps:
    """One run of the script."""

    def __init__(self, research: Any, folder: Path) -> None:
        self.research, self.folder = research, folder
        (folder / "train.sh").write_text(SCRIPT)
        research.experiment(f"sh {folder}/train.sh")
        self.next(5)
        self.job_id = research.one("condition=full,seed=0")

    def next(self, steps: int, code: int = 0) -> None:
        """Say what the next attempt does."""
        (self.folder / "steps").write_text(str(steps))
        (self.folder / "code").write_text(str(code))

    def execute(self, number: int, *options: str, rc: int = 0) -> str:
        """Execute the run; return what the attempt went on from."""
        self.research.aexp("run-queued", self.job_id, *options, rc=rc)
        log = self.research.workspace(self.job_id) / "logs" / f"{number}.log"
        return str(log.read_text().splitlines()[0].removeprefix("from="))

    def attempt(self) -> dict[str, Any]:
        """Return the record of the last attempt."""
        return dict(self.research.doc(self.job_id)["aexp_run"]["attempts"][-1])


@pytest.fixture
def steps(research: Any, tmp_path_factory: pytest.TempPathFactory) -> Steps:
    return Steps(research, tmp_path_factory.mktemp("script"))


def test_a_complete_run_starts_from_the_beginning(steps: Steps, research: Any) -> None:
    assert steps.execute(1) == "nothing"
    first = research.entry(steps.job_id)["checkpoint"]
    assert first["step"] == 5

    research.aexp("queue", "retry", steps.job_id)
    steps.next(2, code=1)
    assert steps.execute(2, rc=1) == "nothing"
    assert "resumed_from" not in steps.attempt()
    # Its own steps count, though the earlier execution came further with the same content.
    checkpoint = research.entry(steps.job_id)["checkpoint"]
    assert checkpoint["step"] == 2
    assert checkpoint["id"] != first["id"]

    # It has failed: what it has saved since it started afresh is gone on from, nothing else.
    research.aexp("queue", "retry", steps.job_id)
    steps.next(3)
    assert steps.execute(3).startswith("step-000000002")
    assert steps.attempt()["resumed_from"] == checkpoint["id"]
    assert research.entry(steps.job_id)["checkpoint"]["step"] == 3

    # Complete again: --force, and queue add again, are the same as retry.
    assert steps.execute(4, "--force") == "nothing"
    assert research.one("condition=full,seed=0") == steps.job_id
    assert steps.execute(5) == "nothing"


def test_a_person_may_have_a_complete_run_go_on(steps: Steps, research: Any) -> None:
    steps.execute(1)
    steps.next(7)
    research.aexp("queue", "retry", steps.job_id)
    research.aexp("queue", "remove", steps.job_id)  # taken back: complete, as it was
    assert research.entry(steps.job_id)["checkpoint"]["step"] == 5
    research.aexp("queue", "retry", steps.job_id, "--resume")
    assert steps.execute(2) == "step-000000005"
    assert research.entry(steps.job_id)["checkpoint"]["step"] == 7


def test_an_attempt_that_asks_for_another_one_has_advanced(steps: Steps, research: Any) -> None:
    steps.execute(1)
    research.aexp("queue", "retry", steps.job_id)
    steps.next(2, code=75)
    research.aexp("run-queued", steps.job_id, rc=1)  # until it gets no further
    record = research.doc(steps.job_id)["aexp_run"]
    assert record["cause"] == "no_progress"
    assert (record["preemptions"], record["stalled"]) == (4, 3)
    assert record["attempts"][1].get("resumed_from") is None


def test_the_handle_passes_over_them_too(training: Any, research: Any) -> None:
    job_id = training.add("none", 1)
    research.aexp("run-queued", job_id)
    research.aexp("queue", "retry", job_id)
    research.aexp("run-queued", job_id)
    first, second = training.attempts(job_id)
    assert "resumed_from" not in first.keys() | second.keys()
    begins = {row["attempt"]: row["step"] for row in reversed(training.rows(job_id))}
    assert begins == {1: 1, 2: 1}


def test_pruning_keeps_what_has_started_afresh(steps: Steps, research: Any) -> None:
    steps.execute(1)
    research.aexp("queue", "retry", steps.job_id)
    steps.next(2, code=1)
    steps.execute(2, rc=1)
    repo = Repo(str(research.root))
    found = list_checkpoints(repo, steps.job_id)
    assert sorted(item.step or 0 for item in found) == [1, 1, 2, 2, 3, 4, 5]
    pin(repo, next(item for item in found if item.step == 3))
    done = prune(repo, steps.job_id, Retention(keep_last=1))
    assert done.verdicts[0].reasons == ("newest", "last 1")
    kept = {(item.manifest.attempt, item.step) for item in list_checkpoints(repo, steps.job_id)}
    assert kept == {(2, 2), (1, 5), (1, 3)}


def test_how_many_attempts_may_ask_for_another_one(research: Any) -> None:
    save = "echo $AEXP_ATTEMPT > $AEXP_CHECKPOINT_DIR/step-$AEXP_ATTEMPT; exit 75"
    research.experiment(save, "max_preemptions: 3\n")
    for options, allowed in (((), 3), (("--max-preemptions", "1"), 1)):
        job_id = research.one(f"seed={allowed}", *options)
        research.aexp("run-queued", job_id, rc=1)
        record = research.doc(job_id)["aexp_run"]
        assert record["max_preemptions"] == allowed
        assert record["cause"] == "preemptions"
        assert len(record["attempts"]) == allowed + 1
    path = research.experiment(save, "max_preemptions: many\n")
    refused = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=9", rc=1)
    assert "max_preemptions is 'many'" in refused.stderr
    issues = research.json("validate", rc=1)["issues"]
    (found,) = [issue for issue in issues if issue["code"] == "kb.run_settings"]
    assert (found["path"], found["message"]) == (
        str(path.relative_to(research.root)),
        "max_preemptions is 'many'",
    )
