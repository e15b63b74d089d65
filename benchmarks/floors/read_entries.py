"""Floor of the catalogue: read and parse every entry of a ledger."""

import json
import os
import sys

folder = sys.argv[1]
entries = []
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), "rb") as file:
        entries.append(json.loads(file.read()))
