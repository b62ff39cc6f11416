"""The package as a whole: what it loads, what it needs, what it exports."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import metadata, packages_distributions, requires, version
from pathlib import Path

import generate_fields
import generate_sync
import pytest
from packaging.requirements import Requirement

import firsthandapi

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "firsthandapi"
SERVER = ROOT / "src" / "firsthandapi_server"


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that `statement` loads in a fresh interpreter."""
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


HEAVY = {"httpx", "httpcore", "h11", "anyio", "pydantic", "tenacity", "starlette", "uvicorn", "typer", "rich"}


def test_importing_the_package_loads_none_of_its_dependencies() -> None:
    """Scripts, commands and CI steps pay for what they use."""
    assert loaded_by("import firsthandapi") & HEAVY == set()


def test_making_a_client_loads_neither_models_nor_network_code() -> None:
    """A client that is never used costs next to nothing."""
    statement = "from firsthandapi import FirstHandClient; FirstHandClient('fh_test_x').close()"
    assert loaded_by(statement) & (HEAVY - {"anyio"}) == set()


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def distributions(lines: Iterable[str]) -> set[str]:
    """The names in requirements that hold here, as indexes compare them."""
    needs = [Requirement(line) for line in lines]
    held = [need for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return {need.name.lower().replace("_", "-") for need in held}


def test_the_core_brings_what_three_packages_bring() -> None:
    """`pip install firsthandapi` brings httpx, pydantic, tenacity, what they need, and no more."""
    brought: set[str] = set()
    due = {"httpx", "pydantic", "tenacity"}
    while due:
        brought |= due
        due = distributions(line for package in due for line in requires(package) or ()) - brought
    assert distributions(PROJECT["dependencies"]) <= brought


@functools.cache
def homes() -> dict[str, list[str]]:
    """By module, what installs it; `make test-core` does not install the first."""
    return {"c2pa": ["c2pa-python"], **packages_distributions()}


@functools.cache
def imported(module: Path) -> set[str]:
    """The distributions whose modules a file imports, at its top, where it needs them, or by `import_module`."""
    text = module.read_text(encoding="utf-8")
    names = {*re.findall(r'\bimport_module\("(\w+)', text)}
    due: list[ast.AST] = [ast.parse(text)]
    while due:
        match node := due.pop():
            case ast.Import(names=aliases):
                names.update(alias.name for alias in aliases)
            case ast.ImportFrom(module=str(package), level=0):
                names.add(package)
        # No other expression imports anything, and most of a file is expressions.
        due += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
    top = (
        {name.partition(".")[0] for name in names}
        - sys.stdlib_module_names
        - {"firsthandapi", "firsthandapi_server"}
    )
    return distributions(homes().get(name, [name])[0] for name in top)


# What each room may import, besides the core; those that are not here are of the core alone.
EXTRAS = {
    "ai": ["ai"],
    "_base": ["core", "truststore", "cli", "mcp"],
    "cli": ["cli"],
    "datasets": ["core", "pandas", "huggingface", "remote", "images"],
    "engines": ["remote", "fleet", "ray"],
    "mcp": ["mcp"],
    "firsthandapi_server": ["testing", "serve", "content-credentials", "remote"],
    "testing": ["testing"],
}
DECLARED = {extra: distributions(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
DECLARED["core"] = distributions(PROJECT["dependencies"])
MODULES = [module for package in (PACKAGE, SERVER) for module in package.rglob("*.py")]


def extras_of(module: Path) -> list[str]:
    home = PACKAGE if module.is_relative_to(PACKAGE) else PACKAGE.parent
    return EXTRAS.get(module.relative_to(home).parts[0], ["core"])


def undeclared(module: Path) -> set[str]:
    """What a file imports that its part of the package does not require."""
    # pytest loads the plugin, Airflow loads DAGs, and notebooks run in IPython, so they are there.
    theirs = {"pytest_plugin": "pytest", "airflow": "airflow", "progress": "ipython"}
    packages = imported(module).difference(*(DECLARED[extra] for extra in ["core", *extras_of(module)]))
    # A client of httpx2 is the caller's; here is only its type.
    packages -= {theirs.get(module.stem), "httpx2" if module.stem == "client" else None}
    if module.stem == "tracing":  # reached only in a program that has loaded OpenTelemetry itself
        packages = {name for name in packages if not name.startswith("opentelemetry")}
    return packages


def test_what_is_imported_is_declared() -> None:
    """Also where another dependency brings it along, which it may stop doing with any release."""
    uses = {module.relative_to(PACKAGE.parent).as_posix(): undeclared(module) for module in MODULES}
    assert {module: names for module, names in uses.items() if names} == {}


@pytest.mark.parametrize("extra", DECLARED)
def test_what_is_declared_is_imported(extra: str) -> None:
    """By a room that the extra is for; and no extra repeats the core."""
    declared = DECLARED[extra]
    assert extra == "core" or declared.isdisjoint(DECLARED["core"])
    if extra in ("mcp", "serve"):  # each has a command
        assert declared >= DECLARED["cli"]
        declared = declared - DECLARED["cli"]
    unused = declared.difference(*(imported(module) for module in MODULES if extra in extras_of(module)))
    assert unused == ({"s3fs"} if extra == "remote" else set())  # fsspec loads it by its name


def test_the_version_stands_in_one_place() -> None:
    """The installed version is the one in `_base/version.py`."""
    assert version("firsthandapi") == firsthandapi.__version__
    assert firsthandapi.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_lazy_table_is_what_type_checkers_see() -> None:
    """Each name of the static imports is in the table with the same home, and the other way round."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    static = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom) and node.level  # not `typing`, which annotates
        for alias in node.names
    }
    assert static == firsthandapi._HOMES
    assert {*static} == {*firsthandapi.__all__}


@pytest.mark.parametrize("name", sorted(firsthandapi._HOMES))
def test_each_public_name_loads(name: str) -> None:
    """What `dir(firsthandapi)` shows is there."""
    assert name in dir(firsthandapi)
    assert getattr(getattr(firsthandapi, name), "__name__", name) == (
        name if name != "Callback" else "Callable"
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo is told as Python tells it."""
    with pytest.raises(AttributeError, match="no attribute 'FirstHandCleint'"):
        _ = firsthandapi.FirstHandCleint


def test_the_sync_half_is_what_the_async_half_makes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody edits generated code; and a rule that no source needs any more is an error, not a leftover."""
    monkeypatch.setattr(generate_sync, "RULES", [("nowhere_at_all", ""), *generate_sync.RULES])
    monkeypatch.setattr(sys, "argv", ["generate_sync.py", "--check"])
    assert generate_sync.main() == 1
    assert capsys.readouterr().err == "the rule 'nowhere_at_all' matches nothing any more: remove it\n"


def test_the_source_has_what_the_types_say() -> None:
    """`make generate` writes the fields of a job and the public names, and brings back one that is lost."""
    for path, written in generate_fields.TARGETS.items():
        text = path.read_text(encoding="utf-8")
        assert written(text) == text, "run `make generate`"
        lines = text.splitlines(keepends=True)
        if path == generate_fields.JOBS:
            # In four methods: the signature, the text, and where a field is passed on.
            assert sum("scoring_criteria" in line for line in lines) == 12
        assert written("".join(line for line in lines if "scoring_criteria" not in line)) == text


def test_the_page_of_the_package_index_links_to_whole_addresses() -> None:
    """It shows the README, but has none of the files beside it."""
    readme = str(metadata("firsthandapi").get_payload())
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
