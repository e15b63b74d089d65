"""Floor of ``queue add``: write two JSON files per run, each by temporary file, fsync, rename."""

import hashlib
import json
import os
import sys

workspace, count, serial = sys.argv[1], int(sys.argv[2]), 0


def write(path, data):
    temporary = path + ".tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(temporary, path)


for seed in range(count):
    sp = {"experiment_id": "E001", "hypothesis_id": "H001", "seed": seed}
    doc = {
        "aexp": {
            "experiment_id": "E001",
            "experiment_path": "kb/research/experiments/E001-*.md",
            "hypothesis_id": "H001",
            "sub_hypothesis_id": None,
        },
        "status": "queued",
        "created_at": "2026-01-01T00:00:00Z",
        "queue": {"queued_at": "2026-01-01T00:00:00Z"},
    }
    job_id = hashlib.md5(json.dumps(sp, sort_keys=True).encode()).hexdigest()
    folder = os.path.join(workspace, job_id)
    os.mkdir(folder)
    write(os.path.join(folder, "signac_statepoint.json"), json.dumps(sp).encode())
    write(os.path.join(folder, "signac_job_document.json"), json.dumps(doc).encode())
