"""Read a markdown file with YAML frontmatter: its values, its body, and their lines."""

import os
import re
import stat
from functools import cached_property
from typing import Any

from aexp.errors import ArtifactReadError
from aexp.files import read_bytes

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 60
_MAX_NODES = 1_000_000
_INDENT = re.compile(r"(?:\A|[\r\n\x85\u2028\u2029])[ \t?:-]*")
_LINE_END = re.compile(r"\r\n|\n|\r")
_NOT_VALUES = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")  # the keys << and =

KeyPath = tuple[str | int, ...]


class Document:
    """A markdown file, read whole.

    Attributes
    ----------
    path : str
        The file.
    text : str
        All of it, without a byte order mark.
    meta : dict
        The frontmatter, empty when there is none.
    body : str
        What follows the frontmatter.
    body_line : int
        The 1-based line of the file at which the body begins.
    block_at, block_end : int
        Where in `text` the frontmatter lies, between its ``---`` lines.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.meta: dict[str, Any] = {}
        self._root: Any = None
        self.block_at, self.block_end, self._body_at = frontmatter_span(text, path)
        if self.block_end > self.block_at:
            self.meta, self._root = _parse(text[self.block_at : self.block_end], path)

    @property
    def body(self) -> str:
        """What follows the frontmatter."""
        return self.text[self._body_at :]

    @property
    def body_line(self) -> int:
        """The 1-based line of the file at which the body begins."""
        return len(_LINE_END.findall(self.text, 0, self._body_at)) + 1

    @cached_property
    def lines(self) -> dict[KeyPath, int]:
        """The 1-based line of every key and list item of the frontmatter, by its path.

        ``("claims", 0, "value")`` is where the key ``value`` of the first claim is written.
        """
        found: dict[KeyPath, int] = {}
        if self._root is not None:
            _locate(self._root, (), found)
        return found

    def line(self, *key: str | int) -> int | None:
        """Return the line of a key path, or of the nearest part above it that has one."""
        for end in range(len(key), 0, -1):
            if key[:end] in self.lines:
                return self.lines[key[:end]]
        return None

    def node(self, *key: str | int) -> Any:
        """Return the YAML node of a value, whose marks count from `block_at`; None without one."""
        node = self._root
        for part in key:
            kind = getattr(node, "id", None)
            if kind == "mapping" and isinstance(part, str):
                node = next((value for name, value in node.value if name.value == part), None)
            elif kind == "sequence" and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                return None
        return node

    def written(self, *key: str | int) -> str | None:
        """Return a scalar's text as the file has it: ``0.930`` where the value is 0.93."""
        node = self.node(*key)
        return str(node.value) if getattr(node, "id", None) == "scalar" else None


def read_document(path: str) -> Document:
    """Read the markdown file at `path`.

    Raises
    ------
    ArtifactReadError
        If the file is missing or not UTF-8, or its frontmatter is not a YAML mapping with
        distinct keys within the limits of size, depth and expansion.
    """
    return Document(path, read_text(path).removeprefix("\ufeff"))


def read_text(path: str) -> str:
    """Return a note's text, its byte order mark included.

    Raises
    ------
    ArtifactReadError
        If there is no such file, it cannot be read or is not UTF-8, or it is none: a folder, a
        device, a pipe, from which a reader would wait for ever.
    """
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
        data = read_bytes(path) if is_file else None
    except (FileNotFoundError, NotADirectoryError):
        is_file, data = True, None
    except OSError as error:  # for instance a link to itself
        raise ArtifactReadError(
            f"cannot read {path}: {error.strerror or error}", "check the file and its permissions"
        ) from error
    if not is_file:
        raise ArtifactReadError(f"{path} is not a file", "move it elsewhere")
    if data is None:
        raise ArtifactReadError(f"{path} does not exist", None)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactReadError(f"{path} is not UTF-8: {error}", "save it as UTF-8") from error


def read_frontmatter(path: str) -> dict[str, Any]:
    """Return the frontmatter of the markdown file at `path`, empty when it has none.

    Raises
    ------
    ArtifactReadError
        As `read_document`.
    """
    return read_document(path).meta


def frontmatter_span(text: str, path: str) -> tuple[int, int, int]:
    """Return where the text between the leading ``---`` lines begins and ends, and the body.

    Without frontmatter all three are zero.
    """
    position = _next_line(text, 0)
    if text[: _without_end(text, 0, position)].rstrip() != "---":
        return 0, 0, 0
    start = position
    while position < len(text):
        end = position
        position = _next_line(text, end)
        if text[end : _without_end(text, end, position)].rstrip() in ("---", "..."):
            if end - start > _MAX_BYTES:
                raise ArtifactReadError(
                    f"{path}: the frontmatter is over 1 MB",
                    "cite batches instead of single runs",
                )
            return start, end, position
    raise ArtifactReadError(
        f"{path}: the frontmatter has no closing --- line", "add a line of three dashes below it"
    )


def _next_line(text: str, position: int) -> int:
    match = _LINE_END.search(text, position)
    return len(text) if match is None else match.end()


def _without_end(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1] in "\r\n":
        end -= 1
    return end


def _parse(block: str, path: str) -> tuple[dict[str, Any], Any]:
    """Return the values of a YAML block, and its nodes, which know their lines."""
    import yaml

    faults = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml, block, loader_class, path)
        loader = loader_class(block)
        try:
            root = loader.get_single_node()
            if root is None:
                return {}, None
            _check_nodes(root, path, loader)
            value = loader.construct_document(root)
        finally:
            loader.dispose()
    except faults as error:
        raise ArtifactReadError(
            f"{path}: the frontmatter is not valid YAML: {' '.join(str(error).split())}",
            "mend the block between the two --- lines",
        ) from error
    if value is None:
        return {}, None
    if not isinstance(value, dict):
        raise ArtifactReadError(
            f"{path}: the frontmatter is not a mapping", "write it as key: value lines"
        )
    return {str(key): item for key, item in value.items()}, root


def _check_depth(yaml: Any, block: str, loader: Any, path: str) -> None:
    """Refuse what is nested so deeply that the parser's own recursion would crash."""
    # A column of indentation nests two levels at most, a list and a mapping.
    columns = max(len(match[0]) for match in _INDENT.finditer(block)) + 1
    if block.count("[") + block.count("{") + 2 * columns < _MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(block, Loader=loader):
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise ArtifactReadError(
                f"{path}: line {_line(event)}: the frontmatter is nested over {_MAX_DEPTH} "
                "levels deep",
                "write it flatter",
            )


def _check_nodes(root: Any, path: str, loader: Any) -> None:
    """Refuse duplicate keys, and aliases that expand to more than anybody writes by hand."""
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        known = sizes.get(id(node))
        if known == 0:
            raise ArtifactReadError(
                f"{path}: line {_line(node)}: the frontmatter contains itself (a YAML alias)",
                "write the value out",
            )
        if known is not None:
            return known
        sizes[id(node)] = 0
        total = 1
        if node.id == "mapping":
            _check_keys(node, path, loader)
            total += sum(size(key) + size(value) for key, value in node.value)
        elif node.id == "sequence":
            total += sum(size(item) for item in node.value)
        if total > _MAX_NODES:
            raise ArtifactReadError(
                f"{path}: line {_line(node)}: the frontmatter expands to over a million values",
                "write fewer, and no aliases of aliases",
            )
        sizes[id(node)] = total
        return total

    size(root)


def _check_keys(node: Any, path: str, loader: Any) -> None:
    """Refuse two keys that are one as values (1 and 0x1) or as texts (1 and "1")."""
    seen: dict[Any, int] = {}
    for key, _ in node.value:
        if key.id != "scalar":
            continue
        value = key.value if key.tag in _NOT_VALUES else loader.construct_object(key)
        forms = ((value,), str(value))
        first = next((seen[form] for form in forms if form in seen), None)
        if first is not None:
            raise ArtifactReadError(
                f"{path}: line {_line(key)}: the key {key.value!r} is already on line {first}",
                "remove one of the two",
            )
        seen.update(dict.fromkeys(forms, _line(key)))


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 2  # the block begins on the file's second line


def _locate(node: Any, at: KeyPath, found: dict[KeyPath, int]) -> None:
    if node.id == "mapping":
        for key, value in node.value:
            if key.id == "scalar":
                path = (*at, str(key.value))
                found[path] = _line(key)
                _locate(value, path, found)
    elif node.id == "sequence":
        for number, item in enumerate(node.value):
            path = (*at, number)
            found[path] = _line(item)
            _locate(item, path, found)
