"""The examples are tests: each runs against the bundled server, and does what its first lines say."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataset.support import wait_until
from firsthandapi import Dataset
from firsthandapi.testing import MockServer
from firsthandapi.types import Job
from processes import end_of, run_here, stopped, unmeasured

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def server() -> Iterator[MockServer]:
    """A server that is worked sixty times as fast as the world."""
    with MockServer(speed=60) as server:
        yield server
        server.check_books()


def environment(server: MockServer, **more: str) -> dict[str, str]:
    """The two variables that the server prints, and nothing else that an example needs."""
    return {**os.environ, **settings(server), **more}


def settings(server: MockServer) -> dict[str, str]:
    """The two variables, and how it prints."""
    variables = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
    return {**variables, "PYTHONIOENCODING": "utf-8"}


def run_outside(server: MockServer, cwd: Path, *arguments: str, **variables: str) -> str:
    """What Python prints in a process of its own, given these arguments."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=environment(server, **variables),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


Run = Callable[..., str]
Edited = Callable[[str, str, str], str]


@pytest.fixture
def run(server: MockServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """What an example prints, in this process."""

    def called(script: str, *arguments: str, fails: bool = False, **variables: str) -> str:
        failed: object = None
        try:
            run_here(script, *arguments, cwd=tmp_path, **{**settings(server), **variables})
        except SystemExit as ended:
            failed = ended.code
        assert bool(failed) == fails, failed
        out, err = capfd.readouterr()
        return f"{out}{err}{failed or ''}"

    return called


@contextmanager
def started(server: MockServer, cwd: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A program that runs beside the test, and has posted its first job."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=unmeasured(**settings(server)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as program:
        try:
            wait_until(lambda: posts(server))
            yield program
        finally:
            # Left over by a test that fails, it would go on asking at a port that another test gets.
            program.kill()


@pytest.fixture
def edited(tmp_path_factory: pytest.TempPathFactory) -> Edited:
    """An example in which a reader has changed something."""

    def made(example: str, old: str, new: str) -> str:
        source = (EXAMPLES / f"{example}.py").read_text(encoding="utf-8")
        assert old in source
        path = tmp_path_factory.mktemp("edited") / f"{example}.py"
        path.write_text(source.replace(old, new), encoding="utf-8")
        return str(path)

    return made


def jobs(server: MockServer) -> list[Job]:
    """Every job there is, which is every one that was paid."""
    with server.client() as client:
        return list(client.jobs.list())


def posts(server: MockServer) -> int:
    return sum(request.method == "POST" for request in server.requests)


def test_each_example_is_tested() -> None:
    """A new example has a test that names it, or its folder."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for example in EXAMPLES.rglob("*.py"):
        assert example.stem in tests or f'"{example.parent.name}"' in tests, example


def test_each_example_is_in_the_docs() -> None:
    """The page of examples names each, and includes every script."""
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for example in EXAMPLES.iterdir():
        if example.name != "__pycache__":
            assert f"`{example.name}{'/' if example.is_dir() else ''}`" in page
    included = re.findall(r'^ *--8<-- "examples/(\S+\.py)"$', page, re.MULTILINE)
    assert sorted(included) == sorted(
        path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")
    )


def test_collect_photos(server: MockServer, tmp_path: Path, run: Run) -> None:
    """Five verified photos, each with its line; a re-run has them and buys nothing."""
    script = str(EXAMPLES / "collect_photos.py")
    output = run(script)
    dataset = Dataset.open(tmp_path / "signs")
    assert len(dataset) == 5
    assert dataset.verify()
    assert "5 files, job completed" in output
    assert all(str(Path("signs", record.file_name)) in output for record in dataset)
    assert run(script).endswith(output.partition("5 files, job")[2])
    assert len(jobs(server)) == posts(server) == 1


@pytest.mark.parametrize("example", ["campaign", "monitor"])
def test_without_a_key_an_example_says_what_to_do(example: str, tmp_path: Path, run: Run) -> None:
    """In one line; and nothing is left behind."""
    assert_asks_for_a_key(str(EXAMPLES / f"{example}.py"), tmp_path, run)


def assert_asks_for_a_key(script: str, tmp_path: Path, run: Run) -> None:
    output = run(script, fails=True, FIRSTHAND_API_KEY="")
    assert output.startswith("no API key: ")
    assert len(output.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
@pytest.mark.parametrize("example", [pytest.param("collect_and_train", marks=pytest.mark.slow), "campaign"])
def test_ctrl_c_ends_an_example_with_a_sentence(example: str, tmp_path: Path) -> None:
    """It says that the next run continues, and no traceback hides it."""
    script = str(EXAMPLES / f"{example}.py")
    with MockServer(speed=0) as server, started(server, tmp_path, script) as program:
        output, errors = stopped(program, signal.SIGINT)
    assert program.returncode == 1
    assert errors.splitlines()[-1].strip().startswith("Stopped. Run it again: ")
    assert "Traceback" not in errors
    assert not output or example == "campaign"  # which has shown its plan


def test_collect_and_train(server: MockServer, tmp_path: Path, run: Run) -> None:
    """Without a key it says so. What is learnt is better than a guess, and a re-run says the same and buys nothing."""
    script = str(EXAMPLES / "collect_and_train.py")
    assert_asks_for_a_key(script, tmp_path, run)
    output = run(script)
    assert "60 photos, job completed" in output
    indoor, outdoor, left_out = map(int, re.findall(r"(\d+) (?:indoor|outdoor|left)", output))
    # The simulated workers also bring photos without annotations.
    assert indoor + outdoor + left_out == 60
    assert left_out < 12
    accuracy, baseline = map(float, re.findall(r"[01]\.\d\d", output))
    assert baseline == pytest.approx(max(indoor, outdoor) / (indoor + outdoor), abs=0.005)
    assert accuracy > baseline + 0.2
    first_lines = output.splitlines()[:3]
    assert run(script).splitlines()[:3] == first_lines
    assert len(jobs(server)) == posts(server) == 1


@pytest.mark.slow
def test_collect_and_train_with_a_photo_that_is_none(tmp_path: Path, edited: Edited) -> None:
    """What no decoder reads costs itself alone, and is told."""
    script = edited("collect_and_train", "PHOTOS = 60", "PHOTOS = 12")
    with MockServer(speed=60, workers=False) as server, started(server, tmp_path, script) as program:
        (job,) = jobs(server)
        for number in range(12):
            scene = {"setting": "kitchen", "indoor": number % 2 == 0}
            content = None if number else b"no photo"
            server.submit(job.id, content=content, annotations={"type": "image", "scene": scene})
        output, errors = end_of(program)
    assert "5 indoor, 6 outdoor, 1 left out" in output
    assert errors.count(" left out: UnidentifiedImageError") == 1


@pytest.mark.slow
def test_collect_and_train_on_too_little(run: Run, edited: Edited) -> None:
    """A handful of photos ends in a sentence, not in an error of scikit-learn."""
    output = run(edited("collect_and_train", "PHOTOS = 60", "PHOTOS = 3"), fails=True)
    assert "too few photos of one kind" in output


def test_each_example_has_a_folder_of_its_own() -> None:
    """So all run in one directory, one after the other: a folder belongs to one order."""
    folders = [
        folder
        for path in EXAMPLES.glob("*.py")
        for folder in re.findall(r'(?:dest=|collect\(\s*)"([^"]+)"', path.read_text(encoding="utf-8"))
    ]
    assert len(folders) >= 4
    assert len(folders) == len({*folders})


def test_campaign(server: MockServer, tmp_path: Path, run: Run, edited: Edited) -> None:
    """A plan, then a labeled folder; a re-run plans nothing and buys nothing; a larger one buys the difference."""
    script = str(EXAMPLES / "campaign.py")
    output = run(script)
    assert "$0.00 of $6.00 spent; $3.00 after this plan" in output
    assert "6 files in " in output
    dataset = Dataset.open(tmp_path / "signs-by-kind")
    assert dataset.verify()
    assert sorted(str(record.label) for record in dataset) == ["stop"] * 3 + ["yield"] * 3
    assert "$3.00 of $6.00 spent; nothing to order" in run(script)
    assert len(jobs(server)) == posts(server) == 2
    larger = run(edited("campaign", '"files_needed": 3', '"files_needed": 5'))
    assert "10 files in " in larger
    assert sorted(job.files_needed or 0 for job in jobs(server)) == [2, 2, 3, 3]


PUBLISHED = """
import warnings
warnings.simplefilter("ignore")
import datasets, mlcroissant
croissant = mlcroissant.Dataset(jsonld="signs-published/croissant.json")
for table in croissant.metadata.record_sets:
    assert list(croissant.records(table.uuid)), table.uuid
parts = [
    datasets.load_dataset("imagefolder", data_dir=f"signs-published-split/{name}", split="train", cache_dir="cache")
    for name in ("train", "test")
]
print(sum(map(len, parts)), "pictures")
"""


def test_publish(server: MockServer, tmp_path: Path, run: Run) -> None:
    """What is not good enough is replaced, once; the second version, the papers, and the splits have the files that are
    left, and other libraries load them. Again, it buys nothing, and is the same version."""
    script = str(EXAMPLES / "publish.py")
    output = run(script)
    dataset = Dataset.open(tmp_path / "signs-published")
    assert (len(dataset), len(dataset.excluded) > 0, dataset.verify().ok) == (12, True, True)
    assert all((record.ai_star_rating or 0) >= 4 for record in dataset)
    assert "excluded: " in output
    assert "version 1.0.0 became 1.1.0: 4 files added" in output
    cost = 10 * (12 + len(dataset.excluded))
    assert sum((job.files_needed or 0) * 10 for job in jobs(server)) == cost
    bought = len(jobs(server))
    assert "version 1.1.0 became 1.1.0: 0 files added" in run(script)
    assert len(jobs(server)) == bought
    pytest.importorskip("mlcroissant")
    pytest.importorskip("datasets")
    assert "12 pictures" in run_outside(server, tmp_path, "-c", PUBLISHED)


def test_campaign_over_its_budget(server: MockServer, run: Run, edited: Edited) -> None:
    """What all labels cost is checked before the first order, and the plan says so."""
    output = run(edited("campaign", "budget_cents=600", "budget_cents=299"), fails=True)
    assert "the plan is $0.01 over the budget" in output
    assert "nothing was ordered" in output
    assert not posts(server)


def submission_ids(server: MockServer) -> list[str]:
    with server.client() as client:
        return [submission.id for submission in client.submissions.list()]


def test_monitor_in_a_log(server: MockServer, run: Run) -> None:
    """Plain lines, one for each change, up to the end of the job; watched again, the same job."""
    script = str(EXAMPLES / "monitor.py")
    output = run(script)
    (job,) = jobs(server)
    *_, last = output.splitlines()
    assert last.startswith(f"{job.id} completed: 6 of 6 files approved · 6 approved")
    assert all(re.search(rf"{name} (approved ★|rejected|retry)", output) for name in submission_ids(server))
    assert len(output.splitlines()) == len(set(output.splitlines()))
    assert "\x1b" not in output
    assert run(script, job.id).splitlines()[-1] == last
    assert posts(server) == 1
    run(script)
    assert [job.id] == [job.id for job in jobs(server)]


def test_monitor_in_a_log_of_any_encoding(server: MockServer, tmp_path: Path) -> None:
    """What the log's encoding does not have is a question mark, not the end."""
    output = run_outside(server, tmp_path, str(EXAMPLES / "monitor.py"), PYTHONIOENCODING="ascii")
    assert re.search(r"approved \?{3}", output)
    assert "completed: 6 of 6 files approved" in output


def test_monitor_goes_on_through_a_dropped_connection(server: MockServer, run: Run, edited: Edited) -> None:
    """More drops than the client retries are told, once, and the watch goes on to the end."""
    server.faults.add(path="/v1/submissions/summary", drop="before", times=9)
    output = run(edited("monitor", "EVERY = 5", "EVERY = 1"))
    assert output.count("trying again") == 1
    assert "completed: 6 of 6 files approved" in output


def test_monitor_ends_at_what_does_not_heal(server: MockServer, run: Run) -> None:
    """A job that is not there is one line, and nothing is bought."""
    output = run(str(EXAMPLES / "monitor.py"), "job_01M88F05WSCQC57VWA1480K4X5", fails=True)
    assert len(output.splitlines()) == 1
    assert not jobs(server)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
def test_monitor_stops_at_ctrl_c(tmp_path: Path) -> None:
    """The watch ends, the job goes on."""
    script = str(EXAMPLES / "monitor.py")
    with MockServer(speed=0) as server, started(server, tmp_path, script) as watching:
        assert watching.stdout is not None
        assert "open: 0 of 6" in watching.stdout.readline()
        output, errors = stopped(watching, signal.SIGINT)
        assert watching.returncode == 0, errors
        assert "the job continues" in output
        assert [job.status for job in jobs(server)] == ["open"]


def test_monitor_shows_words_as_words() -> None:
    """What others wrote does not move the cursor."""
    spec = importlib.util.spec_from_file_location("monitor", EXAMPLES / "monitor.py")
    assert spec is not None
    assert spec.loader is not None
    monitor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(monitor)
    assert monitor.plain("[bold]a\x1b[2J\r\n\u202eb[/bold]") == "[bold]a[2Jb[/bold]"
