"""The processes of a distributed training, which save and stop together; one is the common case."""

from typing import Any


def rank() -> int:
    """Return this process's number, 0 where it is the only one."""
    import torch.distributed as distributed

    return distributed.get_rank() if _is_used() else 0


def gathered(mine: Any) -> list[Any]:
    """Return what each process has, by rank."""
    import torch.distributed as distributed

    if not _is_used():
        return [mine]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, mine)
    return found


def own(of_ranks: list[Any]) -> Any:
    """Return what this process had of what `gathered` has returned."""
    return of_ranks[rank() if rank() < len(of_ranks) else 0]


def wait_for_all() -> None:
    """Wait until every process is here.

    Before a save: each may have files of its own to write. Before the end: a launcher kills
    the others when one has ended, and the first one may still be saving.
    """
    import torch.distributed as distributed

    if _is_used():
        distributed.barrier()


def _is_used() -> bool:
    import torch.distributed as distributed

    return bool(distributed.is_available() and distributed.is_initialized())
