"""Run a command and report what it cost; called as a program by `benchmarks.timing`.

A process counts the memory of the one that started it as its own until it has its own
program. So commands are started from this small process, not from the one that has just
made and removed a hundred thousand files.
"""

import os
import sys
import time

began = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - began
code = os.waitstatus_to_exitcode(status)
with open(sys.argv[1], "w") as file:
    file.write(f"{code} {usage.ru_utime + usage.ru_stime} {wall} {usage.ru_maxrss}")
