"""The Slurm executor keeps its jobs when Slurm cannot be asked (tests/slurm shows it whole)."""

import asyncio
import inspect
import logging
from typing import Any

import pytest
import snakemake_executor_plugin_slurm as plugin

from aexp.workflow.patience import SETTLED_S, Patient, outlast_silence


@pytest.fixture
def query(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)  # put back later
    outlast_silence()
    once = plugin.query_job_status
    outlast_silence()
    assert plugin.query_job_status is once
    return lambda command: asyncio.run(plugin.query_job_status(command, logging.getLogger()))


@pytest.mark.parametrize("command", ["false", "/no/such/squeue"])
def test_a_failed_query_is_an_answer_that_names_no_job(query: Any, command: str) -> None:
    assert query(command) == ({}, 0.0)


def test_an_answer_is_passed_on(query: Any) -> None:
    states, seconds = query("printf '7|RUNNING\\n8|FAILED\\n'")
    assert states == {"7": "RUNNING", "8": "FAILED"}
    assert seconds > 0


def test_the_executor_asks_through_the_name_that_is_replaced() -> None:
    assert "await query_job_status(" in inspect.getsource(plugin.Executor.check_active_jobs)


class Slurm:
    """What Slurm answers, and a clock."""

    def __init__(self) -> None:
        self.answer: dict[str, str] | None = {}
        self.now = 0.0
        self.patient = Patient(self._query, lambda: self.now)

    async def _query(self) -> tuple[dict[str, str] | None, float | None]:
        return (None, None) if self.answer is None else (dict(self.answer), 0.01)

    def says(self, answer: dict[str, str] | None, after_s: float = 0.0) -> dict[str, str]:
        self.answer = answer
        self.now += after_s
        return asyncio.run(self.patient())[0]


def test_a_job_that_slurm_has_forgotten_has_ended() -> None:
    slurm = Slurm()
    assert slurm.says({"7": "RUNNING", "8": "RUNNING"}) == {"7": "RUNNING", "8": "RUNNING"}
    assert slurm.says({"8": "RUNNING"}, 180) == {"8": "RUNNING"}  # one answer is no proof
    assert slurm.says(None, 60) == {}
    assert slurm.says({"8": "RUNNING"}, SETTLED_S) == {"7": "COMPLETED", "8": "RUNNING"}
    assert slurm.says({"7": "RUNNING"}, 1) == {"7": "RUNNING"}  # it was a gap after all


def test_a_job_that_ended_is_not_called_back() -> None:
    slurm = Slurm()
    assert slurm.says({"7": "FAILED"}) == {"7": "FAILED"}
    assert slurm.says({}, 1000) == {}
    assert slurm.says({}, 1000) == {}


def test_a_preempted_job_is_waited_for_while_it_may_be_requeued() -> None:
    slurm = Slurm()
    assert slurm.says({"7": "PREEMPTED"}) == {"7": "PREEMPTED"}
    assert slurm.says({"7": "PENDING"}, 10) == {"7": "PENDING"}
    assert slurm.says({"7": "PREEMPTED"}, 600) == {"7": "PREEMPTED"}
    assert slurm.says({"7": "PREEMPTED"}, SETTLED_S) == {"7": "CANCELLED"}
