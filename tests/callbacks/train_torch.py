"""A small PyTorch training, interrupted: dropout, shuffled data, noise of three generators."""

import random
from typing import Any

import attempts
import numpy
import torch

from aexp.checkpoints.callbacks.torch import TrainingState


def train(run: Any, fault: attempts.Fault) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(7)
    random.seed(7)
    numpy.random.seed(7)
    model = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.Dropout(0.3), torch.nn.ReLU(), torch.nn.Linear(16, 1)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, attempts.STEPS)
    state = TrainingState(run, model=model, optimizer=optimizer, scheduler=scheduler, every=5)
    for step in range(state.restore(), attempts.STEPS):
        inputs = torch.randn(16, 8) + random.random() + float(numpy.random.rand())
        loss = ((model(inputs).squeeze() - inputs.sum(1)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        run.log({"loss": loss.item()}, step=step)
        if step == fault.step:
            run.wait_for_saves()  # so that it is certain what the next attempt begins with
        fault.strike(step)
        state.step_done(step, metrics={"loss": loss.item()})


if __name__ == "__main__":
    faults = [(8, attempts.KILL), (12, attempts.TERM), (16, attempts.USR1)]
    attempts.story(train, [attempts.Fault(*fault) for fault in faults])
