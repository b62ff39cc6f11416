"""Paths and URLs of callers: plain paths, the home directory, buckets, and drives of Windows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from firsthandapi._base.paths import bucket_url, check_path, is_url, local_path, name_not_on_windows
from firsthandapi.errors import InvalidArgumentError

SECRET = "wJalrXUtnFEMI5ecret"


@pytest.mark.parametrize(
    "text",
    [
        "signs",
        "/data/signs",
        "./a b",
        "C:\\signs",
        "C:/signs",
        "C://signs",
        "a:b",
        "signs:",
        ".",
        "a/~",
        "a~",
    ],
)
def test_a_path_is_a_path(text: str) -> None:
    """As it stands: a drive of Windows is no scheme, and a colon makes no URL."""
    assert not is_url(text)
    assert local_path(text, "dest") == Path(text)


def test_no_name_is_not_the_current_folder() -> None:
    """A variable of a script that is not set would fill that."""
    with pytest.raises(InvalidArgumentError, match=r"dest is empty; the current folder is \./"):
        local_path("", "dest")


@pytest.mark.parametrize(
    "text", ["file:///data/~my%20signs", "FILE:///data/~my%20signs", "file://localhost/data/~my signs"]
)
def test_a_file_url_is_a_path(text: str) -> None:
    """With everything that a local folder has."""
    assert local_path(text, "dest") == Path("/data/~my signs")


@pytest.mark.parametrize(
    "text", ["file://signs", "file://host/signs", "file:///a?b", "file:///a#b", "file://localhost"]
)
def test_a_file_url_of_another_machine_is_refused(text: str) -> None:
    """And so is one with what paths do not have."""
    with pytest.raises(InvalidArgumentError, match="file:///folder") as caught:
        local_path(text, "dest")
    assert caught.value.field == "dest"


@pytest.mark.parametrize("factory", [PurePosixPath, PureWindowsPath, "./{}".format])
def test_a_path_made_of_a_url_is_refused(factory: Callable[[str], object]) -> None:
    """`Path` drops a slash, and the files would be in a folder called `s3:`."""
    text = str(factory("s3://bucket/signs")).replace("://", ":/")
    with pytest.raises(InvalidArgumentError, match="as a str"):
        local_path(text, "path")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket/a//b/", "s3://bucket/a/b"),
        ("gs://bucket.example/a b/ü", "gs://bucket.example/a b/ü"),
        ("memory://a/b", "memory://a/b"),
        ("memory:///a/b", "memory://a/b"),
        (
            "abfs://container@account.dfs.core.windows.net/a",
            "abfs://container@account.dfs.core.windows.net/a",
        ),
        ("webhdfs://host:9870/a", "webhdfs://host:9870/a"),
        ("s3://bucket/mail@example.com", "s3://bucket/mail@example.com"),
        (
            "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/mine/a",
            "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/mine/a",
        ),
    ],
)
def test_a_bucket_is_named_by_its_url(text: str, url: str) -> None:
    """Its scheme tells the store; slashes too many make no other place."""
    assert local_path(text, "dest") is None
    assert bucket_url(text, "dest") == (url.partition("://")[0], url)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"s3://AKIAEXAMPLE:{SECRET}@bucket/a", "credentials"),
        (f"s3://AKIAEXAMPLE:{SECRET}/x+y@bucket/a", "credentials"),
        (f"s3://{SECRET}@bucket/a", "credentials"),
        (f"abfs://me:{SECRET}@container/a", "credentials"),
        (f"abfs://me@{SECRET}@container/a", "credentials"),
        (f"s3://bucket/a?X-Amz-Signature={SECRET}", "query"),
        (f"s3://bucket/a#{SECRET}", "fragment"),
        (f"https://bucket.s3.amazonaws.com/a?{SECRET}", "web address"),
        ("s3://", "must name a bucket"),
        ("http://bucket.s3.amazonaws.com/a", "web address"),
        ("s3:///a", "must name a bucket"),
        ("memory://", "must name a bucket"),
        ("memory:////", "must name a bucket"),
        ("s3://bucket/../a", "plain names"),
        ("s3://bucket/a/./b", "plain names"),
        ("s3://../a", "plain names"),
        ("s3://bucket/a\nb", "plain names"),
        ("simplecache::s3://bucket/a", "chained"),
        ("s3://bucket/a::b", "chained"),
        ("zip://a/b::s3://bucket/c.zip", "chained"),
    ],
)
def test_any_other_url_is_refused(text: str, why: str) -> None:
    """By a word on what is wrong, which shows nothing of the URL."""
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        bucket_url(text, "dest")
    assert caught.value.field == "dest"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("con", "con"),
        (r"C:\data\aux.d\signs", "aux.d"),
        ("signs:stream", "signs:stream"),
        ("a:b:c", "b:c"),
        (r"signs.\x", "signs."),
        (r"\\?\C:\data\x ", "x "),
        ("/C|/data", "C|"),
    ],
)
def test_a_name_that_windows_gives_to_no_file(path: str, name: str) -> None:
    """The first one is named."""
    assert name_not_on_windows(path) == name


@pytest.mark.parametrize(
    "path",
    [
        *(
            r"C:\data\signs",
            "C:/data/signs",
            "C:signs",
            "D:",
            r"\\server\share\x",
            "//server/share/x",
            r"~\signs",
        ),
        *(r"\\?\C:\very\long", r"\\?\UNC\server\share", ".", "..", "../signs/", r".\a b\ä.b", ""),
    ],
)
def test_paths_of_windows(path: str) -> None:
    """With a drive, a share, or neither, and with slashes of both kinds."""
    assert name_not_on_windows(path) is None


@pytest.mark.parametrize("text", ["a\0b", "a\ud83d"])
def test_no_system_has_such_a_path(text: str) -> None:
    """A NUL or half of a character is refused by the name of the argument, before anything is opened."""
    with pytest.raises(InvalidArgumentError, match=r"^dest contains") as caught:
        check_path(text, "dest")
    assert caught.value.field == "dest"


def test_home_is_home_where_no_shell_has_seen_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in `--dest=~/signs`, which would make a folder called `~`."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert local_path("~/signs", "dest") == tmp_path / "signs"


def test_a_file_url_of_windows_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its drive stands behind a slash."""
    paths: list[str] = []
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr("firsthandapi._base.paths.Path", paths.append)
    local_path("file:///C:/signs", "dest")
    local_path("file:///signs", "dest")
    assert paths == ["C:/signs", "/signs"]


@pytest.mark.parametrize("text", ["con", "file:///C:/data/nul.txt/x"])
def test_a_device_of_windows_is_no_path_there(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Files would go to it, and not to the disk. On other systems it is a name like any other."""
    assert local_path(text, "dest") is not None
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(
        InvalidArgumentError, match=r"^dest contains '(con|nul.txt)', which names no file"
    ) as caught:
        local_path(text, "dest")
    assert caught.value.field == "dest"
