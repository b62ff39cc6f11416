"""Events to handlers, each event once."""

import asyncio
import contextlib
import functools
import gc
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from firsthandapi import fleet
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types.event import SubmissionEvent, SubmissionEventData, WebhookEvent
from firsthandapi.webhooks import DeduplicationStore, EventClaimedError, EventRouter, MemoryStore

DAY = 86_400


def event(id: str = "evt_1", type: Any = "submission.approved") -> WebhookEvent:
    return SubmissionEvent(id=id, type=type, data=SubmissionEventData(submission_id="sub_1"))


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


class Store:
    """A store that writes down what it is asked."""

    def __init__(self, *, fails: str = "") -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails = fails

    def _call(self, name: str, event_id: str) -> bool:
        self.calls.append((name, event_id))
        if name == self.fails:
            raise ConnectionError("the store is down")
        return True

    def claim(self, event_id: str) -> bool:
        return self._call("claim", event_id)

    def commit(self, event_id: str) -> None:
        self._call("commit", event_id)

    def release(self, event_id: str) -> None:
        self._call("release", event_id)


@pytest.fixture
def router() -> EventRouter:
    return EventRouter()


@pytest.fixture
def ran() -> list[str]:
    """What the handlers of a test have done."""
    return []


def run_sync(router: EventRouter, event: WebhookEvent) -> bool:
    return router.dispatch(event)


def run_asyncio(router: EventRouter, event: WebhookEvent) -> bool:
    return anyio.run(router.adispatch, event)


def run_trio(router: EventRouter, event: WebhookEvent) -> bool:
    return anyio.run(router.adispatch, event, backend="trio")


Run = Callable[[EventRouter, WebhookEvent], bool]
each_run = pytest.mark.parametrize("run", [run_sync, run_asyncio])


# --- which handlers run ----------------------------------------------------------------------------------


@each_run
def test_order(router: EventRouter, ran: list[str], run: Run) -> None:
    """Handlers of the type, also an unknown one, and of "*" run once each, in the order they were registered, whatever
    they return."""
    types = [
        "submission.approved",
        "*",
        "job.completed",
        "submission.approved",
        "submission",
        "worker.promoted",
    ]
    for name, event_type in zip("abcdef", types, strict=True):
        router.on(event_type)(lambda event, name=name: ran.append(f"{name} {event.id}") is ran)
    assert run(router, event()) is True
    assert ran == ["a evt_1", "b evt_1", "d evt_1"]
    assert run(router, WebhookEvent(id="evt_2", type="worker.promoted")) is True
    assert ran[3:] == ["b evt_2", "f evt_2"]


def test_unchanged(router: EventRouter, ran: list[str]) -> None:
    """The decorated function stays what it was, so decorators stack."""

    def handler(event: WebhookEvent) -> None:
        ran.append(event.type)

    assert router.on("submission.rejected")(router.on("submission.approved")(handler)) is handler
    router.dispatch(event("evt_1"))
    router.dispatch(event("evt_2", "submission.rejected"))
    assert ran == ["submission.approved", "submission.rejected"]


@pytest.mark.parametrize("event_type", ["submission.aproved", "submission_approved", "Job.Completed"])
def test_a_near_miss_warns(event_type: str) -> None:
    """A type that differs a little from a known one is spelled wrong: its handler would never run."""
    with pytest.warns(UserWarning, match=r"did you mean '\w+\.\w+'\?") as caught:
        EventRouter().on(event_type)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("event_type", ["submission.approved", "*", "worker.promoted", "submission"])
def test_other_types_do_not_warn(event_type: str, recwarn: pytest.WarningsRecorder) -> None:
    """A known type, every type, and one of a later version are no mistake."""
    EventRouter().on(event_type)
    assert not recwarn.list


@each_run
def test_nobody_listens(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """An event that nobody listens to is logged, and counts as handled; its repetition is a duplicate."""
    caplog.set_level("INFO", logger="firsthandapi")
    router = EventRouter()
    assert run(router, event()) is True
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("firsthandapi", "No handler for evt_1 (submission.approved)")
    ]
    assert run(router, event()) is False
    router.on("*")(lambda _: None)
    caplog.clear()
    run(router, event("evt_2"))
    assert not caplog.records


def test_added_meanwhile(router: EventRouter, ran: list[str]) -> None:
    """A handler that is registered while an event runs waits for the next event."""

    @router.on("*")
    def first(event: WebhookEvent) -> None:
        router.on("*")(lambda event: ran.append(event.id))

    router.dispatch(event("evt_1"))
    assert ran == []
    router.dispatch(event("evt_2"))
    assert ran == ["evt_2"]


@pytest.mark.parametrize("event_type", ["", None, 5, lambda event: None])
def test_bad_type(event_type: Any) -> None:
    """`on` wants a type; who forgot the brackets is shown how it goes."""
    with pytest.raises(InvalidArgumentError, match=r"@router\.on\(") as caught:
        EventRouter().on(event_type)
    assert caught.value.field == "event_type"


def generator(event: WebhookEvent) -> Iterator[None]:
    yield


async def async_generator(event: WebhookEvent) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("handler", [None, "handler", generator, async_generator])
def test_bad_handler(handler: Any) -> None:
    """What cannot be called, or would do nothing when called, is refused when it is registered."""
    with pytest.raises(InvalidArgumentError) as caught:
        EventRouter().on("*")(handler)
    assert caught.value.field == "handler"


@each_run
@pytest.mark.parametrize(
    "not_event", [None, b"{}", {"id": "evt_1", "type": "x"}, WebhookEvent(id="", type="x"), object()]
)
def test_bad_event(run: Run, not_event: Any) -> None:
    """Only what `unwrap` returned can be dispatched, and it needs an id."""
    store = Store()
    with pytest.raises(InvalidArgumentError, match="unwrap") as caught:
        run(EventRouter(store), not_event)
    assert caught.value.field == "event"
    assert store.calls == []


# --- sync and async --------------------------------------------------------------------------------------


class AsyncCallable:
    def __init__(self, ran: list[str]) -> None:
        self.ran = ran

    async def __call__(self, event: WebhookEvent) -> None:
        await anyio.lowlevel.checkpoint()
        self.ran.append("object")


@pytest.mark.parametrize("run", [run_asyncio, run_trio])
def test_mixed(router: EventRouter, ran: list[str], run: Run) -> None:
    """Under `adispatch`, sync and async handlers run one after the other, each to its end."""

    async def coroutine(name: str, event: WebhookEvent) -> None:
        await anyio.lowlevel.checkpoint()
        ran.append(name)

    router.on("*")(lambda event: ran.append("sync"))
    router.on("*")(functools.partial(coroutine, "partial"))
    router.on("*")(AsyncCallable(ran))
    router.on("*")(lambda event: coroutine("wrapped", event))
    router.on("*")(lambda event: ran.append("sync again"))
    assert run(router, event()) is True
    assert ran == ["sync", "partial", "object", "wrapped", "sync again"]
    assert run(router, event()) is False


async def async_handler(event: WebhookEvent) -> None:
    raise AssertionError("never runs")


@pytest.mark.parametrize("handler", [async_handler, functools.partial(async_handler), AsyncCallable([])])
def test_async_under_dispatch(handler: Callable[[WebhookEvent], object]) -> None:
    """`dispatch` refuses an async handler before anything runs or is claimed."""
    store = Store()
    router = EventRouter(store)
    ran: list[str] = []
    router.on("*")(lambda event: ran.append("sync"))
    router.on("submission.approved")(handler)
    with pytest.raises(InvalidArgumentError, match="await router") as caught:
        router.dispatch(event())
    assert caught.value.field == "handler"
    assert (ran, store.calls) == ([], [])
    assert router.dispatch(event("evt_2", "submission.rejected")) is True  # it is not concerned


def test_hidden_async_under_dispatch() -> None:
    """An async function inside a plain one is found when it is called, and leaves no claim and no warning."""
    router = EventRouter(store := Store())
    router.on("*")(lambda event: async_handler(event))
    with pytest.raises(InvalidArgumentError, match="adispatch"):
        router.dispatch(event())
    assert store.calls == [("claim", "evt_1"), ("release", "evt_1")]
    gc.collect()  # a coroutine that was never awaited would warn here, and warnings are errors


def test_future_under_dispatch() -> None:
    """A handler that returns a future is async too."""

    async def main() -> None:
        router = EventRouter()
        router.on("*")(lambda event: asyncio.get_running_loop().create_future())
        with pytest.raises(InvalidArgumentError, match="adispatch"):
            router.dispatch(event())

    asyncio.run(main())


# --- once ------------------------------------------------------------------------------------------------


@each_run
def test_duplicate(router: EventRouter, ran: list[str], run: Run) -> None:
    """The same id again is a duplicate, whatever else is in the event; another id is not."""
    router.on("*")(lambda event: ran.append(event.id))
    assert run(router, event("evt_1")) is True
    assert run(router, event("evt_1", "submission.rejected")) is False
    assert run(router, event("evt_2")) is True
    assert ran == ["evt_1", "evt_2"]


@each_run
def test_failure_releases(run: Run) -> None:
    """Whatever a handler raises comes out as it is, later handlers do not run, and the next delivery runs all."""
    router = EventRouter(store := MemoryStore())
    ran: list[str] = []
    failing = True

    @router.on("*")
    def first(event: WebhookEvent) -> None:
        ran.append("first")

    @router.on("*")
    def second(event: WebhookEvent) -> None:
        if failing:
            raise ValueError("in a handler")
        ran.append("second")

    with pytest.raises(ValueError, match="in a handler"):
        run(router, event())
    assert repr(store) == "<MemoryStore [0 running, 0 done]>"
    failing = False
    assert run(router, event()) is True
    assert ran == ["first", "first", "second"]
    assert run(router, event()) is False


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_interruption_releases(error: type[BaseException]) -> None:
    """So does what is no `Exception`, and what Python gives a meaning of its own."""
    router = EventRouter(store := Store())

    @router.on("*")
    def interrupted(event: WebhookEvent) -> None:
        raise error

    with pytest.raises(error):
        router.dispatch(event())
    assert store.calls == [("claim", "evt_1"), ("release", "evt_1")]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancellation_releases(backend: str) -> None:
    """A handler that is cancelled leaves the event to the next delivery."""
    router = EventRouter(store := Store())

    @router.on("*")
    async def slow(event: WebhookEvent) -> None:
        await anyio.sleep_forever()

    async def main() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await router.adispatch(event())
        assert scope.cancelled_caught

    anyio.run(main, backend=backend)
    assert store.calls == [("claim", "evt_1"), ("release", "evt_1")]


def test_abandoned_coroutine_releases() -> None:
    """A dispatch that is dropped half-way, with its event loop perhaps, leaves no claim."""
    router = EventRouter(store := Store())

    class Never:
        def __await__(self) -> Iterator[None]:
            yield

    router.on("*")(lambda event: Never())
    dispatching = router.adispatch(event())
    dispatching.send(None)
    dispatching.close()
    assert store.calls == [("claim", "evt_1"), ("release", "evt_1")]


def test_a_second_delivery_in_a_thread(router: EventRouter) -> None:
    """While a handler runs, the same event in another thread raises, so that the service sends it again; so it does
    inside the handler. If the handler fails, the next delivery is handled."""
    started, finish = threading.Event(), threading.Event()
    runs: list[str] = []

    @router.on("*")
    def slow(event: WebhookEvent) -> None:
        runs.append(event.id)
        if len(runs) == 1:
            with pytest.raises(EventClaimedError):
                router.dispatch(event)
            started.set()
            assert finish.wait(60)
            raise RuntimeError("the database is gone")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(router.dispatch, event())
        assert started.wait(60)
        with pytest.raises(EventClaimedError, match=r"^evt_1 is still being handled; respond with 5xx"):
            router.dispatch(event())
        finish.set()
        assert isinstance(first.exception(), RuntimeError)
    assert router.dispatch(event()) is True
    assert router.dispatch(event()) is False
    assert len(runs) == 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_second_delivery_in_a_task(router: EventRouter, ran: list[str], backend: str) -> None:
    """While an async handler runs, the same event in another task raises."""
    results: list[bool | None] = []

    @router.on("*")
    async def slow(event: WebhookEvent) -> None:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        ran.append(event.id)

    async def dispatch() -> None:
        try:
            results.append(await router.adispatch(event()))
        except EventClaimedError:
            results.append(None)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(dispatch)
        assert await router.adispatch(event()) is False

    anyio.run(main, backend=backend)
    assert ran == ["evt_1"]
    assert (results.count(None), results.count(True)) == (4, 1)


def test_the_error_is_one_for_all_stores() -> None:
    """It is that of `RedisStore`, pickles, and shows no more of an odd id than is safe to print."""
    assert fleet.EventClaimedError is EventClaimedError
    error = EventClaimedError.of("\x1b[2J" + "x" * 500)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 300


# --- stores ----------------------------------------------------------------------------------------------


@each_run
@pytest.mark.parametrize(
    ("fails", "calls"), [("", "claim handler commit"), ("claim", "claim"), ("commit", "claim handler commit")]
)
def test_claim_run_commit(run: Run, fails: str, calls: str) -> None:
    """First the claim, then the handlers, then the commit. An error of the store comes out: without a claim nothing
    runs; without a commit the claim stays, since the handlers have run."""
    router = EventRouter(store := Store(fails=fails))
    router.on("*")(lambda event: store.calls.append(("handler", event.id)))
    with pytest.raises(ConnectionError) if fails else contextlib.nullcontext():
        run(router, event())
    assert store.calls == [(call, "evt_1") for call in calls.split()]


@each_run
def test_store_without_release(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """If the store cannot release, the handler's error still comes out, and the store's is logged."""
    router = EventRouter(Store(fails="release"))

    @router.on("*")
    def failing(event: WebhookEvent) -> None:
        raise ValueError("in the handler")

    with pytest.raises(ValueError, match="in the handler"):
        run(router, event())
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("firsthandapi.webhooks", "WARNING")
    assert "evt_1" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ConnectionError)


class AsyncStore(Store):
    async def claim(self, event_id: str) -> bool:
        return True


@pytest.mark.parametrize("store", [AsyncStore(), object(), {}, "redis://", MemoryStore])
def test_bad_store(store: Any) -> None:
    """A store that lacks a method, or has an async one, is refused: it would never find a duplicate."""
    with pytest.raises(InvalidArgumentError, match="DeduplicationStore") as caught:
        EventRouter(store)
    assert caught.value.field == "store"


def test_falsy_store() -> None:
    """A store that is empty, and so false, is still the one to use."""

    class Empty(Store):
        def __len__(self) -> int:
            return 0

    store = Empty()
    EventRouter(store).dispatch(event())
    assert store.calls != []


def test_shared_store() -> None:
    """Routers that share a store share what was handled; those that do not, do not."""
    store: DeduplicationStore = MemoryStore()
    assert EventRouter(store).dispatch(event()) is True
    assert EventRouter(store).dispatch(event()) is False
    assert EventRouter().dispatch(event()) is True


def test_repr(router: EventRouter) -> None:
    """A router shows how many handlers it has, and its store how much it holds."""
    router.on("*")(lambda event: None)
    router.dispatch(event())
    assert repr(router) == "<EventRouter [1 handler, <MemoryStore [0 running, 1 done]>]>"


def test_memory_lifetime(clock: Clock) -> None:
    """A handled event is remembered for 7 days from when it was done."""
    store = MemoryStore()
    assert store.claim("evt_1")
    clock.now += 60
    store.commit("evt_1")
    clock.now += 7 * DAY - 1
    assert not store.claim("evt_1")
    clock.now += 1
    assert store.claim("evt_1")


def test_memory_claim_expires(clock: Clock) -> None:
    """A claim that is neither committed nor released ends after 10 minutes."""
    store = MemoryStore()
    assert store.claim("evt_1")
    clock.now += 599
    with pytest.raises(EventClaimedError):
        store.claim("evt_1")
    clock.now += 1
    assert store.claim("evt_1")
    with pytest.raises(EventClaimedError):
        store.claim("evt_1")


def test_memory_release(clock: Clock) -> None:
    """A release frees what is claimed, and leaves alone what is committed or was never claimed."""
    store = MemoryStore()
    store.claim("evt_1")
    store.release("evt_1")
    assert store.claim("evt_1")
    store.commit("evt_1")
    store.release("evt_1")
    assert not store.claim("evt_1")
    store.release("evt_2")
    assert store.claim("evt_2")


def test_memory_commit_unclaimed(clock: Clock) -> None:
    """A commit counts even if its claim has expired, and a second one prolongs it."""
    store = MemoryStore()
    store.commit("evt_1")
    clock.now += 6 * DAY
    assert not store.claim("evt_1")
    store.commit("evt_1")
    clock.now += 6 * DAY
    assert not store.claim("evt_1")


def test_memory_forgets(clock: Clock) -> None:
    """What has expired is dropped as other events come."""
    store = MemoryStore()
    for number in range(1000):
        store.claim(f"evt_{number}")
        if number % 2:
            store.commit(f"evt_{number}")
    assert repr(store) == "<MemoryStore [500 running, 500 done]>"
    clock.now += 600
    store.claim("evt_a")
    assert repr(store) == "<MemoryStore [1 running, 500 done]>"
    clock.now += 7 * DAY
    store.claim("evt_b")
    assert repr(store) == "<MemoryStore [1 running, 0 done]>"


def test_memory_clock_set_back(clock: Clock) -> None:
    """A clock that is set back delays forgetting, and never lets a remembered event through."""
    store = MemoryStore()
    store.claim("evt_1")
    store.commit("evt_1")
    clock.now -= DAY
    assert store.claim("evt_2")
    store.commit("evt_2")
    assert not store.claim("evt_1")
    assert not store.claim("evt_2")
    clock.now += 7 * DAY
    assert store.claim("evt_2")  # expired, behind one that is not
    assert not store.claim("evt_1")


def test_memory_threads() -> None:
    """Of many threads that claim an event at once, one gets it."""
    store = MemoryStore()
    ids = [f"evt_{number}" for number in range(200)]
    barrier = threading.Barrier(8)

    def claim_all() -> int:
        barrier.wait(60)
        won = 0
        for event_id in ids:
            with contextlib.suppress(EventClaimedError):
                if store.claim(event_id):
                    won += 1
                    store.commit(event_id)
        return won

    with ThreadPoolExecutor(8) as pool:
        won = [future.result() for future in [pool.submit(claim_all) for _ in range(8)]]
    assert sum(won) == len(ids)
    assert repr(store) == "<MemoryStore [0 running, 200 done]>"


def test_the_memory_of_a_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of any length cost a hash each, and neither claims nor handled events pile up without end: the oldest go."""
    assert MemoryStore._MOST_DONE == MemoryStore._MOST_CLAIMED == 100_000
    monkeypatch.setattr(MemoryStore, "_MOST_DONE", 3)
    monkeypatch.setattr(MemoryStore, "_MOST_CLAIMED", 3)
    store = MemoryStore()
    for number in range(9):
        assert store.claim(f"{number}" + "x" * 10_000)
    assert len(store._claimed) == 3
    assert max(map(len, store._claimed)) <= 128
    with pytest.raises(EventClaimedError):
        store.claim("8" + "x" * 10_000)
    store.commit("8" + "x" * 10_000)
    assert not store.claim("8" + "x" * 10_000)
    store.release("7" + "x" * 10_000)
    assert store.claim("7" + "x" * 10_000)
    for number in range(9):
        store.commit(f"{number}\ud800")
    assert [*store._done] == ["6\ud800", "7\ud800", "8\ud800"]
