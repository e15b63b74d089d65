"""Sidecars and the preregistration of notes: every fault has its key and its line."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.paths import Repo
from aexp.preregistration.sidecar import present_digest, read_note, read_sidecar
from aexp.preregistration.toml_lines import lines_of

GOOD = """\
# before the run
[preregistration]
question = "Does it learn?"
hypothesis = '''
H001'''
agent_mode = "autonomous"

[metrics]
accuracy = "float"
val.loss = "float"   # nested, as metrics are
"val/top-1" = "float"
state = "text"
converged = "bool"

[outcomes."better [than] \\"it\\""]
condition = '''accuracy > 0.9 and
  not (val.loss >= 1) and `val/top-1` > 0 and state == "it's"'''
decision = "adopt it"
reasoning = "beats the baseline"

[outcomes.diverged]
condition = "nan(val.loss) or missing(accuracy) or not converged"
decision = "lower the rate"
reasoning = "nothing learnt"

[outcomes.rest]
residual = true
decision = "look again"
reasoning = "whatever else"
"""


def repo_with(folder: Path, text: str | bytes) -> Repo:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "x.aexp.toml").write_bytes(data)
    return Repo(folder)


@pytest.mark.parametrize(
    "text", [GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD], ids=["plain", "crlf", "bom"]
)
def test_a_sound_sidecar(tmp_path: Path, text: str) -> None:
    found = read_sidecar(repo_with(tmp_path, text), "x.aexp.toml")
    assert found.problems == []
    assert found.meaning is not None
    assert [outcome.label for outcome in found.meaning.outcomes] == [
        'better [than] "it"',
        "diverged",
        "rest",
    ]
    assert found.meaning.metrics["val.loss"] == "float"
    assert found.meaning.agent_mode == "autonomous"
    assert found.sha256 == present_digest(Repo(tmp_path), "x.aexp.toml")


FAULTS = [
    # replaced text, its replacement, key, message, the line's text
    ('question = "Does it learn?"\n', "", "preregistration.question", "missing", "[preregistr"),
    ("Does it learn?", " ", "preregistration.question", "empty", "question"),
    ("question =", "quesion =", "preregistration.quesion", "did you mean question", "quesion"),
    ('"Does it learn?"', "3", "preregistration.question", "int, not text", "question"),
    ("autonomous", "weird", "preregistration.agent_mode", "'weird' is none of", "agent_mode"),
    ('val.loss = "float"', 'val.loss = "flot"', "metrics.val.loss", "'flot', none of", "val.loss"),
    ("[metrics]", "[metics]", "metics", "did you mean metrics", "[metics]"),
    ("[outcomes.rest]", "[outcomes.unknown]", "outcomes.unknown", "of its own", "[outcomes.unkn"),
    ("[outcomes.rest]", "[outcomes.None]", "outcomes.None", "of its own", "[outcomes.None]"),
    ('[outcomes.rest]', '[outcomes."a\\nb"]', "outcomes.a\nb", "printable", "[outcomes.\"a"),
    ("residual = true\n", "", "outcomes.rest.condition", "missing", "[outcomes.rest]"),
    ("residual = true", "residual = 1", "outcomes.rest.residual", "neither true nor", "residual"),
    ("residual = true", 'residual = true\ncondition = "converged"', "outcomes.rest.condition",
     "has none", "condition = \"conv"),
    ("decision = \"look again\"\n", "", "outcomes.rest.decision", "missing", "[outcomes.rest]"),
    ("accuracy > 0.9", "accuracy = 0.9", "outcomes.better [than] \"it\".condition",
     "column 10: '=': write ==", "condition = '''"),
    ("nan(val.loss)", "nan(val.los)", "outcomes.diverged.condition",
     "'val.los' is not declared in [metrics]; did you mean val.loss", "condition = \"nan"),
    ("not converged", "not accuracy", "outcomes.diverged.condition", "by itself",
     "condition = \"nan"),
    ("nan(val.loss)", "val.loss == 'x'", "outcomes.diverged.condition", "never compare",
     "condition = \"val"),
    ("nan(val.loss) or missing(accuracy) or not converged", "true", "outcomes.diverged.condition",
     "no metric", "condition = \"true"),
    ("decision = \"lower the rate\"", "decison = \"x\"", "outcomes.diverged.decison",
     "did you mean decision", "decison"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "message", "line"), FAULTS)
def test_each_fault_has_its_key_and_its_line(
    tmp_path: Path, old: str, new: str, key: str, message: str, line: str
) -> None:
    assert GOOD.count(old) == 1, old
    text = GOOD.replace(old, new)
    found = read_sidecar(repo_with(tmp_path, text), "x.aexp.toml")
    assert found.meaning is None
    matching = [each for each in found.problems if ".".join(each.key) == key]
    assert any(message in each.message for each in matching), found.problems
    assert text.splitlines()[matching[0].line - 1].startswith(line)


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"", "preregistration: it is missing", 1),
        (b"[outcomes]\n", "outcomes: there is none", 1),
        (b"[preregistration]\nquestion = \n", "not TOML", 2),
        (b"a = 1\na = 2\n", "not TOML", 2),
        (b'x = """\nopen', "not TOML", 2),
        (b"\xff\xfe", "UTF-8", 1),
        (b"outcomes = 3", "outcomes: it is not a table", 1),
        (b"[outcomes]\na = 3", "outcomes.a: it is not a table", 2),
        (b"x = " + b"[" * 5000, "not TOML", 1),
        (b"#" * 1_100_000, "over 1 MB", 1),
    ],
)
def test_files_that_are_no_sidecar(tmp_path: Path, data: bytes, message: str, line: int) -> None:
    found = read_sidecar(repo_with(tmp_path, data), "x.aexp.toml")
    assert any(message in str(each) and each.line == line for each in found.problems), found


def test_what_is_no_file_is_no_sidecar(tmp_path: Path) -> None:
    import os

    (tmp_path / "folder.aexp.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.aexp.toml")
    for name in ("folder", "pipe", "none"):
        found = read_sidecar(Repo(tmp_path), f"{name}.aexp.toml")
        assert len(found.problems) == 1
        assert found.sha256 is None


KEYS = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=6
).filter(str.strip)  # fmt: skip
TEXTS = st.sampled_from(
    ['"plain"', "'lit\"eral'", '"""\nmany\n[lines]\nk = 1 """', "'''\n# no ''\n[x]'''", "3",
     "[ 1, # one\n [2], '#]' ]", "{ a = 1, b = [1] }", '"\\"]"', "1979-05-27T07:32:00Z", '""""q"""']
)  # fmt: skip


@given(st.lists(st.tuples(KEYS, st.lists(st.tuples(KEYS, TEXTS), max_size=4)), max_size=4))
def test_lines_of_keys_are_those_of_the_text(tables: list[Any]) -> None:
    def quoted(key: str) -> str:
        return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text, wanted, line = "# a comment\n", {}, 2
    for name, keys in dict(tables).items():
        text += f"[ {quoted(name)} ] # ] x\n"
        wanted[(name,)] = line
        line += 1
        for key, value in dict(keys).items():
            text += f'  {quoted(key)} = {value}  # = "\n'
            wanted[(name, key)] = line
            line += value.count("\n") + 1
    tomllib.loads(text)
    found = lines_of(text)
    assert {key: found.get(key) for key in wanted} == wanted


NOTE = """\
---
id: "E001"
preregistration:
  question: Does it learn?
  metrics: {accuracy: float}
  outcomes:
    better:
      condition: accuracy > 0.9
      decision: adopt it
      reasoning: beats the baseline
    rest: {residual: true, decision: look again, reasoning: whatever else}
---
# E001
"""


def test_a_note_says_the_same_with_yaml(tmp_path: Path) -> None:
    repo, path = Repo(tmp_path), tmp_path / "E001-x.md"
    path.write_text(NOTE)
    found = read_note(repo, str(path))
    assert found is not None
    assert found.meaning is not None
    assert [each.residual for each in found.meaning.outcomes] == [False, True]
    path.write_text(NOTE + "\nProgress: it runs.\n")
    assert present_digest(repo, "E001-x.md") == found.sha256  # other edits do not count
    path.write_text(NOTE.replace("accuracy > 0.9", "acuracy > 0.9"))
    assert present_digest(repo, "E001-x.md") != found.sha256
    wrong = read_note(repo, str(path))
    assert wrong is not None
    assert [(".".join(each.key), each.line) for each in wrong.problems] == [
        ("outcomes.better.condition", 8)
    ]
    for block in ("3", "[a]", "{1: 2, b: 3}", "{outcomes: {1: {}}}", "null"):
        path.write_text(f"---\nid: E001\npreregistration: {block}\n---\n")
        broken = read_note(repo, str(path))
        assert broken is not None
        assert broken.problems
        assert broken.problems[0].line == 3
    path.write_text("---\nid: E001\n---\n")
    assert read_note(repo, str(path)) is None
