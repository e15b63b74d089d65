"""docs/questions.md: every verb and every SELECT on the page answers."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from aexp.catalogue import open_catalogue

PAGE = Path(__file__).parents[2] / "docs" / "questions.md"
QUESTIONS = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]
# A verb and SQL that stand together and list runs name the same ones.
BOTH = {
    "Which runs had a small learning rate and got above 0.9?",
    "Which runs diverged?",
    "Which run made this file?",
    "What ran in Slurm job 4711?",
    "Which run is the best?",
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda text: text.splitlines()[0])
def test_the_question_is_answered(lab: Any, question: str, tmp_path: Path) -> None:
    title = question.splitlines()[0]
    verbs = [line[2:] for block in blocks(question, "console") for line in block.splitlines()]
    ids = []
    for line in verbs:
        line = line.replace("9f3a1b2c", lab.ids["full0"]).replace("0c41d2aa", lab.ids["cls1"])
        words = shlex.split(line.replace("table.parquet", str(tmp_path / "table.parquet")))
        assert words[0] == "aexp"
        shown = lab.cli(*words[1:])
        assert shown or "row(s) in" in lab.stderr, line
        if title in BOTH:
            ids.append([row["job_id"] for row in lab.json(*words[1:])])
    queries = blocks(question, "sql")
    assert verbs or queries
    with open_catalogue(lab.repo) as catalogue:
        for sql in queries:
            found = catalogue.user_query(sql.replace("9f3a1b2c", lab.ids["full0"]))
            assert found.rows, sql
            if title in BOTH:
                assert {row[0] for row in found.rows} == set(ids[0])


def test_the_questions_are_there() -> None:
    titles = {question.splitlines()[0] for question in QUESTIONS}
    assert len(titles) == len(QUESTIONS) > 12
    assert titles >= BOTH
