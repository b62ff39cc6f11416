"""Columns of the user's own, checked."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.rows.own import LARGEST_VALUE, check_own
from firsthandapi.errors import InvalidArgumentError

IDS = {"file_1", "file_2"}


def test_values_of_json_are_taken() -> None:
    """Of any shape, for any of the files."""
    values: dict[str, Any] = {
        "file_1": [{"label": "sign", "xyxy": [1, 2.5]}, None],
        "file_2": "x" * (LARGEST_VALUE - 2),
    }
    assert check_own("boxes", values, IDS) == values
    assert check_own("split", {}, IDS) == {}


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (5, {}, "name must be a str of 1 to 64"),
        (" ", {}, "name must be a str"),
        ("a\nb", {}, "name must be a str"),
        ("x" * 65, {}, "name must be a str"),
        ("sha256", {}, "name: sha256 is a column of this package"),
        ("image", {}, "name: image is"),
        ("path", {}, "name: path is"),
        ("q", [("file_1", 1)], "values must map file ids to values, and is of type list"),
        (
            "q",
            {"file_1": 1, "file_x": 2, 5: 3},
            "values: 2 of 3 ids are of no file of the dataset, such as 'file_x'",
        ),
        ("q", {"file_1": float("nan")}, "values: that of file_1 must be a JSON value"),
        ("q", {"file_1": (1, 2)}, "values: that of file_1 must be"),
        ("q", {"file_1": {5: 1}}, "values: that of file_1 must be"),
        ("q", {"file_1": {1, 2}}, "values: that of file_1 must be"),
        ("q", {"file_2": "x" * LARGEST_VALUE}, "values: that of file_2 has more than 1,048,576 characters"),
    ],
)
def test_what_no_row_can_have_is_refused(name: Any, values: Any, message: str) -> None:
    """By the argument, and the first file."""
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        check_own(name, values, IDS)
    assert caught.value.field == message.split()[0].rstrip(":")


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    """No reader could take it either."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidArgumentError, match="must be a JSON value"):
        check_own("q", {"file_1": deep}, IDS)
