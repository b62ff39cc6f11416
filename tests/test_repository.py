"""What a contributor and a release find at the root: workflows, pins, requirements."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import firsthandapi

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GATES = {name: (ROOT / ".ci" / name).read_text(encoding="utf-8") for name in ("run", "full", "common.sh")}
COMPARE = "Compare the tag with the version"

needs_bash = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="the workflows are for bash"
)


def steps(workflow: str) -> list[dict[str, Any]]:
    return [step for job in WORKFLOWS[workflow]["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_each_step_of_a_workflow_runs_in_the_gate(workflow: str) -> None:
    """What GitHub runs is a make target that a gate runs too, or is one, or has a test of its own."""
    gates = "\n".join(GATES.values())
    ran = [step["run"] for step in steps(workflow) if "run" in step and step.get("name") != COMPARE]
    assert ran
    for command in ran:
        assert re.fullmatch(r"make [a-z-]+", command)
        # Coverage runs the tests by their own target.
        assert re.search(rf"^ *(timeout \d+ )?{command}\b", gates, re.MULTILINE) or command in (
            "make test",
            "make full",
        )


def test_the_full_gate_contains_the_other() -> None:
    """No step that a landing must pass is missing where everything runs."""
    run, full = (
        set(re.findall(r"(?:^ *|\|\| )(make [a-z-]+|test_\w+)", GATES[name], re.MULTILINE))
        for name in ("run", "full")
    )
    assert {"make demo", "make check", "make docs", "make coverage", "test_core_on", "test_lowest"} == run
    assert run < full


@needs_bash
@pytest.mark.parametrize(("tag", "code"), [("v{}", 0), ("v{}.1", 1), ("v9{}", 1), ("main", 1)])
def test_a_release_has_the_version_that_its_tag_says(tag: str, code: int) -> None:
    """A tag that differs from `_base/version.py` stops the release before anything is built."""
    (step,) = (step for step in steps("release") if step.get("name") == COMPARE)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=ROOT,
        env={**os.environ, "GITHUB_REF_NAME": tag.format(firsthandapi.__version__)},
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == code


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_may_do_what_it_must_and_no_more(workflow: str) -> None:
    """Read-only, bounded in time, no token kept; actions are pinned to commits, and only publishing has an identity."""
    loaded = WORKFLOWS[workflow]
    assert loaded["permissions"] == {"contents": "read"}
    for name, job in loaded["jobs"].items():
        assert 1 <= job["timeout-minutes"] <= 90
        assert job.get("permissions", {}) == ({"id-token": "write"} if name == "publish" else {})
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [pin for pin in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin)] == []


def test_a_release_is_attested_and_approved() -> None:
    """Trusted publishing with attestations, of what the build job made, in an environment that people guard."""
    build, publish = WORKFLOWS["release"]["jobs"].values()
    assert (publish["needs"], publish["environment"]) == ("build", "release")
    assert publish["steps"][-1]["with"] == {"attestations": True}
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert build["steps"][-1]["with"]["path"] == publish["steps"][0]["with"]["path"] == "dist"


def test_each_promised_python_is_tested() -> None:
    """On every system: the oldest that the package asks for, and all that its classifiers name."""
    matrix = WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert set(named) <= set(matrix["python"])
    assert PROJECT["project"]["requires-python"] == f">={matrix['python'][0]}" == f">={named[0]}"
    assert matrix["system"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert f"in {' '.join(matrix['python'])};" in GATES["common.sh"]


def test_a_slow_test_says_so_in_its_file() -> None:
    """By this word `make soak` finds the files that it imports."""
    marked = [
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if "mark.slow" in path.read_text(encoding="utf-8")
    ]
    assert [name for name in marked if not name.startswith("test_")] == []


def test_ruff_is_the_same_in_a_commit_and_in_the_gate() -> None:
    """Two versions format differently, and then neither is content."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = hooks["repos"]
    pinned = re.search(r"^ruff==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned
    assert repository["rev"] == f"v{pinned[1]}"


def test_each_requirement_of_a_group_is_pinned() -> None:
    """What the gate installs is what it was last green with; each package has one pin, and no group names one twice."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    names = [name(line) for line in pins.splitlines() if "==" in line]
    assert len(names) == len(set(names))
    groups = PROJECT["dependency-groups"]
    assert {"client", "compat", "test", "dev", "docs"} <= groups.keys()
    requirements = {name(line) for group in groups.values() for line in group if isinstance(line, str)}
    assert requirements - {*names} == set()
    for group in groups.values():
        lines = [str(line) for line in group]
        assert len(lines) == len(set(lines))


# The first version without a known vulnerability that this package reaches, as of 2026-11-30, of each package that it
# declares. Where pip-audit reaches its database, it says whether one falls behind, for one extra after the other:
#     python scripts/lowest.py serve | sort -u > lowest.txt && pip-audit --no-deps -r lowest.txt
SAFE = {
    "anyio": ("4.14.2", "CVE-2026-63374, CVE-2026-64847"),
    "certifi": ("2024.7.4", "CVE-2024-39689: roots that are no longer trusted"),
    "datasets": ("5.0.1", "PYSEC-2026-3716: a file_name that leaves the folder"),
    "h11": ("0.16", "CVE-2025-43859: chunks with a wrong end, so that requests can be smuggled"),
    "httpx": ("0.23", "CVE-2021-41945: URLs that are read in another way"),
    "jinja2": ("3.1.6", "CVE-2025-27516, CVE-2024-56326: ways out of the sandbox"),
    "markdown-it-py": ("2.2", "CVE-2023-26302, CVE-2023-26303: texts that end the program"),
    "mcp": ("2.2", "CVE-2026-116686: schemas that read files and URLs"),
    # 13 has more: CVE-2026-112403 and others. `firsthandapi serve` needs it; near duplicates open no format that does.
    "pillow": ("12.3", "CVE-2026-59197 and others: sizes that write over memory"),
    # Python does not reach what 23.0.1 repairs: CVE-2026-25087.
    "pyarrow": ("14.0.1", "CVE-2023-47248: files that run code"),
    "pydantic": ("2.4", "CVE-2024-3772: addresses that take too long"),
    "python-multipart": ("0.0.31", "CVE-2026-42561, CVE-2026-53538, and names of headers without bounds"),
    "pyyaml": ("5.4", "CVE-2020-14343: files that run code"),
    "ray": ("2.52", "CVE-2025-62593: web pages that run code"),
    "redis": ("4.5.4", "CVE-2023-28858, CVE-2023-28859: responses that another caller gets"),
    "starlette": ("1.3.1", "CVE-2025-62727, CVE-2026-48710, PYSEC-2026-248, and forms without bounds"),
    "uvicorn": ("0.11.7", "CVE-2020-7695: headers that split a response"),
}
NOTHING_KNOWN = {
    *(
        "anthropic",
        "av",
        "c2pa-python",
        "fsspec",
        "genai-prices",
        "huggingface-hub",
        "limits",
        "markupsafe",
        "mcp-types",
        "numpy",
        "openai",
        "pandas",
        "pydantic-core",
        "rich",
        "s3fs",
        "segno",
    ),
    *("tenacity", "truststore", "typer", "typing-extensions", "universal-pathlib"),
}
DECLARED = [
    Requirement(line)
    for lines in (
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
    )
    for line in lines
]


def test_no_lowest_version_has_a_known_vulnerability() -> None:
    """What pip may install with this package is safe, not only what it does install today; and so are the pins."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for requirement in [*DECLARED, *(Requirement(pin) for pin in pins if "==" in pin)]:
        safe, why = SAFE.get(canonicalize_name(requirement.name), ("0", ""))
        lowest = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        assert lowest, f"{requirement} has no lowest version"
        assert Version(lowest[0]) >= Version(safe), f"{requirement} allows less than {safe}: {why}"


def test_each_dependency_was_looked_up() -> None:
    """In core and in every extra: a new one is in the table, or nothing is known of it; and none stays that is gone."""
    names = {canonicalize_name(requirement.name) for requirement in DECLARED}
    assert names == SAFE.keys() | NOTHING_KNOWN
    assert SAFE.keys() & NOTHING_KNOWN == set()


def name(requirement: str) -> str:
    """The name of a package in a requirement or a pin, as the index writes it."""
    return re.split(r"[\[=; ]", requirement)[0].lower().replace("_", "-")


def drawn() -> set[str]:
    """The paths of the maps in CONTRIBUTING.md. A line of several names has a path for each."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(r"## The map of the house\n(.*?)\n\| Where", text, re.DOTALL)
    assert section
    paths: list[str] = []
    for block in re.findall(r"```\n(.*?)```", section[1], re.DOTALL):
        folders: dict[int, str] = {}
        for line in block.splitlines():
            indent = len(line) - len(line.lstrip())
            folders = {depth: folder for depth, folder in folders.items() if depth < indent}
            names = re.split("   |  +", line.strip())[0].split(" ")
            paths += ["".join(folders.values()) + name for name in names]
            folders[indent] = names[0]
    assert len(paths) == len(set(paths))
    return set(paths)


def test_the_map_is_the_tree() -> None:
    """Each path of CONTRIBUTING's maps exists, each module at the top of a package is on one, and a map is a page."""
    paths = drawn()
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    packages = [ROOT / "src" / "firsthandapi", ROOT / "src" / "firsthandapi_server"]
    modules = {module for package in packages for module in package.iterdir()}
    expected = {ROOT / path for path in paths} | {
        packages[0] / name for name in ("py.typed", "_sync", "SKILL.md", "__main__.py")
    }
    expected.add(packages[1] / "__init__.py")
    assert {str(path) for path in modules - expected if path.name != "__pycache__"} == set()
    for package in packages:
        assert sum((ROOT / path).is_relative_to(package) for path in paths) < 60


def test_each_path_that_contributors_are_sent_to_exists() -> None:
    """A path in CONTRIBUTING's prose begins at the root, in `src`, in a package, or in `tests`."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    homes = [ROOT / home for home in (".", "src", "src/firsthandapi", "src/firsthandapi_server", "tests")]
    # What is built is not there.
    named = set(re.findall(r"`((?!build/|1\.0/)[\w.]+/[\w./]*)`", text))
    assert len(named) > 40
    assert {path for path in named if not any((home / path).exists() for home in homes)} == set()


def test_the_pairs_written_by_hand_are_named() -> None:
    """CONTRIBUTING names the modules that the generator leaves alone, and no others."""
    import generate_sync

    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.search(r"hand-written pairs\.\*\* (.*?), because", text, re.DOTALL)
    assert named
    assert set(re.findall(r"`(\w+\.py)`", named[1])) == generate_sync.BY_HAND


def test_each_target_that_is_named_exists() -> None:
    """Where a page or a comment says `make something`, the Makefile has it, and help lists every target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named: set[str] = set()
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.toml"),
        *(ROOT / "scripts").glob("*.py"),
        *ROOT.glob(".github/*.md"),
    ]:
        for command in re.findall(r"`make ([a-z -]+)`", path.read_text(encoding="utf-8")):
            named.update(command.split())
    assert named - targets == set()
    assert targets - {"help", "clean"} <= set(re.findall(r'echo "make ([a-z-]+)', makefile))


# Stand-ins for a Python, which log each environment that they make: `old` is too old, and `bare` makes environments
# without pip and fails, as Debian's does without python3-venv.
PYTHON = """#!/bin/sh
case "$1 $2" in
"--version "*) echo "Python {version}" ;;
"-c import pip"*) exit {no_pip} ;;
"-c "*) exit {too_old} ;;
"-m venv")
  shift 2
  echo "$@" >> made
  test "$1" != --clear || {{ shift; rm -r "$1"; }}
  mkdir -p "$1/bin" && touch "$1/pyvenv.cfg"
  cp {made_by} "$1/bin/python"
  printf '#!/bin/sh\necho demonstrated' > "$1/bin/firsthandapi" && chmod +x "$1/bin/firsthandapi"
  exit {no_pip} ;;
esac
"""


@pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None, reason="the stand-ins are scripts of a shell"
)
def test_make_recovers_from_a_failure(tmp_path: Path) -> None:
    """An old Python makes no environment, and one that is not whole, or whose Python is gone, is made again."""
    (tmp_path / "scripts").mkdir()
    for file in ("Makefile", "pyproject.toml", "constraints.txt", "scripts/thrice.sh"):
        shutil.copy(ROOT / file, tmp_path / file)
    for name, (version, no_pip, too_old) in {
        "python3": ("3.12.1", 0, 0),
        "bare": ("3.12.1", 1, 0),
        "old": ("3.10.2", 0, 1),
    }.items():
        script = tmp_path / name
        script.write_text(
            PYTHON.format(version=version, no_pip=no_pip or too_old, too_old=too_old, made_by=script),
            encoding="utf-8",
        )
        script.chmod(0o755)

    def demo(python: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "demo", f"PYTHON={tmp_path / python}"]
        # What runs the tests may itself be make, which hands its variables down.
        outside = {"PATH": os.environ["PATH"]}
        return subprocess.run(
            command, cwd=tmp_path, env=outside, capture_output=True, text=True, timeout=60, check=False
        )

    old = demo("old")
    assert (old.returncode, (tmp_path / ".venv").exists()) == (2, False)
    assert (
        f"Python 3.11 or later is needed: {tmp_path / 'old'} --version says Python 3.10.2; "
        "name one: make demo PYTHON=python3.12\n"
    ) in old.stderr
    assert demo("bare").returncode == 2
    for _ in range(2):
        assert demo("python3").stdout.endswith("demonstrated\n")
    commands = [".venv", "--clear .venv"]
    assert (tmp_path / "made").read_text().splitlines() == commands
    (tmp_path / ".venv" / "bin" / "python").unlink()
    assert demo("python3").stdout.endswith("demonstrated\n")
    assert (tmp_path / "made").read_text().splitlines() == [*commands, "--clear .venv"]


@pytest.mark.parametrize(
    "page", ["README.md", "docs/index.md", "docs/quickstart.md", "zensical.toml", "src/firsthandapi/SKILL.md"]
)
def test_what_a_reader_meets_first_installs_this_version(page: str) -> None:
    """`pip install firsthandapi` brings 0.1.0 until 1.0 is published; zensical.toml has the text of llms.txt."""
    text = re.sub(r"[\s\\\\]+", " ", (ROOT / page).read_text(encoding="utf-8"))
    rule = "Until 1.0 is published, install from a clone; the package index has only 0.1.0: "
    _, _, steps = text.partition(rule)
    assert re.match(
        r"(```sh |`)git clone https://github\.com/firsthandapi/firsthandapi-python(`, then `| )"
        r"pip install [\"']?\./firsthandapi-python",
        steps,
    )


def test_each_promise_has_its_test() -> None:
    """docs/reliability.md names tests that exist."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    assert f"| {settings.get_profile('test').max_examples} in `make test`" in page
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file()
        or not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []
