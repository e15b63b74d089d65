"""What was there before stays: earlier copies, links, and who may read a file."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from aexp.files import write_atomic


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def changed_tooling(bare: Any) -> Path:
    bare.aexp("install")
    snakefile = bare.root / "workflow" / "Snakefile"
    snakefile.write_text("# mine\n")
    return snakefile


def test_force_never_writes_over_an_earlier_copy(bare: Any) -> None:
    snakefile = changed_tooling(bare)
    first = snakefile.with_name("Snakefile.orig")
    bare.aexp("install", "--force")
    snakefile.write_text("# mine again\n")
    done = bare.aexp("install", "--force")
    assert "your version is now workflow/Snakefile.orig.1" in done.stdout
    assert first.read_text() == "# mine\n"
    assert snakefile.with_name("Snakefile.orig.1").read_text() == "# mine again\n"


def test_force_keeps_every_version_of_a_json_file(bare: Any) -> None:
    path = bare.root / ".mcp.json"
    for number in range(2):
        path.write_text(json.dumps({"mcpServers": {"aexp": {"command": f"mine{number}"}}}))
        bare.aexp("install", "--force")
    assert "mine0" in (bare.root / ".mcp.json.orig").read_text()
    assert "mine1" in (bare.root / ".mcp.json.orig.1").read_text()


def test_force_keeps_every_damaged_marker(bare: Any) -> None:
    bare.aexp("install")
    path = bare.root / ".aexp" / "installed.json"
    for text in ("{1", "{2"):
        path.write_text(text)
        bare.aexp("install", "--force")
    assert path.with_name("installed.json.orig").read_text() == "{1"
    assert path.with_name("installed.json.orig.1").read_text() == "{2"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_with_the_name_of_the_copy_is_left_alone(
    bare: Any, tmp_path: Path, exists: bool
) -> None:
    snakefile = changed_tooling(bare)
    outside = tmp_path / "outside"
    if exists:
        outside.write_text("theirs")
    snakefile.with_name("Snakefile.orig").symlink_to(outside)
    bare.aexp("install", "--force")
    assert snakefile.read_text() != "# mine\n"
    assert snakefile.with_name("Snakefile.orig.1").read_text() == "# mine\n"
    assert (outside.read_text() if exists else outside.exists()) == ("theirs" if exists else False)


def test_a_private_file_stays_private_and_so_does_its_copy(bare: Any) -> None:
    path = bare.root / ".mcp.json"
    path.write_text(json.dumps({"mcpServers": {"aexp": {"command": "x"}, "b": {"env": "key"}}}))
    path.chmod(0o600)
    bare.aexp("install", "--force")
    assert json.loads(path.read_text())["mcpServers"]["b"] == {"env": "key"}
    assert mode(path) == 0o600
    assert mode(bare.root / ".mcp.json.orig") == 0o600


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o755, 0o664, 0o400])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(bits)
    write_atomic(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", bits)


def test_a_new_file_has_what_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "folder" / "file", b"new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "folder" / "file") == 0o640
