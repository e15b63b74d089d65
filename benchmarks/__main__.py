"""``python -m benchmarks [names...] [--quick] [--no-peer] [--json FILE]``."""

import argparse
import compileall
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

import aexp
from benchmarks import (
    adding,
    backfill,
    catalogue,
    checkpoints,
    engine,
    environment,
    large,
    listing,
    logging_rows,
    slurm_cost,
    startup,
    uploads,
    validate,
    wrapper,
)
from benchmarks.place import Place
from benchmarks.report import Row, as_json, table

GROUPS = {
    "startup": startup.run,
    "add": adding.run,
    "list": listing.run,
    "wrapper": wrapper.run,
    "engine": engine.run,
    "environment": environment.run,
    "backfill": backfill.run,
    "log": logging_rows.run,
    "checkpoints": checkpoints.run,
    "uploads": uploads.run,
    "validate": validate.run,
    "large": large.run,
    "catalogue": catalogue.run,
    "slurm": slurm_cost.run,
}


def main() -> int:
    """Run the chosen groups, print one table, and say whether a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(GROUPS))
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work?")
    parser.add_argument("--no-peer", action="store_true", help="leave the published peer out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    given = parser.parse_args()
    unknown = set(given.names) - set(GROUPS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; one of {', '.join(GROUPS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the scratch folder goes all the same
    build = Path(__file__).resolve().parent.parent / "build" / "bench"
    build.mkdir(parents=True, exist_ok=True)
    compileall.compile_dir(str(Path(aexp.__file__).parent), quiet=2)
    rows: list[Row] = []
    broken: list[str] = []
    with tempfile.TemporaryDirectory(dir=build, prefix="scratch-") as scratch:
        place = Place(build, Path(scratch), given.quick, not given.no_peer)
        for name in given.names or GROUPS:
            began = time.monotonic()
            print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
            try:
                found = GROUPS[name](place)
                if any(row.ok is False for row in found):  # a busy moment is no broken bound
                    print("again ...", end=" ", file=sys.stderr, flush=True)
                    found = GROUPS[name](place)
                rows += found
            except RuntimeError as error:  # one command failed; the other groups go on
                broken.append(f"{name}: {error}")
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    about = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
        "quick": given.quick,
    }
    print(table(rows))
    if given.json:
        given.json.write_text(as_json(rows, about) + "\n")
    broken += [row.what for row in rows if row.ok is False]
    for what in broken:
        print(f"broken: {what}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
