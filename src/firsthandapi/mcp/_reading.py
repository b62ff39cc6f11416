"""Tools and resources that read.

Annotations are evaluated here, since the tools' schemas are made from them.
"""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import mcp_types
from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from pydantic import Field

from firsthandapi import AsyncFirstHandClient, types
from firsthandapi._base.thumbnail import pillow, thumbnail
from firsthandapi.errors import FirstHandError
from firsthandapi.types._base import fitting

from ._errors import answered, on_thread
from ._ledger import Ledger
from ._results import (
    CreditsResult,
    FileList,
    FileResult,
    JobList,
    JobResult,
    SubmissionList,
    SubmissionResult,
    SummaryResult,
)

T = TypeVar("T")

_MOST_IMAGES = 4
_LARGEST_IMAGE = 40_000_000
# Large enough to read a sign in the picture; a model pays for each pixel.
_SIDE = 768

# Hints that are the protocol's defaults are left out, here and elsewhere: a model pays for each.
READS = mcp_types.ToolAnnotations(read_only_hint=True)

JobId = Annotated[str, Field(description="the job's id, such as job_01JP…", max_length=128)]
_Limit = Annotated[int, Field(ge=1, le=100)]
_Cursor = Annotated[str | None, Field(description="next_cursor of the page before", max_length=2000)]
_Stars = Annotated[int, Field(description="lowest rating", ge=1, le=5)]


def add_reading(server: MCPServer, client: AsyncFirstHandClient, ledger: Ledger) -> None:
    """Add the tools that read."""

    @server.tool(annotations=READS)
    async def get_job(job_id: JobId) -> JobResult:
        """Read a job: its status and how many files are approved."""
        return JobResult.of(await answered(client.jobs.get(job_id)))

    @server.tool(annotations=READS)
    async def list_jobs(
        status: Annotated[types.JobStatus | None, Field(description="only these")] = None,
        type: Annotated[types.JobType | None, Field(description="only these")] = None,
        created_after: Annotated[
            str | None, Field(description="ISO 8601, such as 2026-01-01T00:00:00Z", max_length=64)
        ] = None,
        limit: _Limit = 20,
        cursor: _Cursor = None,
    ) -> JobList:
        """List jobs, newest first. Use it to find a job again before you create another."""
        filters = {"status": status, "type": type, "created_after": created_after}
        page = await answered(_page(client.jobs.list, **filters, limit=limit, cursor=cursor))
        return JobList(jobs=[JobResult.of(job) for job in page.data], next_cursor=page.next_cursor)

    @server.tool(annotations=READS)
    async def get_job_files(
        job_id: JobId,
        min_score: _Stars = 1,
        limit: _Limit = 20,
        cursor: _Cursor = None,
        images: Annotated[
            int,
            Field(
                description="attach small copies of the first images of the page, to look at",
                ge=0,
                le=_MOST_IMAGES,
            ),
        ] = 0,
        urls: Annotated[bool, Field(description="false leaves the long signed URLs out")] = True,
    ) -> Annotated[mcp_types.CallToolResult, FileList]:
        """Get a job's approved files: signed download URLs, stars, annotations; on request small copies of images."""

        async def read() -> mcp_types.CallToolResult:
            page = await client.files.list(job_id, min_score=min_score, limit=limit, cursor=cursor)
            files = [FileResult.of(file) for file in page.data]
            if not urls:
                without = {"download_url": None, "download_url_expires_at": None}
                files = [file.model_copy(update=without) for file in files]
            result = FileList(files=files, next_cursor=page.next_cursor)
            content: list[Any] = [_text(result.model_dump_json(exclude_none=True))]
            fit = map(fitting, page.data)
            pictures = [file for file in fit if (file.content_type or "").startswith("image/")][:images]
            for file in pictures:
                content += await _look(client, file)
            return mcp_types.CallToolResult(
                content=content, structured_content=result.model_dump(mode="json")
            )

        return await answered(read())

    @server.tool(annotations=READS)
    async def list_submissions(
        job_id: Annotated[
            str | None, Field(description="only this job; null lists those of all jobs", max_length=128)
        ] = None,
        status: Annotated[types.SubmissionStatus | None, Field(description="only these")] = None,
        limit: _Limit = 20,
        cursor: _Cursor = None,
    ) -> SubmissionList:
        """List what workers submitted, rejected files included, with stars and reasons."""
        page = await answered(
            _page(client.submissions.list, job_id, status=status, limit=limit, cursor=cursor)
        )
        return SubmissionList(
            submissions=[SubmissionResult.of(entry) for entry in page.data], next_cursor=page.next_cursor
        )

    @server.tool(annotations=READS)
    async def get_submission_summary(
        job_id: Annotated[
            str | None, Field(description="only this job; null counts all", max_length=128)
        ] = None,
    ) -> SummaryResult:
        """Count submissions by status, with their average rating and the share that was approved."""
        return SummaryResult.of(await answered(client.submissions.summary(job_id=job_id)))

    @server.tool(annotations=READS)
    async def get_credits() -> CreditsResult:
        """Get the organization's credits, and what this server may still spend."""
        cents_left = await answered(on_thread(ledger.left_cents))
        balance = await answered(client.billing.credits())
        return CreditsResult.of(balance, budget_cents=ledger.budget_cents, budget_left_cents=cents_left)


def add_resources(server: MCPServer, client: AsyncFirstHandClient) -> None:
    """Add jobs and files as resources."""

    @server.resource("firsthand://jobs/{job_id}", mime_type="application/json")
    async def job_resource(job_id: str) -> str:
        """A job, as JSON."""
        return JobResult.of(await _read(client.jobs.get(job_id))).model_dump_json()

    @server.resource("firsthand://jobs/{job_id}/files", mime_type="application/json")
    async def files_resource(job_id: str) -> str:
        """A job's newest approved files, as JSON."""
        page = await _read(_page(client.files.list, job_id, min_score=1))
        result = FileList(files=[FileResult.of(file) for file in page.data], next_cursor=page.next_cursor)
        return result.model_dump_json()

    @server.resource("firsthand://jobs/{job_id}/files/{file_id}", mime_type="image/jpeg")
    async def image_resource(job_id: str, file_id: str) -> bytes:
        """A small copy of an approved image."""

        async def find() -> bytes:
            async for entry in client.files.list(job_id, min_score=1):
                file = fitting(entry)
                if file.id == file_id and (file.content_type or "").startswith("image/"):
                    return await _picture(client, file)
            raise ResourceError(f"{job_id} has no image {file_id}: read firsthand://jobs/{job_id}/files")

        return await _read(find())


async def _page(method: Callable[..., Any], *arguments: Any, **filters: Any) -> Any:
    # A bad argument raises when the method is called, before anything is awaited.
    return await method(*arguments, **filters)


async def _read(work: Awaitable[T]) -> T:
    try:
        return await answered(work)
    except ToolError as error:
        raise ResourceError(str(error)) from None


async def _look(client: AsyncFirstHandClient, file: types.File) -> list[Any]:
    """An image to look at, below its id; or why it cannot be shown: the other files are still worth reading."""
    try:
        picture = await _picture(client, file)
    except (ToolError, FirstHandError) as error:
        return [_text(f"{file.id} cannot be shown: {error}")]
    return [_text(file.id), Image(data=picture, format="jpeg").to_image_content()]


async def _picture(client: AsyncFirstHandClient, file: types.File) -> bytes:
    """A small JPEG of an image."""
    module = pillow()
    if module is None:
        raise ToolError("Pillow is not installed. Ask the person to install firsthandapi[mcp].")
    if (file.size_bytes or 0) > _LARGEST_IMAGE:
        raise ToolError("it is too large to be shown. Use its download_url.")
    with tempfile.TemporaryDirectory() as folder:
        path = await client.files.download(file, Path(folder) / "image")
        content = await anyio.Path(path).read_bytes()
    small = await on_thread(thumbnail, module, content, file.content_type or "", side=_SIDE)
    if small is None:
        raise ToolError("it is damaged, or too large to be shown. Use its download_url.")
    return small


def _text(text: str) -> mcp_types.TextContent:
    return mcp_types.TextContent(type="text", text=text)
