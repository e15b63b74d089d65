"""The Slurm executor keeps its jobs when Slurm cannot be asked (tests/slurm shows it whole)."""

import asyncio
import inspect
import logging
from typing import Any

import pytest
import snakemake_executor_plugin_slurm as plugin

from aexp.workflow.patience import outlast_silence


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
