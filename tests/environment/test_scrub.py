"""What counts as a secret, by name, by shape, and by being one of this process's own."""

import json
import string
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.environment.names import DOUBTFUL, HARMLESS, SECRET, secrecy
from aexp.environment.scrub import (
    REDACTED,
    allowed,
    is_secret_name,
    scrub,
    scrub_arguments,
    scrub_value,
    strip_url,
)
from aexp.environment.variables import select_variables

LETTERS = string.ascii_letters + string.digits
_SOUNDING = """
key token secret password passwd passphrase credential cookie auth private session dsn jwt
cert sas apikey api_key access_key access_token client_secret bearer
"""
SOUNDING = _SOUNDING.split()
secrets = st.text(LETTERS + "+/=_-.!", min_size=6, max_size=60).map(lambda text: "Z9" + text)
innocent = st.text(string.ascii_letters, min_size=1, max_size=12)


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=80), max_size=20))
@settings(max_examples=100, deadline=None)
def test_a_variable_is_kept_only_by_the_list(variables: dict[str, str]) -> None:
    selected = select_variables(variables)
    for name in selected["variables"]:
        assert allowed(name)
    unlisted = {name for name in variables if not allowed(name)}
    assert unlisted.isdisjoint(selected["variables"])


@given(
    st.sampled_from(["SLURM_", "AEXP_", "OMP_", "NCCL_", "TORCH_", "JAX_", "MY_", ""]),
    st.text(string.ascii_uppercase + "_", max_size=8),
    st.sampled_from(SOUNDING),
    st.sampled_from(["", "_1", "_ID", "S", "_VALUE"]),
    st.booleans(),
    secrets,
)
@settings(max_examples=100, deadline=None)
def test_no_name_that_sounds_like_a_secret_is_recorded(
    prefix: str, middle: str, word: str, suffix: str, lower: bool, value: str
) -> None:
    name = prefix + middle + word.upper() + suffix
    name = name.lower() if lower else name
    assert not allowed(name)
    selected = select_variables({name: value})
    assert selected["variables"] == {}
    assert selected["variables_left_out"]["secret"] == [name]


@given(st.sampled_from(SOUNDING), innocent, secrets, st.sampled_from("_- ."))
@settings(max_examples=100, deadline=None)
def test_a_value_under_such_a_name_is_hidden_at_any_depth(
    word: str, other: str, value: str, joint: str
) -> None:
    for name in (word, f"my{joint}{word}", word.upper(), f"HF_{word.upper()}"):
        for content in (
            {name: value},
            {other: [{name: value}]},
            {name: {"deeper": [value, {"x": value}]}},
        ):
            assert value not in json.dumps(scrub(content)).replace("\\\\", "\\")
    option = "--" + word.replace("_", "-")
    assert scrub_arguments(["train", option, value])[2] == REDACTED
    assert value not in scrub_arguments(["train", f"{option}={value}"])[1]


@given(innocent, secrets, innocent, st.sampled_from(["https", "postgresql", "mongodb+srv"]))
@settings(max_examples=100, deadline=None)
def test_no_password_of_a_url_stays(user: str, password: str, host: str, scheme: str) -> None:
    for url in (
        f"{scheme}://{user}:{password}@{host}.example.org/x",
        f"{scheme}://{user}:{password}@{host}.example.org:8080/x?a=b",
        f"git+{scheme}://{password.replace('/', '')}@{host}.example.org/x.git",
    ):
        userinfo = url.partition("://")[2].rpartition("@")[0]
        for text in (url, f"see {url} there", f"index={url}"):
            assert f"{userinfo}@" not in scrub_value(text)
            assert f"{host}.example.org" in scrub_value(text)
        assert "@" not in strip_url(url)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_anything_can_be_scrubbed_and_again_without_a_change(value: Any) -> None:
    once = scrub(value)
    json.dumps(once)
    assert scrub(once) == once


@pytest.mark.parametrize(
    ("names", "tier"),
    [
        (
            "max_tokens pad_token eos_token_id tokenizer n_tokens sort_key key_dim num_heads",
            HARMLESS,
        ),
        ("lr author keyword keypoints monkey low_passes TOKENIZERS_PARALLELISM bypass", HARMLESS),
        ("session auth private n_session tokens key sas", DOUBTFUL),
        ("hf_token HF_TOKEN apiKey ACCESS_KEY_ID password dbPassword jwt dsn ghpass", SECRET),
    ],
)
def test_names(names: str, tier: int) -> None:
    assert {name: secrecy(name) for name in names.split()} == dict.fromkeys(names.split(), tier)
    for name in names.split():
        assert is_secret_name(name) == (tier != HARMLESS)


def test_what_a_configuration_needs_stays() -> None:
    config = {
        "max_tokens": 512,
        "tokens": 3_000,
        "pad_token": "<pad>",
        "session": 3,
        "model": "Qwen2-VL-72B-Instruct-GPTQ-Int4",
        "commit": "c1994b94451c51c545898941fb2b8941f0eec8d0",
        "image": "sha256:" + "ab12" * 16,
        "data": "s3://bucket/key=3/part-0001.parquet",
        "address": "http://127.0.0.1:5000/x@y",
        "host": "git@github.com:lab/code.git",
        "statement": "The key: a wider beam. Basic understanding of tokens: none.",
        "reference": "--token $HF_TOKEN --key ${KEY} --password {password}",
        "nothing": None,
        "token": None,
    }
    assert scrub(config) == config


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("train --token abc --lr 0.1", "train --token *** --lr 0.1"),
        ("API_KEY=abc train --key-dim 64", "API_KEY=*** train --key-dim 64"),
        ("train --password='a b' x", "train --password='***' x"),
        ("curl -u me:pw https://h/x", "curl -u me:*** https://h/x"),
        ("wandb login 0123456789abcdef", "wandb login ***"),
        ("//h/p?X-Amz-Signature=ab&a=b&token=z", "//h/p?X-Amz-Signature=***&a=b&token=***"),
        ("pip install -i https://u:pw@h/simple x", "pip install -i https://***@h/simple x"),
        ('{"a": 1, "api_key": "abc"}', '{"a": 1, "api_key": "***"}'),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("x ghp_abcdefghijklmnop1234 y", "x *** y"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", "***"),
    ],
)  # fmt: skip
def test_texts(text: str, clean: str) -> None:
    assert scrub_value(text) == clean


def test_a_secret_of_this_process_is_known_wherever_it_turns_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_SERVICE_TOKEN", "plain-words-only-here")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:quite-a-word@h/db")
    assert scrub_value("the plain-words-only-here of it") == "the *** of it"
    assert scrub({"note": ["quite-a-word"]}) == {"note": ["***"]}
    monkeypatch.setenv("SLURM_JOB_ACCOUNT", "lab-2024-gpu")  # left out, but no secret
    assert scrub_value("in lab-2024-gpu") == "in lab-2024-gpu"
    assert not allowed("SLURM_JOB_ACCOUNT")
    monkeypatch.setenv("SHORT_TOKEN", "base")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/agent")
    assert scrub_value("model=base at /tmp/agent") == "model=base at /tmp/agent"


def test_the_probes_leave_nothing(probes: ModuleType) -> None:
    kept = select_variables({**probes.VALUES, **probes.HARMLESS})
    assert probes.HARMLESS.items() <= kept["variables"].items()
    assert set(probes.THIRTEEN).isdisjoint(kept["variables"])
    names = kept["variables_left_out"]
    every = {*kept["variables"], *names["secret"], *names["not_listed"]}
    assert every == {*probes.VALUES, *probes.HARMLESS}
    for told in (kept, scrub(probes.VALUES), scrub(list(probes.VALUES.items()))):
        text = json.dumps(told)
        found = [n for n, secret in probes.SECRETS.items() if json.dumps(secret)[1:-1] in text]
        assert told is not kept or found == []
        if isinstance(told, dict):
            assert found == []


def test_one_may_add_to_the_list_but_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not allowed("DATASET_ROOT")
    monkeypatch.setenv("AEXP_RECORD_ENV", "DATASET_*, SEED")
    assert allowed("DATASET_ROOT")
    assert allowed("SEED")
    assert not allowed("DATASET_TOKEN")
