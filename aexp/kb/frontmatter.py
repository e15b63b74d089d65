"""Read the YAML frontmatter of a markdown file."""

from typing import Any

from aexp.errors import ArtifactReadError
from aexp.files import read_bytes

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 60


def read_frontmatter(path: str) -> dict[str, Any]:
    """Return the frontmatter of the markdown file at `path`, empty when it has none.

    Raises
    ------
    ArtifactReadError
        If the file is missing, not UTF-8, or its frontmatter is not a YAML mapping.
    """
    data = read_bytes(path)
    if data is None:
        raise ArtifactReadError(f"{path} does not exist", None)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArtifactReadError(f"{path} is not UTF-8: {error}", "save it as UTF-8") from error
    block = split_frontmatter(text, path)
    if block is None:
        return {}
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml, block, loader, path)
        value = yaml.load(block, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ArtifactReadError(
            f"{path}: the frontmatter is not valid YAML: {' '.join(str(error).split())}",
            "mend the block between the two --- lines",
        ) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ArtifactReadError(
            f"{path}: the frontmatter is not a mapping", "write it as key: value lines"
        )
    return {str(key): item for key, item in value.items()}


def _check_depth(yaml: Any, block: str, loader: Any, path: str) -> None:
    """Refuse what is nested so deeply that the parser's own recursion would crash."""
    if sum(block.count(mark) for mark in ("[", "{", "- -", "? ")) < _MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(block, Loader=loader):
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise ArtifactReadError(
                f"{path}: the frontmatter is nested over {_MAX_DEPTH} levels deep",
                "write it flatter",
            )


def split_frontmatter(text: str, path: str) -> str | None:
    """Return the text between the leading ``---`` lines, None when there is no block."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return None
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() in ("---", "..."):
            block = "\n".join(lines[1:number])
            if len(block) > _MAX_BYTES:
                raise ArtifactReadError(f"{path}: the frontmatter is over 1 MB", None)
            return block
    raise ArtifactReadError(
        f"{path}: the frontmatter has no closing --- line", "add a line of three dashes below it"
    )
