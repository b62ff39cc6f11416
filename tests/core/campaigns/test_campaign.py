"""A campaign, checked: what is refused names the place and the way out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from firsthandapi._core.campaigns.campaign import (
    campaign_key,
    check_deadlines,
    check_name,
    check_spec,
    metadata_of,
    spec_key,
)
from firsthandapi.errors import InvalidArgumentError

DEFAULTS: dict[str, Any] = {
    "description": "Photos of street signs in daylight",
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}
JOBS: dict[str, Any] = {"stop": {"files_needed": 3}, "yield": {"files_needed": 2, "price_per_file_cents": 10}}


def check(**changed: Any) -> Any:
    values = {"budget_cents": 500, "defaults": DEFAULTS, "jobs": JOBS, "unique": True, **changed}
    return check_spec(**values)


def test_each_label_has_the_defaults_and_its_own_fields() -> None:
    """A field of a label replaces the default."""
    spec = check()
    assert list(spec.jobs) == ["stop", "yield"]
    assert spec.jobs["stop"] == {**DEFAULTS, "type": "data_collection", "files_needed": 3}
    assert spec.jobs["yield"]["price_per_file_cents"] == 10
    assert (spec.budget_cents, spec.unique) == (500, True)


def test_a_label_moves_in_several_steps() -> None:
    """Each former label leads to the one that it has become; the same of YAML's None."""
    assert check(moved={"halt": "hold", "hold": "stop"}).moved == {"halt": "stop", "hold": "stop"}
    assert check(moved=None).moved == check().moved == {}


@pytest.mark.parametrize(
    ("moved", "says"),
    [
        (["stop"], "moved must be a mapping of names to values"),
        ({"halt": 5}, "moved.halt must be a str"),
        ({"../halt": "stop"}, "moved: the label '../halt' must be a str"),
        ({"halt": "stpo"}, "moved.halt: 'stpo' is not a label of jobs; did you mean 'stop'?"),
        ({"halt": "zebra"}, "moved.halt: 'zebra' is not a label of jobs; add it to jobs, or remove it from"),
        (
            {"yield": "stop"},
            "moved.yield: 'yield' is still a label of jobs; remove it from jobs, or from moved",
        ),
        ({"a": "b", "b": "a"}, "moved.a: leads in a circle"),
        ({"a": "a"}, "moved.a: leads in a circle"),
        ({"Stop": "stop"}, "differ only in the case of their letters"),
    ],
)
def test_a_move_that_leads_nowhere_is_refused(moved: Any, says: str) -> None:
    """In words that name the way out."""
    with pytest.raises(InvalidArgumentError, match=re.escape(says)):
        check(moved=moved)


def test_a_label_may_take_all_from_the_defaults() -> None:
    """YAML reads `stop:` with nothing below it as None."""
    assert (
        check(defaults={**DEFAULTS, "files_needed": 1}, jobs={"stop": None}).jobs["stop"]["files_needed"] == 1
    )
    assert check(defaults=None, jobs={"stop": {**DEFAULTS, "files_needed": 1}}).jobs


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"budget_cents": 0}, "budget_cents", "1 or more"),
        ({"budget_cents": True}, "budget_cents", "1 or more"),
        ({"budget_cents": "500"}, "budget_cents", "1 or more"),
        ({"budget_cents": None}, "budget_cents", "1 or more"),
        ({"unique": "yes"}, "unique", "True or False"),
        ({"jobs": {}}, "jobs", "at least one label"),
        ({"jobs": None}, "jobs", "at least one label"),
        ({"jobs": ["stop"]}, "jobs", "a value of type list"),
        ({"jobs": {"stop": 3}}, "jobs.stop", "a value of type int"),
        ({"jobs": {False: {}}}, "jobs", "False, which is not text; put it in quotes"),
        ({"jobs": {"../up": {"files_needed": 1}}}, None, "the label '../up'"),
        ({"jobs": {"nul": {"files_needed": 1}}}, None, "the label 'nul'"),
        ({"jobs": {"stop" * 40: {"files_needed": 1}}}, None, "stopsto…"),
        (
            {"jobs": {"Stop": {"files_needed": 1}, "stop": {"files_needed": 1}}},
            "jobs.stop",
            "only in the case of its letters",
        ),
        (
            {"jobs": {"caf\u00e9": {"files_needed": 1}, "cafe\u0301": {"files_needed": 1}}},
            "jobs.caf\u00e9",
            "occurs twice",
        ),
        ({"jobs": {"stop": {"files_neded": 1}}}, "jobs.stop.files_neded", "did you mean files_needed?"),
        ({"jobs": {"stop": {"price": 1}}}, "jobs.stop.price", "did you mean price_per_file_cents?"),
        ({"jobs": {"stop": {"zzz": 1}}}, "jobs.stop.zzz", "use one of: type, description"),
        ({"defaults": {"max_spend_cents": 1}}, "defaults.max_spend_cents", "budget_cents limits all jobs"),
        ({"jobs": {"stop": {}}}, "jobs.stop.files_needed", "files_needed is required"),
        ({"jobs": {"stop": {"files_needed": 0}}}, "jobs.stop.files_needed", "an int from 1 to 10,000, not 0"),
        ({"defaults": {**DEFAULTS, "price_per_file_cents": 1}}, "defaults.price_per_file_cents", "from 10"),
        ({"defaults": {**DEFAULTS, "metadata": {"x": float("nan")}}}, "defaults.metadata", "JSON"),
        (
            {"defaults": {**DEFAULTS, "metadata": {"firsthandapi_key": "x"}}},
            "jobs.stop.metadata",
            "may have 17 keys",
        ),
        (
            {"defaults": {**DEFAULTS, "metadata": {str(n): n for n in range(18)}}},
            "jobs.stop.metadata",
            "may have 17 keys",
        ),
        (
            {
                "jobs": {
                    "stop": {"files_needed": 1},
                    "bark": {"files_needed": 1, "accepted_formats": ["audio/wav"]},
                }
            },
            "jobs.bark.accepted_formats",
            "has audio and jobs.stop.accepted_formats has image",
        ),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], field: str | None, says: str) -> None:
    """The message names the place as the user wrote it, and what is allowed there."""
    with pytest.raises(InvalidArgumentError) as refused:
        check(**changed)
    assert says in str(refused.value)
    assert field is None or refused.value.field == field
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("key", "excerpt"), [(b"x" * 57, f"b'{'x' * 57}'"), (b"x" * 58, f"b'{'x' * 58}…")], ids=["60", "61"]
)
def test_sixty_characters_of_a_wrong_key_are_shown(key: bytes, excerpt: str) -> None:
    """They are enough to find it."""
    with pytest.raises(InvalidArgumentError, match=f"has {excerpt}, which is not text"):
        check(jobs={key: {}})


@pytest.mark.parametrize("name", ["", " ", "x" * 101, 3])
def test_a_name_is_short_text(name: Any) -> None:
    """It must identify the campaign."""
    with pytest.raises(InvalidArgumentError, match="name must be"):
        check_name(name)
    assert check_name("x") == "x"
    assert check_name(None) is None


def test_a_name_identifies_a_campaign_wherever_its_folder_is() -> None:
    """Without a name, the folder does."""
    assert campaign_key("signs", "/a") == campaign_key("signs", "/b") != campaign_key("cats", "/a")
    assert campaign_key(None, "/a") == campaign_key(None, "/a") != campaign_key(None, "/b")


def test_without_a_name_dest_as_written_and_the_words_identify_a_campaign() -> None:
    """Not how many files of them, in what order, until when, in what spelling, and with what metadata; and no path."""
    key = spec_key(check(dest="signs"))
    defaults = {**DEFAULTS, "min_star_rating": 3, "metadata": {"build": 7}, "deadline": "2030-01-01"}
    grown = {"yield": {"files_needed": 9, "price_per_file_cents": 10}, "stop": {"files_needed": 1}}
    assert key == spec_key(check(dest="signs", jobs=grown, budget_cents=9, unique=False, defaults=defaults))
    for changed in (
        {"dest": "sign"},
        {"defaults": {**DEFAULTS, "description": "Photos of street signs at night"}},
        {"defaults": {**DEFAULTS, "price_per_file_cents": 51}},
        {"jobs": {"stop": {"files_needed": 3}}},
        {"jobs": {"Stop": JOBS["stop"], "yield": JOBS["yield"]}},
    ):
        assert spec_key(check(**{"dest": "signs", **changed})) != key
    assert spec_key(check()) is None


def test_the_id_of_a_campaign_is_a_name_for_it() -> None:
    """Whatever it was derived from."""
    for key in (str(spec_key(check(dest="signs"))), campaign_key("signs", ""), campaign_key(None, "/a")):
        assert campaign_key(key, "/b") == key
        assert check_name(key) == key


def test_the_formula_of_an_id_does_not_change() -> None:
    """Jobs of the account have it in their metadata."""
    assert (
        spec_key(check(dest="signs")) == "fh-c187cf7876281770ef7848b8e4e09f64e0abf630dd6d567ad442eb337faa6a8d"
    )


def test_the_metadata_of_a_label_may_have_17_keys() -> None:
    """The service takes 20, and a campaign adds three."""
    spec = check(defaults={**DEFAULTS, "metadata": {f"key{n}": "x" for n in range(17)}})
    assert len(metadata_of(spec.jobs["stop"], "fh-1", "stop")) == 19


def test_an_order_says_whose_it_is() -> None:
    """The user's own metadata stays."""
    assert metadata_of({"metadata": {"mine": 1}}, "fh-1", "stop") == {
        "mine": 1,
        "firsthandapi_campaign": "fh-1",
        "firsthandapi_label": "stop",
    }


def test_a_deadline_that_has_passed_is_named() -> None:
    """Of the labels that are asked for; a date begins in UTC, and a label without a deadline is fine."""
    at = 1_900_000_000.0  # 2030-03-17T17:46:40Z
    jobs = {
        "stop": {"files_needed": 1, "deadline": "2030-03-17T18:46:40.5+01:00"},
        "yield": {"files_needed": 1, "deadline": "2030-03-18"},
        "halt": {"files_needed": 1},
    }
    spec = check(jobs=jobs)
    check_deadlines(spec, jobs, at)
    check_deadlines(spec, ["yield", "halt"], at + 1)
    with pytest.raises(
        InvalidArgumentError, match=r"jobs.stop.deadline 2030-03-17T18.* has passed; set a later one"
    ):
        check_deadlines(spec, jobs, at + 1)
    with pytest.raises(InvalidArgumentError) as refused:
        check_deadlines(spec, ["yield"], at + 22_400)
    assert refused.value.field == "jobs.yield.deadline"
