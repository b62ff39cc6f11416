"""The language of the pages that workers see."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthandapi.server.pages.serve import speaking
from firsthandapi.server.pages.serve.speaking import Words, lookup

SERVE = Path(speaking.__file__).parent
TEMPLATES = (*SERVE.glob("templates/*.html"), SERVE.parent / "console/templates/base.html")
CATALOGUES = sorted(SERVE.glob("languages/*.json"))


def said() -> Iterator[str]:
    """Every text that the pages say in the language of the reader."""
    for template in TEMPLATES:
        yield from re.findall(r'\b_\("([^"]*)"', template.read_text(encoding="utf-8"))
    yield from re.findall(r'\bsay\("([^"]*)"', (SERVE / "static/work.js").read_text(encoding="utf-8"))
    for module in SERVE.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("said", "words")
            ):
                text = node.args[0]
                if isinstance(text, ast.Constant):
                    yield str(text.value)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)
def test_a_catalogue_is_complete(catalogue: Path) -> None:
    """It has each text, none that nobody says, and the same values in braces; none is empty."""
    words: dict[str, str] = json.loads(catalogue.read_text(encoding="utf-8"))
    assert words.keys() == {*said()}
    for english, text in words.items():
        assert text
        assert {*re.findall(r"\{\w+\}", text)} == {*re.findall(r"\{\w+\}", english)}, english


def test_there_are_catalogues_of_both_directions() -> None:
    """English needs none: it is in the pages."""
    assert {"ar", "fr"} <= {path.stem for path in CATALOGUES}
    assert (Words("ar").direction, Words("fr-CA").direction) == ("rtl", "ltr")
    assert (Words("fr-CA")("Send"), Words("en")("Send"), Words("xx")("Send")) == ("Envoyer", "Send", "Send")
    assert Words("../fr")("Send") == "Send"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("fr", "fr"),
        ("FR-ca", "fr"),
        ("pt-br", "pt-BR"),
        ("pt", None),
        ("en-x-twain", "en"),
        ("*", None),
        ("", None),
    ],
)
def test_lookup(wanted: str, found: str | None) -> None:
    """The lookup of RFC 4647: parts are left out from the end until one fits."""
    assert lookup(wanted, ["en", "fr", "pt-BR"]) == found
