"""Several drivers over one queue, and drivers that end in the middle."""

import os
import signal
from typing import Any

import pytest


def statuses(research: Any, ids: list[str]) -> list[str]:
    return [research.status(job_id) for job_id in ids]


def waiting_for(processes: Any, job_id: str, parent: int) -> list[int]:
    """Return a session's wrappers of a run."""
    wrappers = processes.matching(job_id)
    return [pid for pid in wrappers if os.getpgid(pid) == parent]


def test_the_loser_of_two_sessions_ends_last(
    research: Any, witness: Any, processes: Any, wait_until: Any, finish: Any, evidence: Any
) -> None:
    """The loser's Snakemake deletes the winner's outputs; afterwards they are there again."""
    first, second = research.add("seed=0..1,sleep=0,code=0")
    witness.hold(first)
    witness.hold(second)
    loser = research.start_snakemake("--cores", "1")
    wait_until(lambda: witness.count("start")[first])
    winner = research.start_snakemake("--cores", "1")
    wait_until(lambda: witness.count("start")[second])
    witness.let_go(first)  # now the loser comes to the second run, and waits for the winner
    waiting = wait_until(lambda: waiting_for(processes, second, loser.pid))
    # It dies while it waits: its Snakemake thinks that its job failed, and hears of it last.
    os.kill(loser.pid, signal.SIGSTOP)
    processes.kill(waiting)
    witness.let_go(second)
    code, said = finish(winner)
    assert code == 0, said
    assert "1 of 1 run(s) complete" in said
    before = evidence(research)
    assert len(before) == 4
    os.kill(loser.pid, signal.SIGCONT)
    code, said = finish(loser)
    assert code == 1, said  # its own job was killed
    assert "Removing output files of failed job" in said
    assert "made outputs again for 1 ended run(s)" in said
    assert "2 of 2 run(s) complete" in said
    assert evidence(research) == before
    assert witness.count("start") == {first: 1, second: 1}
    witness.assert_no_overlap()
    assert len(research.doc(second)["aexp_run"]["attempts"]) == 1
    # And a loser that only waits: exit 0, outputs in place, nothing is executed again.
    third, fourth = research.add("seed=2..3,sleep=0,code=0")
    witness.hold(third)
    witness.hold(fourth)
    loser = research.start_snakemake("--cores", "1")
    wait_until(lambda: witness.count("start")[third])
    winner = research.start_snakemake("--cores", "1")
    wait_until(lambda: witness.count("start")[fourth])
    witness.let_go(third)
    wait_until(lambda: waiting_for(processes, fourth, loser.pid))
    witness.let_go(fourth)
    assert finish(winner)[0] == 0
    code, said = finish(loser)
    assert code == 0, said
    assert "waiting, it is being executed elsewhere" in said or "skipping, already" in said
    assert set(witness.count("start").values()) == {1}
    assert len(evidence(research)) == 8


def test_a_dry_run_beside_a_live_session_changes_nothing(
    research: Any, witness: Any, wait_until: Any, finish: Any, snapshot: Any
) -> None:
    ids = research.add("seed=0..2,sleep=0,code=0")
    witness.hold(ids[0])
    live = research.start_snakemake("--cores", "1", env={"AEXP_HEARTBEAT_S": "0"})
    wait_until(lambda: witness.count("start")[ids[0]])
    wait_until(lambda: research.doc(ids[0])["queue"].get("proc"))
    before = snapshot(research.root)
    for arguments in (["-n"], ["-n", "-F"], ["--dag"], ["--summary"], ["--lint"]):
        done = research.snakemake(*arguments, rc=None)
        assert "Traceback" not in done.stderr
        if arguments != ["--lint"]:
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert snapshot(research.root) == before, arguments
    # A job added meanwhile waits for the next session; the live one does not notice it.
    (late,) = research.add("seed=9,sleep=0,code=0")
    witness.let_go(ids[0])
    code, said = finish(live)
    assert code == 0, said
    assert statuses(research, ids) == ["complete"] * 3
    assert research.status(late) == "queued"
    research.snakemake()
    assert research.status(late) == "complete"
    assert set(witness.count("start").values()) == {1}


def test_nothing_of_a_dead_owners_command_survives_the_next_attempt(
    research: Any, witness: Any, processes: Any, wait_until: Any
) -> None:
    """Although it forks without end, so that no list of its processes is the last one."""
    stop = research.root.parent / "stop"
    storm = f"while ! test -e {stop}; do (sleep 0.02; sleep 0.02) & sleep 0.01; done"
    research.experiment(f"sh {witness.script} {{job_id}} 0 0 & {storm}")
    witness.hold(job_id := research.add("seed=0")[0])
    for attempt in range(1, 3):
        wrapper = research.start_aexp("run-queued", job_id)
        wait_until(lambda: witness.count("start")[job_id] == attempt)  # noqa: B023
        wait_until(lambda: research.doc(job_id)["queue"].get("proc"))
        processes.kill([wrapper.pid])
        wrapper.wait(60)
        research.aexp("reconcile")
        assert not processes.matching(str(witness.script))
    stop.touch()
    witness.assert_no_overlap()
    assert research.doc(job_id)["aexp_run"]["faults"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-c", "term", "kill main", "kill wrappers", "kill both"])
def test_the_same_command_again_after_an_end_in_the_middle(
    research: Any, witness: Any, processes: Any, wait_until: Any, finish: Any, how: str
) -> None:
    ids = research.add("seed=0..3,sleep=0,code=0")
    for job_id in ids:
        witness.hold(job_id)
    main = research.start_snakemake("--cores", "2")
    wait_until(lambda: len(witness.order()) == 2)
    wait_until(lambda: all(research.doc(i)["queue"].get("proc") for i in ids[:2]))
    started, others = ids[:2], ids[2:]
    if how == "ctrl-c":
        os.killpg(main.pid, signal.SIGINT)
    elif how == "term":
        os.kill(main.pid, signal.SIGTERM)
        for job_id in ids:
            witness.let_go(job_id)
    elif how == "kill main":
        os.kill(main.pid, signal.SIGKILL)
    elif how == "kill wrappers":
        for job_id in others:
            witness.let_go(job_id)
        processes.kill(processes.wrappers())
    else:
        processes.kill([main.pid, *processes.wrappers()])
    if how == "kill main":
        main.wait(60)
        code, said = -9, ""  # the orphans hold its output open
    else:
        code, said = finish(main)
    if how == "ctrl-c":
        assert code == 1
        assert statuses(research, ids) == ["queued"] * 4
        for job_id in started:
            (attempt,) = research.doc(job_id)["aexp_run"]["attempts"]
            assert (attempt["status"], attempt["cause"]) == ("queued", "interrupted")
            assert not research.doc(job_id)["aexp_run"].get("faults")
        assert said.count("not complete:") == 4
    elif how == "term":
        assert code == 1
        assert statuses(research, started) == ["complete"] * 2
        assert statuses(research, others) == ["queued"] * 2
    elif how == "kill main":
        assert len(processes.wrappers()) == 2  # they go on without it
    elif how == "kill wrappers":
        # The rest was executed all the same, and the lost ones wait for another attempt.
        assert code == 1
        assert statuses(research, others) == ["complete"] * 2
        assert statuses(research, started) == ["queued"] * 2
        assert said.count("not complete:") == 2
    if how == "kill main":
        # What the orphans execute is not due; the session ends with what it could do.
        for job_id in others:
            witness.let_go(job_id)
        done = research.snakemake()
        assert statuses(research, ids) == ["running"] * 2 + ["complete"] * 2
        for job_id in started:
            assert f"not due: {job_id[:8]}: process" in done.stderr
        for job_id in started:
            witness.let_go(job_id)
        processes.wait_for_none("run-queued")
    elif how != "term":
        for job_id in ids:
            path = witness.folder / f"hold-{job_id}"
            path.unlink(missing_ok=True)
    research.snakemake()
    assert statuses(research, ids) == ["complete"] * 4
    assert all(research.entry(job_id)["status"] == "complete" for job_id in ids)
    witness.assert_no_overlap()
    expected = {"ctrl-c": 2, "term": 1, "kill main": 1, "kill wrappers": 2, "kill both": 2}[how]
    assert [witness.count("start")[job_id] for job_id in started] == [expected] * 2
    for job_id in started:
        record = research.doc(job_id)["aexp_run"]
        assert len(record["attempts"]) == expected
        if how in ("kill wrappers", "kill both"):
            assert record["attempts"][0]["cause"] == "lost"
            assert record["faults"] == 1
    assert not list((research.root / ".aexp" / "cache" / "sessions").glob("*"))
    # Nothing left: exit 0, and the line that says so.
    done = research.snakemake("--config", "tag=2024")
    assert "nothing to run: no queued run matches tag 2024" in done.stderr
