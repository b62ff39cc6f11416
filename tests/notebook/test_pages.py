"""Pages of a list in a notebook, and what is shown of one file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from client.support import Connect
from dataset.support import completed_job, our_threads
from firsthandapi._notebook.cards import MOST_CARDS
from firsthandapi.testing import MockServer
from markup import check_harmless


def shown(thing: Any) -> str:
    page = thing._repr_html_()
    assert isinstance(page, str)
    check_harmless(page)
    return page


def first(page: Any) -> Any:
    """The page itself, from behind the face that both clients share."""
    return getattr(page, "target", page)


def test_showing_a_page_downloads_nothing(connect: Connect, fresh_server: MockServer) -> None:
    """A card for each file, without its media: no request, no thread, and no URL or key in the cell."""
    job_id = completed_job(fresh_server, 3)
    page = first(connect(fresh_server).files.list(job_id))
    request_count = len(fresh_server.requests)
    html = shown(page)
    assert "3 items" in repr(page)
    assert len(fresh_server.requests) == request_count
    assert our_threads() == []
    assert html.count("not downloaded") == html.count("<figure") == 3
    assert "files.download_all(job_id, dest) downloads them" in html
    for file in page.data:
        assert file.id in html
        assert file.download_url not in html
    for secret in (fresh_server.url, fresh_server.api_key, "Signature", "X-Amz"):
        assert secret not in html


def test_a_page_is_shown_inside_a_running_loop(fresh_server: MockServer) -> None:
    """As the kernel of a notebook shows it."""
    job_id = completed_job(fresh_server, 1)

    async def show() -> str:
        async with fresh_server.async_client() as client:
            return shown(await client.files.list(job_id))

    assert "not downloaded" in asyncio.run(show())


def test_a_long_page_is_shown_in_part(fresh_server: MockServer) -> None:
    """The first files, and that there are more here and on other pages."""
    job_id = completed_job(fresh_server, MOST_CARDS + 3)
    with fresh_server.client() as client:
        page = client.files.list(job_id, limit=MOST_CARDS + 1)
    html = shown(page)
    assert html.count("<figure") == MOST_CARDS
    assert "1 more on this page not shown; there are more pages" in html


def test_other_pages_are_tables(connect: Connect, fresh_server: MockServer) -> None:
    """A row for each item, secrets and URLs masked as `repr` masks them."""
    job_id = completed_job(fresh_server, 2, title="<i>signs</i>")
    client = connect(fresh_server)
    client.webhooks.create(url="https://example.com/hook?token=5ecret")
    jobs, submissions, hooks, keys = (
        shown(first(page))
        for page in (
            client.jobs.list(),
            client.submissions.list(job_id),
            client.webhooks.list(),
            client.api_keys.list(),
        )
    )
    assert "&lt;i&gt;signs&lt;/i&gt;" in jobs
    assert "Page of Job" in jobs
    assert submissions.count("<tr>") == 3
    assert "5ecret" not in hooks
    assert fresh_server.api_key not in keys
    empty = shown(first(client.jobs.list(status="open")))
    assert "Empty page" in empty
    assert "<table" not in empty


def test_a_page_of_several_classes_is_called_by_what_they_have_in_common(fresh_server: MockServer) -> None:
    """Events of a job and of the credits are not a page of credits' events, whichever came last."""
    completed_job(fresh_server, 1)
    fresh_server.emit("credits.low_balance", {"balance_cents": 40})
    with fresh_server.client() as client:
        assert "Page of WebhookEvent<" in shown(client.webhooks.events.list())
        assert "Page of JobEvent<" in shown(client.webhooks.events.list(type="job.completed"))


def test_a_file_and_a_row_by_themselves_read_nothing(fresh_server: MockServer, tmp_path: Path) -> None:
    """They do not know how; the card says what does."""
    job_id = completed_job(fresh_server, 1)
    with fresh_server.client() as client:
        file = client.files.list(job_id).data[0]
        request_count = len(fresh_server.requests)
        page = shown(file)
        assert len(fresh_server.requests) == request_count
        dataset = client.files.download_all(job_id, tmp_path / "d")
    assert "files.download(file, path) downloads it" in page
    assert file.download_url not in page
    assert "dataset.path_of(record) is where it is" in shown(dataset.records[0])
