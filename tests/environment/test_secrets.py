"""Nothing secret of a real run, with a real wrapper and real training code, is on the disk."""

import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

TRAIN = """
import json, os, sys
import aexp
run = aexp.current()
run.log({"loss": 0.5}, step=1)
run.upload_environment(dict(os.environ))
run.upload_environment({"argv": sys.argv, "nested": [{"password": os.environ["PGPASSWORD"]}]})
"""
LITERAL = "literalSecretOfTheCommand117"
REMOTE, SOURCE, NESTED = "remotePassword0118", "directUrlSecret0119", "statePointSecret0120"


def install_package(site: Path, name: str, url: str) -> None:
    """Make a package as pip leaves it that was installed from a URL with a password."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    told = {"url": url, "vcs_info": {"vcs": "git", "commit_id": "ab" * 20}}
    (folder / "direct_url.json").write_text(json.dumps(told))


def test_nothing_secret_is_written(research: Any, probes: ModuleType, tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    install_package(site, "probe_package", f"https://me:{SOURCE}@git.example.org/p.git?x=1")
    research.git("remote", "add", "origin", f"https://me:{REMOTE}@git.example.org/r.git")
    (research.root / "train.py").write_text(TRAIN)
    tracker = "tracker: {backend: noop, project: probe}\n"
    research.experiment(f"python train.py --token {LITERAL} --key $HF_TOKEN", tracker)
    job_id = research.one(f"seed=0,api_key={NESTED}")
    env = {**probes.VALUES, **probes.HARMLESS, "PYTHONPATH": str(site)}
    done = research.aexp("run-queued", job_id, env=env, rc=None)
    assert research.status(job_id) == "complete", done.stdout + done.stderr
    again = research.aexp("env", "show", job_id, "--packages", env=env)

    recorded = json.loads((research.workspace(job_id) / "environment" / "1.json").read_text())
    assert recorded["code"]["remote"] == "https://git.example.org/r.git"
    assert recorded["python"]["sources"]["probe-package"]["url"] == "https://git.example.org/p.git"
    assert probes.HARMLESS.items() <= recorded["variables"].items()
    assert recorded["variables"]["PIP_INDEX_URL"] == "https://***@pypi.example.org/simple"
    assert {*probes.THIRTEEN} - {"DATABASE_URL"} <= {*recorded["variables_left_out"]["secret"]}
    assert "DATABASE_URL" in recorded["variables_left_out"]["not_listed"]
    assert recorded["user"]["argv"][1:3] == ["--token", "***"]
    assert recorded["user"]["nested"] == [{"password": "***"}]
    assert recorded["command"] == "python train.py --token *** --key $HF_TOKEN"

    secrets = {**probes.SECRETS, "remote": REMOTE, "direct_url": SOURCE, "command": LITERAL}
    found = []
    for path in research.root.rglob("*"):
        name = str(path.relative_to(research.root))
        if not path.is_file() or name.startswith((".git/", "kb/")):
            continue  # where the remote and the command have been put by their author
        if name.endswith("train.py"):
            continue
        data = path.read_text(errors="replace")
        if "tracker" in name:  # the state point itself is kept whole by the store and the ledger
            assert NESTED not in data, name
        for variable, secret in secrets.items():
            is_own = variable == "command" and name.endswith(
                ("signac_job_document.json", "E001.json")
            )  # the command as its author wrote it, to be executed again
            if not is_own and (secret in data or json.dumps(secret)[1:-1] in data):
                found.append((variable, name))
    assert found == []
    assert list(research.workspace(job_id).glob("tracker_log/*/events.jsonl"))  # was looked at
    shown = done.stdout + done.stderr + again.stdout + again.stderr
    assert [name for name, secret in secrets.items() if secret in shown] == []


def test_the_tracker_is_told_none(research: Any, monkeypatch: Any) -> None:
    from aexp.paths import Repo
    from aexp.runs.store import read_run
    from aexp.trackers.frame import frame_of

    monkeypatch.setenv("WANDB_API_KEY", "trackerSecretValue0121")
    sp = f"api_key={NESTED},note=see-trackerSecretValue0121-there,max_tokens=5"
    job_id = research.one(f"seed=0,{sp}")
    repo = Repo(research.root)
    frame = frame_of(repo, read_run(repo, job_id))
    assert NESTED not in json.dumps(frame)
    assert "trackerSecretValue0121" not in json.dumps(frame)
    assert frame.config["api_key"] == "***"
    assert frame.config["note"] == "see-***-there"
    assert frame.config["max_tokens"] == 5


def test_a_patch_goes_into_the_run_only(research: Any) -> None:
    (research.root / "code.py").write_text("one = 1\n")
    research.git("add", "code.py")
    research.git("commit", "-qm", "code")
    (research.root / "code.py").write_text("two = 2222\n")
    (research.root / ".env").write_text("PASSWORD=dotenvSecret0122\n")
    research.experiment("true")
    first, second = research.add("seed=0..1")
    research.aexp("queue", "run")
    patches = [research.workspace(j) / "environment" / "1.patch" for j in (first, second)]
    assert b"two = 2222" in patches[0].read_bytes()
    assert patches[0].samefile(patches[1])  # one file for all runs with the same changes
    recorded = json.loads(patches[0].with_suffix(".json").read_text())["code"]
    assert recorded["dirty"] is True
    assert {"name": ".env", "reason": "secret"} in recorded["left_out"]
    patches[0].write_bytes(b"edited")
    third = research.one("seed=2")
    research.aexp("queue", "run")
    assert b"two = 2222" in (research.workspace(third) / "environment" / "1.patch").read_bytes()
    assert patches[0].read_bytes() == b"edited"
    out = subprocess.run(
        ["grep", "-rl", "dotenvSecret0122", "."], cwd=research.root, capture_output=True, text=True
    )
    assert out.stdout.split() == ["./.env"]
    assert "2222" not in (research.root / ".aexp" / "ledger" / f"{first}.json").read_text()
