"""A tracker that fails never fails the run, and never holds it up beyond its time."""

import json
import time
from pathlib import Path

import misbehaving
import pytest

SCRIPT = """
printf '%s\\n' '{"loss": 0.5, "step": 1}' '{"loss": 0.25, "step": 2}' > $AEXP_METRICS_PATH
"""
TRACKER = "tracker: {{backend: misbehaving, options: {{mode: {mode}}}, offline: {offline}}}\n"


def experiment(research, mode: str, offline: str = "false") -> None:
    (research.root / "train.sh").write_text(SCRIPT)
    research.experiment("sh train.sh", TRACKER.format(mode=mode, offline=offline))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    found = misbehaving.publish(tmp_path / "site")
    return {**found, "TRACKED": str(tmp_path / "tracked")}


@pytest.mark.parametrize(
    ("mode", "said", "tracked"),
    [
        ("well", "", "offline=False\n{'loss': 0.5}\n{'loss': 0.25}\n{'loss': 0.25}\nfinish 0"),
        ("init raises online", "used offline: ValueError: no such key", "offline=True"),
        ("init raises", "ValueError: no such key; nothing is lost; later: aexp sync-offline", ""),
        ("init hangs online", "used offline: no answer within 0.5 s", "offline=True"),
        ("init hangs", "no answer within 0.5 s", ""),
        ("no handle", "gave no RunHandle", ""),
        ("log raises", r"\x1b[31mred\n (3 problems in all)", "finish 0"),
        ("log hangs", "not done within 4 s, and ended", ""),
        ("finish hangs", "not done within 4 s, and ended", "{'loss': 0.25}"),
        ("garbage", "", "finish 0"),
        ("exits", "its process ended with 7", ""),
    ],
)
def test_the_run_completes_and_the_message_says_what_happened(
    research, env, mode: str, said: str, tracked: str
) -> None:
    experiment(research, mode)
    add = ("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    job_id = research.json(*add, env=env)["runs"][0]["job_id"]
    began = time.monotonic()
    bounds = {"AEXP_TRACKER_INIT_S": "0.5", "AEXP_TRACKER_TIMEOUT_S": "4"}
    done = research.aexp("run-queued", job_id, env={**env, **bounds})
    assert time.monotonic() - began < 20
    assert research.status(job_id) == "complete"
    assert research.entry(job_id)["metrics"] == {"loss": 0.25}
    lines = [line for line in done.stderr.splitlines() if "tracker misbehaving" in line]
    if said:
        assert said in " ".join(lines)
        assert "sync-offline" in " ".join(lines)
    else:
        assert lines == []
    assert "\x1b" not in done.stderr
    found = Path(env["TRACKED"])
    assert tracked in (found.read_text() if found.exists() else "")
    if mode == "well":
        entry = research.entry(job_id)
        assert entry["tracker"]["run_id"] == "own-id"
        told = research.doc(job_id)["tracker"]
        assert entry["tracker"] == {key: told[key] for key in told if told[key] is not None}
        assert "pw" not in json.dumps(entry)


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_next_attempt_waits_for_the_follower_of_a_killed_wrapper(
    research, env, wait_until, goes_on: bool
) -> None:
    """One process at a time writes to the tracker's run: the old one's end comes first, or never.

    One that does not end is killed when the new attempt has no time left to wait.
    """
    tracked = Path(env["TRACKED"])
    experiment(research, "a failure's finish waits")
    (research.root / "train.sh").write_text(
        'echo "{\\"step\\": 9, \\"loss\\": 0.$AEXP_ATTEMPT}" >> $AEXP_METRICS_PATH\n'
        'echo "{\\"step\\": 1$AEXP_ATTEMPT, \\"loss\\": 0.5}" >> $AEXP_METRICS_PATH\n'
        "[ $AEXP_ATTEMPT = 2 ] || sleep 100\n"
    )
    add = ("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    job_id = research.json(*add, env=env)["runs"][0]["job_id"]
    bounds = {**env, "AEXP_TRACKER_TIMEOUT_S": "20" if goes_on else "6"}
    wrapper = research.start_aexp("run-queued", job_id, env=bounds)
    wait_until(lambda: tracked.exists() and "0.5" in tracked.read_text())
    wrapper.kill()
    wrapper.wait()
    wait_until(lambda: "finishing" in tracked.read_text())
    again = research.start_aexp("run-queued", job_id, env=bounds)
    if goes_on:
        wait_until(lambda: research.status(job_id) == "complete")
        assert tracked.read_text().count("offline=") == 1
        tracked.with_name("go-on").touch()
    assert again.wait(timeout=60) == 0
    lines = tracked.read_text().splitlines()
    starts = [at for at, line in enumerate(lines) if "offline=" in line]
    assert len(starts) == 2
    assert lines[starts[1] - 1] == ("finish 1" if goes_on else "finishing")
    assert lines[starts[1] + 1 :] == ["{'loss': 0.5}"] * 2 + ["finish 0"]


def test_a_run_whose_tracker_was_never_opened_is_sent_later_from_its_series(research, env) -> None:
    experiment(research, "init raises until told")
    add = ("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    job_id = research.json(*add, env=env)["runs"][0]["job_id"]
    done = research.aexp("run-queued", job_id, env=env)
    assert "no such project; nothing is lost; later: aexp sync-offline" in done.stderr
    assert "used offline" not in done.stderr
    (found,) = research.json("sync-offline", "--dry-run", env=env)
    assert (found["backend"], found["job_id"]) == ("misbehaving", job_id)
    failed = research.aexp("sync-offline", rc=1, env=env)
    assert "no such project" in failed.stdout + failed.stderr
    Path(env["TRACKED"]).touch()
    (sent,) = research.json("sync-offline", env=env)
    assert (sent["state"], sent["ok"]) == ("synced", True)
    tracked = Path(env["TRACKED"]).read_text().splitlines()
    assert tracked[1:] == ["{'loss': 0.5}", "{'loss': 0.25}", "{'loss': 0.25}", "finish 0"]
    assert research.doc(job_id)["tracker"]["run_id"] == "own-id"
    assert research.json("sync-offline", env=env) == []
