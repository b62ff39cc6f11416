"""The reference has a place for every public name, and the migration page for every name of 0.1.0."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import cli_reference
import pydantic
import pytest

import firsthandapi
from firsthandapi import FirstHandClient
from firsthandapi._base.habits import habits
from firsthandapi._base.progress import AGENTS
from firsthandapi._core.calls.attempt import call_name
from firsthandapi._sync.resources import webhooks
from firsthandapi.testing import Fault
from firsthandapi.types import Job, JobCreateParams, Params
from firsthandapi_server.contract.operations import ANY_SCOPE, NO_KEY, OPERATIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
# What mkdocstrings shows: the object's path, and the options below it.
SHOWN = {
    path: options
    for page in sorted((DOCS / "reference").glob("*.md"))
    for path, options in re.findall(
        r"^::: (\S+)\n((?: +.*\n)*)", page.read_text(encoding="utf-8") + "\n", re.MULTILINE
    )
}


@pytest.fixture(scope="module", autouse=True)
def airflow() -> Iterator[None]:
    """What stands in for Airflow, which is too large to install for its names alone."""
    names = {
        "airflow.sdk": ("BaseOperator", "Connection"),
        "airflow.sdk.exceptions": ("AirflowFailException",),
        "airflow.triggers.base": ("BaseTrigger", "TriggerEvent"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for module, classes in names.items():
            stub: Any = types.ModuleType(module)
            vars(stub).update((name, type(name, (), {})) for name in classes)
            patch.setitem(sys.modules, module, stub)
        yield
    sys.modules.pop("firsthandapi.airflow", None)


def resolve(path: str) -> Any:
    """The object that a dotted path names."""
    module = path
    while module:
        try:
            target: Any = importlib.import_module(module)
        except ModuleNotFoundError:
            module = module.rpartition(".")[0]
            continue
        for name in path[len(module) + 1 :].split(".") if path != module else ():
            target = getattr(target, name)
        return target
    raise LookupError(path)


@pytest.mark.parametrize(
    "module",
    ["firsthandapi", *(f"firsthandapi.{name}" for name in firsthandapi._MODULES)],
)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    """A new name cannot be forgotten."""
    home = importlib.import_module(module)
    public = home.__all__ if hasattr(home, "__all__") else [name for name in dir(home) if name[0].isupper()]
    assert public
    objects = [resolve(path) for path in SHOWN]
    missing = [
        name
        for name in public
        if f"{module}.{name}" not in SHOWN and not any(getattr(home, name) is item for item in objects)
    ]
    assert missing == [], "each public name needs a `:::` block in docs/reference, a type in types.md"


def test_every_resource_is_in_the_reference_whole() -> None:
    """Whatever method a resource gets, it is shown: the pages of resources name no members."""
    with FirstHandClient("fh_test_x", "http://127.0.0.1:1") as client:
        resources = [
            type(getattr(client, name))
            for name, value in vars(FirstHandClient).items()
            if isinstance(value, cached_property) and not name.startswith("_")
        ]
    assert len(resources) == 11
    for resource in [*resources, webhooks.WebhookEvents]:
        options = SHOWN[f"{resource.__module__}.{resource.__qualname__}"]
        assert "members" not in options
        assert "filters" not in options


def functions_of(subject: Any) -> list[Any]:
    """The object if it is a function, or its public methods if it is a class."""
    if not inspect.isclass(subject):
        return [subject] if inspect.isfunction(subject) else []
    members = [
        value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        for name, value in vars(subject).items()
        if name[0] != "_"
    ]
    return [member for member in members if inspect.isfunction(member)]


@pytest.mark.parametrize("path", [path for path, options in SHOWN.items() if "members: false" not in options])
def test_every_parameter_in_the_reference_is_explained(path: str) -> None:
    """Whoever reads a signature finds each of its names in the text below it."""
    subject = resolve(path)
    for function in functions_of(subject):
        text = inspect.getdoc(function) or ""
        assert text, function
        names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
        assert [name for name in names if not re.search(rf"\b{name}\b", text)] == [], function


@pytest.mark.parametrize("path", SHOWN)
def test_every_field_in_the_reference_is_explained(path: str) -> None:
    """The reference shows no field by itself: what the class's docstring does not name, nobody finds."""
    model = resolve(path)
    if not inspect.isclass(model) or issubclass(model, Params) or model is Fault:
        return  # those two say which method explains them
    if issubclass(model, pydantic.BaseModel):
        names = list(model.model_fields)
    else:
        names = [field.name for field in dataclasses.fields(model)] if dataclasses.is_dataclass(model) else []
    text = "".join(base.__doc__ or "" for base in model.__mro__)
    assert [name for name in names if not re.search(rf"^ +{name}\b|, {name}\b", text, re.MULTILINE)] == []


def test_every_name_of_0_1_0_is_on_the_migration_page() -> None:
    """Each has a row of its own, with the successor that the error message names too."""
    rows = re.findall(r"^\| `(\w+).*", (DOCS / "migration.md").read_text(encoding="utf-8"), re.MULTILINE)
    text = (DOCS / "migration.md").read_text(encoding="utf-8")
    for name, successor in {**habits()["methods of 0.1.0"], **habits()["names of 0.1.0"]}.items():
        assert name in rows
        called = re.match(r"[\w.]+", successor)
        assert called is not None
        assert re.search(rf"^\| `{name}\b.*\| .*`{re.escape(called[0])}\b", text, re.MULTILINE), name


def test_the_commands_of_the_reference_can_be_pasted(tmp_path: Path) -> None:
    """The reference speaks as --help does; an example is a block of its own."""
    cli_reference.main(tmp_path)
    index, jobs = ((tmp_path / f"{name}.md").read_text(encoding="utf-8") for name in ("index", "jobs"))
    assert (
        '\nExample:\n\n```sh\nfirsthandapi signup --name "Street Signs Ltd" --email me@example.com\n```\n'
        in index
    )
    assert "\n```text\nfirsthandapi verify [OPTIONS] DIR\n```\n" in index
    assert "\n* `--min-files N`: Fail if the folder has fewer files. \\[0 or more]\n" in index
    assert "\n```yaml\ndescription: Photos of street signs in daylight\n" in jobs
    assert "\n## `firsthandapi jobs create`\n" in jobs


def test_the_contract_lists_every_endpoint() -> None:
    """With its scope, and the method that calls it."""
    rows = re.findall(
        r"^\| `(\w+ /v1/[^`]+)`[^|]* \| (no key|any|`[a-z:]+`)[^|]* \| (.+) \|$",
        (DOCS / "contract.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    scopes = {ANY_SCOPE: "any", NO_KEY: "no key"}
    served = {
        f"{route.method} {route.path.replace('{id}', ':id')}": scopes.get(route.scope, f"`{route.scope}`")
        for route in OPERATIONS
    }
    advice = "each endpoint needs a row in a table of docs/contract.md §2"
    assert {endpoint: scope for endpoint, scope, _ in rows} == served, advice
    assert [endpoint for endpoint, _, methods in rows if call_name(endpoint) not in methods] == [], advice


def test_the_contract_lists_every_field_of_a_job() -> None:
    """What `jobs.create` takes in the first column of a table, what a job has in the row of the object."""
    contract = (DOCS / "contract.md").read_text(encoding="utf-8")
    first = "".join(re.findall(r"^\| (`[^|]+)\|", contract, re.MULTILINE))
    taken = {name for name in JobCreateParams.model_fields if f"`{name}`" not in first}
    (row,) = re.findall(r"^\| Job \|.*$", contract, re.MULTILINE)
    hidden_fields = {name for name in Job.model_fields if f"`{name}`" not in row}
    assert (taken, hidden_fields) == (set(), set()), "docs/contract.md, §2 and §3"


def test_every_pointer_into_the_contract_leads_somewhere() -> None:
    """What a docstring quotes of a section is a heading there, or the first cell of a table's row."""
    contract = re.split(
        r"^## (\d)\. ", (DOCS / "contract.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    sections = dict(zip(contract[1::2], contract[2::2], strict=True))
    pointers = {
        (section, name)
        for file in (DOCS.parent / "src").rglob("*.py")
        for section, quoted in re.findall(r'§(\d)((?:,? "[^"]+")*)', file.read_text(encoding="utf-8"))
        for name in re.findall(r'"([^"]+)"', quoted) or [""]
    }
    assert len(pointers) > 20
    astray = [
        f"§{section} {name}"
        for section, name in sorted(pointers)
        if not re.search(rf"^(### {name}$|\| {name} \|)" if name else "", sections[section], re.MULTILINE)
    ]
    assert astray == [], "docs/contract.md has no such heading, nor a row of §3 that begins with the name"


def test_each_environment_variable_has_its_row() -> None:
    """Whatever the source reads from the environment under a name of ours, and each sign of an agent."""
    page = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "src").rglob("*.py"))
    missing = {name for name in re.findall(r"FIRSTHAND_[A-Z_]*[A-Z]\b", source) if f"`{name}`" not in page}
    assert missing | {name for name in AGENTS if f"`{name}`" not in page} == set()
