"""What a tool is: a function of the library with a schema, called with untrusted arguments."""

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema

from aexp.errors import UsageError
from aexp.mcp.results import Result, plain
from aexp.model import printable
from aexp.paths import Repo

F = TypeVar("F", bound=Callable[..., Result])

_SHOWN = 5


class Effect(Enum):
    """What a tool does to the repository."""

    READS = "reads"
    ADDS = "adds"
    CHANGES = "changes"


class Needs(Enum):
    """What a tool needs to be there."""

    FOLDER = "folder"
    REPO = "repo"
    STORE = "store"


class _Schema(GenerateJsonSchema):
    """Schemas without the titles that only repeat a name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: no field needs one."""
        return False


class Tool(NamedTuple):
    """One tool.

    Attributes
    ----------
    name : str
        What agents call it.
    description : str
        The text that tells an agent when to use it.
    effect : Effect
        What it does to the repository.
    idempotent : bool
        Whether a second call with the same arguments changes nothing more.
    needs : Needs
        Most work in a clone that has only git; some need the run store, one not even git.
    function : callable
        ``function(repo, **arguments)``; it is given the folder when it needs no more.
    arguments : type
        Model that checks the arguments.
    result : type
        Model of what it returns.
    uses_network : bool
        Whether it talks to a service.
    """

    name: str
    description: str
    effect: Effect
    idempotent: bool
    needs: Needs
    function: Callable[..., Result]
    arguments: type[BaseModel]
    result: type[Result]
    uses_network: bool = False

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        return self.description.partition("\n")[0]

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return _schema(self.arguments)

    @property
    def output_schema(self) -> dict[str, Any]:
        """The JSON schema of its result."""
        return _schema(self.result)

    def call(self, folder: str, given: Mapping[str, Any]) -> Result:
        """Check the arguments and call the function for the repository around a folder.

        Raises
        ------
        UsageError
            If the arguments are not what the schema asks for.
        RepoNotFound, NotInstalled
            If what it needs is not there.
        """
        try:
            checked = self.arguments.model_validate(dict(given))
        except ValidationError as error:
            raise UsageError(_faults(self.name, error), "see the tool's input schema") from None
        arguments = {name: getattr(checked, name) for name in type(checked).model_fields}
        if self.needs is Needs.FOLDER:
            return self.function(folder, **arguments)
        repo = Repo.find(folder)
        return self.function(
            repo.require_store() if self.needs is Needs.STORE else repo, **arguments
        )


class Toolbox(dict[str, Tool]):
    """The tools of one family, by name."""

    def add(
        self,
        effect: Effect,
        *,
        idempotent: bool = False,
        needs: Needs = Needs.REPO,
        uses_network: bool = False,
    ) -> Callable[[F], F]:
        """Make a tool of a function whose first parameter is the repository.

        Its docstring is the description; every further parameter is an argument, with the
        description and the bounds of its annotation.
        """

        def register(function: F) -> F:
            name = function.__name__
            hints = get_type_hints(function, include_extras=True)
            parameters = list(inspect.signature(function).parameters.values())[1:]
            fields: dict[str, Any] = {
                parameter.name: (
                    hints[parameter.name],
                    ... if parameter.default is parameter.empty else parameter.default,
                )
                for parameter in parameters
            }
            # An argument that is not known is refused: a misspelt filter must not mean "all".
            model = create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)
            self[name] = Tool(
                name,
                inspect.getdoc(function) or "",
                effect,
                idempotent or effect is Effect.READS,
                needs,
                function,
                model,
                hints["return"],
                uses_network,
            )
            return function

        return register


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    mode: Any = "serialization" if issubclass(model, Result) else "validation"
    schema = model.model_json_schema(schema_generator=_Schema, mode=mode)
    schema.pop("title", None)
    schema.pop("description", None)
    for definition in schema.get("$defs", {}).values():
        definition.pop("title", None)
    return schema


def _faults(name: str, error: ValidationError) -> str:
    """Say what is wrong with arguments, without repeating their values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    words = [
        f"{printable('.'.join(str(part) for part in fault['loc']))[:200]}: "
        + ("no argument of this tool" if fault["type"] == "extra_forbidden" else fault["msg"])
        for fault in found[:_SHOWN]
    ]
    more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
    return f"{name}: {'; '.join(words)}{more}"


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as JSON has it."""
    value = plain(result.model_dump())
    assert isinstance(value, dict)
    return value
