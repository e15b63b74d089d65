"""``validate``: a ledger, a store that has a part of it, and findings that cite batches."""

import hashlib
import json
from pathlib import Path

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, interleaved

_SEEDS = 5
_CITATIONS = 50
_NOT_PINNED = ("promoted_at", "registered_machine")
_HEADINGS = {
    "experiment": "Objective,Setup,Procedure,Caveats,Intent,Progress,Results,Outcome Summary,"
    "Decision",
    "hypothesis": "Statement,Mechanism,Why This Might Generalize,Shortcut Risks,Test Plan,Evidence,"
    "Conclusion",
    "finding": "Finding,Evidence,Caveats,What Improved For Real,Remaining Debt,Next Move",
}
_FOLDERS = {"experiment": "experiments", "hypothesis": "hypotheses", "finding": "findings"}
_PAGES = {
    "kb/ACTIVE.md": "Current Objective,Next Step,Blocker",
    "kb/mission/CHALLENGE.md": "Objective,Context,Success Criteria,Constraints",
    "kb/DASHBOARD.md": "Entry Points",
}
_PAGE_LINKS = "- [[ACTIVE]]\n- [[CHALLENGE]]\n- [[DASHBOARD]]\n- [[H001]]\n"
_CREATED = 'created: "2026-01-01"\ntags: []\n'


def run(place: Place) -> list[Row]:
    """Measure a record of a tenth and the whole one; the peer on as much as it can do."""
    large = place.size(10_000, 2_000)
    small = large // 10
    record = _record(place, small)
    cases = {
        "small": Case(lambda: [place.aexp, "validate"], record),
        "large": Case(lambda: [place.aexp, "validate"], _record(place, large)),
        "pinned": Case(lambda: [place.aexp, "validate"], _record(place, large, pinned=True)),
    }
    costs = interleaved(cases, place.size(5, 3))
    whole, tenth = costs["large"], costs["small"]
    growth = (whole.cpu_s / large) / (tenth.cpu_s / small)
    against = f"per entry of {small:,}"
    rows = [Row(f"{_what(large)}: per entry", against, whole, tenth, growth, "<= 1.5")]
    pinned = costs["pinned"]
    ratio = pinned.cpu_s / whole.cpu_s
    rows.append(Row(f"{_what(large)}, all pinned", "not pinned", pinned, whole, ratio, "<= 1.5"))
    if place.peer:
        rows.append(_against_the_peer(place.aexp, place.peer, record, small))
    return rows


def _against_the_peer(aexp: str, peer: str, record: Path, size: int) -> Row:
    cases = {
        "ours": Case(lambda: [aexp, "validate"], record),
        "peer": Case(lambda: [peer, "validate"], record),
    }
    costs = interleaved(cases, 1, warm=False)
    note = "a tenth of the size: its work grows with citations times entries"
    return compare(_what(size), costs["ours"], "the peer", costs["peer"], ">= 5", note=note)


def _what(size: int) -> str:
    return f"validate, {size:,} entries, {size // 5:,} runs, {size:,} batch citations"


def _record(place: Place, size: int, *, pinned: bool = False) -> Path:
    """Make a record without fault: `size` entries, a fifth as many runs, as many citations."""
    repo = place.folder(f"validate-{size}" + "-pinned" * pinned)
    (repo / ".git").mkdir(parents=True)
    _write(repo, ".runs/.signac/config", "schema_version = 2\n")
    _write(repo, ".aexp/installed.json", '{"run_store_path": ".runs", "machine_label": "bench"}\n')
    for name, headings in _PAGES.items():
        head = f'---\naliases: ["{Path(name).stem}"]\n---\n\n# Page\n'
        _write(repo, name, f"{head}{_sections(headings)}{_PAGE_LINKS}")
    findings = [f"F{number:03}" for number in range(1, size // _CITATIONS + 1)]
    parents = 'hypothesis: "H001"\nexperiment: "E001"\nimpact: HIGH\n'
    _note(repo, "hypothesis", "H001", "status: TESTING\n", ["E001", *findings])
    _note(repo, "experiment", "E001", 'status: RUNNING\nhypothesis: "H001"\n', ["H001", *findings])
    digests = _runs(repo, size)
    for number, artifact_id in enumerate(findings):
        cited = "".join(
            f"  - {{type: batch, experiment_id: E001, selector: {{condition: c{condition}}}"
            + (f", digest: '{digests[condition]}'}}\n" if pinned else "}\n")
            for condition in _conditions(number, size)
        )
        more = f"{parents}supporting_runs:\n{cited}"
        _note(repo, "finding", artifact_id, more, ["H001", "E001"])
    return repo


def _conditions(number: int, size: int) -> list[int]:
    count = size // _SEEDS
    return [(number * _CITATIONS + offset) % count for offset in range(_CITATIONS)]


def _runs(repo: Path, size: int) -> list[str]:
    """Write entries and runs; return the digest of each batch (docs/findings.md)."""
    lines: list[list[str]] = [[] for _ in range(size // _SEEDS)]
    for number in range(size):
        sp = {**store.state_point(number % _SEEDS), "condition": f"c{number // _SEEDS}"}
        document = store.ended_document(number)
        job_id = store.job_id(sp)
        entry = {
            "schema_version": 1,
            "job_id": job_id,
            "statepoint": sp,
            "status": "complete",
            "promoted_at": document["ended_at"],
            "registered_machine": "bench",
            "run_link": document["aexp"],
            "ended_at": document["ended_at"],
            "metrics": {"accuracy": number / size},
        }
        text = json.dumps(entry, indent=2, sort_keys=True) + "\n"
        _write(repo, f".aexp/ledger/{job_id}.json", text)
        evidence = {k: v for k, v in entry.items() if k not in _NOT_PINNED}
        bare = json.dumps(evidence, indent=2, sort_keys=True) + "\n"
        lines[number // _SEEDS].append(f"{job_id} {_sha256(bare)}\n")
        if number < size // 5:
            folder = f".runs/workspace/{job_id}"
            _write(repo, f"{folder}/signac_statepoint.json", json.dumps(sp))
            _write(repo, f"{folder}/signac_job_document.json", json.dumps(document))
    return [_sha256("".join(sorted(one))) for one in lines]


def _sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _note(repo: Path, kind: str, artifact_id: str, fields: str, links: list[str]) -> None:
    head = f'id: "{artifact_id}"\naliases: ["{artifact_id}"]\ntype: {kind}\n{fields}{_CREATED}'
    body = f"# {artifact_id} — A title\n{_sections(_HEADINGS[kind])}"
    listed = "".join(f"- [[{name}]]\n" for name in (*links, "ACTIVE", "CHALLENGE"))
    text = f"---\n{head}---\n\n{body}{listed}"
    _write(repo, f"kb/research/{_FOLDERS[kind]}/{artifact_id}-a-title.md", text)


def _sections(headings: str) -> str:
    sections = "".join(f"\n## {heading}\n\nText.\n" for heading in headings.split(","))
    return f"{sections}\n## Links\n\n"


def _write(repo: Path, name: str, text: str) -> None:
    path = repo / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
