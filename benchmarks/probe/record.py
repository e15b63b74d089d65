"""Record the environment of one attempt as the wrapper does, and print what it cost.

``python record.py REPOSITORY RUN_ID NUMBER``: wall and CPU seconds, with those of git, from the
moment at which the wrapper has loaded everything else.
"""

import os
import sys
import time
from importlib import import_module

from aexp.paths import Repo
from aexp.runs.store import read_run

for module in ("aexp.execution.process", "aexp.runs.status"):
    import_module(module)

repo = Repo(sys.argv[1])
run = read_run(repo, sys.argv[2])
began, cpu = time.perf_counter(), time.process_time()
children = os.times()

from aexp.environment.record import record_environment  # noqa: E402  its loading counts, too

record_environment(repo, run, int(sys.argv[3]), command="python train.py --seed 1")
wall = time.perf_counter() - began
ended = os.times()
git = ended.children_user + ended.children_system
print(wall, time.process_time() - cpu + git - children.children_user - children.children_system)
