"""Real time."""

from __future__ import annotations

import threading

from firsthandapi_server.serve.clock import RealClock


def test_what_is_due_happens_in_order_and_late_is_now() -> None:
    """After a night without power, what fell due happens in its order, at the time that it is."""
    time = [1000.0]
    clock = RealClock(lambda: time[0])
    happened: list[tuple[str, float]] = []
    clock.at(1020, lambda at: happened.append(("second", at)))
    clock.at(1010, lambda at: happened.append(("first", at)))
    clock.at(9000, lambda at: happened.append(("never", at)))
    assert clock.run_due() == 10
    assert happened == []
    time[0] = 5000.0
    assert clock.run_due() == 30  # looks again, lest the machine's clock be set
    assert happened == [("first", 5000.0), ("second", 5000.0)]
    assert clock.real_seconds(5) == 5


def test_time_never_goes_back() -> None:
    """Where the machine's is set back, it goes on at half its speed until they agree."""
    time, ticks = [1000.0], [0.0]
    clock = RealClock(lambda: time[0], lambda: ticks[0])
    assert clock.now() == 1000
    time[0] = 900.0
    assert clock.now() == 1000
    for _ in range(10):  # however often somebody asks
        time[0], ticks[0] = time[0] + 0.0005, ticks[0] + 0.0005
        clock.now()
    time[0], ticks[0] = 950.0, 50.0
    assert clock.now() == 1025
    time[0], ticks[0] = 1101.0, 201.0
    assert clock.now() == 1101


def test_a_failure_does_not_stop_the_clock() -> None:
    """What is due after something that raised happens all the same, also from the clock's own thread."""
    clock = RealClock()
    done = threading.Event()

    def fail(_at: float) -> None:
        raise RuntimeError("no")

    clock.start()
    clock.at(0, fail)
    clock.at(clock.now() + 0.01, lambda _at: done.set())
    assert done.wait(20)
    clock.stop()
    clock.stop()
    clock.at(0, lambda _at: done.clear())
    assert done.is_set()
