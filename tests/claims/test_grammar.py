"""The grammar of ``claims:``: what it accepts, and how it refuses the rest."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.errors import ArtifactReadError
from aexp.kb.artifacts import KINDS, Artifact
from aexp.kb.claim import COMPARISONS, KEYS, STATISTICS, Claim, MalformedClaim
from aexp.kb.claims import MAX_CLAIMS, claims
from aexp.kb.frontmatter import Document


def artifact(block: str) -> Artifact:
    document = Document("F001.md", f"---\nid: F001\n{block}\n---\n# F001\n")
    return Artifact("F001", KINDS["F"], "F001.md", "", document.meta, document.text, document)


def read(*items: str) -> list[Claim | MalformedClaim]:
    return claims(artifact("\n".join(["claims:", *(f"  - {item}" for item in items)])))


def one(item: str) -> Claim:
    (claim,) = read(item)
    assert isinstance(claim, Claim), claim
    return claim


def refused(item: str) -> str:
    (claim,) = read(item)
    assert isinstance(claim, MalformedClaim), claim
    assert claim.line == 4
    return claim.reason


def test_the_claims_of_the_issue() -> None:
    first, second = read(
        "{metric: accuracy, over: {condition: full}, stat: mean, value: 0.93, "
        "tolerance: 0.005, n: 4}",
        "{compare: [full, cls], metric: accuracy, stat: mean_diff, value: 0.04, ci: 0.95}",
    )
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert (first.stat, first.metric, first.over) == ("mean", "accuracy", {"condition": "full"})
    assert (first.value and first.value.value, first.n, first.line) == (0.93, (4,), 4)
    assert (second.compare, second.by, second.ci) == (("full", "cls"), "condition", 0.95)
    assert first.stated == "0.93 ± 0.005, n=4"
    assert second.subject == "mean_diff accuracy full vs cls"


def test_no_claims_is_no_claim() -> None:
    assert claims(artifact("tags: []")) == []
    assert claims(artifact("claims:")) == []
    assert claims(artifact("claims: []")) == []


@pytest.mark.parametrize(
    ("text", "half_step"),
    [
        ("0.93", 0.005),
        ("0.930", 0.0005),
        ("-.5", 0.05),
        ("1.", 0),
        ("12", 0),
        ("1e3", 0),
        ("1.5e-3", 0.00005),
        ("1e-3", 0.0005),
        ("9e-1", 0.05),
        ("9.0e-1", 0.005),
        ("1.234e3", 0),
        ("1.5e3", 0),
        ("1.50e1", 0.05),
        ("'0.930'", 0.0005),
    ],
)
def test_the_digits_written_are_the_tolerance(text: str, half_step: float) -> None:
    value = one(f"{{metric: m, value: {text}}}").value
    assert value is not None
    assert value.half_step == pytest.approx(half_step)


def test_a_tolerance_of_its_own() -> None:
    absolute, relative = (
        one(f"{{metric: m, value: 200, tolerance: {text}}}") for text in ("0.5", "1%")
    )
    assert absolute.value
    assert relative.value
    assert absolute.allowed(absolute.value) == 0.5
    assert relative.allowed(relative.value) == 2.0


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("0.93", "not a mapping"),
        ("[1, 2]", "not a mapping"),
        ("", "not a mapping"),
        ("{}", "claims nothing"),
        ("{metric: m}", "claims nothing"),
        ("{metric: m, vaule: 1}", "did you mean value?"),
        ("{metric: m, value: 1, zzz: 1}", "known: metric"),
        ("{value: 1}", "no metric"),
        ("{metric: 7, value: 1}", "metric is 7"),
        ("{metric: ' ', value: 1}", "1 to 200 characters"),
        ("{metric: m, value: high}", "decimal number"),
        ("{metric: m, value: }", "decimal number"),
        ("{metric: m, value: true}", "decimal number"),
        ("{metric: m, value: .nan}", "decimal number"),
        ("{metric: m, value: .inf}", "decimal number"),
        ("{metric: m, value: 1e999}", "decimal number"),
        ("{metric: m, value: 1_000}", "decimal number"),
        ("{metric: m, value: 1:30}", "decimal number"),
        ("{metric: m, value: [1]}", "decimal number"),
        ("{metric: m, value: " + "1" * 200 + "}", "decimal number"),
        ("{metric: m, value: 1, tolerance: -1}", "0 or more"),
        ("{metric: m, value: 1, tolerance: wide}", "0 or more"),
        ("{metric: m, n: 1, tolerance: 1%}", "tolerance of what"),
        ("{metric: m, value: 1, stat: maen}", "did you mean mean?"),
        ("{metric: m, value: 1, stat: ratio}", "needs compare"),
        ("{metric: m, value: 1, stat: 3}", "stat is 3"),
        ("{metric: m, value: 1, compare: full}", "list of two"),
        ("{metric: m, value: 1, compare: [a, b, c]}", "list of two"),
        ("{metric: m, value: 1, compare: [a, a]}", "both sides"),
        ("{metric: m, value: 1, compare: [a, [b]]}", "single values"),
        ("{metric: m, value: 1, compare: [a, b], stat: sd}", "in a comparison"),
        ("{metric: m, value: 1, by: lr}", "goes with compare"),
        ("{metric: m, value: 1, paired: seed}", "goes with compare"),
        ("{metric: m, value: 1, compare: [1, 2], by: seed, paired: seed}", "another key"),
        ("{metric: m, value: 1, over: full}", "not a mapping"),
        ("{metric: m, value: 1, over: {lr: {a: 1}}}", "single values"),
        ("{metric: m, value: 1, over: {lr: .nan}}", "JSON cannot hold"),
        ("{metric: m, value: 1, compare: [a, b], over: {condition: a}}", "compare is about"),
        ("{metric: m, value: 1, n: 0}", "n is 0"),
        ("{metric: m, value: 1, n: 1.5}", "n is 1.5"),
        ("{metric: m, value: 1, n: true}", "n is true"),
        ("{metric: m, value: 1, n: [4, 4]}", "n is [4, 4]"),
        ("{metric: m, value: 1, compare: [a, b], n: [1, 2, 3]}", "n is [1, 2, 3]"),
        ("{metric: m, value: 1, compare: [a, b], n: []}", "n is []"),
        ("{metric: m, value: 1, ci: 95}", "between 0 and 1"),
        ("{metric: m, value: 1, ci: 0}", "between 0 and 1"),
        ("{metric: m, value: 1, low: 0}", "needs the interval's level"),
        ("{metric: m, stat: sd, value: 1, ci: 0.95}", "no interval of sd"),
        ("{metric: m, ci: 0.95, low: 2, high: 1}", "greater than high"),
    ],
)
def test_what_is_malformed_is_refused_with_its_line(item: str, reason: str) -> None:
    assert reason in refused(item)


def test_the_line_is_that_of_the_key() -> None:
    (claim,) = claims(artifact("claims:\n  - metric: m\n    value: 1\n    ci: 2\n"))
    assert isinstance(claim, MalformedClaim)
    assert claim.line == 6


def test_claims_that_are_no_list_or_too_many() -> None:
    for block in ("claims: {metric: m, value: 1}", "claims: good", "claims: 7"):
        (claim,) = claims(artifact(block))
        assert isinstance(claim, MalformedClaim)
        assert "not a list" in claim.reason
    (claim,) = read(*["{metric: m, value: 1}"] * (MAX_CLAIMS + 1))
    assert isinstance(claim, MalformedClaim)
    assert str(MAX_CLAIMS) in claim.reason


def test_merged_keys_and_aliases_are_read() -> None:
    block = "base: &b {metric: m, value: 0.50}\nclaims:\n  - {<<: *b, n: 4}\n  - *b"
    merged, alias = claims(artifact(block))
    assert isinstance(merged, Claim)
    assert isinstance(alias, Claim)
    assert merged.value
    assert alias.value
    assert merged.n == (4,)
    assert alias.value.text == "0.50"


def test_control_characters_are_shown() -> None:
    reason = refused('{metric: m, value: 1, "\\e[31m": 1}')
    assert "\x1b" not in reason
    assert "\x1b" not in one('{metric: "a\\e[31m", over: {"\\n": "\\r"}, n: 1}').subject


_numbers = st.floats(-1e9, 1e9).map(lambda x: f"{x:.6f}") | st.integers(-(10**9), 10**9).map(str)
_text = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=20
)
_scalar = _text | st.integers(-100, 100) | st.booleans()


@st.composite
def _claims(draw: Any) -> dict[str, Any]:
    """Draw a claim that follows the grammar, as the frontmatter's JSON."""
    claim: dict[str, Any] = {"metric": draw(_text.filter(str.strip))}
    if draw(st.booleans()):
        claim["compare"] = draw(st.lists(_scalar, min_size=2, max_size=2, unique_by=repr))
        claim["stat"] = draw(st.sampled_from(COMPARISONS))
        if draw(st.booleans()):
            claim["paired"] = "seed"
    else:
        claim["stat"] = draw(st.sampled_from(STATISTICS))
    claim["over"] = draw(
        st.dictionaries(_text.filter(lambda t: t != "condition"), _scalar, max_size=3)
    )
    claim["value"] = float(draw(_numbers))
    for key in draw(st.lists(st.sampled_from(["greater", "less"]), unique=True)):
        claim[key] = float(draw(_numbers))
    if claim["stat"] in ("mean", "mean_diff") and draw(st.booleans()):
        claim["ci"] = draw(st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    if draw(st.booleans()):
        claim["n"] = draw(st.integers(1, 1000))
    return claim


@settings(deadline=None)
@given(_claims())
def test_what_follows_the_grammar_is_read_as_it_is_written(item: dict[str, Any]) -> None:
    claim = one(json.dumps(item, ensure_ascii=False))
    assert claim.metric == item["metric"]
    assert claim.stat == item["stat"]
    assert claim.over == item["over"]
    assert claim.value is not None
    assert claim.value.value == item["value"]
    assert claim.ci == item.get("ci")
    assert claim.paired == item.get("paired")
    sides = 2 if "compare" in item and "paired" not in item else 1
    assert claim.n == ((item["n"],) * sides if "n" in item else None)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(KEYS)) | _text, _anything, max_size=6) | _anything)
def test_anything_else_is_refused_and_never_a_crash(item: Any) -> None:
    text = json.dumps(item, ensure_ascii=False).replace("NaN", ".nan").replace("Infinity", ".inf")
    try:
        found = read(text)
    except ArtifactReadError:
        return  # YAML itself refuses it
    assert len(found) == 1
    assert all(isinstance(claim, Claim) or claim.reason for claim in found)
