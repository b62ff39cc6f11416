"""The settings of the organization."""

from __future__ import annotations

from firsthandapi.conformance._checks import refused, shaped, status
from firsthandapi.conformance._exchange import DiffersError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._shapes import SETTINGS

_GET, _PATCH = "GET /v1/organization/settings", "PATCH /v1/organization/settings"
_SETTINGS = '§2 "Organization and audit"'
_PATH = "/v1/organization/settings"


@promise("settings", _GET, _SETTINGS, "The settings of the organization are readable with any scope.")
def _get(run: Run) -> None:
    run("GET", _PATH).must(status(200), shaped(SETTINGS))
    if run.writes:
        run("GET", _PATH, key=run.audit_key).must(status(200), shaped(SETTINGS))


@promise(
    "settings.update", _PATCH, _SETTINGS, "A PATCH changes what it names, and nothing else.", writes=True
)
def _update(run: Run) -> None:
    before = run("GET", _PATH).must(status(200), shaped(SETTINGS)).object
    name = "default_price_per_file_cents"
    if name in before:
        run.undo(f"{name}: not restored", lambda: run("PATCH", _PATH, {name: before[name]}).must(status(200)))
    run("PATCH", _PATH, {name: 77}).must(status(200), shaped(SETTINGS))
    it = run("GET", _PATH).must(status(200), shaped(SETTINGS))
    for each, value in {**before, name: 77}.items():
        if it.object.get(each) != value and each != "updated_at":
            raise DiffersError(f"`{each}` is {it.object.get(each)!r}, not {value!r}", it)


@promise(
    "settings.fields",
    _PATCH,
    _SETTINGS,
    "An automatic top-up of another amount is 400, and `details` names the field.",
    writes=True,
)
def _fields(run: Run) -> None:
    field = "auto_top_up_amount_cents"
    before = run("GET", _PATH).must(status(200)).object.get(field)
    if before is not None:  # should the server take it, it does not stay
        run.undo(f"{field}: not restored", lambda: run("PATCH", _PATH, {field: before}).must(status(200)))
    run("PATCH", _PATH, {field: 1234}).must(refused(400, field=field))
