"""What machines say of themselves, read from trees of files as such machines have them."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aexp.environment import gpu, machine
from aexp.environment.digest import digest
from aexp.environment.packages import conda_packages, installed_packages, site_folders
from aexp.paths import Repo


def tree(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_limits_of_control_groups(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7"
    two = {
        "proc/self/cgroup": "0::/system.slice/slurmstepd.scope/job_7/step_0\n",
        f"{group}/memory.max": f"{8 << 30}\n",
        f"{group}/step_0/memory.max": "max\n",
        f"{group}/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/cpu.max": "max 100000\n",
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU\x1b[31m @ 2 GHz\n",
        "proc/meminfo": "MemTotal:       65536000 kB\nMemFree: 1 kB\n",
    }
    facts = machine.read_hardware(tree(tmp_path / "two", two))
    assert facts["memory_limit_mb"] == 8192
    assert facts["cpu_limit"] == 1.5
    assert facts["memory_mb"] == 64000
    assert facts["cpu"] == "Some CPU\\x1b[31m @ 2 GHz"
    one = {
        "proc/self/cgroup": "4:memory:/slurm/job_7\n3:cpu,cpuacct:/slurm/job_7\n",
        "sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": f"{4 << 30}\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu,cpuacct/slurm/job_7/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu,cpuacct/slurm/job_7/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    facts = machine.read_hardware(tree(tmp_path / "one", one))
    assert (facts["memory_limit_mb"], facts["cpu_limit"]) == (4096, 2.0)
    odd = {"proc/self/cgroup": "x\n0::/../../etc\n:::\n", "proc/meminfo": "MemTotal:\n"}
    assert "memory_limit_mb" not in machine.read_hardware(tree(tmp_path / "odd", odd))


@pytest.mark.parametrize(
    ("variables", "files", "expected"),
    [
        ({}, {}, None),
        ({"APPTAINER_CONTAINER": "/i/t.sif"}, {}, {"runtime": "apptainer", "image": "/i/t.sif"}),
        ({}, {".dockerenv": ""}, {"runtime": "docker"}),
        ({}, {"run/.containerenv": 'image="q/t:1"\n'}, {"runtime": "podman", "image": "q/t:1"}),
        (
            {"AEXP_CONTAINER": "t@sha256:ab", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
            {},
            {"runtime": "kubernetes", "image": "t@sha256:ab"},
        ),
    ],
)
def test_containers(
    variables: dict[str, str], files: dict[str, str], expected: Any, tmp_path: Path
) -> None:
    assert machine.read_container(variables, tree(tmp_path, files)) == expected


def test_the_slurm_job() -> None:
    variables = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_PARTITION": "gpu",
        "SLURM_JOB_ACCOUNT": "lab",
        "SLURM_JOB_USER": "me",
        "SLURM_JOB_NODELIST": "n[1-2]\x1b[0m",
        "SLURM_MEM_PER_NODE": "",
    }
    assert machine.read_slurm(variables) == {
        "job_id": "7",
        "partition": "gpu",
        "nodes": "n[1-2]\\x1b[0m",
    }
    assert machine.read_slurm({"SLURM_CONF": "/etc/slurm.conf"}) is None


def test_gpus_without_a_driver_and_without_nvml(tmp_path: Path) -> None:
    assert gpu.read_gpus(None, str(tmp_path)) == {
        "devices": [],
        "reason": "no NVIDIA driver on this machine",
    }
    told = gpu.through_nvml()  # the real library's binding; a machine with GPUs answers
    assert told["devices"] or told["reason"].startswith("NVML: ") or "cuda_driver" in told
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n"
    files = {
        "proc/driver/nvidia/version": version + "GCC version: 12\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": (
            "Model: \t\t NVIDIA A100-SXM4-40GB\nGPU UUID: \t GPU-8f6d\nBus Type: PCIe\n"
        ),
    }
    root = tree(tmp_path / "gpu", files)
    facts = gpu.from_driver(root)
    assert facts["driver"] == "535.104.05"
    assert facts["devices"] == [{"index": 0, "name": "NVIDIA A100-SXM4-40GB", "uuid": "GPU-8f6d"}]
    open_module = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  545.29.06  Release\n"
    tree(tmp_path / "gpu", {"proc/driver/nvidia/version": open_module})
    assert gpu.from_driver(root)["driver"] == "545.29.06"
    if "reason" in told:
        assert gpu.read_gpus(None, root) == {**gpu.from_driver(root), "reason": told["reason"]}


def test_packages_by_the_names_of_their_folders(research: Any, tmp_path: Path) -> None:
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    for name in (
        "numpy-2.1.0.dist-info",
        "Zope.Interface-6.1.dist-info",
        "ruamel_yaml-1.dist-info",
    ):
        tree(site / name, {"METADATA": "Name: x\n"})
    tree(site / "~umpy-1.0.dist-info", {"METADATA": "Name: x\n"})  # of an interrupted pip
    tree(site / "gone-1.0.dist-info", {"RECORD": ""})
    tree(site / "old_style-3.0-py3.12.egg-info", {"PKG-INFO": "Name: old-style\n"})
    (site / "flat-1.5-py3.12.egg-info").write_text("Name: flat\nVersion: 1.5\n")
    tree(site / "noversion.egg-info", {"PKG-INFO": "Metadata-Version: 2\nName: nv\nVersion: 9\n\n"})
    for name, told in {
        "editable": {"url": "file:///home/me/code", "dir_info": {"editable": True}},
        "broken": [],
    }.items():
        folder = site / f"{name}-0.1.dist-info"
        tree(folder, {"METADATA": "", "direct_url.json": json.dumps(told)})
    repo = Repo(research.root)
    found = installed_packages(repo, [str(site)])
    assert found.versions == {
        "broken": "0.1",
        "editable": "0.1",
        "flat": "1.5",
        "numpy": "2.1.0",
        "nv": "9",
        "old-style": "3.0",
        "ruamel-yaml": "1",
        "zope-interface": "6.1",
    }
    assert found.sources["editable"] == {"url": "file:///home/me/code", "editable": True}
    assert found.sources["broken"] == {"unreadable": True}
    cache = Path(repo.cache("packages"))
    assert not cache.exists()  # a folder that has just changed may change again
    past = time.time() - 100
    os.utime(site, (past, past))
    assert installed_packages(repo, [str(site)]) == found
    (kept,) = cache.iterdir()
    assert json.loads(kept.read_bytes())["packages"]["numpy"] == {"version": "2.1.0"}
    for damage in (b"{", b"[]", b'{"packages": [1]}', kept.read_bytes().replace(b'{"v', b'[{"v')):
        kept.write_bytes(damage)
        assert installed_packages(repo, [str(site)]) == found
    tree(site / "torch-2.5.dist-info", {"METADATA": ""})
    assert installed_packages(repo, [str(site)]).versions["torch"] == "2.5"
    assert site_folders(str(tmp_path / "env")) == [str(site)]
    meta = {"numpy-2.1.0-py312_0.json": "{}", "cuda-nvcc-12.4.1-0.json": "{}", "history": ""}
    tree(tmp_path / "env" / "conda-meta", meta)
    assert conda_packages(str(tmp_path / "env")) == {
        "cuda-nvcc": "12.4.1 0",
        "numpy": "2.1.0 py312_0",
    }
    assert conda_packages(str(tmp_path)) == {}
    assert "aexp" in installed_packages(None, sys.path).versions


@pytest.mark.parametrize("size", [0, 10, 1 << 19])
def test_digests_are_sha256(size: int) -> None:
    import hashlib

    data = os.urandom(size)
    assert digest(data) == "sha256:" + hashlib.sha256(data).hexdigest()
