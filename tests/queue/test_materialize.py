"""Scripts that execute the queue: right from any folder, whatever is in the names."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aexp

HOSTILE = [
    "$(touch PWNED)",
    "`touch PWNED`",
    "a; touch PWNED",
    "it's",
    'say "hi"',
    "--force",
    "a\\b",
    "ü ☃",
    "#x",
    "%A",
]


def run_script(research: Any, path: Path, cwd: Path, rc: int = 0, **env: str) -> Any:
    done = subprocess.run(
        ["bash", str(path)],
        cwd=cwd,
        env={**with_aexp(research), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == rc, (done.stdout, done.stderr)
    return done


def with_aexp(research: Any) -> dict[str, str]:
    scripts = os.path.dirname(sys.executable)
    return {**research.env, "PATH": scripts + os.pathsep + research.env["PATH"]}


@pytest.fixture
def hostile_place(research: Any) -> Any:
    """The repository under a path with blanks, quotes and a dollar."""
    new = research.root.parent / "my $HOME 'dir' \"x\"" / "research"
    new.parent.mkdir()
    shutil.move(research.root, new)
    research.root = new
    return research


@pytest.mark.parametrize("where", ["inside", "folder", "outside"])
def test_the_shell_script_runs_from_any_folder(
    hostile_place: Any, tmp_path: Path, where: str
) -> None:
    research = hostile_place
    research.experiment("echo {condition} {seed} >> ran")
    ids = research.add("condition=full|cls,seed=0..1")
    output = {
        "inside": research.root / "run.sh",
        "folder": research.root / "a b" / "run it.sh",
        "outside": tmp_path / "out 'side" / "run.sh",
    }[where]
    output.parent.mkdir(exist_ok=True)
    research.aexp("queue", "materialize", "-o", str(output))
    assert output.stat().st_mode & stat.S_IXUSR
    run_script(research, output, cwd=tmp_path)
    assert (research.root / "ran").read_text().splitlines() == [
        "full 0",
        "full 1",
        "cls 0",
        "cls 1",
    ]
    assert [research.status(job_id) for job_id in ids] == ["complete"] * 4
    again = run_script(research, output, cwd=Path("/"))
    assert again.stderr.count("already complete") == 4


def test_a_failing_run_does_not_end_the_script(research: Any) -> None:
    research.experiment("test {seed} != 0")
    ids = research.add("seed=0..1")
    research.aexp("queue", "materialize", "-o", "run.sh")
    run_script(research, research.root / "run.sh", cwd=research.root, rc=1)
    assert [research.status(job_id) for job_id in ids] == ["failed", "complete"]


@pytest.mark.parametrize("tag", HOSTILE)
@pytest.mark.parametrize("runner", ["shell", "slurm", "manual"])
def test_a_hostile_tag_is_data(research: Any, tag: str, runner: str) -> None:
    research.experiment("true")
    research.add("seed=0..1", f"--tag={tag}")
    research.aexp("queue", "materialize", f"--tag={tag}", "--runner", runner, "-o", "script")
    script = (research.root / "script").read_text()
    if runner == "slurm":
        (line,) = [line for line in script.splitlines() if line.startswith("exec ")]
        words = shlex.split(line.removesuffix("\\"))
        assert words[: words.index("--tag") + 2] == ["exec", "aexp", "queue", "run", "--tag", tag]
        (job,) = [line for line in script.splitlines() if "--job-name" in line]
        assert job.split("=")[1].replace("-", "a").replace("_", "a").replace(".", "a").isalnum()
        run_script(research, research.root / "script", research.root, SLURM_ARRAY_TASK_ID="1")
    else:
        run_script(research, research.root / "script", research.root)
    assert not (research.root / "PWNED").exists()
    assert any(research.status(e["job_id"]) == "complete" for e in research.json("list-runs"))


def test_manual_is_the_bare_lines(research: Any) -> None:
    ids = research.add("seed=0..2")
    script = research.aexp("queue", "materialize", "--runner", "manual", "-o", "-").stdout
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    assert lines == [f"aexp run-queued {job_id}" for job_id in ids]


def test_parents_stand_before_their_children(research: Any) -> None:
    parent = research.one("seed=0", "--priority", "-9")
    child = research.one("seed=1", "--after", parent, "--priority", "9")
    result = aexp.materialize_queue(output_path="-", repo_root=research.root)
    assert result.job_ids == [parent, child]


def test_only_what_the_filter_says(research: Any) -> None:
    ids = research.add("seed=0..1", "--tag", "a")
    research.add("seed=5..6", "--tag", "b")
    result = aexp.materialize_queue(tag="a", output_path="-", repo_root=research.root)
    assert (result.job_ids, result.num_jobs, result.runner) == (ids, 2, "shell")


def test_the_runner_hint_is_the_default(research: Any) -> None:
    research.add("seed=0..1", "--runner-hint", "manual")
    assert research.json("queue", "materialize", "-o", "-")["runner"] == "manual"


def test_the_slurm_script_is_valid_shell_with_its_directives(research: Any) -> None:
    research.add("seed=0..6", "--tag", "paper")
    research.aexp(
        "queue", "materialize", "--tag", "paper", "--runner", "slurm", "-o", "p.sh",
        "--slurm-time", "04:00:00", "--slurm-mem", "32G", "--slurm-gpus", "1",
        "--slurm-partition", "short", "--slurm-account", "lab",
        "--slurm-extra", "--qos=x --nice --comment 'two words'",
    )  # fmt: skip
    path = research.root / "p.sh"
    subprocess.run(["bash", "-n", str(path)], check=True)
    directives = [
        line.removeprefix("#SBATCH ")
        for line in path.read_text().splitlines()
        if line.startswith("#SBATCH ")
    ]
    for expected in (
        "--array=0-6", "--time=04:00:00", "--mem=32G", "--gpus=1", "--partition=short",
        "--account=lab", "--qos=x", "--nice", "--comment 'two words'",
    ):  # fmt: skip
        assert expected in directives
    (output,) = [line for line in directives if line.startswith("--output")]
    folder = research.root / os.path.dirname(output.split("=")[1])
    assert folder.is_dir(), "Slurm drops the output of a job whose folder is missing"


def test_the_slurm_script_submits_itself_in_chunks(research: Any, tmp_path: Path) -> None:
    """With an ``sbatch`` that writes down how it was called, in place of Slurm's."""
    research.add("seed=0..6")
    research.aexp(
        "queue", "materialize", "--runner", "slurm", "--array-size", "3", "-o", "../a b.sh"
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    sbatch = tools / "sbatch"
    sbatch.write_text(
        '#!/bin/sh\nfor a in "$@"; do printf "%s|" "$a"; done >> calls\n'
        'echo "$AEXP_ARRAY_OFFSET|$AEXP_ARRAY_ID" >> calls\n'
    )
    sbatch.chmod(0o755)
    env = with_aexp(research)
    run_script(
        research,
        research.root.parent / "a b.sh",
        cwd=tmp_path,
        PATH=f"{tools}:{env['PATH']}",
    )
    calls = [line.split("|") for line in (research.root / "calls").read_text().splitlines()]
    assert [call[1] for call in calls] == ["--array=0-2", "--array=0-2", "--array=0-0"]
    assert [call[3] for call in calls] == ["0", "3", "6"]
    assert {call[0] for call in calls} == {f"--chdir={research.root}"}
    assert len({call[4] for call in calls}) == 1


def test_tasks_of_the_slurm_script_cover_the_queue(research: Any, tmp_path: Path) -> None:
    research.experiment("echo {seed} >> ran")
    research.add("seed=0..4", "--tag", "a b")
    research.aexp(
        "queue",
        "materialize",
        "--tag",
        "a b",
        "--runner",
        "slurm",
        "--array-size",
        "3",
        "-o",
        "s.sh",
    )
    for offset, index in ((3, 1), (0, 0), (0, 2), (3, 0), (0, 1)):
        run_script(
            research,
            research.root / "s.sh",
            cwd=tmp_path,
            SLURM_ARRAY_TASK_ID=str(index),
            AEXP_ARRAY_OFFSET=str(offset),
            AEXP_ARRAY_ID="x-1",
        )
    assert (research.root / "ran").read_text().split() == ["4", "0", "2", "3", "1"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--slurm-time", "1\n#SBATCH --uid=0"), "line break"),
        (("--slurm-extra", "--qos=x\ntouch PWNED"), "line break"),
        (("--slurm-extra", "--comment 'open"), "quot"),
    ],
)
def test_slurm_options_cannot_add_lines(
    research: Any, arguments: tuple[str, ...], word: str
) -> None:
    research.add("seed=0..1")
    done = research.aexp(
        "queue", "materialize", "--runner", "slurm", "-o", "x.sh", *arguments, rc=2
    )
    assert word in done.stderr.lower()
    assert not (research.root / "x.sh").exists()


def test_nothing_to_materialize(research: Any) -> None:
    done = research.aexp("queue", "materialize", "--runner", "slurm", "-o", "x.sh", rc=2)
    assert "there is no queued run" in done.stderr
    done = research.aexp("queue", "materialize", "-o", "x.sh")
    assert "there is no queued run" in done.stderr
    run_script(research, research.root / "x.sh", cwd=research.root)


def test_a_place_that_cannot_be_written(research: Any) -> None:
    research.add("seed=0")
    (research.root / "file").write_text("")
    done = research.aexp("queue", "materialize", "-o", "file/run.sh", rc=1)
    assert "file/run.sh" in done.stderr
    assert "defect" not in done.stderr
