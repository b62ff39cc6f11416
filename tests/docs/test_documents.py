"""The README and the docs are tests: what they show is run."""

from __future__ import annotations

import ast
import gc
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from snippets import Page, read_pages

import firsthandapi
from cli.support import Cli
from firsthandapi import FirstHandClient
from firsthandapi.testing import FakeModels, MockServer
from processes import run_here

ROOT = Path(__file__).resolve().parents[2]
PAGES = [page for page in read_pages() if page.programs or page.commands]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
    "Repository"
]
# With the plugins that the pages use: to load all those of this environment takes seconds.
PYTEST = ["-m", "pytest", "-v", "-p", "no:cacheprovider", "--disable-plugin-autoload", "-p", "anyio"]
PYTEST += ["-p", "firsthandapi.testing.pytest_plugin"]
PROGRAM = (ast.Import, ast.ImportFrom, ast.Call, ast.Assign)
# They run until Ctrl-C, so only their options are looked at.
ENDLESS = ("mock-server", "demo --console", "review", "serve", "webhooks listen", "mcp")


# Pages that load pandas and its like, or change their process: one process runs their programs, one after the other.
# PyTorch forks, so each of its pages has a process without the threads of other libraries.
FORKING = {"guides_filesystem", "guides_training"} if find_spec("torch") else set[str]()
LOADING = {"collect", "quickstart", "guides_buckets", "guides_curating", "guides_datasets"}
LOADING |= {"guides_filesystem", "guides_publishing", "guides_training", "guides_watching"}
WITH_TESTS = {"guides_ci", "guides_testing"}
TOGETHER = [LOADING - FORKING, WITH_TESTS, *({name} for name in sorted(FORKING))]
GROUPS = [[page for page in PAGES if page.name in names] for names in TOGETHER]
GROUPS += [[page] for page in PAGES if not any(page.name in names for names in TOGETHER)]
assert set[str]().union(*TOGETHER) <= {page.name for page in PAGES}

# As `python -W error` runs each. What other libraries use of each other is not our affair.
ONE_AFTER_THE_OTHER = """
import json, os, runpy, sys, warnings
for folder, program, loads_others, variables in json.loads(sys.argv[1]):
    print(program, file=sys.stderr)
    warnings.resetwarnings()
    warnings.simplefilter("error")
    for category in (DeprecationWarning, UserWarning, FutureWarning) if loads_others else ():
        warnings.simplefilter("ignore", category)
    os.chdir(folder)
    os.environ.update(variables)
    runpy.run_path(program, run_name="__main__")
print("all ran")
"""


def settings(server: MockServer) -> dict[str, str]:
    """What a reader has in the environment."""
    return {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}


def run(arguments: list[str], server: MockServer, cwd: Path) -> str:
    environment = {**os.environ, **settings(server)}
    environment["HF_HOME"] = str(cwd / ".huggingface")  # not the cache of whoever runs the tests
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """The command line, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Cli(monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("pages", GROUPS, ids=lambda pages: "-".join(page.name for page in pages))
def test_each_page_works_as_it_stands(
    pages: list[Page], tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader copies from a page runs: its programs, then its commands, in an empty folder."""
    with ExitStack() as stack:
        models = stack.enter_context(FakeModels())
        for name in ("ANTHROPIC", "OPENAI"):
            monkeypatch.setenv(f"{name}_BASE_URL", models.url)
            monkeypatch.setenv(f"{name}_API_KEY", "sk-of-no-account")
        servers = {page.name: stack.enter_context(MockServer(speed=60)) for page in pages}
        programs: list[tuple[str, str, bool, dict[str, str]]] = []
        tests: list[Path] = []
        for page in pages:
            for name, content in page.files.items():
                path = tmp_path / page.name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
            for program in page.programs:
                folder = tmp_path / page.name
                if page.name == "readme":  # each of its blocks stands alone
                    folder /= program.name.removesuffix(".py")
                folder.mkdir(parents=True, exist_ok=True)
                (folder / program.name).write_text(program.source, encoding="utf-8")
                if program.name.startswith("test_"):
                    tests.append(folder / program.name)
                else:
                    variables = settings(servers[page.name])
                    programs.append((str(folder), program.name, page.loads_others, variables))
        if {page.name for page in pages} in TOGETHER:
            printed = run(["-c", ONE_AFTER_THE_OTHER, json.dumps(programs)], servers[pages[0].name], tmp_path)
            assert printed.endswith("all ran\n")
        else:
            for program_folder, script, _, variables in programs:
                namespace = run_here(script, cwd=Path(program_folder), **variables)
                with warnings.catch_warnings():  # a client that is left open closes with a reader's process
                    warnings.simplefilter("ignore", ResourceWarning)
                    namespace.clear()
                    gc.collect()
        if tests:
            output = run([*PYTEST, *map(str, tests)], servers[pages[0].name], tmp_path)
            assert all(re.search(rf"{test.name}::\S+ PASSED", output) for test in tests), output
        for page in pages:
            (tmp_path / page.name).mkdir(exist_ok=True)
            monkeypatch.chdir(tmp_path / page.name)
            for command in page.commands:
                printed = run_command(command.line, servers[page.name], cli)
                if printed is not None:
                    assert_shows(printed, command.shown)


def assert_shows(printed: str, expected: str) -> None:
    """The lines that a page shows are among those printed, in their order; ids and numbers are others each time."""
    lines = iter(printed.splitlines())
    for line in expected.splitlines():
        pattern = re.sub(r"[0-9A-Z]{26}|\d+", r"\\w+", re.escape(line))
        assert line == "…" or any(re.fullmatch(pattern, candidate) for candidate in lines), line


def run_command(command: str, server: MockServer, cli: Cli) -> str | None:
    """Run a line of a `sh` block if it is the `firsthandapi` command; look at it if it is another of ours.

    Returns:
        What it printed; None if it was looked at only.
    """
    expected = re.search(r"# exit code (\d)$", command)
    program, *arguments = shlex.split(command, comments=True)
    if program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    elif program in ("pip", "uvx"):
        extras = re.findall(r"firsthandapi(?:-python)?\[([\w,]+)\]", command)
        assert {name for group in extras for name in group.split(",")} <= set(
            metadata("firsthandapi").get_all("Provides-Extra") or ()
        )
        if program == "uvx":
            assert arguments[1].endswith(f"] @ git+{REPOSITORY}")
            return run_command(shlex.join(arguments[2:]), server, cli)
    elif program == "git":
        assert arguments == ["clone", REPOSITORY]
    elif program == "python":
        arguments = [with_ids(argument, server) for argument in arguments]
        return run(arguments, server, ROOT if "contract" in arguments else Path.cwd())
    elif program == "firsthandapi":
        # What stands behind a pipe or a redirection is the shell's.
        ends = [arguments.index(sign) for sign in ("|", ">") if sign in arguments]
        arguments = [with_ids(argument, server) for argument in arguments[: min(ends, default=None)]]
        endless = " ".join(arguments).startswith(ENDLESS)
        if endless:
            arguments.append("--help")  # an unknown option is an error all the same
        ended = cli.at(server)(*arguments)
        assert ended.code == (int(expected[1]) if expected else 0), ended
        return None if endless else ended.out
    else:
        assert program in ("export", "unset"), (
            f"what no test can run does not go into a `sh` block: {command}"
        )
    return None


def with_ids(argument: str, server: MockServer) -> str:
    """`job_…` stands for the id of a completed job, and so on; `$FIRSTHAND_BASE_URL` for the server's address."""

    def job(client: FirstHandClient) -> str:
        for job in client.jobs.list(status="completed"):
            return job.id
        new_job = client.jobs.create_and_wait(
            description="Photos of street signs in daylight",
            files_needed=1,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
        return new_job.id

    makers: dict[str, Callable[[FirstHandClient], str]] = {
        "job_…": job,
        "file_…": lambda client: client.files.list(job(client)).data[0].id,
        "sub_…": lambda client: client.submissions.list(job(client)).data[0].id,
        "we_…": lambda client: client.webhooks.create(url="https://example.com/hook").id,
        "evt_…": lambda client: client.webhooks.events.list().data[0].id,
        "key_…": lambda client: client.api_keys.create(name="docs").id,
    }
    argument = argument.replace("$FIRSTHAND_BASE_URL", server.url)
    for placeholder, make in makers.items():
        if placeholder in argument:
            with server.client() as client:
                argument = argument.replace(placeholder, make(client))
    return argument


def test_no_block_gets_past_the_tests() -> None:
    """A fence that scripts/snippets.py does not know, such as ```py, would be shown and never run."""
    opening_pattern = re.compile(
        r"```(python|sh|text|yaml|json|toml|ini)( title=\"[^\"]+\")?$|``` \{ \.(python|yaml|make) \}$"
    )
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        fences = re.findall(r"^ *((?:`{3,}|~{3,}).*)$", text, re.MULTILINE)
        assert [opening for opening in fences[::2] if not opening_pattern.match(opening)] == [], path
        assert set(fences[1::2]) <= {"```"}, path
        contents = re.findall(r"^ *``` \{.*\n *(.*)$", text, re.MULTILINE)
        assert all(line.startswith("--8<-- ") for line in contents), (
            path
        )  # `{ .python }` is for whole files alone


# Python that no test can run from its page: code for 0.1.0, a cluster, and the Hub (test_hub.py).
NOT_RUN = {"migration.md", "publishing.md", "ray.md"}


def test_python_is_not_hidden_in_text() -> None:
    """A block that is shown as text, and is Python, would be wrong one day without anybody noticing."""
    hidden: list[str] = []
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        blocks = re.findall(
            r"^ *```text\n(.*?)^ *```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        for block in map(textwrap.dedent, blocks):
            with suppress(SyntaxError):
                if any(isinstance(node, PROGRAM) for node in ast.walk(ast.parse(block))):
                    hidden.append(path.name)
    assert set(hidden) == NOT_RUN


def test_the_ten_lines_of_the_readme_collect_ten_photos(tmp_path: Path) -> None:
    """The first thing that a newcomer runs leaves what it says on disk, and prints it."""
    (readme,) = (page for page in PAGES if page.name == "readme")
    program = next(candidate for candidate in readme.programs if "jobs.collect" in candidate.source)
    (tmp_path / "ten_lines.py").write_text(program.source, encoding="utf-8")
    with MockServer(speed=60) as server:
        output = run(["ten_lines.py"], server, tmp_path)
    assert output.count(".jpg") == 10
    assert len(list((tmp_path / "signs" / "data").iterdir())) == 10


def test_the_readme_is_short() -> None:
    """It shows what the package is for on two screens: the site has the rest."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 600


def test_the_readme_shows_what_the_demo_prints(cli: Cli) -> None:
    """Step by step; what a worker brought is another each time."""
    (readme,) = (page for page in PAGES if page.name == "readme")
    (demo,) = (command for command in readme.commands if command.line == "make demo")
    steps = [line for line in demo.shown.splitlines() if line[:1].isdigit()]
    assert len(steps) == 5
    with MockServer() as server:
        printed = run_command("firsthandapi demo", server, cli)
    assert_shows(printed or "", "\n".join(steps))


def test_the_readme_names_the_two_commands_first() -> None:
    """A newcomer finds `make demo` and `make test` at the top, and the Makefile has both."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("demo", "test"):
        assert f"```sh\nmake {command}\n```" in readme[:2000]
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_pages_name_the_version_and_the_repository() -> None:
    """The footer of every page, and the metadata of the package, agree."""
    footer = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["copyright"]
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert f"Version {firsthandapi.__version__} " in footer
    assert urls["Repository"] in footer


def pages_of(nav: Any) -> Iterator[tuple[str, str]]:
    """The title and the page of each link of a navigation."""
    for link in nav:
        for title, target in link.items():
            yield from pages_of(target) if isinstance(target, list) else [(title, target)]


def test_titles_meet_their_links() -> None:
    """Whoever clicks on a link of the navigation gets a page of that title."""
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    links = {page: title for title, page in pages_of(nav) if not page.startswith("reference/")}
    assert len(links) > 40
    del links["index.md"], links["changelog.md"]  # the title of the package, and a page of another file
    titles = {
        page: (ROOT / "docs" / page).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        for page in links
    }
    assert titles == links


def test_pictures_are_small() -> None:
    """A page loads within a moment: no picture of the docs takes more than 150 kB."""
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "assets").iterdir()}
    assert len(sizes) >= 5
    assert max(sizes.values()) < 150_000, sizes
