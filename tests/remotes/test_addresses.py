"""What a remote may be: its URL, its options, its file; never a credential."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.errors import AexpError, CorruptFile, UsageError
from aexp.paths import Repo
from aexp.remotes.address import check_url, parse_url
from aexp.remotes.config import list_remotes, make_remote


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("az://container/a", "az://container/a"),
        ("file:///mnt/archive/", "file:///mnt/archive"),
        ("file://localhost/mnt/x", "file:///mnt/x"),
        ("/mnt/archive/50%/a b", "file:///mnt/archive/50%25/a%20b"),
        (" s3://bucket ", "s3://bucket"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert check_url(text) == url
    assert check_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "bucket", "s3://", "s3:///a", "s3://b/../c", "s3://b/a b", "s3://b\n", "ftp://h/x"),
        *("http://h/x", "file://", "file:///", "file://host/x", "file://x/y"),
        *("s3://b:x/y", "s3://[::1/x", "s3://b/%2e%2e/c", "s3://b#x", "s3://büro/x", "memory:///"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_url(text if text != "s3://b\n" else "s3://b\nx")
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        *("s3://AKIA:hush@bucket/x", "s3://hush@bucket", "file://u:hush@/x", "gs://:hush@b"),
        *("s3://b?aws_secret_access_key=hush", "az://c/x?sig=hush", "s3://b/x?X-Amz-Token=hush"),
    ],
)
def test_a_credential_in_a_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_url(text)
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"
    assert "environment" in str(caught.value.hint)


@pytest.mark.parametrize(
    "options",
    [
        {"secret_access_key": "hush"},
        {"access_key_id": "hush"},
        {"session_token": "hush"},
        {"sas_token": "hush"},
        {"endpoint": "https://u:hush@h"},
        {"endpoint": "https://h?token=hush"},
        {"endpoint": "h"},
        {"endpoint": "http://[h"},
        {"endpoint": "http://h:port"},
        {"endpoint": "user:hush@h"},
        {"region": 3},
        {"region": ""},
        {"unheard_of": "x"},
    ],
)
def test_options_are_of_a_known_kind(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        make_remote("r", "s3://bucket", options=options)
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        url = check_url(text)
    except UsageError:
        return
    assert check_url(url) == url
    assert ".." not in parse_url(url).path.split("/")
    assert "@" not in parse_url(url).host


def test_a_remote_is_a_file_for_git(research: Any) -> None:
    words = ("archive", "s3://bucket/p", "--option", "endpoint=https://s3.example.org")
    research.aexp("remote", "add", *words, "--required")
    path = research.root / ".aexp" / "remotes" / "archive.json"
    body = json.loads(path.read_text())
    assert body == {
        "schema": 1,
        "url": "s3://bucket/p",
        "push": "auto",
        "required": True,
        "options": {"endpoint": "https://s3.example.org"},
    }
    assert ".aexp/remotes/archive.json" in research.git("status", "--short", "-uall")
    assert research.json("remote", "list") == [{"name": "archive", **body}]
    again = research.aexp("remote", "add", "archive", "/mnt/x", rc=2)
    assert "--replace" in again.stderr
    research.aexp("remote", "add", "archive", "/mnt/x", "--replace", "--manual")
    assert research.json("remote", "list")[0]["url"] == "file:///mnt/x"
    assert "no remote other" in research.aexp("remote", "remove", "other", rc=1).stderr
    research.aexp("remote", "remove", "archive")
    assert research.json("remote", "list") == []
    assert "aexp remote add" in research.aexp("push", rc=1).stderr


BAD_FILES = (
    "{",
    "[]",
    "{}",
    '{"url": 3}',
    '{"url": "s3://u:hush@b"}',
    '{"url": "s3://b", "options": {"secret_access_key": "hush"}}',
    '{"url": "s3://b", "required": "yes"}',
    '{"url": "s3://b", "push": "sometimes"}',
)


def test_a_file_that_is_no_remote_is_named(research: Any) -> None:
    folder = research.root / ".aexp" / "remotes"
    folder.mkdir()
    for content in BAD_FILES:
        (folder / "bad.json").write_text(content)
        with pytest.raises(CorruptFile, match=r"bad\.json") as caught:
            list_remotes(Repo(research.root))
        assert "hush" not in f"{caught.value.message} {caught.value.hint}"
    for words in (("remote", "list"), ("push",), ("remote", "test", "bad")):
        done = research.aexp(*words, rc=int(words != ("remote", "list")))
        assert "bad.json" in done.stderr
        assert "Traceback" not in done.stderr
    research.aexp("remote", "remove", "bad")


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "a b", "x" * 64, "-x"])
def test_names(name: str) -> None:
    with pytest.raises(AexpError):
        make_remote(name, "s3://bucket")
