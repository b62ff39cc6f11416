"""What a lab says of its study in a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.serve.service import Service
from firsthandapi_server.serve.study import read_study

from .conftest import STUDY, consent, write

GUIDE = Path(__file__).parents[2] / "docs/guides/studies.md"


def test_a_study_is_read_with_the_texts_beside_it(tmp_path: Path) -> None:
    """A text on one line that ends in `.md` is a file; the first language stands in for one that is missing."""
    study = read_study(
        write(tmp_path, max_workers=300, reviews={"overlap": 3}, retention_days={"rejected": 30})
    )
    assert study.notice("en") == ("You agree that your photos serve research.", "en")
    assert study.notice("fr")[1] == "fr"
    assert study.notice("ar") == study.notice("en")
    assert (study.join, study.reviews.overlap, study.reviews.gold) == ("open", 3, 0.0)
    text = {"en": "Please read\nconsent.en.md"}
    several = read_study(write(tmp_path, **consent(text=text)))
    assert several.notice("en")[0] == text["en"]


def test_the_study_of_the_guide_is_one(tmp_path: Path) -> None:
    """What the guide shows can be served."""
    path = write(tmp_path)
    match = re.search(
        r"```yaml title=\"study.yaml\"\n(name: .*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert match is not None
    path.write_text(match[1], encoding="utf-8")
    assert read_study(path).max_workers == 300


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        *[({name: None}, f"{name} is missing") for name in STUDY],
        ({"organiser": "Lab"}, "organiser is not a known key; did you mean organizer?"),
        (consent(purpose=["research"]), "consent.purpose is not a known key; did you mean purposes?"),
        ({"reviews": {"overlap": 2}}, "reviews.overlap: input should be 1 or 3"),
        ({"max_workers": 0}, "max_workers: "),
        ({"currency": "euro"}, "currency: "),
        ({"pay": "no"}, "pay: input should be 'per_file' or 'none'"),
        ({"max_workers": "300"}, "max_workers: "),
        ({"join": "closed"}, "join: input should be 'open' or 'invited'"),
        ({"languages": []}, "languages: "),
        ({"languages": ["en", "EN"]}, "languages names en twice"),
        ({"name": "Signs\a"}, "name: "),
        ({"license": "my own"}, "license: "),
        (consent(version=True), "consent.version: "),
        (consent(assurances=["grownup"]), "consent.assurances.0: "),
        (consent(assurances=["adult", "adult"]), "consent.assurances names adult twice"),
        (consent(text={"de": "Ja."}), "consent.text.de is no language of the study"),
        (consent(text={"en": "consent.de.md"}), "no file consent.de.md beside it"),
        (consent(text={"en": "../consent.en.md"}), "there is no file ../consent.en.md"),
        (consent(text={"en": "You agree\ud83d."}), r"consent.text.en has '\ud83d', which no page can show"),
        (consent(text={"en": " "}), "consent.text.en must have 1 to"),
        ({"logo": "consent.en.md"}, "logo must end in .png"),
    ],
)
def test_a_wrong_study_is_refused_by_name(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    """Nothing is served then, and nothing is left behind."""
    with pytest.raises(ConfigurationError) as caught:
        Service(tmp_path / "data", study=write(tmp_path, **fields))
    assert words in str(caught.value)
    assert str(tmp_path / "study.yaml") in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_an_open_study_needs_no_token_for_workers(tmp_path: Path) -> None:
    """Beyond this machine, only operators need one where everybody may join."""
    with pytest.raises(ConfigurationError, match="needs a token for operators; create"):
        Service(tmp_path / "data", public_url="https://signs.example.org", study=write(tmp_path))
    with pytest.raises(ConfigurationError, match="token for workers and one for operators"):
        Service(
            tmp_path / "data", public_url="https://signs.example.org", study=write(tmp_path, join="invited")
        )


def test_names_and_purposes_in_several_languages(tmp_path: Path) -> None:
    """Written once, or by language: one that is missing is the first one's, and says so."""
    purposes = {"en": ["research", "a museum"], "fr": ["recherche", "un musée"]}
    study = read_study(write(tmp_path, name={"en": "Signs", "fr": "Panneaux"}, **consent(purposes=purposes)))
    assert [study.name_in(language) for language in ("fr", "ar")] == [("Panneaux", "fr"), ("Signs", "en")]
    assert study.purposes_in("fr") == (["recherche", "un musée"], "fr")
    assert study.purposes == ["research", "a museum"]
    plain = read_study(write(tmp_path))
    assert (plain.name_in("fr"), plain.purposes_in("ar")) == (
        ("Street signs of Lagos", "en"),
        (["research", "publication"], "en"),
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": {"de": "Schilder"}}, "name.de is no language of the study; add de to languages"),
        ({"name": {}}, "name: dictionary should have at least 1 item"),
        ({"name": {"en": ""}}, "name.en: string should have at least 1 character"),
        ({"name": 7}, "name: input should be a valid string"),
        (consent(purposes={"de": ["Forschung"]}), "consent.purposes.de is no language of the study"),
        (
            consent(purposes={"en": ["a", "b"], "fr": ["a"]}),
            "consent.purposes has more in one language than in another",
        ),
        (consent(purposes={"en": ["a", "a"]}), "consent.purposes.en names a twice"),
        (consent(purposes="research"), "consent.purposes: input should be a valid list"),
        (consent(purposes=["a", "a"]), "consent.purposes names a twice"),
    ],
)
def test_wrong_names_and_purposes_are_refused(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    """By the key, and the language."""
    with pytest.raises(ConfigurationError) as caught:
        read_study(write(tmp_path, **fields))
    assert words in str(caught.value)
