"""Floor of ``run-queued``: a bare Python that runs ``sh -c true`` and waits for it."""

import os

pid = os.posix_spawn("/bin/sh", ["sh", "-c", "true"], os.environ)
os.waitpid(pid, 0)
