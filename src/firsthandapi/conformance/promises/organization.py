"""The settings of the organization."""

from __future__ import annotations

from functools import partial

from firsthandapi.conformance._checks import refused, same, shaped, status
from firsthandapi.conformance._exchange import Exchange
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Json, Run
from firsthandapi.conformance._shapes import SETTINGS

_GET, _PATCH = "GET /v1/organization/settings", "PATCH /v1/organization/settings"
_SETTINGS = '§2 "Organization and audit"'
_PATH = "/v1/organization/settings"


def _read(run: Run) -> Exchange:
    return run.get(_PATH).must(status(200), shaped(SETTINGS))


def _patch(run: Run, before: Json, **fields: object) -> Exchange:
    """Change settings; they change back at the end, should the server take them."""
    for name in fields:
        if before.get(name) is not None:
            run.undo(f"{name}: not restored", partial(_restore, run, {name: before[name]}))
    return run("PATCH", _PATH, fields)


def _restore(run: Run, fields: Json) -> None:
    run("PATCH", _PATH, fields).must(status(200))


@promise("settings", _GET, _SETTINGS)
def _get(run: Run) -> None:
    """The settings of the organization are readable with any scope."""
    _read(run)
    if run.writes:
        run("GET", _PATH, key=run.poor_key).must(status(200), shaped(SETTINGS))


@promise("settings.update", _PATCH, _SETTINGS)
def _update(run: Run) -> None:
    """A PATCH changes what it names, and nothing else."""
    before = _read(run).object
    wanted = {name: value for name, value in before.items() if name != "updated_at"}
    # One after the other: a server that takes a PATCH for a PUT loses the first.
    for name, value in (("default_price_per_file_cents", 77), ("auto_top_up_threshold_cents", 1234)):
        _patch(run, before, **{name: value}).must(status(200), shaped(SETTINGS))
        wanted[name] = value
        _read(run).must(same(wanted, *wanted))


@promise("settings.fields", _PATCH, _SETTINGS)
def _fields(run: Run) -> None:
    """An automatic top-up of another amount is 400, and `details` names the field."""
    field = "auto_top_up_amount_cents"
    _patch(run, _read(run).object, **{field: 1234}).must(refused(400, field=field))
