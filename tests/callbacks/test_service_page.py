"""The page of a hosted service, typed from top to bottom with aexp's runs."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow
KEYS = {"id", "asset_type", "name", "state", "components", "created_at"}


def test_the_page_from_top_to_bottom(script: Callable[..., str], research: Any) -> None:
    research.experiment("true {seed}", "tracker: {backend: wandb, project: from-experiment}\n")
    told = json.loads(script("service_page.py", "linked", "1", "25"))
    assert told["start_step"] == 0
    first = research.doc(told["id"])
    assert first["status"] == "complete"
    assert first["tracker"]["url"] == "https://wandb.ai/lab/ripple-pde/runs/abc1"
    assert first["tracker"]["project"] == "ripple-pde"
    assert not (research.workspace(told["id"]) / "wandb").exists()  # no other W&B run was opened
    checkpoints = [row["step"] for row in told["own"] if row["asset_type"] == "checkpoint"]
    assert checkpoints == [20, 10, 0]
    others = {row["asset_type"] for row in told["own"]} - {"checkpoint"}
    assert others == {"curves", "snapshot", "trainer_config"}
    assert all(set(row) >= KEYS and row["state"] == "ready" for row in told["own"])
    assert told["incomplete"] == []
    assert told["across"] == 6
    environment = research.workspace(told["id"]) / "environment" / "1.json"
    recorded = environment.read_text()
    assert "my-trainer" in recorded
    assert "git_sha" in recorded

    # Another run of the variation goes on from there, crashes, and goes on from its own.
    script("service_page.py", "crashes", "2", "30", rc=1)
    (second,) = [run for run in research.json("list-runs") if run["status"] == "failed"]
    document = research.doc(second["job_id"])
    assert document["aexp_run"]["attempts"][0]["cause"] == "exception"
    assert document["tracker"]["project"] == "from-experiment"
    assert document["aexp_run"]["attempts"][0]["resumed_run"] == told["id"]
    research.aexp("queue", "retry", second["job_id"])
    again = json.loads(script("service_page.py", "fallback", "2", "40"))
    assert again["id"] == second["job_id"]
    assert again["start_step"] == 31
    assert again["linked"] == [document["aexp_run"]["attempts"][0]["resumed_from"]]
    assert research.doc(again["id"])["status"] == "complete"
