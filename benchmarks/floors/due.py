"""What the Snakefile asks before it builds its graph: which runs are due."""

import sys

from aexp.paths import Repo
from aexp.queue.pending import Queue
from aexp.runs.select import RunFilter

found = len(Queue(Repo.installed()).due(RunFilter()))
if found != int(sys.argv[1]):
    sys.exit(f"{found} runs are due, not {sys.argv[1]}")
