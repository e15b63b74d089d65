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
        ("init raises", "ValueError: no such key", ""),
        ("init hangs online", "used offline: no answer within 0.5 s", "offline=True"),
        ("init hangs", "no answer within 0.5 s", ""),
        ("no handle", "gave no RunHandle", ""),
        ("log raises", r"\x1b[31mred\n (3 problems in all)", "finish 0"),
        ("log hangs", "not done within 2 s, and ended", ""),
        ("finish hangs", "not done within 2 s, and ended", "{'loss': 0.25}"),
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
    bounds = {"AEXP_TRACKER_INIT_S": "0.5", "AEXP_TRACKER_TIMEOUT_S": "2"}
    done = research.aexp("run-queued", job_id, env={**env, **bounds})
    assert time.monotonic() - began < 12
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
