"""The language of the pages that workers see. The English words are the keys of every catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from starlette.requests import Request

from firsthandapi_server.contract.text import Said

_FOLDER = Path(__file__).parent / "languages"
_FROM_RIGHT = frozenset({"ar", "ckb", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})
_NAMES = {
    "ar": "العربية",
    "bn": "বাংলা",
    "de": "Deutsch",
    "en": "English",
    "es": "Español",
    "fr": "Français",
    "hi": "हिन्दी",
    "id": "Bahasa Indonesia",
    "pt": "Português",
    "pt-br": "Português (Brasil)",
    "ru": "Русский",
    "sw": "Kiswahili",
    "tr": "Türkçe",
    "vi": "Tiếng Việt",
}
_MOST_RANGES = 20
_SMALL = re.compile(r"Rejected before scoring: (\d+x\d+) is too small\.")


class Words:
    """The words of one language, such as `pt-BR`.

    Attributes:
        spoken: the tag of the words themselves: of the catalogue that fits best, or `en`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self.spoken, self._catalogue = _catalogue(language)
        self.direction = direction(self.spoken)

    @property
    def of_scripts(self) -> Mapping[str, str]:
        """What the scripts of workers' pages say in this language, where that is not English."""
        return {english: self._catalogue[english] for english in _scripted() if english in self._catalogue}

    def __call__(self, english: str, **values: object) -> str:
        """A text in this language, or the English one; `values` replace what is in braces."""
        if isinstance(english, Said):
            return self(english.english, **{**english.values, **values})
        text = self._catalogue.get(english, english)
        if values:
            named = {
                name: self(value) if isinstance(value, Said) else value for name, value in values.items()
            }
            return text.format(**named)
        return text

    def of_kept(self, text: str) -> str:
        """A reason that was kept in English; as it is, if a person wrote it."""
        small = _SMALL.fullmatch(text)
        return self("Rejected before scoring: {size} is too small.", size=small[1]) if small else self(text)


def told(fields: Mapping[str, Any], name: str, language: str, first: str) -> tuple[str, str]:
    """A text of a job in a language, and the language that it is in.

    The buyer writes others than the first into the job's metadata: `{"texts": {"fr": {"title": "Panneaux"}}}`.

    Args:
        fields: those of the job.
        name: that of the field, such as `title`.
        language: that of the page.
        first: that of the fields themselves.
    """
    text: Any = fields.get("metadata")
    for key in ("texts", language, name):
        text = cast("Mapping[str, Any]", text).get(key) if isinstance(text, Mapping) else None
    if language != first and isinstance(text, str) and text.strip():
        return text.strip(), language
    return fields[name] or "", first


@cache
def _scripted() -> Sequence[str]:
    """What the scripts of workers' pages say."""
    scripts = [
        (_FOLDER.parent / "static" / name).read_text(encoding="utf-8") for name in ("queue.js", "work.js")
    ]
    return [text for script in scripts for text in re.findall(r'\bsay\("([^"]*)"', script)]


def name_of(language: str) -> str:
    """A language by its own name, or its tag."""
    return _NAMES.get(language.lower(), language)


def direction(language: str) -> str:
    """Whether a language is written from the left, `ltr`, or from the right, `rtl`."""
    return "rtl" if language.lower().partition("-")[0] in _FROM_RIGHT else "ltr"


@cache
def _catalogue(language: str) -> tuple[str, Mapping[str, str]]:
    """The catalogue of a language, or of the same with fewer parts, or more: `fr` for `fr-CA`, `pt-BR` for `pt`. The
    English one is empty."""
    # The name is matched against what is there, and becomes part of no path.
    names = sorted(path.stem for path in _FOLDER.glob("*.json"))
    more = f"{language.partition('-')[0].lower()}-"
    name = lookup(language, names) or next((name for name in names if name.lower().startswith(more)), None)
    if name is None:
        return "en", {}
    return name, json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def chosen(request: Request, cookie: str | None, languages: Sequence[str]) -> str:
    """The language of a page: the one that the address, the cookie, or the browser asks for; else the first."""
    accepted = request.headers.get("accept-language", "")
    for tag in (request.query_params.get("lang"), cookie, *_ranges(accepted)):
        language = lookup(tag or "", languages)
        if language is not None:
            return language
    return languages[0]


def lookup(tag: str, languages: Sequence[str]) -> str | None:
    """The language that fits best, by the lookup of RFC 4647: of what is wanted, parts are left out from the end."""
    by_tag = {language.lower(): language for language in languages}
    tag = tag.strip().lower()[:35]
    while tag:
        if tag in by_tag:
            return by_tag[tag]
        tag = tag.rpartition("-")[0]
        if tag[-2:-1] == "-":  # a single letter begins an extension
            tag = tag[:-2]
    return None


def _ranges(header: str) -> list[str]:
    """The languages of `Accept-Language`, the most wanted first."""
    ranges: list[tuple[float, str]] = []
    for part in header.split(",")[:_MOST_RANGES]:
        name, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if quality > 0:
            ranges.append((quality, name.strip()))
    return [name for _, name in sorted(ranges, key=lambda entry: -entry[0])]
