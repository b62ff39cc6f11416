"""The simulated worker of the sandbox, for a server whose live jobs are worked by people."""

from __future__ import annotations

from firsthandapi.server.model import Job, Submission
from firsthandapi.server.world import World

from ._workers import SimulatedWorkers


class SandboxWorkers(SimulatedWorkers):
    """A workforce for jobs of the sandbox alone."""

    def __init__(self, world: World) -> None:
        super().__init__(world.state, world.jobs)

    def job_posted(self, job: Job, at: float) -> None:
        """Send workers to a job of the sandbox."""
        if job.account.is_sandbox:
            super().job_posted(job, at)

    def retry_asked(self, submission: Submission, at: float) -> None:
        """Retry in the sandbox."""
        if submission.job.account.is_sandbox:
            super().retry_asked(submission, at)
