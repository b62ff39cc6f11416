"""The guides' tables are whole: what the code grows is missed here."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest
import typer

from firsthandapi import errors
from firsthandapi._core.files.annotations import SHAPES
from firsthandapi._core.rows.manifest import COLUMNS
from firsthandapi.cli.app import app
from firsthandapi.testing import Faults
from firsthandapi.types.enums import EventType, Scope

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"

TABLES = {
    "command-line": [*typer.main.get_command(app).commands],  # type: ignore[attr-defined] # typed as a command, it is a group
    "errors": [name for name in errors.__all__ if name != "FirstHandError"],
    "datasets": [*COLUMNS, *(key for shape in SHAPES.values() for key in shape)],
    "webhooks": [*get_args(EventType)],
    "security": [*get_args(Scope)],
    "testing": [
        name for name in inspect.signature(Faults.add).parameters if name not in ("self", "path", "method")
    ],
}


@pytest.mark.parametrize("guide", TABLES)
def test_each_guide_names_all_there_is(guide: str) -> None:
    """Every error, column, event type, scope, fault and command is in the guide that lists them."""
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    code = set(re.findall(r"[\w.:-]+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    assert [name for name in TABLES[guide] if name not in code] == []
