"""aexp env show, diff and shell, as a user types them."""

import json
import os
import sys
from pathlib import Path
from typing import Any


def install(site: Path, name: str, version: str) -> None:
    for folder in site.glob(f"{name}-*"):
        (folder / "METADATA").unlink()
        folder.rmdir()
    (site / f"{name}-{version}.dist-info").mkdir(parents=True)
    (site / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\n")


def test_diff_shows_what_differs_and_nothing_else(research: Any, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    install(site, "fake", "1.0")
    env = {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    research.experiment("test $AEXP_ATTEMPT != 1", "retries: 1\n")
    first, second, third = research.add("seed=0..2")
    research.aexp("run-queued", first, env=env)
    research.aexp("run-queued", second, env=env)
    same = research.aexp("env", "diff", first, second)
    assert (same.stdout, same.stderr) == ("", "no difference\n")
    assert research.json("env", "diff", f"{first}@1", f"{first[:8]}@2")["same"] is True

    install(site, "fake", "2.0")
    (research.root / "code.py").write_text("x = 1\n")
    research.git("add", "code.py")
    research.git("commit", "-qm", "code")
    (research.root / "uv.lock").write_text("x")
    research.aexp("run-queued", third, env={**env, "OMP_NUM_THREADS": "4", "HF_TOKEN": "hf_secret"})
    told = research.json("env", "diff", first, third, rc=1)
    assert told["same"] is False
    assert told["compared"][0] == {"job_id": first, "attempt": 2}
    found = told["differences"]
    assert set(found) == {"code", "packages", "locks", "variables"}
    assert found["packages"] == {"fake": ["1.0", "2.0"]}
    assert found["variables"] == {"OMP_NUM_THREADS": ["1", "4"]}
    assert found["locks"]["uv.lock"][0] is None
    assert {"commit", "code_commit", "dirty", "patch.sha256", "patch.size"} == set(found["code"])
    shown = research.aexp("env", "diff", first, third, rc=1).stdout.splitlines()
    assert shown[0].split() == ["GROUP", "WHAT", f"{first[:8]}@2", f"{third[:8]}@2"]
    assert any(line.split() == ["packages", "fake", "1.0", "2.0"] for line in shown)
    assert not any("host" in line or "hf_" in line for line in shown)
    one, other = (research.entry(job_id)["environment"] for job_id in (first, third))
    assert one["software"] != other["software"]

    assert research.json("env", "show", f"{first[:8]}@1")["attempt"] == 1
    assert research.json("env", "show", f"{first}@1", "--attempt", "1")["attempt"] == 1
    odd = research.aexp("env", "show", f"{first}@1", "--attempt", "2", rc=2)
    assert "attempt 1 or attempt 2?" in odd.stderr

    for arguments, reason in (
        ([first, "ffff0000"], "no run"),
        ([first, f"{second}@3"], "recorded attempts: 1, 2"),
        ([first, f"{second}@x"], "not the number of an attempt"),
        ([first, f"{second}@0"], "not the number of an attempt"),
    ):
        assert reason in research.aexp("env", "diff", *arguments, rc=2).stderr


def test_show_is_complete_and_for_programs_the_file(research: Any) -> None:
    job_id = research.one()
    research.aexp("run-queued", job_id, env={"OMP_NUM_THREADS": "3", "MY_API_KEY": "abcdefgh"})
    shown = research.aexp("env", "show", job_id[:8]).stdout
    for words in ("attempt 1", "OMP_NUM_THREADS", "packages", "MY_API_KEY", "gpu"):
        assert words in shown
    assert "abcdefgh" not in shown
    assert "signac" not in shown
    assert "signac" in research.aexp("env", "show", job_id, "--packages").stdout
    path = research.workspace(job_id) / "environment" / "1.json"
    assert research.json("env", "show", job_id, "--attempt", "1") == json.loads(path.read_text())
    # Names and values that are not UTF-8, as the kernel allows them.
    odd = os.fsdecode(b"a\xffb")
    other = research.one("seed=2")
    research.aexp("run-queued", other, env={"OMP_ODD": odd, f"MY_{odd}": "x"})
    assert "a\\udcffb" in research.aexp("env", "show", other).stdout
    utf8 = {"LC_ALL": "en_US.UTF-8", "PYTHONIOENCODING": "utf-8:strict"}
    assert research.json("env", "show", other, env=utf8)["variables"]["OMP_ODD"] == odd
    research.aexp("env", "diff", job_id, other, rc=1, env=utf8)
    queued = research.one("seed=1")
    assert "has not been executed" in research.aexp("env", "show", queued, rc=1).stderr


def test_shell_has_the_runs_variables_and_its_exit_code(research: Any, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    install(site, "fake", "1.0")
    research.experiment("echo '{\"loss\": 0.5}' > $AEXP_METRICS_PATH")
    job_id = research.one()
    then = {
        "PYTHONPATH": str(site),
        "OMP_NUM_THREADS": "7",
        "PYTHONHASHSEED": "3",
        "XLA_FLAGS": "--token=abcdef",
        "CUDA_VISIBLE_DEVICES": "5",
        "LD_PRELOAD": "",
        "SLURM_JOB_PARTITION": "gpu",
    }
    research.aexp("run-queued", job_id, env=then)
    before = research.tree()
    now = {"OMP_NUM_THREADS": "1", "AEXP_CLAIM": "not-mine", "SHELL": "/bin/sh"}
    print_all = "import os, json; print(json.dumps(dict(os.environ, cwd=os.getcwd())))"
    command = [sys.executable, "-c", print_all]
    done = research.aexp("env", "shell", job_id[:8], "--", *command, env=now)
    seen = json.loads(done.stdout)
    assert seen["cwd"] == str(research.root)
    assert (seen["OMP_NUM_THREADS"], seen["PYTHONHASHSEED"]) == ("7", "3")
    assert seen["AEXP_JOB_ID"] == job_id
    assert seen["AEXP_JOB_WORKSPACE"] == str(research.workspace(job_id))
    assert json.loads(Path(seen["AEXP_STATEPOINT_PATH"]).read_text())["seed"] == 0
    assert not Path(seen["AEXP_METRICS_PATH"]).is_relative_to(research.workspace(job_id))
    for name in ("AEXP_CLAIM", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_PARTITION"):
        assert name not in seen
    assert "not recorded, so not set: XLA_FLAGS" in done.stderr

    script = "echo '{\"loss\": 9}' > $AEXP_METRICS_PATH; echo in $AEXP_ATTEMPT; exit 7"
    done = research.aexp("env", "shell", job_id, "--", "sh", "-c", script, rc=7)
    assert done.stdout == "in 1\n"
    done = research.aexp(
        "env", "shell", f"{job_id}@1", env=now, input="echo $PYTHONHASHSEED\nexit 3\n", rc=3
    )
    assert done.stdout == "3\n"
    done = research.aexp("env", "shell", job_id, "--", "no-such-program", rc=2)
    assert "cannot execute no-such-program" in done.stderr
    scratch = os.path.join(".aexp", "cache")
    after = research.tree()
    assert {k: v for k, v in after.items() if not k.startswith(scratch)} == {
        k: v for k, v in before.items() if not k.startswith(scratch)
    }


def test_shell_says_which_packages_differ_now(research: Any, tmp_path: Path) -> None:
    import subprocess

    place = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    site = next(place.glob("lib/python3*/site-packages"))
    install(site, "fake", "1.0")
    research.experiment(f"{place}/bin/python -c pass")
    job_id = research.one()
    research.aexp("run-queued", job_id)
    done = research.aexp("env", "shell", job_id, "--", "true")
    assert "as they were recorded" in done.stderr
    install(site, "fake", "2.0")
    install(site, "more", "0.1")
    (research.root / "uv.lock").write_text("x")
    done = research.aexp("env", "shell", job_id, "--", "true")
    assert "fake: 1.0 then, 2.0 now" in done.stderr
    assert "more: - then, 0.1 now" in done.stderr
    assert "3 of Python, packages and lock files differ" in done.stderr
