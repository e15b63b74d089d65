"""Give the peer as many recorded runs as asked for, with its own library, in its own files."""

import sys
from pathlib import Path

from bathos.catalog import write_run  # type: ignore[import-not-found]
from bathos.schema import Run  # type: ignore[import-not-found]

folder, count = Path(sys.argv[1]), int(sys.argv[2])
for number in range(count):
    run = Run("bench", "python train.py", ["python", "train.py"], "c" * 40, "main", False)
    run.status, run.exit_code, run.duration_s = "completed", 0, float(number)
    write_run(run, folder)
