"""A function as an experiment: its arguments are the run's configuration."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from aexp.errors import UsageError
from aexp.handle.open import start
from aexp.handle.place import place_of_environment

_P = ParamSpec("_P")
_R = TypeVar("_R")
_HANDLE = "run"


@overload
def experiment(function: Callable[_P, _R]) -> Callable[..., _R]: ...


@overload
def experiment(
    function: str | None = None,
    *,
    experiment: str | None = None,
    sp: Mapping[str, Any] | None = None,
    hypothesis: str | None = None,
    include_commit: bool = True,
) -> Callable[[Callable[_P, _R]], Callable[..., _R]]: ...


def experiment(
    function: Any = None,
    *,
    experiment: str | None = None,
    sp: Mapping[str, Any] | None = None,
    hypothesis: str | None = None,
    include_commit: bool = True,
) -> Any:
    """Make calls of a function runs.

    The handle is given to the parameter ``run``, if the function has one. Inside a queued
    run the other parameters get the values that the configuration has under their names;
    elsewhere the arguments of the call, with their defaults, are the configuration.

    Parameters
    ----------
    function : callable or str, optional
        The function, for ``@aexp.experiment`` alone; or the experiment's id, as in
        ``@aexp.experiment("E001")``.
    experiment : str, optional
        The experiment's id.
    sp : mapping, optional
        Further keys of the configuration.
    hypothesis : str, optional
        Default: the experiment's.
    include_commit : bool, default True
        Whether the code's version is part of the run's identity.
    """
    name = function if isinstance(function, str) else experiment

    def decorate(inner: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(inner) or inspect.isgeneratorfunction(inner):
            raise UsageError(
                f"{inner.__qualname__} does not run when it is called",
                "decorate the function that runs it to its end",
            )
        signature = inspect.signature(inner)

        @functools.wraps(inner)
        def call(*values: Any, **named: Any) -> Any:
            given = _bind(signature, values, named)
            if place_of_environment() is not None:
                with start() as active:
                    given.update(_own(signature, active.statepoint))
                    return _invoke(inner, signature, given, active)
            wanted = {**(sp or {}), **_flat(signature, given)}
            with start(name, wanted, hypothesis, include_commit=include_commit) as active:
                return _invoke(inner, signature, given, active)

        return call

    return decorate(function) if callable(function) else decorate


def _bind(
    signature: inspect.Signature, values: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name, with defaults and without the handle."""
    # The handle is ours to give: whoever calls counts the other parameters only.
    others = [item for item in signature.parameters.values() if item.name != _HANDLE]
    bound = signature.replace(parameters=others).bind_partial(*values, **named)
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


def _flat(signature: inspect.Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as keys of a configuration."""
    keys: dict[str, Any] = {}
    for name, value in given.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            keys.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            if value:
                raise UsageError(
                    f"*{name} has no name in a configuration", "give the arguments names"
                )
        else:
            keys[name] = value
    return keys


def _invoke(
    inner: Callable[..., Any], signature: inspect.Signature, given: dict[str, Any], active: Any
) -> Any:
    if _HANDLE in signature.parameters:
        given = {**given, _HANDLE: active}
    bound = signature.bind_partial()
    bound.arguments.update({name: given[name] for name in signature.parameters if name in given})
    return inner(*bound.args, **bound.kwargs)
