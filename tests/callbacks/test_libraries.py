"""Trainings that are killed and stopped go on as if nothing had been: each library's own."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import aexp

Story = Callable[[str], dict[str, Any]]
pytestmark = pytest.mark.slow
STEPS = 24


def check(told: dict[str, Any], codes: list[int], first: int) -> None:
    """Compare the loss at every step, exactly, with that of the training left alone."""
    whole, broken = told["whole"], told["broken"]
    assert told["codes"] == {"whole": [0], "broken": codes}
    assert whole["status"] == broken["status"] == "complete"
    assert [step for step, _ in whole["curve"]] == list(range(first, first + STEPS))
    assert broken["curve"] == whole["curve"]


def test_pytorch(story: Story) -> None:
    told = story("torch")
    check(told, [-9, 75, 75, 0], first=0)
    assert told["broken"]["origins"] == [4, 12, 16]
    saved = [(step, reason, attempt) for step, reason, attempt, _ in told["broken"]["checkpoints"]]
    assert saved == [
        (19, "periodic", 4),
        (16, "preempt", 3),
        (14, "periodic", 3),
        (12, "preempt", 2),
        (9, "periodic", 2),
        (4, "periodic", 1),
    ]


def test_transformers(story: Story) -> None:
    told = story("transformers")
    check(told, [-9, 75, 0], first=1)
    assert told["broken"]["origins"][-1] == 12
    (_, _, _, snapshot), (step, _, _, files), *_ = told["broken"]["checkpoints"]
    assert "model.safetensors" in snapshot
    assert step == STEPS
    assert {"optimizer.pt", "rng_state.pth", "trainer_state.json"} < set(files)


def test_lightning(story: Story) -> None:
    told = story("lightning")
    check(told, [-9, 75, 75, 0], first=1)
    assert told["broken"]["origins"][-2:] == [13, 17]
    saved = {step: (reason, files) for step, reason, _, files in told["broken"]["checkpoints"]}
    assert saved[13] == saved[17] == ("preempt", ["lightning.ckpt"])
    assert saved[20] == ("periodic", ["lightning.ckpt"])
    # ModelCheckpoint's own, through the plugin.
    assert saved[21] == ("periodic", ["epoch=2-step=21.ckpt"])
    assert set(saved) == {5, 7, 10, 13, 14, 15, 17, 20, 21}


def test_pytorch_in_two_processes(story: Story) -> None:
    told = story("torch_ddp")
    check(told, [75, 0], first=0)
    saved = [(step, reason) for step, reason, *_ in told["broken"]["checkpoints"]]
    assert saved == [(step, "periodic") for step in (19, 14)] + [
        (12, "preempt"),
        (9, "periodic"),
        (4, "periodic"),
    ]


def test_transformers_in_two_processes(story: Story) -> None:
    """What each process writes is in the checkpoint, and none ends before it is kept."""
    told = story("transformers_ddp")
    check(told, [75, 0], first=1)
    for _, _, _, files in told["broken"]["checkpoints"][1:]:
        assert {"rng_state_0.pth", "rng_state_1.pth"} < set(files)


def test_lightning_with_shards_is_refused_before_it_trains() -> None:
    from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

    from aexp.checkpoints.callbacks.lightning import AexpCallback

    def begin(strategy: Any) -> Any:
        asked: list[str] = []
        run = SimpleNamespace(should_stop=lambda: asked.append("whether to stop"))
        AexpCallback(run).setup(SimpleNamespace(strategy=strategy), None, "fit")
        return asked

    assert begin(FSDPStrategy()) == begin(FSDPStrategy(state_dict_type="full")) != []
    for shards in (FSDPStrategy(state_dict_type="sharded"), ModelParallelStrategy()):
        with pytest.raises(aexp.CheckpointError, match="saves sharded checkpoints") as caught:
            begin(shards)
        assert 'state_dict_type="full"' in caught.value.hint
