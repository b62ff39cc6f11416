"""Campaigns for agents: their whole budget counts against that of the server, before anything is ordered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp_support import JOB, Person, found, in_memory, ledger_of, spent, text_of

from dataset.support import completed_job
from firsthandapi import AsyncFirstHandClient, Dataset, FirstHandError
from firsthandapi.mcp import BudgetError, Ledger, Options
from firsthandapi.testing import MockServer
from mcp import Client

pytestmark = pytest.mark.anyio

CAMPAIGN: dict[str, Any] = {
    "name": "signs",
    "budget_cents": 500,
    "defaults": {"accepted_formats": ["image/jpeg"], "price_per_file_cents": 50},
    "jobs": {
        "stop": {"description": "Photos of stop signs in daylight", "files_needed": 2},
        "yield": {"description": "Photos of yield signs in daylight", "files_needed": 1},
    },
}


def larger(label: str, files: int, **more: Any) -> dict[str, Any]:
    jobs = {**CAMPAIGN["jobs"], label: {**CAMPAIGN["jobs"][label], "files_needed": files}}
    return {**CAMPAIGN, "jobs": jobs, **more}


async def test_a_campaign_from_plan_to_folder(server: MockServer, agent: Client) -> None:
    """The plan orders nothing; the run fills a folder, reports, and orders nothing twice.

    What it did not spend is back in the budget.
    """
    reports: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        reports.append(done)

    plan = found(await agent.call_tool("plan_campaign", CAMPAIGN))
    assert (plan["cost_cents"], plan["spent_cents"], plan["fits"]) == (150, 0, True)
    assert plan["budget_left_cents"] == 2500
    ran = found(await agent.call_tool("collect_campaign", CAMPAIGN, progress_callback=progress))
    assert (ran["finished"], ran["timed_out_waiting"], ran["spent_cents"]) == (True, False, 150)
    assert ran["budget_left_cents"] == 2350
    dataset = Dataset.open(ran["folder"])
    assert sorted(record.label or "" for record in dataset) == ["stop", "stop", "yield"]
    assert dataset.verify().ok
    repeat = found(await agent.call_tool("collect_campaign", CAMPAIGN))
    assert (repeat["finished"], repeat["spent_cents"], repeat["budget_left_cents"]) == (True, 150, 2350)
    more = found(await agent.call_tool("collect_campaign", larger("yield", 2)))
    assert [label["approved"] for label in more["labels"]] == [2, 2]
    assert (more["spent_cents"], more["budget_left_cents"]) == (200, 2300)
    assert spent(server) == 200
    assert reports == sorted(set(reports))
    assert reports[-1] == pytest.approx(3, abs=0.1)


async def test_a_campaign_waits_no_longer_than_told(idle: MockServer, tmp_path: Path) -> None:
    """Its jobs continue, and the same call goes on with them."""
    async with in_memory(idle, Options(ledger=tmp_path)) as client:
        late = found(await client.call_tool("collect_campaign", {**CAMPAIGN, "max_wait_seconds": 1}))
        assert (late["finished"], late["timed_out_waiting"]) == (False, True)
        assert [label["coming"] + label["missing"] for label in late["labels"]] == [2, 1]
        for _ in range(20):
            with idle.client() as api:
                for job in api.jobs.list(status="open"):
                    for _ in range(job.files_needed or 0):
                        idle.submit(job.id)
            idle.clock.advance(minutes=1)
            ran = found(await client.call_tool("collect_campaign", {**CAMPAIGN, "max_wait_seconds": 10}))
            if ran["finished"]:
                break
        assert ran["finished"]
    assert spent(idle) == 150


async def test_a_campaign_stays_within_both_budgets(server: MockServer, tmp_path: Path) -> None:
    """One that does not fit into the server's, or its own, orders nothing; nor does a name that leaves the folder."""
    async with in_memory(server, Options(ledger=tmp_path, budget_cents=450)) as client:
        for arguments, words in (
            (CAMPAIGN, "--budget-cents"),
            (
                {**CAMPAIGN, "budget_cents": 100},
                "nothing was ordered: stop (2 files), yield (1 file) would cost",
            ),
            ({**CAMPAIGN, "name": "../signs"}, "name: string should match pattern"),
            ({**CAMPAIGN, "jobs": {"../x": CAMPAIGN["jobs"]["stop"]}}, "the label '../x'"),
            ({**CAMPAIGN, "jobs": {"stop": {"file_needed": 5}}}, "did you mean files_needed?"),
            ({**CAMPAIGN, "jobs": {}}, "jobs: value should have at least 1 item"),
            ({**CAMPAIGN, "dest": "/tmp/x"}, "takes no argument dest"),
            ({**CAMPAIGN, "max_wait_seconds": 10**6}, "max_wait_seconds: input should be"),
        ):
            refused = await client.call_tool("collect_campaign", arguments)
            assert refused.is_error
            assert words in text_of(refused), text_of(refused)
        assert ledger_of(server, tmp_path).left_cents() == 2500
    assert spent(server) == 0


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("yes", [True, False])
async def test_a_person_is_asked_for_what_a_campaign_adds(
    idle: MockServer, tmp_path: Path, yes: bool, mode: str
) -> None:
    """Above the bound, with the amount; a campaign that continues is not asked for again."""
    asked = Person("accept" if yes else "refuse")
    options = Options(ledger=tmp_path, confirm_cents=100)
    async with in_memory(idle, options, elicitation_callback=asked.answer, mode=mode) as client:
        first = await client.call_tool("collect_campaign", {**CAMPAIGN, "max_wait_seconds": 2})
        assert first.is_error is not yes
        if yes and not spent(idle):  # two seconds were not enough on busy cores
            found(await client.call_tool("collect_campaign", {**CAMPAIGN, "max_wait_seconds": 20}))
        if yes:  # a little more is within the bound
            more = larger("stop", 3, budget_cents=600, max_wait_seconds=1)
            found(await client.call_tool("collect_campaign", more))
    assert (spent(idle) > 0) is yes
    assert len(asked) == 1
    assert "$5.00" in asked[0]


async def test_a_finished_campaign_is_repeated_without_a_question_and_without_a_budget(
    server: MockServer, tmp_path: Path
) -> None:
    """It orders nothing, and brings back a file that was lost. More files are asked for again."""
    asked = Person("accept")
    options = Options(ledger=tmp_path, budget_cents=600, confirm_cents=100)
    async with in_memory(server, options, elicitation_callback=asked.answer) as client:
        first = found(await client.call_tool("collect_campaign", CAMPAIGN))
        assert first["budget_left_cents"] == 450
        cheap = {"files_needed": 2, "metadata": {}}
        for number in range(4):
            found(await client.call_tool("create_job", {**JOB, **cheap, "metadata": {"n": number}}))
        next(Path(first["folder"]).glob("data/stop/*")).unlink()
        repeat = found(await client.call_tool("collect_campaign", CAMPAIGN))
        assert (repeat["finished"], repeat["spent_cents"], repeat["budget_left_cents"]) == (True, 150, 50)
        assert Dataset.open(first["folder"]).verify().ok
        assert len(asked) == 1
        more = await client.call_tool("collect_campaign", larger("stop", 4))
        assert "--budget-cents" in text_of(more)
    async with in_memory(
        server, Options(ledger=tmp_path, confirm_cents=100), elicitation_callback=asked.answer
    ) as client:
        found(await client.call_tool("collect_campaign", larger("stop", 4)))
        assert "$3.50 more than before" in asked[-1]
    assert len(asked) == 2
    assert spent(server) == 150 + 400 + 100


async def test_two_sessions_take_turns_in_a_campaign(
    server: MockServer, agent: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends could otherwise give back what the other one is about to spend."""
    import firsthandapi.mcp._spending as spending_module

    monkeypatch.setattr(spending_module, "_TURN_SECONDS", 0.0)

    ledger = ledger_of(server, tmp_path)
    lock = ledger.turn(ledger.campaign_key(str(tmp_path / "campaigns" / "signs")))
    assert lock.acquire()
    refused = await agent.call_tool("collect_campaign", CAMPAIGN)
    assert "another session runs this campaign: this call ordered nothing" in text_of(refused)
    assert spent(server) == 0
    lock.release()
    assert found(await agent.call_tool("collect_campaign", CAMPAIGN))["finished"]


async def test_jobs_may_be_a_list_as_strict_programs_send_it(server: MockServer, agent: Client) -> None:
    """With null for what is left out and metadata as pairs: the same campaign as by label."""
    jobs = [
        {"label": label, **job, "title": None, "metadata": None} for label, job in CAMPAIGN["jobs"].items()
    ]
    metadata = [{"name": "team", "value": "signs"}]
    listed = {
        **CAMPAIGN,
        "jobs": jobs,
        "defaults": {**CAMPAIGN["defaults"], "location": None, "metadata": metadata},
    }

    ran = found(await agent.call_tool("collect_campaign", listed))
    assert (ran["finished"], ran["spent_cents"]) == (True, 150)
    by_label = {**CAMPAIGN, "defaults": {**CAMPAIGN["defaults"], "metadata": {"team": "signs"}}}
    assert found(await agent.call_tool("plan_campaign", by_label))["cost_cents"] == 0
    for bad, words in (
        ([jobs[0], jobs[0]], "each job needs a label, another one for each"),
        ([{"description": "x"}], "each job needs a label"),
        (["stop"], "each job needs a label"),
        ({"stop": 5}, "jobs.stop: input should be a valid dictionary"),
        ("stop", "jobs: input should be a valid dictionary"),
        ([{**jobs[0], "metadata": ["x"]}], "metadata is a list of {name, value}"),
        ([{**jobs[0], "metadata": [*metadata, *metadata]}], "metadata has the same name twice"),
        ([{**jobs[0], "location": {"city": "P", "zip": 1}}], "location takes city, state, latitude"),
        ([{**jobs[0], "file_needed": 5}], "did you mean files_needed?"),
    ):
        refused = await agent.call_tool("plan_campaign", {**CAMPAIGN, "jobs": bad})
        assert words in text_of(refused), text_of(refused)
    refused = await agent.call_tool("plan_campaign", {**CAMPAIGN, "defaults": 5})
    assert "defaults: input should be a valid dictionary" in text_of(refused)
    with server.client() as api:
        assert {str((job.metadata or {})["team"]) for job in api.jobs.list()} == {"signs"}


async def test_a_job_is_downloaded_as_collect_does_it(server: MockServer, agent: Client) -> None:
    """Into a folder that verifies, and that `collect` continues; a second call brings what is missing."""
    job = found(await agent.call_tool("create_job_and_wait", JOB))
    got = found(await agent.call_tool("download_job", {"job_id": job["id"]}))
    assert (got["files_in_folder"], got["timed_out_waiting"]) == (2, False)
    assert got["status"] == "completed"
    dataset = Dataset.open(got["folder"])
    assert {".firsthandapi", "metadata.jsonl", "data"} <= {path.name for path in dataset.path.iterdir()}
    next(dataset.path.glob("data/*")).unlink()
    repeat = found(await agent.call_tool("download_job", {"job_id": job["id"]}))
    assert (repeat["folder"], repeat["files_in_folder"]) == (got["folder"], 2)
    assert dataset.verify().ok
    refused = await agent.call_tool("download_job", {"job_id": "job_no"})
    assert "Check the id with list_jobs" in text_of(refused)
    async with AsyncFirstHandClient(server.api_key, server.url) as api:
        collected = await api.jobs.collect(got["folder"], **JOB)
        assert len(collected) == 2
    assert spent(server) == 100


async def test_a_download_waits_no_longer_than_told(idle: MockServer, tmp_path: Path) -> None:
    """What is not there yet comes with the next call."""
    job_id = completed_job(idle, 1)
    idle.faults.add(path="/v1/jobs/*/files", method="GET", delay=30, times=1)
    async with in_memory(idle, Options(ledger=tmp_path)) as client:
        late = found(await client.call_tool("download_job", {"job_id": job_id, "max_wait_seconds": 1}))
        assert (late["files_in_folder"], late["timed_out_waiting"]) == (0, True)
        ready = found(await client.call_tool("download_job", {"job_id": job_id}))
        assert (ready["files_in_folder"], ready["timed_out_waiting"]) == (1, False)


def test_what_is_set_aside_only_grows_until_it_is_given_back(tmp_path: Path) -> None:
    """A smaller budget gives nothing back: what was spent of the larger one is not known then."""
    ledger = Ledger(tmp_path, 1000)

    def allotted(campaign: str) -> tuple[int, int]:
        more, remainder = ledger.room(ledger.campaign_key(campaign), 0)
        return -more, remainder

    ledger.allot("a", 300)
    ledger.allot("a", 200)
    assert allotted("a") == (300, 700)
    ledger.allot("a", 400, most_more=100)
    with pytest.raises(FirstHandError, match="call again"):
        ledger.allot("a", 501, most_more=100)
    ledger.give_back("a", 500)
    assert allotted("a") == (400, 600)
    with pytest.raises(BudgetError):
        ledger.allot("b", 601)
    assert allotted("b") == (0, 600)
    ledger.give_back("a", 150)
    ledger.give_back("b", 0)
    assert allotted("a") == (150, 850)
    (path,) = tmp_path.glob("*.json")
    assert '"kind": "allotment"' in path.read_text()
