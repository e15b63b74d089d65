"""The output of a command: every byte, to the terminal and to the log, in bounded memory."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

AEXP = [sys.executable, "-P", "-m", "aexp"]


def raw(research: Any, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*AEXP, *arguments],
        cwd=research.root,
        env={**research.env, **options.pop("env", {})},
        capture_output=True,
        timeout=120,
        **options,
    )


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "command.py"
    path.write_text(text)
    return f"{sys.executable} {path}"


ALL_BYTES = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 5)"


@pytest.mark.parametrize("env", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}])
def test_every_byte_reaches_terminal_log_and_logs_verb(
    research: Any, tmp_path: Path, env: dict[str, str]
) -> None:
    job_id = research.one("seed=0", "--command", script(tmp_path, ALL_BYTES))
    expected = bytes(range(256)) * 5
    done = raw(research, "run-queued", job_id, env=env)
    assert (done.returncode, done.stdout) == (0, expected)
    assert (research.workspace(job_id) / "logs" / "1.log").read_bytes() == expected
    assert raw(research, "logs", job_id, env=env).stdout == expected


def test_undecodable_output_of_a_failing_command(research: Any) -> None:
    (research.root.parent / "c.sh").write_text("printf '\\377\\000tail'; exit 3\n")
    job_id = research.one("seed=0", "--command", "sh ../c.sh")
    done = raw(research, "run-queued", job_id)
    assert (done.returncode, done.stdout) == (1, b"\xff\x00tail")
    assert research.doc(job_id)["queue"]["last_error"]["stderr_tail"] == "\ufffd\x00tail"
    shown = research.aexp("show-run", job_id).stdout
    assert "\\x00tail" in shown


def test_stderr_is_part_of_the_output_in_order(research: Any) -> None:
    job_id = research.one("seed=0", "--command", "echo a; echo b >&2; echo c")
    assert research.aexp("run-queued", job_id).stdout == "a\nb\nc\n"


@pytest.mark.slow
def test_fifty_megabytes_in_one_line_need_little_memory(research: Any, tmp_path: Path) -> None:
    text = "import sys\nfor _ in range(800): sys.stdout.buffer.write(b'x' * 65536)"
    job_id = research.one("seed=0", "--command", script(tmp_path, text))
    measure = (
        "import hashlib, resource, subprocess, sys\n"
        "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "d = hashlib.sha256()\n"
        "while data := p.stdout.read(1 << 16): d.update(data)\n"
        "p.wait()\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(p.returncode, d.hexdigest(), usage.ru_maxrss)\n"
    )
    reader = subprocess.run(
        [sys.executable, "-c", measure, *AEXP, "run-queued", job_id],
        cwd=research.root,
        env=research.env,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = hashlib.sha256(b"x" * 65536 * 800).hexdigest()
    code, digest, peak_kb = reader.stdout.split()
    assert (code, digest) == ("0", expected)
    assert int(peak_kb) < 60_000
    log = research.workspace(job_id) / "logs" / "1.log"
    assert hashlib.sha256(log.read_bytes()).hexdigest() == expected


def test_the_wrapper_stays_small_while_much_passes_through(
    research: Any, tmp_path: Path, wait_until: Any
) -> None:
    text = (
        "import sys, time\n"
        "for _ in range(500): sys.stdout.buffer.write(b'x' * 65536)\n"
        "sys.stdout.flush(); open('written', 'w').close(); time.sleep(60)"
    )
    job_id = research.one("seed=0", "--command", script(tmp_path, text))
    wrapper = research.start_aexp("run-queued", job_id)
    os.set_blocking(wrapper.stdout.fileno(), False)
    seen = 0
    while not (research.root / "written").exists() or seen < 500 * 65536:
        seen += len(wrapper.stdout.read(1 << 20) or b"")
    peak = next(
        int(line.split()[1])
        for line in Path(f"/proc/{wrapper.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    assert peak < 60_000, f"{peak} kB"


def test_output_is_seen_while_the_command_runs(research: Any, wait_until: Any) -> None:
    job_id = research.one("seed=0", "--command", "printf 'no newline yet'; sleep 60")
    wrapper = research.start_aexp("run-queued", job_id)
    assert os.read(wrapper.stdout.fileno(), 100) == b"no newline yet"
    log = research.workspace(job_id) / "logs" / "1.log"
    wait_until(lambda: log.read_bytes() == b"no newline yet", timeout=5)


def test_a_python_command_is_not_buffered(research: Any, tmp_path: Path) -> None:
    text = "import time; print('epoch 1'); time.sleep(60)"
    job_id = research.one("seed=0", "--command", script(tmp_path, text))
    wrapper = research.start_aexp("run-queued", job_id)
    assert wrapper.stdout.readline() == b"epoch 1\n"


def test_a_background_grandchild_does_not_hold_the_run_open(research: Any, wait_until: Any) -> None:
    job_id = research.one("seed=0", "--command", "sleep 62 & echo $! > child; echo finished")
    began = time.monotonic()
    assert research.aexp("run-queued", job_id).stdout == "finished\n"
    assert time.monotonic() - began < 10
    child = (research.root / "child").read_text().strip()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), timeout=5)


def test_a_daemon_in_a_session_of_its_own_does_not_hold_the_run_open(research: Any) -> None:
    job_id = research.one("seed=0", "--command", "setsid sleep 9 & echo finished")
    began = time.monotonic()
    research.aexp("run-queued", job_id)
    assert time.monotonic() - began < 7
    assert research.status(job_id) == "complete"


def test_what_a_grandchild_wrote_before_the_end_is_kept(research: Any) -> None:
    job_id = research.one("seed=0", "--command", "(echo from below) & wait; echo above")
    assert research.aexp("run-queued", job_id).stdout == "from below\nabove\n"


def test_a_reader_that_goes_away_does_not_end_the_run(research: Any) -> None:
    (research.root.parent / "c.sh").write_text(
        "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo end\n"
    )
    job_id = research.one("seed=0", "--command", "sh ../c.sh")
    wrapper = research.start_aexp("run-queued", job_id)
    os.read(wrapper.stdout.fileno(), 10)
    wrapper.stdout.close()
    wrapper.wait(timeout=30)
    assert research.status(job_id) == "complete"
    log = (research.workspace(job_id) / "logs" / "1.log").read_text().splitlines()
    assert (len(log), log[-1]) == (2001, "end")


def test_the_command_cannot_read_the_wrappers_stdin(research: Any) -> None:
    job_id = research.one("seed=0", "--command", "cat; echo end")
    assert research.aexp("run-queued", job_id, input="secret\n").stdout == "end\n"


def test_the_tail_in_last_error_is_short(research: Any, tmp_path: Path) -> None:
    text = "import sys; print('y' * 10_000_000); print('the reason'); sys.exit(1)"
    job_id = research.one("seed=0", "--command", script(tmp_path, text))
    research.aexp("run-queued", job_id, rc=1)
    tail = research.doc(job_id)["queue"]["last_error"]["stderr_tail"]
    assert len(tail) <= 2048
    assert tail.endswith("the reason\n")
    assert "the reason" in research.aexp("show-run", job_id).stdout
