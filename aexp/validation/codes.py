"""The one table of what validation can say; docs/validate.md is kept equal to it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Code(NamedTuple):
    """What one code stands for.

    Attributes
    ----------
    severity : str
        ``error`` or ``warning``.
    trigger : str
        When it is reported.
    mend : str
        What to do about it.
    follows_strict_runs : bool
        Whether ``--strict-runs=warn`` makes it a warning and ``off`` leaves it out.
    """

    severity: Literal["error", "warning"]
    trigger: str
    mend: str
    follows_strict_runs: bool = False


CODES: Mapping[str, Code] = {
    "aexp.not_installed": Code(
        "error",
        "there is no kb, no run store, no ledger and no runs index: nothing could be checked",
        "go to the right folder, or run `aexp install`",
    ),
    "aexp.validator_unavailable": Code(
        "error",
        "a check could not be carried out; the others were",
        "do what the message says; if it names a defect, please report it",
    ),
    "kb.missing_file": Code(
        "error",
        "`kb/research/`, `kb/ACTIVE.md` or `kb/mission/CHALLENGE.md` is missing",
        "run `aexp install`; it writes what is missing and leaves the rest alone",
    ),
    "kb.frontmatter": Code(
        "error",
        "a note cannot be read: not UTF-8, no valid YAML mapping, a key given twice, nested or "
        "expanding without bound, or a link that leaves the repository",
        "mend the file at the line named",
    ),
    "kb.filename": Code(
        "error",
        "a file in a folder of artifacts is not called `X###-slug.md` with that folder's letter",
        "rename it, or move it elsewhere",
    ),
    "kb.duplicate_id": Code(
        "error", "two files carry the same id", "give one of them the next free id"
    ),
    "kb.id_mismatch": Code(
        "error",
        "the frontmatter's `id` is not the file name's",
        "make the two equal",
    ),
    "kb.alias_missing": Code(
        "error",
        "the frontmatter's `aliases` do not hold the artifact's own id",
        "add it: `aliases: [F001]`",
    ),
    "kb.alias_conflict": Code(
        "error",
        "two notes claim one name, so that a link to it is ambiguous",
        "remove the alias from one of them",
    ),
    "kb.metadata": Code(
        "error",
        "a required field is given neither in the frontmatter nor in the `> **Field**:` lines",
        "add it",
    ),
    "kb.reference": Code(
        "error",
        "a field that names another artifact names the wrong kind or none that exists, or a "
        "finding's hypothesis is not its experiment's",
        "correct the id, or write the missing artifact",
    ),
    "kb.status_unknown": Code(
        "warning",
        "a `status` is none of its kind's words",
        "use one of the words that the message lists",
    ),
    "kb.conditions": Code(
        "error",
        "an experiment's `conditions` are not names with mappings of JSON values",
        "write `conditions: {full: {model: base}}`",
    ),
    "kb.run_settings": Code(
        "error",
        "an experiment's `parameters`, `runner_command`, `prelude`, `retries`, `max_faults`, "
        "`max_preemptions`, `timeout`, `resources`, `code`, `inputs`, `outputs`, `checkpoints` or "
        "`variation_ignore` cannot be understood",
        "write it as the message says",
    ),
    "kb.preregistration": Code(
        "error",
        "a key of an experiment's `preregistration` says nothing that can be understood",
        "mend it at the line named, see [preregistration.md](preregistration.md)",
    ),
    "kb.tracker": Code(
        "error",
        "an experiment's `tracker` cannot be understood, or its adapter refuses the settings",
        "write it as the message says; `docs/trackers.md` has the settings",
    ),
    "kb.tracker_unknown": Code(
        "warning",
        "no package installed here provides an experiment's `tracker`, or its adapter cannot be "
        "used: the settings were not checked",
        "correct the `backend` (`aexp trackers list` shows them), or install the adapter's package",
    ),
    "kb.missing_heading": Code(
        "error",
        "a note lacks a `## ` heading of its template",
        "add the heading; its section may say that there is nothing to say yet",
    ),
    "kb.links_missing": Code(
        "error",
        "a note has no `## Links` section, or one without a link",
        "add `## Links` with `- [[H001]]` lines",
    ),
    "kb.link_target": Code("error", "a `[[link]]` names no note", "correct it, or write the note"),
    "kb.link_required": Code(
        "error",
        "`## Links` does not link the artifact's parents, or `ACTIVE`",
        "add the line that the message names",
    ),
    "kb.backlink": Code(
        "error",
        "a parent does not link back to its child",
        "add the line that the message names to the parent's `## Links`",
    ),
    "kb.scope": Code(
        "error",
        "a file given to `aexp validate FILE` is no note of this repository's kb",
        "give a markdown file below `kb/`",
    ),
    "run.unreadable": Code(
        "error",
        "a run has no state point, or its state point or document is no JSON object",
        "restore the file from git or a backup, or remove the run's folder",
    ),
    "run.store_unreadable": Code(
        "error",
        "the run store's workspace cannot be listed",
        "mend its permissions, or run `aexp install`",
    ),
    "run.status_invalid": Code(
        "error",
        "a run's status is none of the seven status words",
        "write one of them into the `status` of the file named, or restore the file from git",
    ),
    "run.orphan": Code(
        "error",
        "a run has no link to an experiment (ad-hoc runs need none)",
        "`aexp link ID --experiment E###`",
    ),
    "run.broken_experiment_link": Code(
        "error",
        "a run's link names no experiment, one that does not exist, or one that two files claim",
        "write the experiment, or `aexp link ID --experiment E###`",
    ),
    "run.hypothesis_mismatch": Code(
        "error",
        "a run's hypothesis is neither its experiment's nor one of its `sub_hypotheses`",
        "`aexp link ID --experiment E###`, or correct the experiment",
    ),
    "run.sub_hypothesis_unlisted": Code(
        "error",
        "a run's sub-hypothesis is not among its experiment's `sub_hypotheses`",
        "add it to the experiment's frontmatter",
    ),
    "ledger.corrupt_entry": Code(
        "error",
        "a file named like a ledger entry is none: no JSON object, another run's, without an "
        "ended status, without the state point whose hash its id is, or a link; it satisfies no "
        "citation",
        "restore it from git, or `aexp ledger promote ID` where the run is",
    ),
    "ledger.foreign_file": Code(
        "warning",
        "a file in the ledger's folder is not called `<run id>.json`",
        "move it elsewhere: only entries belong there",
    ),
    "index.corrupt": Code(
        "warning",
        "a runs-index file, or some of its entries, cannot be read; it satisfies no citation",
        "on its machine: `aexp ledger backfill`, then remove the index file",
    ),
    "campaign.corrupt": Code(
        "error",
        "a file below `.aexp/campaigns/` cannot be read, or is not what its name says; it and "
        "no other file is left out",
        "restore it: `git checkout -- FILE`; in a merge conflict take one side",
    ),
    "campaign.edited": Code(
        "warning",
        "what a campaign was to find out, or how it ended, was changed after it had been committed",
        "see `git log -p -- FILE`; restore it, and say what is new in a campaign with `--parent`",
    ),
    "campaign.parent": Code(
        "warning",
        "a campaign follows from one that is not there",
        "bring it back from git, or from the clone that has it",
    ),
    "campaign.late": Code(
        "warning",
        "a run was added to a campaign in another clone after it had been concluded",
        "remove that file, or make a new campaign that follows from this one",
    ),
    "campaign.lost": Code(
        "error",
        "a run that a campaign was concluded with has lost its file in `runs/`",
        "restore it from git",
    ),
    "campaign.unknown_run": Code(
        "error",
        "a run of a concluded campaign is in no ledger entry, local store or runs index",
        "`aexp ledger backfill` and commit on the machine that has it; `git pull` here",
    ),
    "finding.broken_run_citation": Code(
        "error",
        "an item of `supporting_runs` is no citation (always an error), or names a run that is "
        "in no ledger entry, local store or runs index (as `--strict-runs` says)",
        "correct the id; or, where the run is: `aexp ledger backfill`, commit, push; then pull",
        follows_strict_runs=True,
    ),
    "finding.empty_batch": Code(
        "error",
        "a batch citation matches no run of the ledger, the local store or a runs index",
        "`aexp list-batches` shows what there is; else as above",
        follows_strict_runs=True,
    ),
    "finding.absent_run_citation": Code(
        "warning",
        "a cited run is known from a runs index only; not with `--strict-runs=off`",
        "on the machine it names: `aexp ledger backfill`, commit, push; then pull",
    ),
    "finding.absent_batch_runs": Code(
        "warning",
        "a batch citation matches entries of a runs index only, or may match entries that do "
        "not hold the key it asks for; not with `--strict-runs=off`",
        "on the machine it names: `aexp ledger backfill`, commit, push; then pull",
    ),
    "finding.no_run_store": Code(
        "warning",
        "there is no ledger entry, no run store and no runs index (reported once): whether "
        "cited runs exist was not checked",
        "pull the ledger, or `aexp ledger backfill` on the machine that has the runs",
    ),
    "finding.malformed_claim": Code(
        "error",
        "an item of `claims` does not follow the grammar; its numbers are not checked",
        "write it as the message says; the grammar is in docs/findings.md",
    ),
    "finding.claim_mismatch": Code(
        "error",
        "a claim is not what its cited runs give; the message has both numbers",
        "correct the claim, or the citation; `aexp finding check F###` shows the table",
    ),
    "finding.claim_unchecked": Code(
        "warning",
        "a claim could not be checked in full: cited runs are not known here (whatever "
        "`--strict-runs` says), or an interval needs SciPy",
        "pull the ledger; `pip install 'aexp[stats]'` for intervals",
    ),
    "finding.incomplete_batch": Code(
        "warning",
        "of a sweep that a finding cites, a seed is missing, failed, not finished, or complete "
        "but left out of the citation",
        "run or retry the seed, or cite the whole batch: `aexp finding cite F### --batch E###`",
    ),
    "finding.dirty_run": Code(
        "warning",
        "a cited run's code had changes that were not committed",
        "commit, and run it again",
    ),
    "finding.mixed_commits": Code(
        "warning",
        "the cited runs of one experiment come from several commits",
        "run them again from one commit, or add `code_commit` to the selector",
    ),
    "finding.superseded_run": Code(
        "warning",
        "a cited run was queued again, attempted again with another outcome, or repeated later "
        "by a run that is not cited and tells otherwise",
        "cite the later run; or pin what you have seen: `aexp finding cite F### --job ID --pin`",
    ),
    "finding.entry_changed": Code(
        "error",
        "the entries behind a citation are not those whose digest it pins",
        "read what changed (`git log .aexp/ledger`), check the finding, then pin again: "
        "`aexp finding cite F### --job ID --pin`",
    ),
}
