"""A Trainer of two processes; the second is slow to write its part of a checkpoint."""

import os
import socket
import time
from typing import Any

import attempts
import train_transformers
from transformers import Trainer


class Slow(Trainer):
    def _save_rng_state(self, output_dir):
        if self.args.process_index == 1:
            time.sleep(0.5)
        super()._save_rng_state(output_dir)


def train(run: Any, fault: attempts.Fault) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    child = os.fork()
    rank = 0 if child else 1
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    code = 1
    try:
        mine = fault if rank else attempts.Fault()
        more = {"ddp_backend": "gloo", "ddp_find_unused_parameters": False}
        train_transformers.train(run, mine, Slow, **more)
        code = 0
    except SystemExit as error:
        code = int(str(error.code))
    finally:
        if rank:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    attempts.story(train, [attempts.Fault(12, attempts.TERM)])
