"""The cluster of the tests is a Slurm as on a site: jobs, arrays, lost nodes, a lost controller."""

import subprocess
from pathlib import Path


def test_runs_a_job(slurm, tmp_path: Path):
    job = slurm.sbatch("-o", str(tmp_path / "out"), wrap="echo on $SLURMD_NODENAME")
    slurm.wait_until(lambda: slurm.state(job) == "COMPLETED", what=f"job {job}")
    assert (tmp_path / "out").read_text() in {f"on n{n}\n" for n in (1, 2, 3, 4)}


def test_environment_of_each_test_finds_the_cluster(slurm):
    nodes = subprocess.run(["sinfo", "-h", "-N", "-o", "%N"], capture_output=True, text=True)
    assert set(nodes.stdout.split()) == {"n1", "n2", "n3", "n4"}


def test_runs_an_array(slurm, tmp_path: Path):
    job = slurm.sbatch(
        "--array=0-9",
        "-o",
        str(tmp_path / "%a"),
        wrap="echo $SLURM_ARRAY_TASK_ID; exit $((SLURM_ARRAY_TASK_ID == 7))",
    )
    tasks = [f"{job}_{index}" for index in range(10)]

    def ended():
        states = {entry.id: entry.state for entry in slurm.squeue()}
        return (
            [states[task] for task in tasks]
            if not set(states.values()) & {"PENDING", "RUNNING", "COMPLETING"}
            else None
        )

    states = slurm.wait_until(ended, what=f"array {job}")
    assert states == ["FAILED" if index == 7 else "COMPLETED" for index in range(10)]
    assert [(tmp_path / str(index)).read_text() for index in range(10)] == [
        f"{i}\n" for i in range(10)
    ]


def test_a_node_is_lost_and_comes_back(slurm):
    job = slurm.sbatch("--no-requeue", "-w", "n2", "-o", "/dev/null", wrap="sleep 300")
    slurm.wait_until(lambda: slurm.state(job) == "RUNNING")
    slurm.kill_node(2, noticed=True)
    slurm.wait_until(lambda: slurm.state(job) == "NODE_FAIL", what="the loss to be noticed")
    slurm.start_node(2)
    again = slurm.sbatch("-w", "n2", "-o", "/dev/null", wrap="true")
    slurm.wait_until(lambda: slurm.state(again) == "COMPLETED")
    assert slurm.state(job) == "NODE_FAIL"


def test_jobs_outlive_the_controller(slurm, tmp_path: Path):
    job = slurm.sbatch("-o", str(tmp_path / "out"), wrap="sleep 3; echo done")
    slurm.wait_until(lambda: slurm.state(job) == "RUNNING")
    slurm.kill_controller()
    assert slurm.run("squeue", check=False).returncode != 0
    slurm.wait_until(lambda: (tmp_path / "out").read_text() == "done\n", what="the job to go on")
    slurm.start_controller()
    slurm.wait_until(lambda: slurm.state(job) == "COMPLETED")


def test_what_a_test_leaves_is_cleaned_up(slurm):
    job = slurm.sbatch("-o", "/dev/null", wrap="sleep 300")
    slurm.kill_node(4)
    slurm.reset()
    assert slurm.state(job) == "CANCELLED"
    assert slurm.run("sinfo -h -N -o %t -p short").stdout.split() == ["idle"] * 4
