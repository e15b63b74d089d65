"""SHA-256 without OpenSSL, which takes longer to load than most of what is digested here."""

from importlib import import_module

_SMALL = 1 << 18


def digest(data: bytes) -> str:
    """Return ``sha256:…`` of some bytes."""
    for module in ("_sha2", "_sha256") if len(data) <= _SMALL else ():
        try:
            return "sha256:" + str(import_module(module).sha256(data).hexdigest())
        except ImportError:
            continue
    from hashlib import sha256

    return "sha256:" + sha256(data).hexdigest()
