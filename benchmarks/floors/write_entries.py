"""Floor of ``ledger backfill``: read each run, note the promotion in its document, write its entry.

Both files by temporary file, fsync, rename: the document first, so that the entry can be
made again from it.
"""

import json
import os
import sys

workspace, ledger = sys.argv[1:]


def write(path, data):
    temporary = path + ".tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(temporary, path)


os.makedirs(ledger)
for name in sorted(os.listdir(workspace)):
    folder = os.path.join(workspace, name)
    with open(os.path.join(folder, "signac_statepoint.json"), "rb") as file:
        sp = json.loads(file.read())
    document = os.path.join(folder, "signac_job_document.json")
    with open(document, "rb") as file:
        doc = json.loads(file.read())
    doc["aexp_run"] = {"promoted_at": doc["ended_at"], "registered_machine": "here"}
    write(document, json.dumps(doc).encode())
    entry = {"job_id": name, "statepoint": sp, "run_link": doc["aexp"], "status": doc["status"]}
    text = json.dumps(entry, indent=2, sort_keys=True) + "\n"
    write(os.path.join(ledger, name + ".json"), text.encode())
