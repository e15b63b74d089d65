"""New artifacts: ids, files, templates, parents, and what is refused."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aexp
from aexp.errors import ArtifactCreateError, UsageError
from aexp.kb import record
from aexp.kb.artifacts import KINDS
from aexp.kb.create import render, yaml_text
from aexp.kb.links import linked_names
from aexp.kb.markdown import headings
from aexp.paths import Repo


def test_each_kind_from_its_template(chain: Any) -> None:
    for artifact_id, status, parents in (
        ("T001", "PROPOSED", []),
        ("H001", "PROPOSED", ["T001"]),
        ("E001", "DESIGNED", ["H001"]),
        ("F001", None, ["H001", "E001"]),
    ):
        made = aexp.load_artifact(artifact_id, repo_root=chain.root)
        kind = made.kind
        assert [text for level, text in headings(made.text) if level == 2] == list(kind.headings)
        assert made.status == status
        assert made.meta["id"] == artifact_id
        assert made.meta["aliases"] == [artifact_id]
        assert made.meta["type"] == kind.name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(made.meta["created"]))
        links = linked_names(made.text)
        assert links[: len(parents)] == parents
        assert links[len(parents) : len(parents) + 2] == ["ACTIVE", "CHALLENGE"]
        assert not re.search(r"\{[A-Z_]+\}", made.text)
        for parent in parents:
            assert artifact_id in linked_names(chain.text(parent))


def test_what_an_experiment_is_given_comes_back(chain: Any) -> None:
    conditions = {
        "full": {"lr": 1e-05, "model": "base", "deep": {"a": [1, None, True]}, "n": 10**20},
        "yes": {"on": "off", "text": "a: b # c", "empty": "", "number": "1", "e": "1e3"},
    }
    command = 'python t.py --x "{x}" \\ \' # {seed}'
    aexp.new_experiment(
        title="Second",
        hypothesis_id="H001",
        runner_command=command,
        conditions=conditions,
        tags=["a: b", "#c", "null"],
        repo_root=chain.root,
    )
    made = aexp.load_experiment("E002", repo_root=chain.root)
    assert made.meta["runner_command"] == command
    assert made.meta["conditions"] == conditions
    assert made.tags == ["a: b", "#c", "null"]


TITLES = [
    'What\'s *this* [[E999]] & <b>that</b>: "x"',
    "---",
    "# Title {DATE} {LINKS_BLOCK}",
    "<!-- open",
    "``` fence",
    "'single' \"double\" \\ {seed} %s",
    "名前",
    "a" * 300,
]


@pytest.mark.parametrize("title", TITLES)
def test_any_title_is_safe(chain: Any, title: str) -> None:
    made = aexp.new_hypothesis(title=title, thread_id="T001", repo_root=chain.root)
    loaded = aexp.load_hypothesis(made.artifact_id, repo_root=chain.root)
    assert loaded.title == title
    assert linked_names(loaded.text) == ["T001", "ACTIVE", "CHALLENGE"]
    assert [text for level, text in headings(loaded.text) if level == 2] == list(
        loaded.kind.headings
    )


@pytest.mark.parametrize("title", ["", "  ", "a\nb", "a\x1b[31mb", "a\x00", "a" * 301, "\udcff"])
def test_unusable_titles_are_refused(kb: Any, title: str) -> None:
    with pytest.raises(ArtifactCreateError):
        aexp.new_thread(title=title, repo_root=kb.root)
    assert not (kb.root / "kb").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"artifact_id": "../../evil"},
        {"artifact_id": "E001"},
        {"artifact_id": "H1"},
        {"artifact_id": "H\u0660\u0660\u0661"},
        {"artifact_id": "H001\n"},
        {"thread_id": "H001"},
        {"thread_id": "T099"},
        {"extra_links": ["E099"]},
        {"extra_links": ["x]] [[y"]},
        {"extra_links": ["a\nb"]},
        {"extra_links": ["nowhere"]},
        {"extra_links": ["L001"]},
        {"extra_links": ["../research/hypotheses/H001-claim"]},
        {"extra_links": ["kb\\x"]},
        {"extra_links": ["H001-claim.md"]},
        {"tags": ["a\x1bb"]},
        {"tags": [""]},
    ],
)
def test_what_is_refused_writes_nothing(chain: Any, options: dict[str, Any]) -> None:
    before = chain.files()
    with pytest.raises(UsageError):
        aexp.new_hypothesis(title="x", repo_root=chain.root, **options)
    assert chain.files() == before


def test_what_is_linked_is_there(chain: Any) -> None:
    for path in ("kb/research/literature/L001-paper.md", "kb/lessons/what we learnt.md"):
        (chain.root / path).parent.mkdir(parents=True, exist_ok=True)
        (chain.root / path).write_text("# A note\n")
    names = ["E001", "E001-sweep", "DASHBOARD", "L001", "L001-paper", "what we learnt"]
    made = aexp.new_hypothesis(title="x", extra_links=names, repo_root=chain.root)
    loaded = aexp.load_hypothesis(made.artifact_id, repo_root=chain.root)
    assert linked_names(loaded.text) == ["ACTIVE", "CHALLENGE", *names]
    issues = aexp.validate_repo(chain.root).issues
    assert not [one for one in issues if one.code == "kb.link_target" and "H002" in str(one.path)]
    with pytest.raises(ArtifactCreateError, match="no note is called 'nowhere'") as caught:
        aexp.new_hypothesis(title="y", extra_links=["nowhere"], repo_root=chain.root)
    assert "file name of a note" in str(caught.value.hint)


@pytest.mark.parametrize(
    "hidden", list("\u202e\u2066\u200b\u200c\u200d\ufeff\xad\ue000\u2028\u2029\x85\U000e0041")
)
def test_what_does_not_show_is_no_part_of_a_title(kb: Any, hidden: str) -> None:
    with pytest.raises(ArtifactCreateError, match=f"U\\+{ord(hidden):04X} does not show") as caught:
        aexp.new_thread(title=f"a {hidden} b", repo_root=kb.root)
    assert hidden not in caught.value.message
    assert not (kb.root / "kb").exists()


@pytest.mark.parametrize(
    "title",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "caf\u0065\u0301",
    ],
)
def test_letters_may_be_joined(kb: Any, title: str) -> None:
    made = aexp.new_thread(title=title, repo_root=kb.root)
    assert aexp.load_thread(made.artifact_id, repo_root=kb.root).title == title


def test_the_smallest_unused_id_is_taken(chain: Any) -> None:
    def new(**options: Any) -> str:
        return aexp.new_hypothesis(title="x", repo_root=chain.root, **options).artifact_id

    assert new() == "H002"
    assert new(artifact_id="H004") == "H004"
    assert new() == "H003"
    assert new() == "H005"
    chain.file("H002").unlink()
    assert new() == "H002"
    assert new(artifact_id="H1000") == "H1000"
    with pytest.raises(ArtifactCreateError, match="already"):
        new(artifact_id="H004")


def test_a_finding_is_about_what_its_experiment_tests(chain: Any) -> None:
    aexp.new_hypothesis(title="Other", repo_root=chain.root)
    with pytest.raises(ArtifactCreateError, match="tests H001, not H002"):
        aexp.new_finding(
            title="x", experiment_id="E001", hypothesis_id="H002", repo_root=chain.root
        )
    path = chain.file("E001")
    path.write_text(path.read_text().replace("conditions:", "sub_hypotheses: [H002]\nconditions:"))
    made = aexp.new_finding(
        title="x", experiment_id="E001", hypothesis_id="H002", repo_root=chain.root
    )
    assert made.backlinks_patched == ["H002", "E001"]
    with pytest.raises(ArtifactCreateError, match="not an impact"):
        aexp.new_finding(title="x", experiment_id="E001", impact="huge", repo_root=chain.root)


def test_a_parent_that_cannot_be_patched_leaves_nothing_behind(chain: Any) -> None:
    chain.file("H001").write_bytes(b"---\nid: H001\n\xff\n---\n")
    before = chain.files()
    with pytest.raises(ArtifactCreateError, match="UTF-8"):
        aexp.new_experiment(title="x", hypothesis_id="H001", repo_root=chain.root)
    assert chain.files() == before


def test_backlinks_are_idempotent(chain: Any) -> None:
    before = chain.text("H001")
    assert aexp.add_backlink("H001", "E001", repo_root=chain.root) is False
    assert chain.text("H001") == before
    assert aexp.add_backlink("H001", "E777", repo_root=chain.root) is True
    assert linked_names(chain.text("H001"))[-1] == "E777"


def test_a_folder_that_leaves_the_repository_is_refused(kb: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (kb.root / "kb").mkdir()
    (kb.root / "kb" / "research").symlink_to(outside)
    with pytest.raises(ArtifactCreateError, match="leaves the repository"):
        aexp.new_thread(title="x", repo_root=kb.root)
    assert list(outside.iterdir()) == []


def test_a_parent_that_leaves_the_repository_is_refused(kb: Any, tmp_path: Path) -> None:
    outside = tmp_path / "H001-x.md"
    outside.write_text("---\nid: H001\n---\n## Links\n")
    folder = kb.root / "kb" / "research" / "hypotheses"
    folder.mkdir(parents=True)
    (folder / "H001-x.md").symlink_to(outside)
    with pytest.raises(ArtifactCreateError, match="leaves the repository"):
        aexp.new_experiment(title="x", hypothesis_id="H001", repo_root=kb.root)
    assert outside.read_text() == "---\nid: H001\n---\n## Links\n"
    assert not (kb.root / "kb" / "research" / "experiments").exists()


def test_a_record_that_cannot_be_locked_is_said(kb: Any) -> None:
    (kb.root / ".aexp").write_text("a file")
    with pytest.raises(ArtifactCreateError, match="cannot make"):
        aexp.new_thread(title="x", repo_root=kb.root)
    assert not (kb.root / "kb").exists()


def test_eight_processes_at_once_get_eight_ids(research: Any) -> None:
    research.aexp("new-hypothesis", "--title", "parent")
    started = [
        research.start_aexp(
            "new-experiment", "--title", f"Number {n}", "--hypothesis", "H001", "--json"
        )
        for n in range(8)
    ]
    made = []
    for process in started:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        made.append(json.loads(out)["artifact_id"])
    # E001 is there already.
    assert sorted(made) == [f"E{n:03d}" for n in range(2, 10)]
    parent = research.json("show-hypothesis", "H001")
    assert set(parent["links"]) >= set(made)
    assert sorted(one["artifact_id"] for one in parent["children"]) == ["E001", *sorted(made)]


def test_without_our_lock_an_id_is_still_not_taken_twice(
    chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine, on a file system without locks, writes the same id meanwhile."""
    from aexp.kb import create

    original = create.create_exclusive

    def meanwhile(path: str, data: bytes) -> bool:
        if os.path.basename(path).startswith("H002"):
            Path(path).with_name("H002-theirs.md").write_text("theirs")
        return original(path, data)

    monkeypatch.setattr(create, "create_exclusive", meanwhile)
    assert aexp.new_hypothesis(title="ours", repo_root=chain.root).artifact_id == "H003"
    assert chain.file("H002").name == "H002-theirs.md"


def test_the_verbs(research: Any) -> None:
    (research.root / "kb" / "research" / "experiments" / "E001-test.md").unlink()
    research.aexp("new-thread", "--title", "Why?", "--tag", "big", "--tag", "open")
    research.aexp("new-hypothesis", "--title", "Because", "--thread", "T001", "--link", "DASHBOARD")
    done = research.json(
        "new-experiment", "--title", "Größe & Maß", "--hypothesis", "H001",
        "--runner-command", "echo {seed}", "--condition", 'full={"lr": 0.1}',
    )  # fmt: skip
    assert done == {
        "kind": "experiment",
        "artifact_id": "E001",
        "path": "kb/research/experiments/E001-grosse-mass.md",
        "backlinks_patched": ["H001"],
        "backlinks_already_present": [],
        "dry_run": False,
    }
    said = research.aexp("new-finding", "--title", "Yes", "--experiment", "E001", "--impact", "low")
    assert said.stdout.splitlines()[0] == "created finding F001"
    research.aexp("validate", "--kb-only")
    assert [one["tags"] for one in research.json("list-threads", "--tag", "big")] == [
        ["big", "open"]
    ]
    ids = research.json("queue", "add", "--experiment", "E001", "--sweep", "condition=full,seed=1")
    assert ids["runs"][0]["sp"]["lr"] == 0.1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("new-hypothesis", "--title", "x", "--id", "../../evil"), "not a hypothesis id"),
        (("new-experiment", "--title", "x", "--hypothesis", "H009"), "no hypothesis H009"),
        (("new-finding", "--title", "x", "--experiment", "E009"), "no experiment E009"),
        (("new-thread", "--title", "a\nb"), "cannot be a title"),
        (
            ("new-experiment", "--title", "x", "--hypothesis", "H001", "--condition", "a=[1]"),
            "JSON object",
        ),
        (
            (
                "new-experiment",
                "--title",
                "x",
                "--hypothesis",
                "H001",
                "--condition",
                'a={"k":NaN}',
            ),
            "JSON cannot hold",
        ),
    ],
)
def test_the_verbs_refuse(research: Any, words: tuple[str, ...], told: str) -> None:
    before = research.tree()
    done = research.aexp(*words, rc=2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert research.tree() == before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(codec="utf-8"))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(alphabet=st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_values_survive_as_yaml(value: Any) -> None:
    import yaml

    for loader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        assert yaml.load(f"key: {yaml_text(value)}", Loader=loader) == {"key": value}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(title=st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])))
def test_a_rendered_note_says_its_title_whatever_it_is(
    title: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from aexp.kb.create import Draft, check_title

    try:
        plain = check_title(title)
    except ArtifactCreateError:
        return
    text = render(Draft(KINDS["T"], plain), "T001", plain, [], [])
    root = tmp_path_factory.mktemp("repo")
    path = root / "kb" / "research" / "threads" / "T001-x.md"
    path.parent.mkdir(parents=True)
    path.write_text(text, newline="")
    made = record.load_thread("T001", repo_root=Repo(root))
    assert made.title == plain
    assert linked_names(made.text) == ["ACTIVE", "CHALLENGE"]
