"""What counts as a secret, by name, by shape, and by being one of this process's own."""

import json
import string
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.environment.names import (
    _INNOCENT,
    DOUBTFUL,
    HARMLESS,
    OF_MODEL,
    SECRET,
    is_denied,
    secrecy,
)
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

HEX = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"
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
        ("tokenizer num_heads lr author keyword keypoints monkey", HARMLESS),
        ("low_passes TOKENIZERS_PARALLELISM bypass", HARMLESS),
        ("max_tokens eos_token_id n_tokens sort_key key_dim primary_key feature_key", OF_MODEL),
        ("session auth private n_session tokens key sas pin pad_token pw_conv", DOUBTFUL),
        ("label_studio_token image_pull_token index_token group_token monitor_token", DOUBTFUL),
        ("password_len secret_ratio api_key_dim otp_length", DOUBTFUL),
        ("hf_token HF_TOKEN apiKey ACCESS_KEY_ID password dbPassword jwt dsn ghpass", SECRET),
        ("MY_PSK otp db_pw wifi_psk", SECRET),
    ],
)
def test_names(names: str, tier: int) -> None:
    assert {name: secrecy(name) for name in names.split()} == dict.fromkeys(names.split(), tier)
    for name in names.split():
        assert is_secret_name(name) == (tier != HARMLESS)
        assert is_denied(name) or tier == HARMLESS  # one sieve: a variable's is the finer


@given(
    st.sampled_from(sorted(_INNOCENT)),
    st.sampled_from(["key", "token", "keys", "tokens", "secret", "api_key", "pw", "otp"]),
    st.text(LETTERS, min_size=4, max_size=40).map(lambda text: text[:4] + "7Zq" + text[4:]),
    st.sampled_from(["{0}_{1}", "{1}_{0}", "{0}_of_{1}", "my-{0}-{1}"]),
)
@settings(max_examples=100, deadline=None)
def test_a_word_of_models_makes_no_secret_harmless(
    modelling: str, word: str, value: str, joint: str
) -> None:
    name = joint.format(modelling, word)
    assert scrub({"azure": {name: [value]}}) == {"azure": {name: ["***"]}}
    option = "--" + name.replace("_", "-")
    assert scrub_value(f"train {option} {value} --lr 1") == f"train {option} *** --lr 1"
    assert not allowed(name.upper())


def test_what_a_configuration_needs_stays() -> None:
    config = {
        "max_tokens": 512,
        "tokens": 3_000,
        "max_tokens_total": "1_000K",
        "pad_token": "<pad>",
        "mask_token": "[MASK]",
        "eos_token": "<|im_end|>",
        "bos_tokens": ["</s>", "\n"],
        "sort_key": "created_at",
        "primary_key": "id",
        "token_type": "bpe",
        "session": 3,
        "password_len": 8,
        "secret_ratio": 0.5,
        "api_key_dim": "4",
        "model": "Qwen2-VL-72B-Instruct-GPTQ-Int4",
        "commit": "c1994b94451c51c545898941fb2b8941f0eec8d0",
        "image": "sha256:" + "ab12" * 16,
        "data": "s3://bucket/key=3/part-0001.parquet",
        "address": "http://127.0.0.1:5000/x@y",
        "patch": "https://git.example.org/x/commit/c1994b94451c51c545898941fb2b8941f0eec8d0",
        "revision": "train at c1994b94451c51c545898941fb2b8941f0eec8d0 --max-tokens 512",
        "names": "key-value-memory fw-model-2024 xai-saliency-2023 pplx-70b docker run -p 80:80",
        "argv": ["docker", "run", "-p", "8080:80"],
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
        ("api_key => abc; b := 2", "api_key => ***; b := 2"),
        ("the API key is " + HEX, "the API key is ***"),
        ("wandb token '" + HEX + "'", "wandb token '***'"),
        ("mysql -u me -psecret db | sort -p1", "mysql -u me -p*** db | sort -p1"),
        ("sshpass -p x ssh h", "sshpass -p *** ssh h"),
        ("docker login -u me -p x h", "docker login -u me -p *** h"),
        ("machine h login me password x", "machine h login me password ***"),
        ("dapi" + HEX[:32] + " glpat-abcdefghijklmnopqrst", "*** ***"),
        ("xkeysib-" + HEX + "-abc", "***"),
        ("https://dl.cloudsmith.io/abCdeFghIjkLmnOp/o/r/", "https://dl.cloudsmith.io/***/o/r/"),
        ("https://dl.cloudsmith.io/public/o/r/", "https://dl.cloudsmith.io/public/o/r/"),
        ("https://h.org/t/ab-123456-cd/main", "https://h.org/t/***/main"),
        ("https://h.org/a1b2c3x9y8z7w6v5/simple", "https://h.org/***/simple"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", "***"),
    ],
)  # fmt: skip
def test_texts(text: str, clean: str) -> None:
    assert scrub_value(text) == clean


@pytest.mark.parametrize(
    ("arguments", "clean"),
    [
        ("mysql -h me -psecret db", "mysql -h me -p*** db"),
        ("/usr/bin/sshpass -p x ssh -p 22 h", "/usr/bin/sshpass -p *** ssh -p 22 h"),
        ("podman login -p x", "podman login -p ***"),
        (
            "train --index-token 9f8e7d6c --pad-token <pad>",
            "train --index-token *** --pad-token <pad>",
        ),
        ("train --image-pull-token=9f8e7d6c", "train --image-pull-token=***"),
    ],
)
def test_arguments(arguments: str, clean: str) -> None:
    assert scrub_arguments(arguments.split()) == clean.split()


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
    monkeypatch.setenv("AEXP_RECORD_ENV", "*")
    sounding = "MY_PSK MY_OTP MY_PW GPG_PIN AZURE_SIG AEXP_OTP SLURM_JOB_PARTITION_PSK"
    of_persons = "SLURM_ACCOUNT SLURM_USER SLURM_JOB_USER SLURM_JOB_GROUP SLURMD_UID"
    assert not [name for name in f"{sounding} {of_persons}".split() if allowed(name)]
    assert allowed("SLURM_JOB_PARTITION")
    assert allowed("SLURM_CPUS_PER_TASK")
