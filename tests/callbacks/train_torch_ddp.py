"""A PyTorch training of two processes, of which one is asked to stop."""

import os
from datetime import timedelta
from typing import Any

import attempts
import torch
import torch.distributed as distributed

from aexp.checkpoints.callbacks.torch import TrainingState


def train(run: Any, fault: attempts.Fault) -> None:
    port = run.workspace / f"store-{run.attempt}"
    child = os.fork()  # the second process; it is asked to stop
    rank = 0 if child else 1
    code = 0
    try:
        distributed.init_process_group(
            "gloo", init_method=f"file://{port}", rank=rank, world_size=2, timeout=timedelta(0, 60)
        )
        loop(run, fault if rank else attempts.Fault(), rank)
    except SystemExit as error:
        code = int(str(error.code))
    if rank:
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    if code:
        raise SystemExit(code)


def loop(run: Any, fault: attempts.Fault, rank: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    model = torch.nn.Linear(8, 1)
    for parameter in model.parameters():
        distributed.broadcast(parameter.data, src=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    state = TrainingState(run, model=model, optimizer=optimizer, every=5)
    for step in range(state.restore(), attempts.STEPS):
        loss = model(torch.randn(4, 8)).square().mean()  # other numbers in each process
        optimizer.zero_grad()
        loss.backward()
        for parameter in model.parameters():  # what DistributedDataParallel does
            distributed.all_reduce(parameter.grad)
        optimizer.step()
        distributed.all_reduce(total := loss.detach())
        if rank == 0:
            run.log({"loss": total.item()}, step=step)
        fault.strike(step)
        state.step_done(step)


if __name__ == "__main__":
    attempts.story(train, [attempts.Fault(12, attempts.TERM)])
