"""The block that a command keeps up to date: found where it counts, else refused."""

import pytest

from aexp.errors import ArtifactReadError
from aexp.kb.managed import managed_block

BEGIN, END = "<!-- begin -->", "<!-- end -->"
HEAD = "---\nid: F001\n---\n\n## Evidence\n\n"
DECOY = f"{BEGIN}\ndecoy\n{END}\n"


def write(text: str, block: str = "| new |") -> str:
    return managed_block(text, "F001.md", (BEGIN, END), "Evidence", block)


@pytest.mark.parametrize(
    "above",
    [
        "",
        f"<!--\nan example:\n{DECOY}",
        f"````\n```\n{DECOY}````\n",
        f"```\n{DECOY}```python\n{DECOY}```\n",
        f"```\n{DECOY}~~~\n{DECOY}```\n",
        f"~~~ `x`\n{DECOY}~~~~\n",
        "<!-- one line -->\n",
        "``` not a fence ``` here\n",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_decoy_is_text_and_writing_twice_changes_nothing(above: str, newline: str) -> None:
    if above.startswith("<!--\n"):
        # The decoy's own ends close the comment: one long comment needs its end hidden.
        above = above.replace(" -->", " -- >") + "-->\n"
    text = (HEAD + above + "\n## Links\n\n- [[H001]]\n").replace("\n", newline)
    once = write(text)
    assert above.replace("\n", newline) in once
    assert once.count("| new |") == 1
    assert write(once) == once
    renewed = write(once, "| newer |")
    assert renewed == once.replace("| new |", "| newer |")


@pytest.mark.parametrize(
    "opened",
    ["```\n", "~~~\n```\n", "````\n```\n", "<!-- never closed\n", f"```\n{DECOY}", f"~~~\n{DECOY}"],
)
def test_what_is_not_closed_would_swallow_the_block(opened: str) -> None:
    with pytest.raises(ArtifactReadError, match="not closed"):
        write(HEAD + opened)
    with pytest.raises(ArtifactReadError, match="not closed"):
        write(HEAD.replace("## Evidence", opened + "\n## Evidence"))


def test_a_comment_that_the_first_marker_closes() -> None:
    with pytest.raises(ArtifactReadError, match="not one pair"):
        write(HEAD + "<!-- never closed\n" + DECOY)
