"""Every Python process that finds this module says at its end what it was and what it cost.

Jobs of Slurm are no children of the benchmark, so they have to say it themselves: one line of
JSON in the file ``BENCH_PROBE``. Times are of the system's clock, from the start of the process.
"""

import atexit
import os
import sys

_FILE = os.environ.get("BENCH_PROBE")


def _say() -> None:
    import json
    import resource
    import time

    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    own, below = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    line = {
        "words": sys.orig_argv,
        "began": time.time() - age,
        "ended": time.time(),
        "cpu_s": own.ru_utime + own.ru_stime,
        "below_cpu_s": below.ru_utime + below.ru_stime,
        "rss_mb": own.ru_maxrss / 1024,
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }
    with open(_FILE or os.devnull, "a") as file:
        file.write(json.dumps(line) + "\n")


if _FILE:
    atexit.register(_say)
