"""A run that a person's own program has executed is reproduced by that program."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aexp.handle.program import command_of, own_program
from aexp.paths import Repo

PROGRAM = """
import aexp, os, sys
with aexp.start("E001", sp={"name": sys.argv[1]}) as run:
    os.chdir("/")
    run.log({"words": len(sys.argv), "five": len(open(DATA).read())})
"""


def executed(research: Any, *arguments: str, cwd: Path, code: str | None = None) -> str:
    before = {path.name for path in (research.root / ".runs" / "workspace").glob("*")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=research.env, input=code, text=True, timeout=60
    )
    assert done.returncode == 0
    (new,) = {path.name for path in (research.root / ".runs" / "workspace").glob("*")} - before
    return new


def test_the_program_that_executed_a_run_reproduces_it(research: Any, tmp_path: Path) -> None:
    research.experiment("false")  # which is not what has executed these runs
    folder = research.root / "sub dir"
    folder.mkdir()
    data = 'os.path.join(os.path.dirname(__file__), "data")'
    (folder / "hand.py").write_text(PROGRAM.replace("DATA", data))
    (folder / "data").write_text("12345")
    script = executed(research, "sub dir/hand.py", "a b", "$HOME", cwd=research.root)
    module = executed(research, "-um", "hand", "c", cwd=folder)
    typed = PROGRAM.replace("DATA", "'/dev/null'")
    lost = executed(research, "-", "d", cwd=folder, code=typed)
    secret = executed(research, "hand.py", "e", "--api-key", "s3cr3tv4lue", cwd=folder)
    second = executed(
        research,
        "-c",
        "import aexp\nfor n in (1, 2):\n"
        "    run = aexp.start('E001', sp={'code': 1}, again=True)\n"
        "    with run: run.log({'a': 1})",
        cwd=research.root,
    )
    research.git("add", "-A")
    research.git("commit", "-qm", "code")
    (folder / "data").write_text("1")

    expected = {script: {"words": 3, "five": 5}, module: {"words": 2, "five": 5}, second: {"a": 1}}
    for number, (job_id, metrics) in enumerate(expected.items()):
        again = tmp_path / f"again{number}"
        result = research.json("reproduce", job_id, "--to", str(again), "--run")
        assert result["comparison"]["equal"] is True
        reproduced = {m["name"]: m["reproduced"] for m in result["comparison"]["metrics"]}
        assert reproduced == metrics == research.entry(job_id)["metrics"]
    assert any("had executed 1 runs before" in remark for remark in result["remarks"])
    plan = research.json("reproduce", module)
    assert plan["command"] == f"cd 'sub dir' && {sys.executable} -u -m hand c"
    assert plan["command"] in research.aexp("env", "show", module).stdout
    assert "read from standard input" in research.aexp("reproduce", lost, rc=1).stderr
    refused = research.aexp("reproduce", secret, rc=1).stderr
    assert "looks like a secret" in refused
    document = research.workspace(secret) / "signac_job_document.json"
    assert "s3cr3tv4lue" not in document.read_text()
    # The ledger alone says that it was executed by hand, not how.
    assert research.entry(script)["attempts"][0]["by_hand"] is True
    shutil.rmtree(research.workspace(script))
    assert "executed by hand; how is recorded on" in research.aexp("reproduce", script, rc=1).stderr


LINES = [
    (["x.py", "-m", "a"], "script", "x.py", [], ["-m", "a"]),
    (["-m", "a.b", "-c"], "module", "a.b", [], ["-c"]),
    (["-Xdev", "-W", "error", "-uma.b", "1"], "module", "a.b",
     ["-Xdev", "-W", "error", "-u"], ["1"]),
    (["-I", "-c", "print(1)", "x"], "code", "print(1)", ["-I"], ["x"]),
    (["-i", "--check-hash-based-pycs", "never", "x.py"], "script", "x.py",
     ["--check-hash-based-pycs", "never"], []),
    ([], None, None, None, None),
    (["-i"], None, None, None, None),
    (["-", "x"], None, None, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "value", "options", "arguments"), LINES)
def test_a_command_line_of_python_is_understood(
    research: Any, monkeypatch: Any, line: Any, kind: Any, value: Any, options: Any, arguments: Any
) -> None:
    (research.root / "x.py").touch()
    monkeypatch.chdir(research.root)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, *line])
    monkeypatch.setattr(sys, "path", [str(research.root)])
    told = own_program(Repo(research.root), 1)
    assert told["cwd"] == "."
    assert ("lost" in told) is (kind is None)
    if kind is not None:
        assert (told[kind], told["options"], told["arguments"]) == (value, options, arguments)
        words = [word for word in line if word != "-i"]
        assert command_of(told, "P").split()[-1] == words[-1].split("-uma")[-1]
