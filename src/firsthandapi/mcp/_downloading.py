"""The tool that downloads a job's files into a folder.

Annotations are evaluated here, since the tool's schema is made from them.
"""

from pathlib import Path

import anyio
import mcp_types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from firsthandapi import AsyncFirstHandClient, Dataset
from firsthandapi._base.counts import count_of
from firsthandapi._core.orders.reports import Progress
from firsthandapi.errors import ConfigurationError, FirstHandError

from ._errors import answered, on_thread, told
from ._progress import Steps
from ._reading import JobId
from ._results import DownloadedJob
from ._spending import MaxWait

# It writes to this computer: not one that only reads, though it spends nothing.
_DOWNLOADS = mcp_types.ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)


def add_downloading(server: MCPServer, client: AsyncFirstHandClient, folder: Path) -> None:
    """Add the tool that downloads.

    Args:
        server: where to add it.
        client: the client that it uses.
        folder: where the folders of jobs are, each named by its job's id.
    """

    @server.tool(annotations=_DOWNLOADS)
    async def download_job(job_id: JobId, ctx: Context, max_wait_seconds: MaxWait = 120) -> DownloadedJob:
        """Download a job's approved files into a folder on the computer of this server, each verified.

        It does not wait for files that are not approved yet. Repeating the call downloads only missing files.
        """
        job = await answered(client.jobs.get(job_id))
        dest = folder / job_id  # as it was checked, not as the service shows it
        late = True
        async with Steps(ctx, None) as steps:

            async def report(now: Progress) -> None:
                await steps.report(
                    now.files_done, f"{now.files_done} of {count_of(now.files_total)} downloaded"
                )

            try:
                with anyio.move_on_after(max_wait_seconds):
                    await client.files.download_all(job_id, dest, on_progress=report)
                    late = False
            except FirstHandError as error:
                raise told(error) from None
        return DownloadedJob.of(
            job,
            folder=str(dest),
            files_in_folder=await answered(on_thread(_count, dest)),
            timed_out_waiting=late,
        )


def _count(dest: Path) -> int:
    try:
        return len(Dataset.open(dest))
    except ConfigurationError:  # none came in time
        return 0
