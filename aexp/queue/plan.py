"""Plan what adding configurations to the queue means, and carry the plan out."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aexp.campaigns.write import Join, check_order, joining, open_campaign
from aexp.errors import AexpError, UsageError
from aexp.execution.render import render_runner_command
from aexp.files import remove, write_atomic
from aexp.git import code_state, diff_summary, working_tree_patch
from aexp.kb.conditions import CONDITION_DIGEST, Resolver
from aexp.kb.experiments import load_experiment
from aexp.ledger.entries import load_ledger_entry
from aexp.model import (
    CREATED,
    PROVENANCE_KEYS,
    QUEUED,
    RUNNING,
    TERMINAL_STATUSES,
    Run,
    check_tag,
    short,
    utc_now,
)
from aexp.paths import CODE_PATCH, Repo
from aexp.preregistration.register import Registrar
from aexp.queue.origin import Origins
from aexp.queue.settings import SETTINGS, QueueOptions, check_parents, settings_of
from aexp.runs.again import requeue
from aexp.runs.create import base_state_point, check_state_point, publish_run, run_link
from aexp.runs.document import block_of
from aexp.runs.earlier import known_entry
from aexp.runs.status import next_sequence
from aexp.runs.store import compute_job_id, read_run, scan_status
from aexp.runs.variation import variation_key

NEW = "new"
DUPLICATE = "duplicate"
AGAIN = "again"
IS_RUNNING = "running"
KEPT = "kept"
PREREGISTRATION = "preregistration"


class Planned(NamedTuple):
    """One configuration and what adding it means.

    Attributes
    ----------
    job_id : str
        The run that stands for it; for a duplicate, the one that is queued already.
    action : str
        ``new``, ``duplicate``, ``again`` (it had ended), ``running`` or ``kept``.
    sp : dict
        Its whole state point.
    note : str
        Why nothing is done, or what it was before.
    """

    job_id: str
    action: str
    sp: dict[str, Any]
    note: str = ""


class AddPlan(NamedTuple):
    """Everything that one ``queue add`` will do, before it does it.

    Attributes
    ----------
    runs : list of Planned
        In the order of the sweep.
    command : str or None
        Rendered command of the first run, None when there is none.
    warnings : list of str
        What the user should know.
    """

    runs: list[Planned]
    command: str | None
    warnings: list[str]

    def count(self, action: str) -> int:
        """Return how many runs have an action."""
        return sum(run.action == action for run in self.runs)


class Adder:
    """One ``queue add``: `plan` decides, `carry_out` writes."""

    def __init__(self, repo: Repo, experiment_id: str, options: QueueOptions) -> None:
        self.repo = repo.require_store()
        self.options = options
        self.experiment = load_experiment(repo, experiment_id)
        if options.tag is not None:
            check_tag(options.tag)
        self._campaign = open_campaign(repo, options.campaign) if options.campaign else None
        self._resolver = Resolver(self.experiment, resolve_conditions=options.resolve_conditions)
        self._code = code_state(repo) if options.include_commit else None
        self._base = base_state_point(
            experiment_id,
            hypothesis_id=options.hypothesis_id or self.experiment.hypothesis_id,
            sub_hypothesis_id=options.sub_hypothesis_id,
            code=self._code,
        )
        self._parents = check_parents(repo, options.after)
        self._settings = settings_of(self.experiment, options, self._parents)
        self._origins = Origins(repo, options.wait_for_origin)
        self._registrar = Registrar(
            repo,
            self.experiment.path if PREREGISTRATION in self.experiment.meta else None,
            use_sidecar=options.sidecar,
            agent_mode=options.agent_mode,
        )
        self._registered: dict[str, dict[str, Any]] = {}

    def plan(self, configurations: Iterable[Mapping[str, Any]]) -> AddPlan:
        """Decide what adding these configurations means; nothing is written.

        Raises
        ------
        AexpError
            If any of them cannot be queued: then none is.
        """
        pending = self._pending()
        template = self.options.command or self.experiment.runner_command
        runs: list[Planned] = []
        seen: dict[str, str] = {}
        notes: list[str] = []
        for given in configurations:
            sp = {**self._base, **self._resolver.state_point(given)}
            self._origins.settle(sp)
            check_state_point(sp)
            job_id = compute_job_id(sp)
            if job_id in seen:
                runs.append(Planned(job_id, DUPLICATE, sp, "given twice"))
                continue
            seen[job_id] = job_id
            command = None if template is None else render_runner_command(template, sp, job_id)
            runs.append(self._classify(job_id, sp, pending))
            if runs[-1].action in (NEW, AGAIN):
                notes += self._register(job_id, command, notes)
        self._check_cycles(runs)
        if self._campaign is not None:
            check_order(self.repo, self._campaign, [planned.job_id for planned in runs])
        command = None
        if template is None:
            notes.append(
                f"experiment {self.experiment.experiment_id} has no runner_command; "
                "the runs cannot be executed before it has one"
            )
        elif runs:
            command = render_runner_command(template, runs[0].sp, runs[0].job_id)
        return AddPlan(runs, command, notes)

    def _register(self, job_id: str, command: str | None, known: Sequence[str]) -> list[str]:
        """Freeze what a run is registered with; return what there is to say, once."""
        found = self._registrar.of_command(command)
        if found.record is not None:
            self._registered[job_id] = {PREREGISTRATION: found.record}
        return [warning for warning in found.warnings if warning not in known]

    def _settings_of(self, planned: Planned) -> dict[str, Any]:
        """Return what is written about one run when it is queued."""
        condition = self._resolver.condition_digest(planned.sp)
        frozen = {} if condition is None else {CONDITION_DIGEST: condition}
        return {**self._settings, **self._registered.get(planned.job_id, {}), **frozen}

    def _pending(self) -> dict[str, str]:
        """Return the queued runs of this experiment and tag by configuration modulo commit."""
        if self.options.allow_dup_on_recommit:
            return {}
        return {
            _configuration_key(run.sp): run.job_id
            for run in scan_status(self.repo, frozenset({QUEUED}))
            if run.experiment_id == self.experiment.experiment_id and run.tag == self.options.tag
        }

    def _classify(self, job_id: str, sp: dict[str, Any], pending: Mapping[str, str]) -> Planned:
        if self.options.skip_finished:
            entry = load_ledger_entry(self.repo, job_id)
            if entry is not None:
                machine = entry.get("registered_machine") or "another machine"
                return Planned(job_id, KEPT, sp, f"is {entry['status']} on {machine}; kept")
        twin = pending.get(_configuration_key(sp))
        if os.path.isdir(self.repo.run_dir(job_id)):
            run = read_run(self.repo, job_id)
            if run.status == QUEUED and (run.tag == self.options.tag or twin is None):
                tag = f" under tag {run.tag}" if run.tag else ""
                return Planned(job_id, DUPLICATE, sp, f"queued already{tag}")
            if run.status == RUNNING:
                return Planned(job_id, IS_RUNNING, sp, "is running; nothing was changed")
            if run.is_terminal and self.options.skip_finished:
                return Planned(job_id, KEPT, sp, f"is {run.status}; kept")
            if run.is_terminal:
                return Planned(job_id, AGAIN, sp, f"was {run.status}")
            if run.status != QUEUED:
                return Planned(job_id, NEW, sp, "was created before")
        if twin is not None:
            return Planned(twin, DUPLICATE, sp, "queued already from another commit")
        return Planned(job_id, NEW, sp)

    def _check_cycles(self, runs: Sequence[Planned]) -> None:
        if not self._parents:
            return
        ancestors: set[str] = set()
        frontier = list(self._parents)
        while frontier:
            parent = frontier.pop()
            if parent in ancestors:
                continue
            ancestors.add(parent)
            try:
                frontier += read_run(self.repo, parent).after
            except AexpError:
                continue
        for planned in runs:
            if planned.job_id in ancestors:
                raise UsageError(
                    f"run {short(planned.job_id)} would have to wait for itself",
                    "leave it out of --after",
                )

    def carry_out(self, plan: AddPlan) -> list[Planned]:
        """Write the plan; every run appears whole or not at all."""
        if self._campaign is None:
            return self._carry_out(plan, None)
        with joining(self.repo, self._campaign.campaign_id) as join:
            return self._carry_out(plan, join)

    def _carry_out(self, plan: AddPlan, join: Join | None) -> list[Planned]:
        summary, patch = self._uncommitted()
        sequence = next_sequence()
        done: list[Planned] = []
        for offset, planned in enumerate(plan.runs):
            done.append(self._write(planned, sequence + offset, summary, patch))
            if join is not None:
                join.add(planned.job_id)
        return done

    def _write(
        self, planned: Planned, sequence: int, summary: dict[str, Any] | None, patch: bytes | None
    ) -> Planned:
        if planned.action not in (NEW, AGAIN):
            return planned
        now = utc_now()
        settings = self._settings_of(planned)
        settings.update(self._origins.parents(planned.sp, self._parents))
        queue: dict[str, Any] = {"queued_at": now}
        for key, value in (
            ("tag", self.options.tag),
            ("runner_hint", self.options.runner_hint),
            ("runner_command_override", self.options.command),
            ("code_diff_summary", summary),
        ):
            if value is not None:
                queue[key] = value
        doc: dict[str, Any] = {
            "aexp": run_link(
                self.experiment.experiment_id,
                hypothesis_id=self._base.get("hypothesis_id"),
                sub_hypothesis_id=self._base.get("sub_hypothesis_id"),
            ),
            "status": QUEUED,
            "created_at": now,
            "queue": queue,
            "aexp_run": {
                "sequence": sequence,
                "variation": variation_key(planned.sp, self.experiment.variation_ignore),
                **settings,
            },
        }
        pulled = load_ledger_entry(self.repo, planned.job_id)
        if pulled is not None:  # it has run elsewhere: its entry stays until a new one is made
            doc["aexp_run"]["superseded"] = pulled
            doc["aexp_run"]["known_entry"] = known_entry(pulled)
        files = {} if patch is None else {CODE_PATCH: self._shared_patch(patch)}
        if publish_run(self.repo, planned.job_id, planned.sp, doc, files):
            return planned
        return self._queue_existing(planned, sequence, queue, settings, patch)

    def _queue_existing(
        self,
        planned: Planned,
        sequence: int,
        queue: dict[str, Any],
        settings: dict[str, Any],
        patch: bytes | None,
    ) -> Planned:
        """Queue a run that has ended, or was created and never queued, with new settings."""
        run = read_run(self.repo, planned.job_id)
        if run.status not in TERMINAL_STATUSES | {CREATED}:
            return planned._replace(action=DUPLICATE, note=f"is {run.status} already")

        def change(run: Run) -> None:
            record = block_of(run.doc, "aexp_run")  # in place: `requeue` edits the same block
            for key in SETTINGS:
                if key != "tracker" or self.options.tracker is not None or self.experiment.tracker:
                    record.pop(key, None)  # a run that was bound by itself stays so
            for key in (PREREGISTRATION, CONDITION_DIGEST):
                record.pop(key, None)
            record.update(settings)
            run.doc["queue"] = {**run.queue, **queue}
            if self.options.command is None:
                run.doc["queue"].pop("runner_command_override", None)
            self._replace_patch(planned.job_id, patch, len(run.attempts))

        requeue(self.repo, planned.job_id, sequence=sequence, change=change)
        return planned

    def _uncommitted(self) -> tuple[dict[str, Any] | None, bytes | None]:
        if self._code is None or not self._code.dirty:
            return None, None
        return diff_summary(self.repo), working_tree_patch(self.repo)

    def _shared_patch(self, patch: bytes) -> str:
        """Write the uncommitted changes once for the whole batch; return the file's path."""
        from hashlib import sha256

        shared = self.repo.cache("patches", sha256(patch).hexdigest()[:32] + ".patch")
        if not os.path.exists(shared):
            write_atomic(shared, patch)
        return shared

    def _replace_patch(self, job_id: str, patch: bytes | None, attempts: int) -> None:
        """Keep the patch of the earlier queueing, named after the attempts it stands for."""
        target = self.repo.run_file(job_id, CODE_PATCH)
        if attempts and os.path.exists(target):
            earlier = self.repo.run_file(job_id, f"code.until-attempt-{attempts}.patch")
            if os.path.exists(earlier):  # an add that was killed here has come so far
                remove(target)
            else:
                os.replace(target, earlier)
        if patch is not None:
            write_atomic(target, patch)


def _configuration_key(sp: Mapping[str, Any]) -> str:
    return json.dumps(
        {key: value for key, value in sp.items() if key not in PROVENANCE_KEYS}, sort_keys=True
    )
