"""Forks beside imports of other threads."""

from __future__ import annotations

import pytest

from forks import WAIT_FOR_CHILD, check_output, needs_fork

FORK = """
import os, sys, threading, time
from firsthandapi import FirstHandClient, FirstHandError
import logging  # its lock is held over a fork too, and imports below take it

client = FirstHandClient("fh_test_x", base_url="http://127.0.0.1:9", max_retries=0)
slow, call = sys.argv[1:]
begun = threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == slow and os.getpid() == parent:
            begun.set()
            time.sleep(0.3)
            logging.getLogger("theirs")

calls = {
    "me": lambda: client.me(),
    "jobs": lambda: client.jobs,
    "wait": lambda: client.jobs.wait("job_1", timeout=0),
    "rate": lambda: client.jobs.rate("job_1", rating=5),
}

def first_call():
    try:
        calls[call]()
    except FirstHandError:
        pass

import logging  # after ours: its hook before a fork takes the lock that an import needs

parent = os.getpid()
sys.meta_path.insert(0, Slow())
threading.Thread(target=first_call).start()
assert begun.wait(30), "the import never came"
child = os.fork()
if child == 0:
    first_call()
    os._exit(7)
"""


@needs_fork
@pytest.mark.parametrize(
    ("slow", "call"),
    [
        ("firsthandapi._sync.wire", "me"),
        ("firsthandapi._sync.streams", "me"),
        ("firsthandapi._base.network.tls", "me"),
        ("firsthandapi._sync.resources.account", "me"),
        ("firsthandapi._sync.resources.jobs", "jobs"),
        ("firsthandapi._sync.waiting", "wait"),
        ("firsthandapi.types.job_arguments", "rate"),
    ],
    ids=["just-begun", "half-done", "at-the-end", "of-a-method", "of-a-resource", "of-a-wait", "of-fields"],
)
def test_a_fork_in_the_middle_of_an_import(slow: str, call: str) -> None:
    """A child forked while another thread imports what a first call loads makes that call all the same."""
    check_output(FORK + WAIT_FOR_CHILD, slow, call)


READ = """
import os, threading, time
from firsthandapi._core.calls import response
from firsthandapi._core.calls.response import ApiResponse

begun = threading.Event()

def slowly(headers):
    begun.set()
    if os.getpid() == parent:
        time.sleep(0.3)

parent = os.getpid()
response.parse_rate_limit = slowly
threading.Thread(target=lambda: ApiResponse(200).rate_limit).start()
assert begun.wait(30)
child = os.fork()
if child == 0:
    os._exit(7 if ApiResponse(200).rate_limit is None else 1)
"""


@needs_fork
def test_a_fork_while_a_thread_reads_a_response() -> None:
    """No lock that a thread of the parent holds for a response stops the child at its own."""
    check_output(READ + WAIT_FOR_CHILD)


HALF_MADE = """
import os, threading, time
from firsthandapi import FirstHandClient
from firsthandapi._sync.resources.jobs import Jobs

client = FirstHandClient("fh_test_x", "http://127.0.0.1:9")
begun, go_on = threading.Event(), threading.Event()
make = Jobs.__init__

def slowly(self, transport):
    begun.set()
    go_on.wait(30)
    make(self, transport)

Jobs.__init__ = slowly
thread = threading.Thread(target=lambda: client.jobs)
thread.start()
begun.wait(30)
child = os.fork()
if child == 0:
    Jobs.__init__ = make
    client.jobs
    os._exit(7)
"""


@needs_fork
def test_a_fork_while_a_resource_is_made() -> None:
    """A child waits for no resource that another thread of its parent was about to make."""
    check_output(HALF_MADE + WAIT_FOR_CHILD + "go_on.set()\n")


FOLLOWED = """
import os
from firsthandapi import FirstHandClient
from firsthandapi._sync.reader import SharedReader
from firsthandapi._sync.waiting import Waiting

client = FirstHandClient("fh_test_x")
readers = [SharedReader(client._transport, Waiting(client._transport, f"job_{n}")) for n in range(2)]
for reader in readers:
    reader.join()
board = readers[0]._board
board.is_being_read = True  # by a thread that the child does not have
child = os.fork()
if child == 0:
    readers[0].leave()  # as a walk does that the child does not go on with
    os._exit(7 if readers[0].is_alone and not board.is_being_read else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(board.followers), board.is_being_read)
client.close()
"""


@needs_fork
def test_a_child_follows_without_its_parent() -> None:
    """A child waits for no list that a thread of its parent reads, and counts none of its parent's followers."""
    check_output(FOLLOWED, expected="7 2 True\n")
