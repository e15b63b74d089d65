"""What somebody does who has another tracker's page at hand: its quick start, then verb by verb.

It is the page of the one whose catalogue ``aexp import bathos`` reads: the steps are the page's,
the words ours (docs/migration.md has both).
"""

import json
import re
import stat
import sys
from typing import Any

FOLDERS = ("experiments", "analysis", "validation", "benchmarks", "data", "slurm")
FOLDERS += ("debug", "explore", "scratch")
SCRIPT = """import json, os, sys
out = sys.argv[sys.argv.index("--out") + 1]
os.makedirs(os.path.dirname(out), exist_ok=True)
open(out, "w").write(" ".join(sys.argv[1:]))
print("made", out)
"""
FUNCTION = """import aexp
from pathlib import Path

@aexp.experiment(name="benchmark_tip3p", tags=["tip3p", "nvt"])
def main(n_steps: int, out: Path):
    return {"steps": n_steps}

if __name__ == "__main__":
    main(1000, out=Path("outputs/run1.parquet"))
"""


def test_the_reference_page_from_top_to_bottom(desk: Any) -> None:
    research, cli = desk.research, desk.cli

    # aexp init: the project, nine folders, the Slurm helper.
    cli("init", "--slug", "tip3p")
    assert all((desk.root / "scripts" / name).is_dir() for name in FOLDERS)
    helper = desk.root / "scripts" / "slurm" / "_aexp_env.sh"
    assert "AEXP" in helper.read_text()
    assert research.git("check-ignore", "scripts/scratch/260101_try.py").strip()

    # aexp exec, with each of its options. The gate asks for a sidecar where runs count.
    script = desk.root / "scripts" / "experiments" / "benchmark_tip3p.py"
    script.write_text(SCRIPT)
    command = ("python", "scripts/experiments/benchmark_tip3p.py", "--n-steps", "1000")
    command += ("--out", "outputs/run1.parquet")
    assert "sidecar" in research.aexp("exec", "--", *command, rc=None).stderr
    cli("campaign", "create", "wider", "--hypothesis", "wider boxes are slower")

    def execute(*options: str) -> str:
        said = research.aexp("exec", *options, "--", *command).stderr
        return str(re.findall(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}\b", said)[0])

    first = execute("--no-sidecar", "--agent-mode", "collaborative", "--out", "outputs/*.parquet")
    options = ("--derived-from", first, "--campaign", "wider", "--tag", "nvt")
    second = execute("--no-sidecar", "--agent-mode", "autonomous", *options)

    # aexp ls, show, find, sql.
    listed = desk.json("ls", "--since", "7d")
    runs = {run["job_id"][:8]: run for run in listed}
    assert set(runs) == {first[:8], second[:8]}
    shown = desk.json("show", first[:8])
    assert shown["status"] == "complete"
    assert "outputs/run1.parquet" in json.dumps(shown)
    found = desk.json("find", "--tag", "nvt", "--campaign", "wider", "--since", "1d")
    assert [run["job_id"][:8] for run in found] == [second[:8]]
    told = cli("sql", "SELECT project_slug, count(*) AS n FROM runs GROUP BY 1", "--json")
    assert json.loads(told) == [{"project_slug": "tip3p", "n": 2}]

    # aexp check: fresh; with the output gone that is said, and the exit code is another one.
    assert desk.json("check", "--status", "complete")["counts"]["fresh"] == 2
    (desk.root / "outputs" / "run1.parquet").unlink()
    cli("check", "--status", "complete")
    assert "missing" in cli("check", "--check-outputs", rc=1)

    # aexp lineage, sprint-audit, lint, new-experiment.
    assert first[:8] in cli("lineage", second[:8])
    audit = desk.json("sprint-audit", "--hours", "24")
    assert "tip3p" in json.dumps(audit)
    assert "benchmark_tip3p" in cli("lint", "--project-root", str(desk.root), rc=1)
    cli("new-experiment", "--script", "measure_density")
    assert "measure_density" not in cli("lint", "--project-root", str(desk.root), rc=1)
    research.aexp("exec", "--", "python", "scripts/experiments/measure_density.py")

    # aexp migrate, export.
    cli("migrate", "--dry-run")
    cli("migrate")
    cli("export")
    assert "aexp" in json.loads((desk.root / ".mcp.json").read_text())["mcpServers"]

    # aexp remote, sync: this project's runs, true counts, the filter that can be off.
    cli("remote", "remove", "engaging")
    cli("remote", "add", "engaging", f"cluster:{desk.root.parent.name}/research")
    assert "engaging" in cli("remote", "list")
    cli("remote", "test", "engaging")
    other = desk.entry(77, project="other")
    shape = r"Pushed (\d+) runs? \(filtered (\d+) from other projects\) to 'engaging' in [\d.]+ ?s"
    counted = re.search(shape, cli("sync", "engaging"))
    assert counted
    assert counted.groups() == ("3", "1")
    settings = desk.root / "aexp.toml"
    settings.write_text(settings.read_text() + '\nsync_filter = "none"\n')
    assert desk.json("sync")["added"] == [other]
    desk.path(other).unlink()
    assert "Pulled 1 run" in cli("sync", "engaging", "--pull")
    assert desk.path(other).exists()

    # aexp campaign.
    cli("campaign", "add", first[:8], "--campaign", "wider")
    assert "wider" in cli("campaign", "ls")
    members = json.dumps(desk.json("campaign", "show", "wider"))
    assert first[:8] in members
    assert second[:8] in members
    desk.json("campaign", "review", "wider")
    cli("campaign", "conclude", "wider", "--outcome", "supported")
    assert "supported" in cli("campaign", "show", "wider")

    # The decorator, and the line that a batch script sources.
    where = desk.root / "scripts" / "analysis" / "time_box.py"
    where.write_text(FUNCTION)
    done = research.start(sys.executable, str(where))
    assert done.wait(60) == 0, done.stdout.read()
    called = desk.json("find", "--tag", "tip3p", "--param", "n_steps=1000")
    assert [run["status"] for run in called] == ["complete"]
    batch = desk.root / "scripts" / "slurm" / "run_box.slurm"
    batch.write_text("#!/bin/bash\nsource scripts/slurm/_aexp_env.sh\necho in the batch\n")
    batch.chmod(stat.S_IRWXU)
    done = research.start(str(batch))
    assert done.wait(60) == 0, done.stdout.read()
    assert "run_box.slurm" in cli("ls", "--json")
