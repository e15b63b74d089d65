"""Find an adapter by its backend's name: ours, or one that another package registers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aexp.errors import AexpError, TrackerInitError, UsageError
from aexp.model import printable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from aexp.trackers.contract import TrackerAdapter

GROUP = "aexp.trackers"  # of entry points
NONE = "none"  # the backend of a run that is not tracked
BUILT_IN = {
    "mlflow": "aexp.trackers.mlflow.adapter:MlflowAdapter",
    "noop": "aexp.trackers.noop:NoopAdapter",
    "wandb": "aexp.trackers.wandb.adapter:WandbAdapter",
}
# Settings that say where a run is filed; all others are the adapter's own.
FILING = frozenset({"backend", "project", "offline", "options"})


def backends() -> dict[str, str]:
    """Return every backend's name with the class that implements it, sorted by name."""
    found = {name: entry.value for name, entry in _entry_points().items()}
    return dict(sorted({**found, **BUILT_IN}.items()))


def adapter_class(backend: str) -> "type[TrackerAdapter]":
    """Return the adapter of a backend.

    Raises
    ------
    UsageError
        If there is none of that name.
    TrackerInitError
        If the package that registers it cannot be imported, or registers something else.
    """
    from aexp.trackers.contract import TrackerAdapter

    if backend in BUILT_IN:
        from importlib import import_module

        module, _, name = BUILT_IN[backend].partition(":")
        ours: type[TrackerAdapter] = getattr(import_module(module), name)
        return ours
    entry = _entry_points().get(backend)
    if entry is None:
        raise unknown_backend(backend)
    try:
        value = entry.load()
    except Exception as error:  # another package's code
        raise TrackerInitError(
            f"the tracker {printable(backend)} ({entry.value}) cannot be imported: "
            f"{type(error).__name__}: {printable(error)}",
            "install the package that registers it again",
        ) from error
    if not (isinstance(value, type) and issubclass(value, TrackerAdapter)):
        raise TrackerInitError(
            f"{entry.value}, registered as the tracker {printable(backend)}, "
            "is no subclass of aexp.trackers.TrackerAdapter",
            "see: docs/trackers.md",
        )
    return value


def unknown_backend(backend: str) -> UsageError:
    """Return the error for a name that nothing registers."""
    names = ", ".join([*backends(), NONE])
    return UsageError(
        f"no tracker is called {printable(backend)}",
        f"one of: {names}; a package registers more under the entry points {GROUP}",
    )


def get_adapter(backend: str, **options: Any) -> "TrackerAdapter":
    """Return a backend's adapter, made with its own options.

    Parameters
    ----------
    backend : str
        ``noop``, ``wandb``, ``mlflow``, or a name registered by the entry points
        ``aexp.trackers``.
    **options
        What the adapter's class takes, for instance ``entity`` or ``uri``.

    Raises
    ------
    UsageError
        If there is no such backend, or it takes no such option.
    TrackerInitError
        If it cannot be made, mostly because its SDK is not installed.
    """
    kind = adapter_class(backend)
    check_options(backend, kind, options)
    with foreign_code(backend, "be made"):
        return kind(**options)


@contextmanager
def foreign_code(backend: str, what: str) -> Iterator[None]:
    """Name the tracker for what another package's code raises; our own errors pass."""
    try:
        yield
    except AexpError:
        raise
    except Exception as error:
        raise TrackerInitError(
            f"the tracker {printable(backend)} cannot {what}: "
            f"{type(error).__name__}: {printable(error)}",
            "see: aexp trackers check " + printable(backend),
        ) from error


def adapter_for(settings: Mapping[str, Any]) -> "TrackerAdapter":
    """Return the adapter of a run's tracker settings."""
    return get_adapter(str(settings["backend"]), **adapter_options(settings))


def adapter_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run's tracker settings is given to the adapter's class."""
    own = {key: value for key, value in settings.items() if key not in FILING and value is not None}
    more = settings.get("options")
    return {**own, **(more if isinstance(more, Mapping) else {})}


def check_options(backend: str, kind: "type[TrackerAdapter]", options: Mapping[str, Any]) -> None:
    """Refuse options that an adapter's class does not take, or not with such a value."""
    import inspect

    parameters = inspect.signature(kind).parameters.values()
    for one in parameters:
        if one.name in options:
            _check_value(f"{backend}: {one.name}", one.annotation, options[one.name])
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    names = sorted(one.name for one in parameters if one.kind is not one.VAR_POSITIONAL)
    for key in options:
        if key not in names:
            raise UsageError(
                f"the tracker {printable(backend)} has no option {printable(key)}",
                "its options: " + (", ".join(names) or "none"),
            )


def _check_value(where: str, kind: object, value: object) -> None:
    """Refuse what is no number, or neither true nor false, where the class says so."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in (float, "float", int, "int") and not is_number:
        raise UsageError(f"{printable(where)}: {value!r} is no number", "write a number")
    if kind in (bool, "bool") and not isinstance(value, bool):
        raise UsageError(
            f"{printable(where)}: {value!r} is neither true nor false", "write true or false"
        )


def _entry_points() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}
