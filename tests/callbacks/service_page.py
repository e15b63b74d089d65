"""What a user of a hosted service types, from its page's top to its bottom.

Only the object that gives the run is another one: ``aexp.start(...)`` and ``aexp.run(id)`` in
place of the service's client.
"""

import json
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

import aexp
from aexp import UploadTracker

part, seed, last = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
out, resume_dir = Path(f"./out-{seed}"), Path(f"./resume-{seed}")

# 1. Link the W&B run: what wandb.init(project=..., config=...) has returned.
url = f"https://wandb.ai/lab/ripple-pde/runs/abc{seed}"
wb = SimpleNamespace(id=f"abc{seed}", entity="lab", project="ripple-pde", get_url=lambda: url)
run = aexp.start(experiment="E001", sp={"lr": 3e-4, "seed": seed})
if part == "linked":
    run.start(
        wandb_run_id=wb.id,
        wandb_entity=wb.entity,
        wandb_project=wb.project,
        wandb_dashboard_url=wb.get_url(),
    )
else:
    run.start(wandb_run_id=wb.id, wandb_entity=wb.entity)

# 2. Snapshot the environment.
run.upload_environment(
    {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "git_sha": subprocess.check_output(["git", "rev-parse", "HEAD"]).decode().strip(),
    }
)

# 3. Custom configuration state.
resolved_config = {"lr": 3e-4, "schedule": {"warmup": 100}}
run.upload_environment(
    {
        "trainer": {"framework": "my-trainer", "version": "2.3.1", "mixed_precision": "bf16"},
        "hyperparameters": resolved_config,
        "dataset": {"name": "ripple-v3", "sha256": "0" * 64, "n_examples": 50_000},
        "seed": 1234,
    }
)
run.upload_asset(
    asset_type="trainer_config", content=resolved_config, asset_config={"schema_version": 3}
)

# Checkpointing & resume.
tracker = UploadTracker(db_path=Path("./uploads.sqlite"))
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.Adam(model.parameters())
start_step = 0


def save_state(ckpt: Path) -> None:
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step},
        ckpt / "state.pt",
    )


def checkpoint(step: int) -> None:
    ckpt = out / f"checkpoint-{step}"
    ckpt.mkdir(parents=True, exist_ok=True)
    save_state(ckpt)
    run.upload_directory_async(ckpt, asset_type="checkpoint", upload_tracker=tracker)


# Resuming.
ckpt = run.latest_output("checkpoint")
if ckpt:
    run.download_asset(ckpt["id"], resume_dir)
if ckpt:
    state = torch.load(resume_dir / "state.pt")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    start_step = state["step"] + 1

for step in range(start_step, last + 1):
    loss = model(torch.ones(1, 4)).square().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    run.heartbeat(step=step, total=last)
    if step % 10 == 0:
        checkpoint(step)
    if part == "crashes" and step == last:
        raise RuntimeError("out of luck")

final = out / "final"
final.mkdir(exist_ok=True)
torch.save(model.state_dict(), final / "model.pt")
run.upload_directory_async(final, asset_type="snapshot", upload_tracker=tracker)
curves = out / "curves"
curves.mkdir(exist_ok=True)
(curves / "loss.csv").write_text("step,loss\n")
kept = run.upload_directory_async(curves, asset_type="curves", upload_tracker=tracker)

run.succeed()

# Listing outputs directly.
across = run.list_outputs(across_runs=True)
own = run.list_outputs()
outputs = aexp.run(run.id).list_outputs()
assert outputs == own

# Resuming from an input-linked checkpoint.
linked = []
for asset in aexp.run(run.id).list_inputs():
    if asset["asset_type"] == "checkpoint":
        linked.append(asset["id"])
        run.download_asset(asset["id"], resume_dir)
        break

told = {"id": run.id, "start_step": start_step, "linked": linked, "curves": kept.result()["id"]}
told |= {"own": own, "across": len(across), "incomplete": tracker.get_incomplete()}
print(json.dumps(told))
