"""The look whether W&B can be used: within its time, whatever the service does."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb_server

from aexp.trackers.wandb import login as wandb_login


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, wandb_service: Any) -> Any:
    """Set what leads to the stand-in."""
    for name, value in wandb_service.environment.items():
        monkeypatch.setenv(name, value)
    return wandb_service


def test_a_service_that_answers(known: Any) -> None:
    assert wandb_login.look() is None
    assert known.requests == ["Viewer"]


FAULTS: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "down": (lambda service: service.down(), "cannot be reached", "check the network"),
    "error": (lambda service: setattr(service, "mode", "error"), "HTTP 500", "check the network"),
    "refuse": (lambda service: setattr(service, "mode", "refuse"), "HTTP 401", "wandb login"),
    "hang": (lambda service: service.hang(), "does not answer within 0.5 s", "check the network"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_that_cannot_be_used(fault: str, known: Any) -> None:
    break_it, words, advice = FAULTS[fault]
    break_it(known)
    began = time.monotonic()
    trouble = wandb_login.look(0.5)
    assert time.monotonic() - began < 2
    assert trouble is not None
    assert words in trouble.message
    assert trouble.hint.startswith(advice) or advice in trouble.hint
    assert "aexp sync-offline" in trouble.hint


def test_a_port_that_accepts_and_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", wandb_server.API_KEY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        trouble = wandb_login.look(0.3)
    assert trouble is not None
    assert "within 0.3 s" in trouble.message


def test_a_wrong_key_is_not_shown(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", wandb_server.WRONG_KEY)
    trouble = wandb_login.look()
    assert trouble is not None
    assert "does not accept the key" in trouble.message
    assert wandb_server.WRONG_KEY not in trouble.message + trouble.hint


def test_no_key_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    trouble = wandb_login.look()
    assert trouble is not None
    assert trouble.message == "there is no key for W&B"
    assert "wandb login" in trouble.hint


def test_what_wandb_login_has_left(
    tmp_path: Path, wandb_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address from the settings file, key from netrc, as the SDK has them."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings").write_text(f"[default]\nbase_url = {wandb_service.url}/\n")
    netloc = wandb_service.url.removeprefix("http://")
    (tmp_path / ".netrc").write_text(
        f"machine {netloc}\n  login user\n  password {wandb_server.API_KEY}\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    assert wandb_login.service_url() == wandb_service.url
    assert wandb_login.look() is None
    (tmp_path / ".netrc").write_text("machine")  # damaged: the SDK decides
    assert wandb_login.api_key(wandb_service.url) is None
    assert wandb_login.look() is None


def test_the_address_built_into_the_sdk() -> None:
    """It has changed between versions, so it is read from the installed one."""
    from wandb import Settings

    assert wandb_login.service_url() == Settings.model_fields["base_url"].default


def test_what_only_the_sdk_can_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy, or where the address makes no sense, nothing is said."""
    monkeypatch.setenv("WANDB_API_KEY", wandb_server.API_KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://wandb.example:x")
    assert wandb_login.look() is None
    monkeypatch.setenv("WANDB_BASE_URL", "http://wandb.example")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert wandb_login.look() is None


def test_an_answer_is_handed_over_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrapper has just asked; the process beside the run does not wait for the same."""
    trouble = wandb_login.Trouble("it hangs", "wait")
    wandb_login.note(tmp_path, trouble)  # no run's folder
    assert wandb_login.recent_trouble(tmp_path) is None
    (tmp_path / "tracker").mkdir()
    wandb_login.note(tmp_path, trouble)
    assert wandb_login.recent_trouble(tmp_path) == trouble
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert wandb_login.recent_trouble(tmp_path) is None
    wandb_login.note(tmp_path, None)
    assert wandb_login.recent_trouble(tmp_path) is None
    (tmp_path / "tracker" / "look.json").write_text("[")
    assert wandb_login.recent_trouble(tmp_path) is None
