"""Runs that ask for GPUs get devices of their own, on a machine that has some."""

from typing import Any

import pytest

NOTE = (
    "echo start {seed} $CUDA_VISIBLE_DEVICES >> gpus;"
    " sleep 0.4; echo end {seed} $CUDA_VISIBLE_DEVICES >> gpus"
)


def events(research: Any) -> list[list[str]]:
    return [line.split() for line in (research.root / "gpus").read_text().splitlines()]


@pytest.fixture
def env(tmp_path: Any) -> dict[str, str]:
    # The leases lie in the machine's temporary folder: one of its own for each test.
    return {"AEXP_GPUS": "2", "TMPDIR": str(tmp_path)}


def test_four_runs_share_two_devices_one_each(research: Any, env: dict[str, str]) -> None:
    research.experiment(NOTE)
    ids = research.add("seed=0..3", "--resources", "gpus=1")
    wrappers = [research.start_aexp("run-queued", job_id, env=env) for job_id in ids]
    assert [wrapper.wait(timeout=60) for wrapper in wrappers] == [0] * 4
    busy: set[str] = set()
    most = 0
    for what, _, device in events(research):
        if what == "start":
            assert device not in busy, "two runs on one device"
            busy.add(device)
        else:
            busy.remove(device)
        most = max(most, len(busy))
    assert {device for _, _, device in events(research)} == {"0", "1"}
    assert most == 2


def test_a_run_that_wants_both_waits_for_both(research: Any, env: dict[str, str]) -> None:
    research.experiment(NOTE)
    first = research.one("seed=0", "--resources", "gpus=1")
    both = research.one("seed=1", "--resources", "gpus=2")
    wrappers = [research.start_aexp("run-queued", job_id, env=env) for job_id in (first, both)]
    assert [wrapper.wait(timeout=60) for wrapper in wrappers] == [0, 0]
    spans = {seed: [i for i, e in enumerate(events(research)) if e[1] == seed] for seed in "01"}
    assert spans["0"] in ([0, 1], [2, 3])
    assert events(research)[spans["1"][0]][2] == "0,1"


def test_more_than_the_machine_has_is_an_error_and_the_run_stays_queued(
    research: Any, env: dict[str, str]
) -> None:
    job_id = research.one("seed=0", "--resources", "gpus=3")
    done = research.aexp("run-queued", job_id, rc=2, env=env)
    assert "asks for 3 GPUs and this machine has 2" in done.stderr
    assert research.status(job_id) == "queued"
    assert not (research.workspace(job_id) / "claim").exists()


def test_named_devices(research: Any, env: dict[str, str]) -> None:
    research.experiment("echo $CUDA_VISIBLE_DEVICES")
    job_id = research.one("seed=0", "--resources", "gpus=1")
    assert research.aexp("run-queued", job_id, env={**env, "AEXP_GPUS": "GPU-a,GPU-b"}).stdout == (
        "GPU-a\n"
    )
    only = {**env, "CUDA_VISIBLE_DEVICES": "5"}
    job_id = research.one("seed=1", "--resources", "gpus=1")
    assert research.aexp("run-queued", job_id, env=only).stdout == "5\n"


def test_a_run_that_asks_for_none_sees_what_was_there(research: Any, env: dict[str, str]) -> None:
    research.experiment("echo [${CUDA_VISIBLE_DEVICES-unset}]")
    assert research.aexp("run-queued", research.one("seed=0"), env=env).stdout == "[unset]\n"


def test_without_any_gpu_the_run_goes_on(research: Any, tmp_path: Any) -> None:
    research.experiment("echo ran")
    job_id = research.one("seed=0", "--resources", "gpus=1")
    env = {"AEXP_GPUS": "0", "TMPDIR": str(tmp_path)}
    done = research.aexp("run-queued", job_id, env=env)
    assert done.stdout == "ran\n"
    assert "no GPU found" in done.stderr


def test_a_device_stays_taken_while_an_orphan_uses_it(
    research: Any, env: dict[str, str], wait_until: Any
) -> None:
    research.experiment("echo start {seed} $CUDA_VISIBLE_DEVICES >> gpus; test -e go || sleep 65")
    one = {**env, "AEXP_GPUS": "1"}
    first, second = research.add("seed=0..1", "--resources", "gpus=1")
    wrapper = research.start_aexp("run-queued", first, env=one)
    wait_until(lambda: (research.root / "gpus").exists())
    wait_until(lambda: "proc" in research.doc(first)["queue"])
    wrapper.kill()
    wrapper.wait()
    (research.root / "go").touch()
    waiting = research.start_aexp("run-queued", second, env=one)
    line = b""
    while b"waiting for 1 free GPU" not in line:
        line = waiting.stdout.readline()
    assert len(events(research)) == 1
    research.aexp("reconcile")  # ends the orphan
    assert waiting.wait(timeout=20) == 0
