"""Floor of every listing: read and parse the two JSON files of every run of a workspace."""

import json
import os
import sys

workspace = sys.argv[1]
runs = []
for name in sorted(os.listdir(workspace)):
    folder = os.path.join(workspace, name)
    with open(os.path.join(folder, "signac_statepoint.json"), "rb") as file:
        sp = json.loads(file.read())
    with open(os.path.join(folder, "signac_job_document.json"), "rb") as file:
        runs.append((name, sp, json.loads(file.read())))
