"""A block of ours in a file of the user's: whatever the file, only the block changes."""

from hypothesis import given
from hypothesis import strategies as st

from aexp.install.block import find_block, outside_block, replace_block
from aexp.install.gitignore import BEGIN, END, has_legacy_rule, merged

LINES = st.lists(st.sampled_from(["", "a", "# b", BEGIN, END, f" {BEGIN}", f"{END} x", "é"]))


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_nothing_of_the_users_is_lost(lines: list[str], newline: str, ends: bool) -> None:
    text = newline.join(lines) + (newline if ends else "")
    once = replace_block(text, BEGIN, END, "ours\n")
    assert replace_block(once, BEGIN, END, "ours\n") == once
    found = find_block(once, BEGIN, END)
    assert found is not None
    assert once[found[0] : found[1]].splitlines() == [BEGIN, "ours", END]
    before = outside_block(text, BEGIN, END)
    assert outside_block(once, BEGIN, END).split() == before.split()


def test_lines_between_a_lost_begin_and_a_whole_block_stay() -> None:
    text = f"{BEGIN}\nmine\n{BEGIN}\nold\n{END}\n"
    assert "mine" in merged(text, ".runs")


def test_the_legacy_rule() -> None:
    for line in (".aexp/", ".aexp", "/.aexp/", ".aexp/ # mine", "  .aexp/", ".aexp/\r"):
        assert has_legacy_rule(f"x\n{line}\ny\n"), line
    for line in (".aexp/cache/", "# .aexp/", "!.aexp/", "x.aexp/", ".aexp/*"):
        assert not has_legacy_rule(f"x\n{line}\ny\n"), line
    assert not has_legacy_rule(merged("", ".runs"))
