"""Kinds of media, and the folders that a dataset has for them."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.files.kinds import KINDS, chosen_kind, folder_of, is_mixed, is_mixed_with, kind_of
from firsthandapi.errors import ConfigurationError, InvalidArgumentError


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/jpeg", "image"),
        ("AUDIO /wav", "audio"),
        ("video/mp4; codecs=x", "video"),
        ("application/pdf", None),
        ("", None),
        (None, None),
    ],
)
def test_a_kind_is_the_first_half_of_a_type(content_type: str | None, kind: str | None) -> None:
    """Only image, audio and video are kinds."""
    assert kind_of(content_type) == kind


@pytest.mark.parametrize(
    ("formats", "mixed"),
    [
        (["image/jpeg", "image/png"], False),
        (["image/jpeg", "audio/wav"], True),
        (["image/jpeg", "application/pdf"], False),
        ([], False),
        (None, False),
    ],
)
def test_a_job_of_several_kinds_is_mixed(formats: list[str] | None, mixed: bool) -> None:
    """One folder a kind, but only where there are several."""
    assert is_mixed(formats) is mixed


def test_the_folder_of_a_file() -> None:
    """None for a job of one kind; else the kind's, and `other` for what is none."""
    assert folder_of("audio/wav", mixed=False) == ""
    assert folder_of("audio/wav", mixed=True) == "audio"
    assert folder_of("application/pdf", mixed=True) == "other"


@pytest.mark.parametrize(
    ("kinds", "kind", "chosen"),
    [
        (["image"], None, "image"),
        (["audio", "audio"], None, "audio"),
        (["image"], "image", "image"),
        (["image", "video"], "video", "video"),
        (["image", None], "image", "image"),
        (["image", "video"], None, "may contain image and video files.*kind='image'"),
        (["video", None], None, "also contains files that are not video files.*kind='video'"),
        ([None], None, "records no kind of media.*kind='image'"),
        ([], None, "records no kind of media.*kind='image'"),
        ([], "audio", "audio"),
        ([], "text", "'image' or 'audio' or 'video'"),
        (["image", "audio"], "video", "kind must be 'image' or 'audio' for this dataset, not 'video'"),
    ],
)
def test_the_kind_is_taken_or_asked_for(kinds: list[Any], kind: Any, chosen: str) -> None:
    """The only kind is taken; with more, or none, the error names the argument and a value for it."""
    if chosen in KINDS:
        assert chosen_kind(kinds, kind) == chosen
    else:
        with pytest.raises(InvalidArgumentError, match=chosen):
            chosen_kind(kinds, kind)


@pytest.mark.parametrize(
    ("formats", "kinds", "mixed"),
    [
        (["image/png"], {}, False),
        (["image/png", "audio/wav"], {}, True),
        (["image/png"], {"": {"image"}}, False),
        (["image/png"], {"": {"image", None}}, False),
        (["image/png"], {"": {"image"}, "image": {"image"}}, False),
        (["image/png", "audio/wav"], {"": {"image", "audio"}}, False),
        (["image/png"], {"image": {"image"}}, True),
        (["video/mp4"], {"image": {"image"}, "audio": {"audio"}}, True),
        (None, {}, False),
    ],
)
def test_a_job_fits_in_with_what_is_there(formats: Any, kinds: Any, mixed: bool) -> None:
    """A folder of one kind stays so, and one with a folder for each kind keeps them."""
    assert is_mixed_with(formats, kinds, "signs") is mixed


@pytest.mark.parametrize("formats", [["audio/wav"], ["image/png", "audio/wav"]])
def test_kinds_that_no_loader_reads_together_are_refused(formats: list[str]) -> None:
    """Beside files of one kind there is no place for another."""
    with pytest.raises(ConfigurationError, match="signs contains image files, and the job takes audio files"):
        is_mixed_with(formats, {"": {"image"}}, "signs")
