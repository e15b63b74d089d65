"""``@aexp.experiment`` without an experiment: a call is a run."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

PROGRAM = """
    import functools
    import sys
    from enum import Enum
    from pathlib import Path

    import aexp


    class Mode(Enum):
        FAST = 1


    class Scalar:
        def item(self):
            return 0.25


    @aexp.experiment(name="benchmark_tip3p", tags=["tip3p", "nvt"])
    def main(n_steps: int, out: Path = Path("x/y.txt"), *, mode=Mode.FAST, lr=Scalar(), **more):
        assert helper(3) == 7, "a call within a run is part of it"
        aexp.current().summary["kept"] = 1
        return {"energy": -1.5, "kept": 2, "note": "text", "size": Scalar()}


    @aexp.experiment
    def helper(n_steps):
        assert n_steps == 3
        return 7


    @aexp.experiment()
    def leaves(code):
        sys.exit(code)


    @aexp.experiment(tags=())
    def fails():
        raise ValueError("no")


    @aexp.experiment
    def named(nonce):
        raise AssertionError("not called")


    async def streams():
        yield 1


    main(10, opt={"a.b": [1, (2, 3)]}, obj=object(), api_key="hush-hush-1", max_tokens=5)
    helper(3)
    helper(3)  # again: another run
    aexp.experiment(functools.partial(lambda a, b: b, 3))(4)
    for code in (0, 3, None, "words"):
        try:
            leaves(code)
        except SystemExit:
            pass
    try:
        fails()
    except ValueError:
        pass
    wrongs = (
        lambda: named(1),
        lambda: aexp.experiment(tags="one"),
        lambda: aexp.experiment(streams),
    )
    for wrong in wrongs:
        try:
            wrong()
        except aexp.AexpError as error:
            print(error, error.hint, sep="; ")
    try:
        helper()
    except TypeError:
        print("not called")
    """


def execute(research: Any, text: str, **env: str) -> str:
    path = research.root / "program.py"
    path.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=research.root,
        env={**research.env, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def entries(research: Any) -> list[dict[str, Any]]:
    folder: Path = research.root / ".aexp" / "ledger"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_calls_are_runs_with_parameters_and_results(research: Any) -> None:
    said = execute(research, PROGRAM)
    assert "a parameter cannot be called nonce" in said
    assert "tags is the text 'one', not a list; write it like ['one']" in said
    assert "streams does not run when it is called" in said
    assert said.endswith("not called\n")
    found = {entry["name"]: entry for entry in entries(research)}
    main = found["benchmark_tip3p"]
    own = {k: v for k, v in main["statepoint"].items() if not k.startswith(("code_", "nonce"))}
    assert own == {
        "kind": "adhoc",
        "n_steps": 10,
        "out": "x/y.txt",
        "mode": "FAST",
        "lr": 0.25,
        "opt": {"a_b": [1, [2, 3]]},
        "obj": "<builtins.object>",
        "api_key": "***",
        "max_tokens": 5,
    }
    assert (main["tag"], main["tags"]) == ("tip3p", ["tip3p", "nvt"])
    assert main["metrics"] == {"energy": -1.5, "kept": 1, "size": 0.25}
    (asset,) = (research.workspace(main["job_id"]) / "assets").glob("result-*.json")
    assert json.loads(asset.read_text())["note"] == "text"
    assert (found["helper"]["metrics"], found["helper"]["status"]) == ({"result": 7}, "complete")
    ends = {
        entry["statepoint"]["code"]: (entry["status"], entry["returncode"])
        for entry in entries(research)
        if entry["name"] == "leaves"
    }
    assert ends == {
        0: ("complete", 0),
        3: ("failed", 3),
        None: ("complete", 0),
        "words": ("failed", 1),
    }
    assert found["fails"]["status"] == "failed"
    assert found["partial"]["metrics"] == {"result": 4}
    assert len(entries(research)) == 9  # every call of its own, the nested one not
    assert "run." not in research.aexp("validate", "--runs-only", rc=None).stdout


def test_under_exec_the_call_is_part_of_the_run(research: Any) -> None:
    (research.root / "program.py").write_text(
        "import aexp\n\n\n@aexp.experiment(name='n')\ndef f(a=1):\n    return a\n\n\nf(a=5)\n"
    )
    research.aexp("exec", "--name", "outer", "--", sys.executable, "program.py")
    (entry,) = entries(research)
    assert (entry["name"], entry["metrics"]) == ("outer", {"result": 5})


def test_a_gate_leaves_nothing(research: Any) -> None:
    folder = research.root / "scripts" / "experiments"
    folder.mkdir(parents=True)
    (folder / "run_it.py").write_text(
        "import aexp\n\n\n@aexp.experiment\ndef f():\n    pass\n\n\nf()\n"
    )
    done = subprocess.run(
        [sys.executable, "scripts/experiments/run_it.py"],
        cwd=research.root,
        env=research.env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "run_it.aexp.toml is missing" in done.stderr
    assert list((research.root / ".runs" / "workspace").iterdir()) == []


def test_with_an_experiment_name_and_tags_are_labels(research: Any) -> None:
    execute(
        research,
        """
        import aexp


        @aexp.experiment("E001", name="bench", tags=["a", "b"])
        def train(seed):
            return {"result": 1}


        train(4)
        """,
    )
    (entry,) = entries(research)
    assert entry["run_link"]["experiment_id"] == "E001"
    assert (entry["name"], entry["tags"]) == ("bench", ["a", "b"])
    assert "metrics" not in entry
