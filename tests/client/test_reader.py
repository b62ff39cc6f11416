"""The reader that all followers share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio

from firsthandapi import ApiResponse, errors
from firsthandapi._async import reader as async_reader
from firsthandapi._async import waiting as async_waiting
from firsthandapi._base.masking import Secret
from firsthandapi._sync import reader as sync_reader
from firsthandapi._sync.waiting import Waiting
from firsthandapi.testing import MockServer

from .support import JOB


def test_a_list_that_cannot_be_read_ends_the_look() -> None:
    """Each follower reads its own job then, in turn; a list that never shows the job is left after a few pages."""
    page = Secret(b'{"data": [{"id": "job_2", "status": "open"}], "has_more": true, "next_cursor": "c"}')
    for module, awaited in ((sync_reader, False), (async_reader, True)):
        for answer, asked in ((errors.ConfigurationError("closed"), 1), (page, 2)):
            calls: list[object] = []

            def send(request: object, answer: Any = answer, calls: list[object] = calls) -> Any:
                calls.append(request)
                if isinstance(answer, Exception):
                    raise answer
                return ApiResponse(200), answer

            async def asend(request: object, send: Any = send) -> Any:
                return send(request)

            reader: Any = object.__new__(module.SharedReader)
            reader._board = module.Board()
            reader._board.followers, reader.had_turn_at = {reader: "job_1"}, 0
            reader.waiting = SimpleNamespace(job_id="job_1", time_limit=lambda: None, options={})
            reader._transport = SimpleNamespace(send=asend if awaited else send)
            anyio.run(reader._read_list) if awaited else reader._read_list()
            assert len(calls) == asked
            assert reader._board.jobs == {}
            assert reader.has_turn


def test_whose_turn_it_is_reads_the_job_itself(fresh_server: MockServer) -> None:
    """No list shows it: the turn brings it all the same, and is over."""

    async def take(job_id: str) -> tuple[bool, bool, Any]:
        async with fresh_server.async_client() as client:
            waiting = async_waiting.Waiting(client._transport, job_id)
            reader = async_reader.SharedReader(client._transport, waiting)
            reader.join()
            async_reader.board_of(client._transport).show({})
            return await reader.take(), reader.has_turn, waiting.job

    with fresh_server.client() as client:
        job = client.jobs.create(**JOB)
        waiting = Waiting(client._transport, job.id)
        reader = sync_reader.SharedReader(client._transport, waiting)
        reader.join()
        sync_reader.board_of(client._transport).show({})
        assert (reader.take(), reader.has_turn, waiting.job) == (True, False, job)
    assert anyio.run(take, job.id) == (True, False, job)


def test_a_turn_that_nobody_takes_is_in_no_ones_way(fresh_server: MockServer) -> None:
    """Followers of a campaign that is busy downloading take none for a while: the others have theirs all the same."""
    with fresh_server.client() as client:
        readers = [
            sync_reader.SharedReader(client._transport, Waiting(client._transport, f"job_{number}"))
            for number in range(5)
        ]
        for reader in readers:
            reader.join()
        board = sync_reader.board_of(client._transport)
        board.show({})
        assert [reader.has_turn for reader in readers] == [True, True, True, False, False]
        board.show({})
        assert all(reader.has_turn for reader in readers)
        readers[0].leave()
        assert not readers[0].has_turn
