"""Names and values in a file that people write, and what is wrong with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli.support import SPEC, TOML, YAML
from firsthandapi._base.specs import read_spec, write_spec
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

# Each list holds the one before twice: a terabyte in forty lines.
BOMB = "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.yaml", "files_needed: [", "is not valid YAML: line 1, column 16: expected"),
        ("a.yaml", "# nothing\n", "must contain names and values, such as `a: 1`"),
        ("a.yaml", "", "must contain names and values"),
        ("a.yaml", "- a list", "must contain names and values"),
        ("a.yaml", "5: a number", "must contain names and values"),
        ("a.yaml", YAML + "\ttitle: x\n", "is not valid YAML: line 5, column 1: "),
        ("a.yaml", YAML + "title: a\x07b\n", "is not valid YAML: unacceptable character"),
        ("a.yaml", YAML + "price_per_file_cents: 5\n", "price_per_file_cents occurs twice"),
        ("a.yaml", YAML + "metadata: {a: !!bool maybe}\n", "a value does not match its tag"),
        ("a.yaml", YAML + "title: !!python/name:os.system\n", "could not determine a constructor"),
        ("a.yaml", YAML + "metadata: &it {a: *it}\n", "more than 100,000 values"),
        ("a.yaml", YAML + "metadata:\n  a0: &a0 [x, x]\n" + BOMB, "more than 100,000 values"),
        ("a.yaml", YAML + "metadata: {code: 01067}\n", "line 5: YAML does not read 01067 as the decimal"),
        ("a.yaml", YAML.replace("needed: 3", "needed: 1:30"), "line 2: YAML does not read 1:30 as"),
        ("a.yaml", "x: " + "[" * 1000, "nested too deeply"),
        ("a.json", '{"a": 5, "a": 50}', "is not valid JSON: a occurs twice"),
        ("a.toml", "a = ", "is not valid TOML: "),
        ("a.yaml", None, "could not read"),
        ("a.yaml", b"dest: \xe9", "it is not UTF-8"),
    ],
)
def test_a_file_that_is_not_valid_is_refused(
    tmp_path: Path, name: str, text: str | bytes | None, says: str
) -> None:
    """Where a parser would take it for something else, too: of two prices neither is taken."""
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as refused:
        read_spec(path, "a: 1", "--spec: ")
    assert str(refused.value).startswith("--spec: ")
    assert f"{path}" in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", YAML), ("a", YAML), ("a.json", json.dumps(SPEC)), ("a.TOML", TOML)]
)
def test_a_file_from_windows_is_as_good(tmp_path: Path, name: str, text: str) -> None:
    """A byte order mark and CRLF change nothing."""
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_spec(tmp_path / name, "a: 1") == SPEC


def test_a_file_is_written_as_its_ending_says(tmp_path: Path) -> None:
    """Only as what is read again; a folder that is not there is named."""
    for name in ("a.yaml", "a.yml", "a.JSON"):
        write_spec(tmp_path / name, SPEC)
        assert read_spec(tmp_path / name, "a: 1") == SPEC
    for name in ("a.toml", "a"):
        with pytest.raises(InvalidArgumentError, match=r"path must end in \.yaml, \.yml, or \.json"):
            write_spec(tmp_path / name, SPEC)
    with pytest.raises(ConfigurationError, match=r"could not write .*: No such file or directory"):
        write_spec(tmp_path / "none" / "a.json", SPEC)


def test_without_the_extra_there_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core install has no YAML."""
    write_spec(tmp_path / "a.yaml", SPEC)
    monkeypatch.setitem(sys.modules, "yaml", None)
    for spec in (
        lambda: read_spec(tmp_path / "a.yaml", "a: 1"),
        lambda: write_spec(tmp_path / "a.yaml", SPEC),
    ):
        with pytest.raises(ConfigurationError, match="needs an extra: pip install"):
            spec()
    write_spec(tmp_path / "a.json", SPEC)
    assert read_spec(tmp_path / "a.json", "a: 1") == SPEC
