"""The rules do no I/O, in ways that import-linter does not see: parts of packages, built-in functions, the clock."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import firsthandapi

SOURCE = Path(firsthandapi.__file__).parent
RULES = sorted({*(SOURCE / "_core").rglob("*.py"), *(SOURCE / "types").glob("*.py"), SOURCE / "errors.py"})
IO = {"urllib.request", "open", "print", "input", "now", "today", "utcnow"}


@cache
def nodes(module: Path) -> list[ast.AST]:
    """The syntax of a module."""
    return [*ast.walk(ast.parse(module.read_text(encoding="utf-8")))]


def used(module: Path) -> set[str]:
    """What a module imports, by its whole name, and calls, by its last."""
    names: set[str] = set()
    for node in nodes(module):
        match node:
            case ast.Import(names=imported):
                names.update(alias.name for alias in imported)
            case ast.ImportFrom(module=str(package), names=imported):
                names.update([package, *(f"{package}.{alias.name}" for alias in imported)])
            case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
                names.add(name)
    return names


@pytest.mark.parametrize("module", RULES, ids=lambda path: path.stem)
def test_a_rule_reads_nothing_but_its_arguments(module: Path) -> None:
    """No network, disk, terminal or clock: what a rule says depends on what it is given."""
    assert not used(module) & IO


# import-linter sees no name in a string, which `import_module` would take.
SERVER = SOURCE.parent / "firsthandapi_server"


@pytest.mark.parametrize(("package", "neighbor"), [(SOURCE, SERVER), (SERVER, SOURCE)], ids=["sdk", "server"])
def test_no_string_names_a_module_behind_the_wall(package: Path, neighbor: Path) -> None:
    """The SDK has such strings only in the tests' room, which loads the server when it is first used."""

    def is_module(text: object) -> bool:
        if not (isinstance(text, str) and re.fullmatch(rf"{neighbor.name}(\.\w+)*\.?", text)):
            return False
        path = neighbor.parent.joinpath(*text.strip(".").split("."))
        return path.is_dir() or path.with_suffix(".py").is_file()

    exceptions = {"firsthandapi", "firsthandapi.testing"}  # the distribution, and a logger
    strings = {
        f"{module.relative_to(package).as_posix()}: {node.value}"
        for module in package.rglob("*.py")
        if not module.is_relative_to(SOURCE / "testing")
        for node in nodes(module)
        if isinstance(node, ast.Constant) and node.value not in exceptions and is_module(node.value)
    }
    assert strings == set()


# The generated half does what the other one does.
PACKAGE = sorted({*SOURCE.rglob("*.py")} - {*(SOURCE / "_sync").rglob("*.py")})
ON_DISK = {f"os.{name}" for name in ("fsync", "link", "remove", "rename", "replace", "unlink")} | {
    "unlink",
    "rename",
}
LOCKS = {"fcntl", "msvcrt"}
# What has methods of such a name.
NOT_FILES = {"replacing", "self._rules.parts"}
# It removes a file at once or not at all: the thread that has it open is stuck.
IMPATIENT = {"datasets/_download/part.py": {"os.unlink", "unlink"}}


def on_disk(module: Path) -> set[str]:
    """What a module does to files by itself: functions of os and methods of paths that it names, and locks."""
    names: set[str] = set()
    for node in nodes(module):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name):
                names.add(f"os.{name}")
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if ast.unparse(value) not in NOT_FILES:
                names.add(name)
            case ast.Import(names=imported):
                names.update(alias.name for alias in imported)
    return names & (ON_DISK | LOCKS)


def test_files_are_replaced_removed_flushed_and_locked_in_one_home() -> None:
    """Only `_base.host` knows what other programs, macOS, and file systems without links or locks take."""
    names = "|".join(re.escape(name) for name in ON_DISK | LOCKS)
    some = [module for module in PACKAGE if re.search(rf"\b({names})\b", module.read_text(encoding="utf-8"))]
    uses_by_module = {module.relative_to(SOURCE).as_posix(): on_disk(module) for module in some}
    assert {
        name: uses for name, uses in uses_by_module.items() if uses and not name.startswith("_base/host/")
    } == IMPATIENT
    assert uses_by_module["_base/host/replacing.py"] >= {"os.fsync", "os.replace", "os.unlink"}


# What loads its own names at their first use; the room of the bundled server may know the server.
LAZY = {"__init__.py", "types/__init__.py", "testing/__init__.py", "cli/app.py"}


def test_nothing_goes_round_the_wall_by_name() -> None:
    """An import by name is none that import-linter sees: only of other people's packages, or of one's own rooms."""
    modules: set[str] = set()
    for module in PACKAGE:
        for node in nodes(module):
            match node:
                case ast.Call(func=ast.Name(id="import_module" | "__import__"), args=[name, *_]):
                    is_other = isinstance(name, ast.Constant) and not str(name.value).startswith(
                        ("firsthandapi", ".")
                    )
                    modules |= set() if is_other else {module.relative_to(SOURCE).as_posix()}
    assert modules == LAZY


# Where a module is tested that has no file of its name.
ELSEWHERE = {
    "_core/rows/licenses": "core/rows/test_card.py",
    "_core/calls/signatures": "test_webhooks.py",  # the public module is made of these rules
    "_async/calls": "client/test_methods.py",
    "datasets/_download/watching": "base/test_watching.py",
    "datasets/_copies": "dataset/test_withdrawing.py",
    "datasets/_copying": "dataset/test_merging.py",
    "datasets/_hub": "dataset/test_publishing.py",
    "datasets/_shelf": "dataset/test_publishing.py",
    "_core/rows/publication": "dataset/test_publishing.py",
    "datasets/_hashes": "dataset/test_near.py",
    "datasets/_manifest": "dataset/test_folder.py",
    "datasets/_opinions": "dataset/test_annotating.py",
    "ai/_media": "ai/test_model.py",
    "ai/_opinion": "ai/test_model.py",
    "ai/_prices": "ai/test_model.py",
    "ai/_question": "ai/test_model.py",
    "datasets/_single": "download/test_files_download.py",
    "cli/agents": "mcp/test_mcp_server.py",
    "cli/failures": "cli/test_app.py",
    "cli/pages": "cli/test_usage.py",
    "__main__": "cli/test_app.py",
    "client": "base/test_habits.py",
    "resources": "base/test_habits.py",
    "errors": "core/test_errors.py",
    "_base/folder_lock": "dataset/test_lock.py",
    "_base/headers": "core/calls/test_request.py",
    "_base/ids": "core/calls/test_request.py",
    "_base/origins": "core/calls/test_config.py",
    "_base/tracing": "base/test_watching.py",
    "_base/version": "test_package.py",
    # Doors.
    "airflow": "pipelines/test_pipelines.py",
    "filesystem": "engines/filesystem/test_filesystem.py",
    "fleet": "engines/fleet/test_redis_fleet.py",
    "ray": "engines/ray/test_ray_cluster.py",
}
# The folders of the tests of a package. Those of the servers, and of what stands on the client, go by subject.
TESTS = {
    **{f"_core/{room}": [f"core/{room}"] for room in ("calls", "files", "rows", "orders", "campaigns")},
    **{f"_base/{room}": [f"base/{room}"] for room in ("host", "network")},
    "_async": ["client", "dataset"],
    "_base": ["base"],
    "_notebook": ["notebook"],
    "datasets": ["dataset"],
    "datasets/_download": ["download"],
    "cli": ["cli"],
    ".": ["."],
}
MODULES = sorted(
    path.relative_to(SOURCE)
    for package in TESTS
    for path in (SOURCE / package).glob("*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.with_suffix("").as_posix())
def test_the_tests_of_a_module_are_found_by_its_name(module: Path) -> None:
    """`_async/waiting.py` is tested in `tests/client/test_waiting.py`."""
    tests = Path(__file__).parent.parent
    name = f"test_{module.stem.lstrip('_')}.py"
    homes = [tests / folder / name for folder in TESTS[module.parent.as_posix()]]
    has_home = any(home.is_file() for home in homes)
    elsewhere = ELSEWHERE.get(module.with_suffix("").as_posix())
    assert has_home if elsewhere is None else not has_home and (tests / elsewhere).is_file()
