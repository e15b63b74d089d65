"""`aexp doctor`: each check is given what it is for, and the command it prints mends it."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aexp.doctor.examine import examine
from aexp.doctor.filesystem_checks import file_system_type
from aexp.runs.claims import Owner

Found = list[dict[str, str]]


@pytest.fixture
def clinic(research: Any, tmp_path: Path) -> Any:
    """A healthy repository: committed, with a key, away from any cluster and any netrc."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    (tools / "aexp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m aexp "$@"\n')
    (tools / "aexp").chmod(0o755)
    for name in ("git", "sh", "sed", "rm", "mv", "cp", "snakemake"):
        found = shutil.which(name) or str(Path(sys.executable).parent / name)
        (tools / name).symlink_to(found)
    for name in list(research.env):
        if name.startswith(("WANDB", "NETRC")):
            del research.env[name]
    research.env |= {"HOME": str(home), "PATH": str(tools), "WANDB_MODE": "offline"}
    research.tools = tools
    research.git("config", "user.name", "t")
    research.git("config", "user.email", "t@example.org")
    research.experiment("true")
    (research.root / "kb" / "research" / "hypotheses" / "H001-x.md").write_text(
        "---\nid: H001\n---\n"
    )
    return research


def doctor(research: Any, rc: int | None = None, cwd: Path | None = None) -> Found:
    done = research.aexp("doctor", "--json", rc=rc, cwd=cwd)
    found: Found = json.loads(done.stdout)
    assert done.returncode == (1 if any(item["level"] == "error" for item in found) else 0)
    return found


def bad(found: Found) -> Found:
    return [item for item in found if item["level"] != "ok"]


def only(found: Found, level: str, *words: str) -> dict[str, str]:
    """Return the one bad finding, with these words."""
    (item,) = bad(found)
    assert item["level"] == level, item
    for word in words:
        assert word in item["what"], item
    return item


def mended(research: Any, item: dict[str, str]) -> bool:
    """Type the printed command, without the remark behind it: is all well then?"""
    command = item["mend"].partition("    (")[0]
    done = subprocess.run(
        command, shell=True, cwd=research.root, env=research.env, capture_output=True, text=True
    )
    assert done.returncode == 0, (command, done.stderr)
    return bad(doctor(research)) == []


def test_a_healthy_repository(clinic: Any) -> None:
    found = doctor(clinic, rc=0)
    assert bad(found) == []
    assert {item["check"] for item in found} >= {
        "git", "install", "agents", "gitignore", "store", "claims", "ledger", "kb",
        "file system", "engine", "slurm", "trackers",
    }  # fmt: skip
    shown = clinic.aexp("doctor", cwd=clinic.root / "kb").stdout
    assert shown.splitlines()[-1] == "0 error(s), 0 warning(s)"
    assert "snakemake 9" in shown


def test_it_changes_nothing(clinic: Any) -> None:
    clinic.aexp("run-queued", clinic.one("seed=0"))
    (clinic.root / "kb" / "ACTIVE.md").unlink()
    before = clinic.tree()
    doctor(clinic)
    assert clinic.tree() == before


# --- git


def test_outside_of_git(clinic: Any, tmp_path: Path) -> None:
    place = tmp_path / "nowhere"
    place.mkdir()
    item = only(doctor(clinic, rc=1, cwd=place), "error", "no git repository")
    assert item["mend"] == "git init && aexp install"


def test_no_git(clinic: Any) -> None:
    (clinic.tools / "git").unlink()
    found = doctor(clinic, rc=1)
    assert any(item["what"].startswith("git is not installed") for item in bad(found))


def test_git_without_a_repository(clinic: Any) -> None:
    """A marker without .git: the folder was copied, not cloned."""
    shutil.rmtree(clinic.root / ".git")
    item = next(item for item in bad(doctor(clinic, rc=1)) if item["check"] == "git")
    assert item["mend"] == "git init"


def test_git_that_does_not_know_who_commits(clinic: Any) -> None:
    clinic.git("config", "--unset", "user.email")
    item = only(doctor(clinic, rc=0), "warn", "who commits")
    assert mended(clinic, item)


# --- install


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"machine_label": "../x"}', '{"run_store_path": 5}', '{"run_store_path": "../x"}'],
)
def test_a_damaged_marker(clinic: Any, text: str) -> None:
    (clinic.root / ".aexp" / "installed.json").write_text(text)
    (item,) = [item for item in bad(doctor(clinic, rc=1)) if item["check"] == "install"]
    item["mend"] = item["mend"].replace("LABEL", "again")
    assert mended(clinic, item)


def test_a_fresh_clone(clinic: Any) -> None:
    shutil.rmtree(clinic.root / ".aexp")
    shutil.rmtree(clinic.root / ".runs")
    found = doctor(clinic, rc=1)
    assert {item["mend"] for item in bad(found)} == {"aexp install --yes"}
    assert mended(clinic, bad(found)[0])


def test_another_version_of_the_tooling(clinic: Any) -> None:
    path = clinic.root / ".aexp" / "installed.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "scaffold_sha": "0", "version": "0"})
    )
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "set up by aexp 0,"))


def test_missing_pages(clinic: Any) -> None:
    (clinic.root / "kb" / "ACTIVE.md").unlink()
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "kb/ACTIVE.md missing"))


@pytest.mark.parametrize("name", [".mcp.json", ".claude/settings.json"])
def test_agent_files_that_are_no_json(clinic: Any, name: str) -> None:
    (clinic.root / name).write_text("{")
    item = only(doctor(clinic, rc=1), "error", name)
    assert item["mend"] == f"edit {name}"


def test_hooks_that_are_missing_or_of_an_older_tool(clinic: Any) -> None:
    path = clinic.root / ".claude" / "settings.json"
    path.write_text("{}")
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "no hooks"))
    old = {"type": "command", "command": '"/x/python" -m aexp.hooks.stop_validate'}
    path.write_text(json.dumps({"hooks": {"Stop": [{"hooks": [old]}]}}))
    assert mended(clinic, only(doctor(clinic, rc=1), "error", "one machine"))
    path.write_text(json.dumps({"hooks": [1, {"hooks": "x"}]}))
    only(doctor(clinic, rc=0), "warn", "no hooks")


def test_agents_that_nobody_wants(clinic: Any) -> None:
    shutil.rmtree(clinic.root / ".claude")
    clinic.aexp("install", "--no-agents")
    assert bad(doctor(clinic, rc=0)) == []


def test_a_path_without_aexp(clinic: Any) -> None:
    (clinic.tools / "aexp").unlink()
    item = only(doctor(clinic, rc=0), "warn", "aexp is not on the PATH")
    assert item["mend"]


# --- .gitignore


def test_the_legacy_line(clinic: Any) -> None:
    path = clinic.root / ".gitignore"
    path.write_text(path.read_text() + "mine/\n.aexp/\n# .aexp/ stays\n")
    assert mended(clinic, only(doctor(clinic, rc=1), "error", "hides the ledger"))
    assert path.read_text().endswith("mine/\n# .aexp/ stays\n")


def test_another_rule_that_hides_the_ledger(clinic: Any) -> None:
    (clinic.root / ".git" / "info" / "exclude").write_text("*.json\n")
    item = only(doctor(clinic, rc=1), "error", "ignores the ledger")
    command = item["mend"].partition("    (")[0]
    assert "*.json" in clinic.git(*command.split()[1:])


def test_a_block_that_is_missing_or_old(clinic: Any) -> None:
    path = clinic.root / ".gitignore"
    whole = path.read_text()
    path.write_text("")
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "is missing"))
    path.write_text(whole.replace("!.aexp/campaigns/\n", ""))
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "not of this version"))


def test_working_files_that_are_committed(clinic: Any) -> None:
    clinic.aexp("run-queued", clinic.one("seed=0"))
    clinic.git("add", "--force", ".runs", ".aexp/ledger", ".aexp/installed.json")
    clinic.git("commit", "-qm", "too much")
    assert mended(clinic, only(doctor(clinic, rc=1), "error", "2 working file(s)"))


# --- store, claims, ledger, notes


def test_no_store(clinic: Any) -> None:
    shutil.rmtree(clinic.root / ".runs")
    assert mended(clinic, only(doctor(clinic, rc=1), "error", "no run store"))


@pytest.mark.parametrize("name", ["signac_statepoint.json", "signac_job_document.json"])
@pytest.mark.parametrize("text", ["{", "[]", "", "{}", '{"seed": 1}'])
@pytest.mark.parametrize("is_committed", [True, False])
def test_a_damaged_run(clinic: Any, name: str, text: str, is_committed: bool) -> None:
    if (name, text) == ("signac_job_document.json", '{"seed": 1}'):
        text = "\x00"
    job_id = clinic.one("seed=0")
    if is_committed:
        clinic.git("add", ".runs")
        clinic.git("commit", "-qm", "runs")
    (clinic.workspace(job_id) / name).write_text(text)
    item = only(doctor(clinic, rc=1), "error", job_id)
    assert item["mend"].startswith("git restore" if is_committed else "rm -r")
    assert mended(clinic, item)


def dead_owner() -> Owner:
    from aexp.runs.claims import this_owner

    return this_owner()._replace(pid=2**22 - 1, start=1.0)


def test_a_run_left_running(clinic: Any) -> None:
    job_id = clinic.one("seed=0")
    path = clinic.workspace(job_id) / "signac_job_document.json"
    doc = clinic.doc(job_id)
    marker = json.loads((clinic.root / ".aexp" / "installed.json").read_text())
    doc["status"] = "running"
    doc["aexp_run"]["store"] = {"id": marker["store_id"], "machine": "here"}
    path.write_text(json.dumps(doc))
    (clinic.workspace(job_id) / "claim").write_text(json.dumps(dead_owner()._asdict()))
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "dead owners", job_id[:8]))
    assert clinic.status(job_id) == "queued"


def test_a_claim_left_on_a_run_that_is_not_running(clinic: Any) -> None:
    job_id = clinic.one("seed=0")
    claim = clinic.workspace(job_id) / "claim"
    claim.write_text(json.dumps(dead_owner()._asdict()))
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "dead owners"))
    claim.write_text(json.dumps(dead_owner()._replace(host="elsewhere", machine_id="x")._asdict()))
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "nobody can tell", "elsewhere"))
    claim.write_text("{")
    assert mended(clinic, only(doctor(clinic, rc=1), "error", "claim"))


def test_a_live_claim_is_no_finding(clinic: Any, wait_until: Callable[..., Any]) -> None:
    clinic.experiment("sleep 60")
    (clinic.tools / "sleep").symlink_to(shutil.which("sleep") or "/bin/sleep")
    job_id = clinic.one("seed=0")
    clinic.start_aexp("run-queued", job_id)
    wait_until(lambda: clinic.status(job_id) == "running")
    assert bad(doctor(clinic)) == []


def ended(clinic: Any) -> tuple[str, Path]:
    """Return a run that has ended and its ledger file, committed."""
    job_id = clinic.one("seed=0")
    clinic.aexp("run-queued", job_id)
    clinic.git("add", ".aexp/ledger")
    clinic.git("commit", "-qm", "results")
    return job_id, clinic.root / ".aexp" / "ledger" / f"{job_id}.json"


def test_an_ended_run_without_an_entry(clinic: Any) -> None:
    job_id, entry = ended(clinic)
    entry.unlink()
    found = doctor(clinic, rc=1)
    item = next(item for item in found if item["level"] == "error")
    assert job_id[:8] in item["what"]
    assert mended(clinic, item)


def test_an_ended_run_without_a_sentinel(clinic: Any) -> None:
    job_id, _ = ended(clinic)
    (clinic.workspace(job_id) / "terminal.json").unlink()
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "terminal.json"))


def test_entries_that_nobody_else_can_see(clinic: Any) -> None:
    clinic.aexp("run-queued", clinic.one("seed=0"))
    assert mended(clinic, only(doctor(clinic, rc=0), "warn", "1 entries are not committed"))


@pytest.mark.parametrize("text", ["{", "[]", "", "{}", '{"job_id": "x", "status": "complete"}'])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_damaged_entry(clinic: Any, text: str, is_local: bool) -> None:
    job_id, entry = ended(clinic)
    if not is_local:
        shutil.rmtree(clinic.workspace(job_id))
    entry.write_text(text)
    clinic.git("add", ".aexp/ledger")
    found = doctor(clinic, rc=1)
    item = next(item for item in found if item["level"] == "error")
    assert entry.name in item["what"]
    assert item["mend"].startswith("aexp ledger promote" if is_local else "git restore")
    before = entry.read_bytes()
    command = item["mend"]
    subprocess.run(command, shell=True, cwd=clinic.root, env=clinic.env, check=True)
    assert entry.read_bytes() != before
    clinic.git("add", ".aexp/ledger")
    assert [item for item in doctor(clinic) if item["level"] == "error"] == []


def test_what_does_not_belong_into_the_ledger(clinic: Any) -> None:
    _, entry = ended(clinic)
    (entry.parent / "my notes.txt").write_text("x")
    found = doctor(clinic, rc=1)
    item = next(item for item in found if item["level"] == "error")
    assert "my notes.txt" in item["what"]
    assert mended(clinic, item)


def test_many_damaged_files_are_counted(clinic: Any) -> None:
    for job_id in clinic.add("seed=0..11"):
        (clinic.workspace(job_id) / "signac_job_document.json").write_text("{")
    found = bad(doctor(clinic, rc=1))
    assert len(found) == 6
    assert "7 more" in found[-1]["what"]


def test_a_ledger_that_is_a_file(clinic: Any) -> None:
    (clinic.root / ".aexp" / "ledger").write_text("x")
    assert mended(clinic, only(doctor(clinic, rc=1), "error", ".aexp/ledger"))


@pytest.mark.parametrize("content", [b"---\n{\n---\n", b"\xff\xfe", b"---\na: 1\na: 2\n---\n"])
def test_a_note_that_cannot_be_read(clinic: Any, content: bytes) -> None:
    clinic.git("add", "-A")
    clinic.git("commit", "-qm", "notes")
    path = clinic.root / "kb" / "research" / "hypotheses" / "H001-x.md"
    path.write_bytes(content)
    assert mended(clinic, only(doctor(clinic, rc=1), "error", "H001-x.md"))


# --- file system


def levels(root: Path) -> dict[str, str]:
    return {item.what: item.level for item in examine(root) if item.check == "file system"}


def refuse(number: int) -> Callable[..., Any]:
    def operation(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return operation


@pytest.mark.parametrize(
    ("module", "name", "number", "level", "word"),
    [
        (os, "link", errno.EPERM, "warn", "hard links"),
        (fcntl, "flock", errno.ENOSYS, "warn", "flock"),
        (os, "fsync", errno.EINVAL, "warn", "fsync"),
        (os, "replace", errno.EIO, "error", "renames"),
    ],
)
def test_a_file_system_that_lacks_something(
    clinic: Any, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, number: int, level: str,
    word: str,
) -> None:  # fmt: skip
    assert set(levels(clinic.root).values()) == {"ok"}
    monkeypatch.setattr(module, name, refuse(number))
    found = levels(clinic.root)
    (what,) = [text for text in found if found[text] == level]
    assert word in what
    assert os.strerror(number) in what
    assert not [name for name in os.listdir(clinic.root / ".runs") if "doctor" in name]


@pytest.mark.parametrize(("module", "name"), [(fcntl, "flock"), (os, "link")])
def test_a_file_system_that_only_pretends(
    clinic: Any, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    monkeypatch.setattr(module, name, lambda *arguments: None)
    assert "warn" in levels(clinic.root).values()


def test_a_store_that_cannot_be_written(clinic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, mend in ((errno.EACCES, "chmod"), (errno.ENOSPC, "df -h")):
        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", refuse(number))
            (item,) = [item for item in examine(clinic.root) if item.check == "file system"]
        assert item.level == "error"
        assert item.mend is not None
        assert item.mend.startswith(mend)


def test_a_network_file_system_is_noted(clinic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["aexp.doctor.filesystem_checks"]
    monkeypatch.setattr(module, "file_system_type", lambda folder: "nfs4")
    assert any("network file system" in what for what in levels(clinic.root))


def test_the_type_of_a_file_system() -> None:
    assert file_system_type("/proc") == "proc"
    assert file_system_type("/proc/self") == "proc"


# --- engine, Slurm, trackers


def script(clinic: Any, name: str, text: str) -> None:
    path = clinic.tools / name
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)


def distributions(clinic: Any, tmp_path: Path, **versions: str) -> None:
    """Put other versions of distributions before the real ones."""
    for name, version in versions.items():
        folder = tmp_path / "site" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    clinic.env["PYTHONPATH"] = str(tmp_path / "site")


def test_versions_that_do_not_fit(clinic: Any, tmp_path: Path) -> None:
    distributions(clinic, tmp_path, snakemake="8.30.1", snakemake_executor_plugin_slurm="3.0.0")
    first, second = bad(doctor(clinic, rc=1))
    assert first["what"].startswith("snakemake 8.30.1 ")
    assert first["mend"] == "pip install 'snakemake>=9.13,<10'"
    assert "snakemake-executor-plugin-slurm 3.0.0" in second["what"]


def test_a_path_without_snakemake(clinic: Any) -> None:
    (clinic.tools / "snakemake").unlink()
    item = only(doctor(clinic, rc=0), "warn", "snakemake is not on the PATH")
    assert item["mend"]


def test_slurm(clinic: Any) -> None:
    script(clinic, "squeue", "echo 17; echo 18")
    only(doctor(clinic, rc=0), "warn", "sbatch, scancel not on the PATH")
    for name in ("sbatch", "scancel"):
        script(clinic, name, "exit 1")
    script(clinic, "scontrol", "echo 'MinJobAge               = 300 sec'")
    found = doctor(clinic, rc=0)
    assert bad(found) == []
    assert any(item["what"] == "answers; 2 job(s) of yours" for item in found)
    script(clinic, "scontrol", "echo 'MinJobAge               = 10 sec'")
    item = only(doctor(clinic, rc=0), "warn", "MinJobAge is 10 s")
    assert item["mend"].endswith(" to 2")
    script(
        clinic, "squeue", "echo 'slurm_load_jobs error: Unable to contact controller' >&2; exit 1"
    )
    only(doctor(clinic, rc=1), "error", "Unable to contact controller")
    script(clinic, "squeue", "echo 'Could not establish a configuration source' >&2; exit 1")
    only(doctor(clinic, rc=0), "warn", "configuration source")


def test_a_key_is_present_or_not_and_never_shown(clinic: Any, tmp_path: Path) -> None:
    del clinic.env["WANDB_MODE"]
    distributions(clinic, tmp_path, wandb="0.99.0")
    item = only(doctor(clinic, rc=0), "warn", "has no key")
    assert item["mend"] == "wandb login"
    secret = "0123456789abcdef" * 2 + "01234567"
    netrc = Path(clinic.env["HOME"]) / ".netrc"
    netrc.write_text(f"machine other\n login x\n password {secret}\n")
    only(doctor(clinic, rc=0), "warn", "has no key")
    netrc.write_text(f"machine api.wandb.ai\n  login user\n  password {secret}\n")
    done = clinic.aexp("doctor", rc=0)
    assert "a key is present (netrc)" in done.stdout
    assert secret not in done.stdout + done.stderr
    netrc.unlink()
    done = clinic.aexp("doctor", rc=0, env={"WANDB_API_KEY": secret})
    assert "a key is present (WANDB_API_KEY)" in done.stdout
    assert secret not in done.stdout + done.stderr
    done = clinic.aexp("doctor", rc=0, env={"WANDB_MODE": "offline"})
    assert "offline; no key is present" in done.stdout


def test_control_characters_are_shown_not_obeyed(clinic: Any) -> None:
    (clinic.root / ".aexp" / "ledger").mkdir()
    (clinic.root / ".aexp" / "ledger" / "\x1b[31mred").write_text("x")
    done = clinic.aexp("doctor", rc=1)
    assert "\x1b" not in done.stdout
    assert "\\x1b" in done.stdout
