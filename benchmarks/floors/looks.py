"""Look at the store so many times, as ``aexp watch`` does between its refreshes."""

import sys

from aexp.paths import Repo
from aexp.runs.observe import Observer
from aexp.runs.select import RunFilter

observer = Observer(Repo.installed(), RunFilter())
for _ in range(int(sys.argv[1])):
    seen = observer.look()
print(seen.queued)
