"""Names on disk."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._base.names import (
    EXTENSIONS,
    can_be_on_windows,
    disk_key,
    file_name_on_disk,
    is_name_of_ours,
    is_reserved,
)
from firsthandapi.errors import InvalidArgumentError

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,127}", fullmatch=True).filter(
    lambda name: not name.startswith(("fh_live_", "fh_test_", "whsec_"))
)


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/jpeg", "jpg"),
        ("Image/PNG ; q=1", "png"),
        ("video/quicktime", "mov"),
        ("image/svg+xml", "bin"),
        (None, "bin"),
    ],
)
def test_a_name_is_the_id_and_what_the_type_says(content_type: str | None, extension: str) -> None:
    """Parameters and capitals do not hide a known type; any other is `bin`."""
    assert file_name_on_disk("file_01JP", content_type) == f"file_01JP.{extension}"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "a.b", "x" * 129])
def test_what_is_no_id_makes_no_name(name: str) -> None:
    """It could lead anywhere."""
    with pytest.raises(InvalidArgumentError):
        file_name_on_disk(name, "image/jpeg")


@pytest.mark.parametrize("name", ["CON", "nul", "Aux", "prn", "COM1", "lpt9", "com0"])
def test_a_device_makes_no_name(name: str) -> None:
    """Windows writes to it, whatever the extension."""
    assert is_reserved(name)
    file_name = file_name_on_disk(name, "image/jpeg")
    assert re.fullmatch(r"file-[0-9a-f]{32}\.jpg", file_name)
    assert file_name != file_name_on_disk(name.swapcase(), "image/jpeg")


@pytest.mark.parametrize("name", ["con.x", "COM¹", "lpt³", "com² .a.b", "conin$", "CONOUT$.x"])
def test_more_names_of_devices(name: str) -> None:
    """A raised digit is a digit, and nothing behind the first dot makes another name of it."""
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["nul", "a.", "a ", "a:b", "a|b", 'a"', "a?", "a*", "<a", "a>", "a\n", ""])
def test_what_cannot_be_on_windows(name: str) -> None:
    """Devices, streams, and names that Windows makes others of."""
    assert can_be_on_windows(name) is (name == "")


@pytest.mark.parametrize("name", ["signs", ".hidden", "a.b", "a b", "ä", "con-1", "com10", "console"])
def test_what_can_be_on_windows(name: str) -> None:
    """All others."""
    assert can_be_on_windows(name)


def test_what_resembles_a_device_is_a_name() -> None:
    """Only whole names are reserved."""
    names = ["CONS", "file_CON", "COM10"]
    assert [file_name_on_disk(name, None) for name in names] == [f"{name}.bin" for name in names]


@given(IDS, st.sampled_from([None, *EXTENSIONS]), st.booleans())
def test_every_name_can_be_in_a_manifest(name: str, content_type: str | None, plain: bool) -> None:
    """What is written is read again; names that are not plain differ where ids do, on any disk."""
    assert disk_key(name) == disk_key(name.swapcase())
    file_name = file_name_on_disk(name, content_type, plain=plain)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,127}\.[a-z0-9]{1,5}", file_name)
    assert not is_reserved(file_name.partition(".")[0])
    twin = name.swapcase()
    if twin != name and not plain:
        assert disk_key(file_name) != disk_key(file_name_on_disk(twin, content_type, plain=False))


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("file_01JPQRSTVWXYZ0123456789ABC.jpg", True),
        ("file_01JPQRSTVWXYZ0123456789ABC.bin", True),
        ("file_01JPQRSTVWXYZ0123456789ABC.txt", False),
        ("file_01JPQRSTVWXYZ0123456789ABC.jpg.part", False),
        ("file_01JPQRSTVWXYZ0123456789AB.jpg", False),
        ("file_001.jpg", False),
        ("signs.jpg", False),
    ],
)
def test_a_name_of_ours_is_an_id(name: str, ours: bool) -> None:
    """And not any name that a user may have given a file."""
    assert is_name_of_ours(name) is ours
