"""The language of the pages that workers see."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import firsthandapi_server
from firsthandapi_server.contract.text import Said
from firsthandapi_server.serve.speaking import Words, lookup, told

SERVER = Path(firsthandapi_server.__file__).parent
SERVE = SERVER / "serve"
CATALOGUES = sorted(SERVE.glob("languages/*.json"))
# What only reviewers and operators see, in English.
STAFF_PAGES = {
    "post",
    "appeals",
    "checkout",
    "tasks",
    "keys",
    "secrets",
    "task_rows",
    "link",
    "log",
    "payouts",
    "people",
    "person",
    "revoke",
    "review",
    "review_around",
    "review_grid",
    "review_keys",
    "review_retries",
}
STAFF = {
    "appealing.py",
    "assigning.py",
    "developing.py",
    "health.py",
    "operating.py",
    "overseeing.py",
    "panel.py",
    "paying.py",
    "persons.py",
    "reviewing.py",
}
REFUSALS = {"PageError", "UnwelcomeError", "MediaError", "LargeError"}


def of_workers() -> Iterator[tuple[str, str]]:
    """The templates of pages for workers; of the frame, what pages of the console do not have for themselves."""
    for path in SERVE.glob("templates/*.html"):
        if path.stem not in STAFF_PAGES and not path.stem.startswith(("job_", "review")):
            yield path.name, path.read_text(encoding="utf-8")
    frame = (SERVER / "console/templates/base.html").read_text(encoding="utf-8")
    for start, end in (
        (r"\{% macro (?:tabs|shared)\(", r"\{% endmacro %\}"),
        (r"\n\s*\{% if live %\}", r"</(?:p|footer)>\s*\{% endif %\}"),
    ):
        frame = re.sub(f"{start}.*?{end}", "", frame, flags=re.DOTALL)
    yield "base.html", frame


def unsaid(template: str) -> list[str]:
    """What a template says in English alone: text, and attributes that are read out."""
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", template, flags=re.DOTALL)
    text = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    read = re.findall(r'\b(?:alt|aria-label|placeholder|title)="([^"]*)"', text)
    return [part.strip() for part in [*re.split(r"<[^>]*>", text), *read] if re.search(r"[A-Za-z]{2}", part)]


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    """The values of a module's names."""
    constants: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = node.value
    return constants


def texts(node: ast.expr, names: dict[str, ast.expr]) -> Iterator[str]:
    """The English of an argument; one that cannot be translated is an error."""
    if isinstance(node, ast.Constant):
        yield from [node.value] if isinstance(node.value, str) else []
    elif isinstance(node, ast.Name) and node.id in names:
        yield from texts(names[node.id], names)
    elif isinstance(node, ast.JoinedStr | ast.BinOp):
        raise AssertionError(f"line {node.lineno}: {ast.unparse(node)} cannot be translated; use said()")


def in_code(path: Path) -> Iterator[str]:
    """What a module says: `said(…)`, `words(…)`, and refusals."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = constants(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("said", "words"):
                yield from texts(node.args[0], names)
            elif node.func.id in REFUSALS and path.name not in STAFF:
                for argument in node.args:
                    yield from texts(argument, names)


def said() -> Iterator[str]:
    """Every text that the pages say in the language of the reader."""
    for _, template in of_workers():
        yield from re.findall(r'\b_\("([^"]*)"', template)
    for script in SERVE.glob("static/*.js"):
        yield from re.findall(r'\bsay\("([^"]*)"', script.read_text(encoding="utf-8"))
    for folder in ("serve", "media", "rules"):
        for module in (SERVER / folder).glob("*.py"):
            yield from in_code(module)
    yield from in_code(SERVER / "console/face.py")


def test_a_catalogue_is_complete(subtests: pytest.Subtests) -> None:
    """It has each text, none that nobody says, and the same values in braces; none is empty."""
    every = {*said()}
    for catalogue in CATALOGUES:
        with subtests.test(catalogue.stem):
            words: dict[str, str] = json.loads(catalogue.read_text(encoding="utf-8"))
            assert words.keys() == every
            for english, text in words.items():
                assert text
                assert {*re.findall(r"\{\w+\}", text)} == {*re.findall(r"\{\w+\}", english)}, english


def test_pages_for_workers_say_nothing_in_english_alone() -> None:
    """Their templates have no text but what catalogues translate; nor have scripts that fill them."""
    assert {name: parts for name, template in of_workers() if (parts := unsaid(template))} == {}
    for name in ("work.js",):
        script = (SERVE / "static" / name).read_text(encoding="utf-8")
        assert not re.findall(r'(?:textContent = |"fault", |aria-label", )["`][A-Za-z]', script), name
    assert unsaid('<p title="Now">{{ _("Send") }}</p>') == ["Now"]
    with pytest.raises(AssertionError, match="cannot be translated"):
        [*texts(ast.parse('f"{a} files"', mode="eval").body, {})]


@pytest.mark.parametrize(
    ("metadata", "language", "expected"),
    [
        ({"texts": {"fr": {"title": " Panneaux "}}}, "fr", ("Panneaux", "fr")),
        ({"texts": {"fr": {"title": " "}}}, "fr", ("Signs", "en")),
        ({"texts": {"fr": {"title": 3}}}, "fr", ("Signs", "en")),
        ({"texts": {"fr": "Panneaux"}}, "fr", ("Signs", "en")),
        ({"texts": {"en": {"title": "Other"}}}, "en", ("Signs", "en")),
        ({"texts": []}, "fr", ("Signs", "en")),
        (None, "fr", ("Signs", "en")),
    ],
)
def test_the_texts_of_a_job(metadata: Any, language: str, expected: tuple[str, str]) -> None:
    """Whatever the buyer wrote into the metadata: a text that is none falls back to the field itself."""
    assert told({"title": "Signs", "metadata": metadata}, "title", language, "en") == expected


def test_there_are_catalogues_of_both_directions() -> None:
    """English needs none: it is in the pages."""
    assert {"ar", "fr"} <= {path.stem for path in CATALOGUES}
    assert (Words("ar").direction, Words("fr-CA").direction, Words("he").direction) == ("rtl", "ltr", "ltr")
    assert [Words(tag).spoken for tag in ("fr-CA", "pt", "he", "en-GB")] == ["fr", "pt-BR", "en", "en"]
    assert (Words("fr-CA")("Send"), Words("en")("Send"), Words("xx")("Send")) == ("Envoyer", "Send", "Send")
    assert Words("pt-PT")("Send") == Words("pt")("Send") == Words("pt-BR")("Send") != "Send"
    assert Words("f")("Send") == Words("../fr")("Send") == "Send"


@pytest.mark.parametrize(
    ("tag", "language"),
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
def test_lookup(tag: str, language: str | None) -> None:
    """The lookup of RFC 4647: parts are left out from the end until one fits."""
    assert lookup(tag, ["en", "fr", "pt-BR"]) == language


def test_a_refusal_is_said_with_its_values_in_the_language_of_the_page() -> None:
    """So is one of a file, which is made of several texts, and a reason that was kept in English."""
    french = Words("fr")
    refused = Said("This file is {kind}, and this job takes {formats}.", {"kind": "MOV", "formats": "MP4"})
    named = Said("{name}: {words}", {"name": "a.mov", "words": refused})
    assert french(pickle.loads(pickle.dumps(named))) == french(
        "{name}: {words}", name="a.mov", words="Ce fichier est au format MOV, et ce travail accepte MP4."
    )
    assert french.of_kept("The job was cancelled.") == "Le travail a été annulé."
    assert (
        french.of_kept("Rejected before scoring: 40x30 is too small.")
        == "Refusé avant l’évaluation : 40x30 est trop petit."
    )
    assert french.of_kept("Blurred {here}") == "Blurred {here}"
