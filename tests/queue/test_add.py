"""What `queue add` puts into the queue, and what it refuses."""

import json
import shlex
from typing import Any

import pytest

import aexp
from aexp.errors import AexpError, ParameterError, SweepSyntaxError, UsageError


def listed(research: Any, *more: str) -> list[dict[str, Any]]:
    return research.json("queue", "list", *more)


def seeds(research: Any, *more: str) -> list[Any]:
    return [entry["sp"]["seed"] for entry in listed(research, *more)]


def test_the_queue_keeps_the_order_of_the_sweep(research: Any) -> None:
    ids = research.add("condition=full|cls,seed=0..5")
    entries = listed(research)
    assert [entry["job_id"] for entry in entries] == ids
    assert [(e["sp"]["condition"], e["sp"]["seed"]) for e in entries] == [
        (condition, seed) for condition in ("full", "cls") for seed in range(6)
    ]
    assert ids != sorted(ids), "this order would also be the order of the hashes"


def test_later_adds_come_later_also_within_one_second(research: Any) -> None:
    for seed in (5, 3, 4, 1):
        research.one(f"seed={seed}")
    assert seeds(research) == [5, 3, 4, 1]


def test_conditions_are_frozen_when_the_run_is_queued(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    path = research.experiment("echo {model} {lr}")
    path.write_text(path.read_text().replace("model: base", "model: EDITED"))
    (entry,) = listed(research)
    assert entry["sp"]["model"] == "base"
    assert entry["sp"]["lr"] == 0.1
    assert research.aexp("run-queued", job_id).stdout == "base 0.1\n"
    statepoint = json.loads((research.workspace(job_id) / "signac_statepoint.json").read_text())
    assert statepoint["model"] == "base"


def test_the_users_keys_win_over_the_condition(research: Any) -> None:
    job = aexp.add_to_queue(
        experiment_id="E001",
        statepoint={"condition": "full", "lr": 0.7, "seed": 1},
        repo_root=research.root,
    )
    assert job.sp.lr == 0.7
    assert job.sp.model == "base"


def test_no_resolve_keeps_a_bare_label(research: Any) -> None:
    job_id = research.one("condition=full,seed=0", "--no-resolve")
    (entry,) = listed(research)
    assert entry["job_id"] == job_id
    assert "model" not in entry["sp"]


def test_an_unknown_condition_is_named_with_the_known_ones(research: Any) -> None:
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "condition=ful", rc=2)
    assert "'ful'" in done.stderr
    assert "full, cls" in done.stderr
    assert listed(research) == []


def test_ids_are_those_of_signac(research: Any) -> None:
    job = aexp.add_to_queue(
        experiment_id="E001", statepoint={"seed": 0, "lr": 0.5}, repo_root=research.root
    )
    assert job.id == aexp.get_run_store(research.root).open_job(job.statepoint()).id
    assert list(job.statepoint())[:4] == [
        "experiment_id",
        "hypothesis_id",
        "code_commit",
        "code_dirty",
    ]


def test_zip_exclude_and_a_product_together(research: Any) -> None:
    research.aexp(
        "queue", "add", "--experiment", "E001",
        "--sp", "note=x",
        "--sweep", "seed=0..1",
        "--zip", "size=1|2|3, width=8|16|32",
        "--exclude", "seed=1,size=2",
    )  # fmt: skip
    found = [(e["sp"]["seed"], e["sp"]["size"], e["sp"]["width"]) for e in listed(research)]
    assert found == [(0, 1, 8), (1, 1, 8), (0, 2, 16), (0, 3, 32), (1, 3, 32)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("grid.yaml", "- {seed: 1, lr: 0.1}\n- {seed: 2, lr: 1e-2}\n"),
        ("grid.csv", "seed,lr\n1,0.1\n2,0.01\n"),
        ("grid.json", '[{"seed": 1, "lr": 0.1}, {"seed": 2, "lr": 0.01}]'),
    ],
)
def test_a_sweep_file_has_one_run_per_row(research: Any, name: str, text: str) -> None:
    (research.root.parent / name).write_text(text)
    research.aexp(
        "queue", "add", "--experiment", "E001", "--sweep-file", f"../{name}", "--no-commit"
    )
    assert [(e["sp"]["seed"], float(e["sp"]["lr"])) for e in listed(research)] == [
        (1, 0.1),
        (2, 0.01),
    ]


def test_a_sweep_can_come_from_stdin(research: Any) -> None:
    research.aexp(
        "queue",
        "add",
        "--experiment",
        "E001",
        "--sweep-file",
        "-",
        "--sweep-format",
        "csv",
        input="seed\n7\n8\n",
    )
    assert seeds(research) == [7, 8]


def test_types_of_plain_text_and_json_values(research: Any) -> None:
    research.aexp(
        "queue", "add", "--experiment", "E001",
        "--sp", 'a=1,b=0.1,c=true,d:=true,e:=[1,2],f:={"x":null}',
        "--sweep", "lr:=0.1|0.01",
    )  # fmt: skip
    sp = listed(research)[0]["sp"]
    assert [sp[key] for key in "abcdef"] == [1, "0.1", "true", True, [1, 2], {"x": None}]
    assert [entry["sp"]["lr"] for entry in listed(research)] == [0.1, 0.01]


def test_fixed_and_swept_integers_are_the_same_run(research: Any) -> None:
    job_id = research.one("seed=0")
    again = research.json("queue", "add", "--experiment", "E001", "--sweep", "seed=0..0")
    assert [(run["job_id"], run["action"]) for run in again["runs"]] == [(job_id, "duplicate")]


SCHEMA = """parameters:
  seed: {type: int}
  lr: {type: float, default: 0.1}
  optimizer: {type: str, choices: [adam, sgd], default: adam}
"""


def test_a_parameter_schema_types_checks_and_completes(research: Any) -> None:
    research.experiment("echo {seed}", SCHEMA)
    research.one("seed=3,lr=0.5")
    (entry,) = listed(research)
    assert entry["sp"]["lr"] == 0.5
    assert entry["sp"]["optimizer"] == "adam"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--sweep", "seed=0..3,optimzer=adam"), "optimzer"),
        (("--sweep", "seed=0|one"), "seed"),
        (("--sp", "seed=0,optimizer=rmsprop"), "rmsprop"),
    ],
)
def test_a_schema_error_stops_the_whole_sweep_before_anything_is_written(
    research: Any, arguments: tuple[str, ...], word: str
) -> None:
    research.experiment("echo {seed}", SCHEMA)
    before = research.tree()
    done = research.aexp("queue", "add", "--experiment", "E001", *arguments, rc=2)
    assert word in done.stderr
    assert research.tree() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sweep", "seed"),
        ("--sweep", "seed=3..0"),
        ("--sweep", "seed=0..1,seed=2"),
        ("--sweep", "lr:=0.1|oops"),
        ("--sp", "a.b=1"),
        ("--sp", "=1"),
        ("--sp", "seed=0", "--sweep", "seed=0..3"),
        ("--zip", "a=1|2,b=1"),
        ("--sp", "experiment_id=E777"),
        ("--sp", "code_dirty=1"),
        ("--sweep-file", "nowhere.yaml"),
        ("--sp", "seed=0", "--resources", "memory=3"),
        ("--sp", "seed=0", "--timeout", "soon"),
        ("--sp", "seed=0", "--retries", "-1"),
        ("--sp", "seed=0", "--tag", "two\nlines"),
        ("--sp", "seed=0", "--tag", ""),
        ("--sp", "seed=0", "--hypothesis", "BAD"),
        ("--sp", "seed=0", "--sub-hypothesis", "BAD"),
        ("--sp", "seed=0", "--after", "zzz"),
    ],
)
def test_a_malformed_call_writes_nothing(research: Any, arguments: tuple[str, ...]) -> None:
    before = research.tree()
    done = research.aexp("queue", "add", "--experiment", "E001", *arguments, rc=2)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    assert research.tree() == before


def test_one_bad_row_of_many_queues_none(research: Any) -> None:
    research.experiment("echo '{note}'")
    before = research.tree()
    with pytest.raises(AexpError, match="note"):
        aexp.add_many_to_queue(
            experiment_id="E001",
            rows=[{"note": "fine"}, {"note": "it's"}],
            repo_root=research.root,
        )
    assert research.tree() == before


def test_the_api_raises_the_errors_it_documents(research: Any) -> None:
    with pytest.raises(SweepSyntaxError):
        aexp.add_many_to_queue(experiment_id="E001", sweep="seed", repo_root=research.root)
    with pytest.raises(ParameterError):
        aexp.add_to_queue(experiment_id="E001", statepoint={"a.b": 1}, repo_root=research.root)
    with pytest.raises(ParameterError):
        aexp.add_to_queue(experiment_id="E001", statepoint={"x": object()}, repo_root=research.root)
    with pytest.raises(UsageError):
        aexp.add_many_to_queue(
            experiment_id="E001",
            base_sp={"seed": 1},
            sweep={"seed": [1, 2]},
            repo_root=research.root,
        )
    with pytest.raises(TypeError, match="priorty"):
        aexp.add_to_queue(experiment_id="E001", priorty=3, repo_root=research.root)
    assert aexp.list_queue(repo_root=research.root) == []


def test_a_mapping_sweeps_in_its_written_order(research: Any) -> None:
    jobs = aexp.add_many_to_queue(
        experiment_id="E001",
        sweep={"lr": [0.1, 0.01], "seed": [1, 0]},
        repo_root=research.root,
    )
    assert [(job.sp.lr, job.sp.seed) for job in jobs] == [
        (0.1, 1),
        (0.1, 0),
        (0.01, 1),
        (0.01, 0),
    ]
    assert [entry.job_id for entry in aexp.list_queue(repo_root=research.root)] == [
        job.id for job in jobs
    ]


def test_options_are_recorded_with_the_run(research: Any) -> None:
    job_id = research.one(
        "seed=0", "--retries", "2", "--timeout", "15m", "--priority", "7", "--tag", "paper",
        "--resources", "mem_mb=8000*2,runtime=120,gpus=1,partition=short",
        "--runner-hint", "slurm", "--hypothesis", "H007", "--sub-hypothesis", "H008",
    )  # fmt: skip
    shown = research.json("show-run", job_id)
    assert shown["retries"] == 2
    assert shown["timeout_s"] == 900.0
    assert shown["tag"] == "paper"
    assert shown["resources"] == {
        "mem_mb": {"start": 8000, "scale": 2.0},
        "runtime": 120,
        "gpus": 1,
        "partition": "short",
    }
    assert shown["hypothesis_id"] == "H007"
    doc = research.doc(job_id)
    assert doc["aexp_run"]["priority"] == 7
    assert doc["queue"]["runner_hint"] == "slurm"
    assert doc["aexp"] == {
        "experiment_id": "E001",
        "experiment_path": "kb/research/experiments/E001-*.md",
        "hypothesis_id": "H007",
        "sub_hypothesis_id": "H008",
    }


def test_defaults_of_the_experiment_and_what_overrides_them(research: Any) -> None:
    research.experiment(
        "echo {seed}", "retries: 3\ntimeout: 2h\nresources: {mem_mb: 100, runtime: 5}\n"
    )
    plain = research.json("show-run", research.one("seed=0"))
    assert (plain["retries"], plain["timeout_s"]) == (3, 7200.0)
    assert plain["resources"] == {"mem_mb": 100, "runtime": 5}
    own = research.json(
        "show-run",
        research.one("seed=1", "--retries", "0", "--timeout", "5", "--resources", "mem_mb=7"),
    )
    assert (own["retries"], own["timeout_s"]) == (0, 5.0)
    assert own["resources"] == {"mem_mb": 7, "runtime": 5}


def test_the_answer_for_programs(research: Any) -> None:
    answer = research.json(
        "queue", "add", "--experiment", "E001", "--sweep", "condition=full,seed=0..1"
    )
    assert set(answer) == {"dry_run", "num_queued", "command", "campaign", "warnings", "runs"}
    assert (answer["dry_run"], answer["num_queued"]) == (False, 2)
    assert answer["command"] == "echo full 0"
    assert [set(run) for run in answer["runs"]] == [{"job_id", "action", "sp", "note"}] * 2
    (entry, _) = listed(research)
    assert set(entry) >= {
        "job_id", "short_id", "experiment_id", "hypothesis_id", "status", "tag", "queued_at",
        "sp", "last_error", "state", "why",
    }  # fmt: skip


def test_a_dry_run_shows_grid_counts_duplicates_and_the_first_command(research: Any) -> None:
    research.one("condition=full,seed=1")
    done = research.aexp(
        "queue", "add", "--experiment", "E001", "--sweep", "condition=full,seed=0..2", "--dry-run"
    )
    assert "2 queued, 1 duplicate" in done.stdout
    assert "first command: echo full 0" in done.stdout
    assert len([line for line in done.stdout.splitlines() if "condition=full" in line]) == 3


def test_a_single_value_named_dry_run_is_not_lost_without_a_command(research: Any) -> None:
    path = research.experiment("x")
    path.write_text('---\nid: "E001"\ntype: experiment\n---\n')
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    assert "no runner_command" in done.stderr


# --- the same configuration again ----------------------------------------------------------


def test_a_duplicate_modulo_commit_is_returned_with_a_warning(research: Any) -> None:
    first = research.one("seed=0")
    (research.root / "train.py").write_text("print(1)\n")
    research.git("add", "-A")
    research.git("commit", "-qm", "a docstring")
    with pytest.warns(aexp.DuplicatePendingJobWarning, match=first[:8]):
        job = aexp.add_to_queue(
            experiment_id="E001", statepoint={"seed": 0}, repo_root=research.root
        )
    assert job.id == first
    assert len(listed(research)) == 1
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    assert "another commit" in done.stderr


def test_a_recommit_can_be_the_point(research: Any) -> None:
    first = research.one("seed=0")
    (research.root / "train.py").write_text("print(1)\n")
    research.git("add", "-A")
    research.git("commit", "-qm", "a fix")
    second = research.one("seed=0", "--allow-dup-on-recommit")
    assert second != first
    assert [entry["job_id"] for entry in listed(research)] == [first, second]


def test_tags_are_separate_queues_for_duplicates(research: Any) -> None:
    first = research.one("seed=0", "--tag", "a")
    (research.root / "train.py").write_text("print(1)\n")
    research.git("add", "-A")
    research.git("commit", "-qm", "more")
    second = research.one("seed=0", "--tag", "b")
    third = research.json("queue", "add", "--experiment", "E001", "--sp", "seed=0", "--tag", "a")
    assert second != first
    assert [run["action"] for run in third["runs"]] == ["duplicate"]
    assert third["runs"][0]["job_id"] == first
    assert [e["tag"] for e in listed(research)] == ["a", "b"]
    assert [e["job_id"] for e in listed(research, "--tag", "b")] == [second]


def test_a_queued_run_keeps_its_tag_when_another_tag_adds_it_again(research: Any) -> None:
    first = research.one("seed=0", "--tag", "a")
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0", "--tag", "b")
    assert "queued already under tag a" in done.stderr
    assert research.doc(first)["queue"]["tag"] == "a"


def test_the_same_configuration_twice_in_one_call(research: Any) -> None:
    answer = research.json(
        "queue",
        "add",
        "--experiment",
        "E001",
        "--sweep-file",
        "-",
        input="- {seed: 0}\n- {seed: 0}\n",
    )
    assert [run["action"] for run in answer["runs"]] == ["new", "duplicate"]
    assert len(listed(research)) == 1


def test_adding_a_running_run_changes_nothing_about_it(research: Any, wait_until: Any) -> None:
    research.experiment("sleep 60")
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    before = research.doc(job_id)
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    assert "running" in done.stdout
    after = research.doc(job_id)
    before.pop("heartbeat_at"), after.pop("heartbeat_at")
    assert after == before


def test_adding_a_finished_run_queues_it_again_and_keeps_its_attempts(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    (again,) = research.json(
        "queue", "add", "--experiment", "E001", "--sp", "condition=full,seed=0", "--tag", "twice"
    )["runs"]
    assert (again["job_id"], again["action"], again["note"]) == (job_id, "again", "was complete")
    doc = research.doc(job_id)
    assert doc["status"] == "queued"
    assert doc["queue"]["tag"] == "twice"
    assert not {"started_at", "ended_at", "wallclock_s"} & set(doc)
    assert not (research.workspace(job_id) / "terminal.json").exists()
    assert [attempt["status"] for attempt in doc["aexp_run"]["attempts"]] == ["complete"]
    assert doc["aexp_run"]["attempts_before"] == 1
    research.aexp("run-queued", job_id)
    doc = research.doc(job_id)
    attempts = doc["aexp_run"]["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1, 2]
    assert doc["wallclock_s"] == attempts[1]["wallclock_s"]  # of what was executed now


def test_adding_a_finished_run_takes_the_new_settings(research: Any) -> None:
    job_id = research.one("seed=0", "--retries", "5", "--command", "exit 3", "--timeout", "9")
    research.aexp("run-queued", job_id, rc=1)
    research.one("seed=0", "--command", "echo again")
    shown = research.json("show-run", job_id)
    assert (shown["retries"], shown["timeout_s"]) == (0, None)
    assert research.aexp("run-queued", job_id).stdout == "again\n"


def test_skip_finished_leaves_ended_runs_alone(research: Any) -> None:
    done_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", done_id)
    before = research.doc(done_id)
    answer = research.json(
        "queue", "add", "--experiment", "E001", "--sweep", "condition=full,seed=0..1",
        "--skip-finished",
    )  # fmt: skip
    assert [run["action"] for run in answer["runs"]] == ["kept", "new"]
    assert answer["num_queued"] == 1
    assert research.doc(done_id) == before


def test_a_created_run_is_queued_by_adding_it(research: Any) -> None:
    made = research.json("new-run", "--experiment", "E001", "--sp", "condition=full,seed=0")
    assert research.status(made["job_id"]) == "created"
    assert listed(research) == []
    assert research.one("condition=full,seed=0") == made["job_id"]
    assert research.status(made["job_id"]) == "queued"
    assert "full 0" in research.aexp("run-queued", made["job_id"]).stdout


# --- dependencies --------------------------------------------------------------------------


def test_after_is_recorded_by_full_id(research: Any) -> None:
    first, second = research.add("seed=0..1")
    child = research.one("seed=9", "--after", first[:10], "--after", second, "--after", first)
    assert research.json("show-run", child)["after"] == [first, second]


def test_after_an_unknown_run(research: Any) -> None:
    before = research.tree()
    done = research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--after", "0" * 32, rc=1
    )
    assert "no run" in done.stderr
    assert "hint:" in done.stderr
    assert research.tree() == before


def test_after_a_failed_run(research: Any) -> None:
    parent = research.one("seed=0", "--command", "exit 4")
    research.aexp("run-queued", parent, rc=1)
    done = research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=1", "--after", parent, rc=2
    )
    assert f"run {parent[:8]} is failed" in done.stderr
    assert f"aexp queue retry {parent[:8]}" in done.stderr
    assert listed(research) == []


def test_a_run_cannot_wait_for_itself(research: Any) -> None:
    first = research.one("seed=0")
    second = research.one("seed=1", "--after", first)
    research.aexp("queue", "remove", second)
    research.aexp("run-queued", first, env={"condition": "x"})
    before = research.tree()
    done = research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--after", first, rc=2
    )
    assert "wait for itself" in done.stderr
    assert research.tree() == before


def test_a_cycle_over_three_runs_is_refused(research: Any) -> None:
    first = research.one("seed=0", "--command", "true")
    second = research.one("seed=1", "--after", first)
    third = research.one("seed=2", "--after", second)
    research.aexp("run-queued", first)
    done = research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--after", third, rc=2
    )
    assert "wait for itself" in done.stderr
    assert research.status(first) == "complete"


# --- values are data -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["$(touch PWNED)", "`touch PWNED`", "a; touch PWNED", "it's", '"x"', "[/b]", "ü ☃", "-rf"],
)
def test_values_reach_the_command_as_one_plain_word(research: Any, value: str) -> None:
    research.experiment("printf '<%s>' {note}")
    text = json.dumps(value, ensure_ascii=False)
    job_id = research.one(f"note:={text}")
    assert research.aexp("run-queued", job_id).stdout == f"<{value}>"
    assert not (research.root / "PWNED").exists()
    assert shlex.quote(value) in research.json("show-run", job_id)["attempts"][0]["command"]
    research.aexp("queue", "list", "--include-terminal")
    assert value in research.aexp("list-runs").stdout
