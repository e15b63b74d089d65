"""A function as an experiment: its arguments are the run's configuration."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, ParamSpec, TypeVar, overload

from aexp.errors import MetricError, UsageError
from aexp.handle.adhoc import executing_adhoc, give_labels, is_adhoc_run, record_result
from aexp.handle.open import current, start
from aexp.handle.place import place_of_environment

_P = ParamSpec("_P")
_R = TypeVar("_R")
_HANDLE = "run"
_NOT_AT_ONCE = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)
_depth: ContextVar[int] = ContextVar("_depth", default=0)


@overload
def experiment(function: Callable[_P, _R]) -> Callable[..., _R]: ...


@overload
def experiment(
    function: str | None = None,
    *,
    experiment: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    sp: Mapping[str, Any] | None = None,
    hypothesis: str | None = None,
    include_commit: bool = True,
    again: bool = False,
    skip_done: Literal[False] = False,
) -> Callable[[Callable[_P, _R]], Callable[..., _R]]: ...


@overload
def experiment(
    function: str | None = None,
    *,
    experiment: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    sp: Mapping[str, Any] | None = None,
    hypothesis: str | None = None,
    include_commit: bool = True,
    again: bool = False,
    skip_done: bool,
) -> Callable[[Callable[_P, _R]], Callable[..., _R | None]]: ...


def experiment(
    function: Any = None,
    *,
    experiment: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    sp: Mapping[str, Any] | None = None,
    hypothesis: str | None = None,
    include_commit: bool = True,
    again: bool = False,
    skip_done: bool = False,
) -> Any:
    """Make calls of a function runs.

    The handle is given to the parameter ``run``, if the function has one. Inside a queued
    run the other parameters get the values that the configuration has under their names;
    elsewhere the arguments of the call, with their defaults, are the configuration. Without an
    experiment a call is an ad-hoc run, each one a new one, and the numbers that the function
    returns are final numbers of it.

    Parameters
    ----------
    function : callable or str, optional
        The function, for ``@aexp.experiment`` alone; or the experiment's id, as in
        ``@aexp.experiment("E001")``.
    experiment : str, optional
        The experiment's id.
    name : str, optional
        What it is, in a word; default, without an experiment: the function's name.
    tags : sequence of str, default ()
        Labels.
    sp : mapping, optional
        Further keys of the configuration.
    hypothesis : str, optional
        Default: the experiment's.
    include_commit : bool, default True
        Whether the code's version is part of the run's identity.
    again : bool, default False
        Execute a run that has ended once more.
    skip_done : bool, default False
        Where the run is complete already, do not call the function; the result is None.
    """
    chosen = function if isinstance(function, str) else experiment

    def decorate(inner: Callable[..., Any]) -> Callable[..., Any]:
        title = getattr(inner, "__name__", type(inner).__name__)  # of a partial: none
        if any(looks(inner) for looks in _NOT_AT_ONCE):
            raise UsageError(
                f"{getattr(inner, '__qualname__', title)} does not run when it is called",
                "decorate the function that runs it to its end",
            )
        signature = inspect.signature(inner)

        @functools.wraps(inner)
        def call(*values: Any, **named: Any) -> Any:
            is_in_run = place_of_environment() is not None
            if is_in_run and is_adhoc_run(active := current()):
                # Its parameters are those of the call that it began with, not of this one.
                given = _bind(signature, values, named, partial=False)
                with active:
                    return _invoke(inner, signature, given, active)
            given = _bind(signature, values, named, partial=is_in_run)
            wanted = {**(sp or {}), **_flat(signature, given, strict=not is_in_run)}
            if chosen is None and not is_in_run:
                label = name or title
                with executing_adhoc(label, tags, wanted) as active:
                    return _invoke(inner, signature, given, active)
            active = start(chosen, wanted, hypothesis, include_commit=include_commit, again=again)
            if skip_done and not is_in_run and active.is_done:
                return None
            if (name or tags) and not is_in_run:
                give_labels(active, name, tags)
            with active:
                if is_in_run:
                    given.update(_own(signature, active.statepoint))
                return _invoke(inner, signature, given, active)

        return call

    if isinstance(tags, str):
        raise UsageError(f"tags is the text {tags!r}, not a list", f"write it like [{tags!r}]")
    return decorate(function) if callable(function) else decorate


def _bind(
    signature: inspect.Signature,
    values: tuple[Any, ...],
    named: Mapping[str, Any],
    *,
    partial: bool,
) -> dict[str, Any]:
    """Return the arguments of a call by name, with defaults and without the handle.

    Raises
    ------
    TypeError
        If the function cannot be called so; with `partial` arguments may be missing.
    """
    if _HANDLE in signature.parameters and _HANDLE in named:
        raise MetricError(
            f"the argument {_HANDLE} is the handle, which aexp gives", "call without it"
        )
    # The handle is ours to give: whoever calls counts the other parameters only.
    others = [item for item in signature.parameters.values() if item.name != _HANDLE]
    without = signature.replace(parameters=others)
    bound = (without.bind_partial if partial else without.bind)(*values, **named)
    bound.apply_defaults()
    return dict(bound.arguments)


def _own(signature: inspect.Signature, statepoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the configuration has for the function's parameters."""
    found = {}
    for name, item in signature.parameters.items():
        if item.kind is item.VAR_KEYWORD:
            found[name] = {k: v for k, v in statepoint.items() if k not in signature.parameters}
        elif item.kind is not item.VAR_POSITIONAL and name in statepoint and name != _HANDLE:
            found[name] = statepoint[name]
    return found


def _flat(
    signature: inspect.Signature, given: Mapping[str, Any], *, strict: bool
) -> dict[str, Any]:
    """Return the arguments as keys of a configuration."""
    keys: dict[str, Any] = {}
    for name, value in given.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            keys.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            if value and strict:
                raise UsageError(
                    f"*{name} has no name in a configuration", "give the arguments names"
                )
        else:
            keys[name] = value
    return keys


def _invoke(
    inner: Callable[..., Any],
    signature: inspect.Signature,
    given: dict[str, Any],
    active: Any,
) -> Any:
    if _HANDLE in signature.parameters:
        given = {**given, _HANDLE: active}
    bound = signature.bind_partial()
    bound.arguments.update({name: given[name] for name in signature.parameters if name in given})
    depth = _depth.set(_depth.get() + 1)
    try:
        result = inner(*bound.args, **bound.kwargs)
    finally:
        _depth.reset(depth)
    if not _depth.get() and is_adhoc_run(active):  # of the outermost such function only
        record_result(active, result)
    return result
