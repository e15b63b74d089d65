"""Resources that are names: what Slurm's names consist of, and nothing that a shell obeys."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.errors import UsageError
from aexp.queue.resources import NAMES, NUMBERS, check_resources

TEXTS = sorted(set(NAMES) - NUMBERS - {"slurm_extra"})
GOOD = [
    *("short", "gpu-a100", "lab_1@x.org", "a,b", "nvidia_h100_80gb_hbm3:2", "qos+x", "a/b.c"),
    *("(intel&gpu)|amd", "[rack1*2&rack2*4]", "7"),
]
BAD = [
    *(
        "a b",
        "a;b",
        "$HOME",
        "`id`",
        "'a'",
        '"a"',
        "a>b",
        "<a",
        "a\tb",
        "a\x1bb",
        "a\\b",
        "--wrap=x",
    ),
    *("-a", "a=b", "a\nb", "", "a{b}", "a#b", "a\u00a0b", "\u0435"),
]


@pytest.mark.parametrize("name", TEXTS)
def test_names(name: str) -> None:
    for text in GOOD:
        assert check_resources({name: text}) == {name: text}
    for text in BAD:
        with pytest.raises(UsageError, match=name) as caught:
            check_resources({name: text})
        assert caught.value.hint
        assert caught.value.message.isprintable()


@given(st.text(min_size=1))
def test_whatever_is_let_through_is_one_word_of_a_shell_pattern(text: str) -> None:
    try:
        found = check_resources({"constraint": text})["constraint"]
    except UsageError:
        return
    assert found == text
    assert not set(text) & set(" \t\r\n;$`'\"<>\\{}#!~=")
    assert not text.startswith("-")


def test_options_of_sbatch_are_a_person_s_own() -> None:
    extra = "--exclude='node[1-3]' --mail-type=END"
    assert check_resources({"slurm_extra": extra}) == {"slurm_extra": extra}


def test_on_the_command_line_and_in_the_file(research: Any) -> None:
    done = research.aexp(
        *("queue", "add", "--experiment", "E001", "--sp", "seed=0"),
        *("--resources", "partition=short;id"),
        rc=2,
    )
    assert "--resources: partition is 'short;id'" in done.stderr
    assert "hint: a name in Slurm" in done.stderr
    research.experiment("echo {seed}", "resources: {account: $(id)}\n")
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0", rc=2)
    assert "account is '$(id)'" in done.stderr
    assert research.json("queue", "list") == []
