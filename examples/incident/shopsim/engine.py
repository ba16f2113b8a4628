"""Discrete-event engine: a clock in milliseconds, processes, signals, pools, random streams.

A process is a generator. It yields a number of milliseconds to sleep, or a `Signal` to wait for.
Latencies use the four arithmetic operations only, so a seed gives the same bytes everywhere.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Optional, Union

Process = Generator[Union[int, "Signal"], Any, Any]


class Engine:
    """Runs processes in order of time; equal times run in order of scheduling."""

    def __init__(self, start_ms: int) -> None:
        self.now = start_ms
        self._events: list[tuple[int, int, Callable[[Any], Any], Any]] = []
        self._sequence = 0

    def after(self, delay_ms: int, action: Callable[[Any], Any], value: Any = None) -> None:
        """Calls ``action(value)`` in `delay_ms` milliseconds."""
        self._sequence += 1
        heapq.heappush(self._events, (self.now + delay_ms, self._sequence, action, value))

    def spawn(self, process: Process, done: Optional[Signal] = None) -> None:
        """Starts a process; its return value fires `done`."""
        self._resume(process, None, done)

    def call(self, process: Process, timeout_ms: int, on_timeout: Any) -> Process:
        """Waits for a process; after the timeout the caller goes on and the process runs on."""
        done = Signal(self)
        self.spawn(process, done)
        self.after(timeout_ms, done.fire, on_timeout)
        return (yield done)

    def run(self, end_ms: int) -> None:
        """Runs every event before `end_ms`."""
        while self._events and self._events[0][0] < end_ms:
            self.now, _, action, value = heapq.heappop(self._events)
            action(value)

    def _resume(self, process: Process, value: Any, done: Optional[Signal]) -> None:
        try:
            target = process.send(value)
        except StopIteration as stop:
            if done is not None:
                done.fire(stop.value)
            return
        if isinstance(target, Signal):
            target.subscribe(lambda result: self._resume(process, result, done))
        else:
            self.after(target, lambda _: self._resume(process, None, done))


class Signal:
    """Fires once with a value; what comes later is ignored."""

    __slots__ = ("_engine", "fired", "value", "_waiter")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.fired = False
        self.value: Any = None
        self._waiter: Optional[Callable[[Any], Any]] = None

    def fire(self, value: Any) -> None:
        """Sets the value and wakes the waiting process."""
        if self.fired:
            return
        self.fired, self.value = True, value
        if self._waiter is not None:
            self._engine.after(0, self._waiter, value)

    def subscribe(self, waiter: Callable[[Any], Any]) -> None:
        """Registers the one process that waits."""
        if self.fired:
            self._engine.after(0, waiter, self.value)
        else:
            self._waiter = waiter


class Pool:
    """A bounded number of places with a first-come queue: connections, request slots."""

    def __init__(self, engine: Engine, capacity: int) -> None:
        self._engine = engine
        self.capacity = capacity
        self.active = 0
        self._queue: deque[Signal] = deque()

    @property
    def waiting(self) -> int:
        """Callers in the queue that still wait."""
        return sum(1 for signal in self._queue if not signal.fired)

    def acquire(self, timeout_ms: int) -> Process:
        """Returns True with a place, False after the timeout."""
        if self.active < self.capacity:
            self.active += 1
            return True
        granted = Signal(self._engine)
        self._queue.append(granted)
        self._engine.after(timeout_ms, granted.fire, False)
        return (yield granted)

    def release(self) -> None:
        """Gives a place back, to the longest waiting caller."""
        self.active -= 1
        while self._queue and self.active < self.capacity:
            signal = self._queue.popleft()
            if not signal.fired:
                self.active += 1
                signal.fire(True)


class Stream:
    """A named random stream; streams do not disturb each other."""

    def __init__(self, seed: int, name: str) -> None:
        self.random = random.Random(f"{seed}/{name}").random

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return int(self.random() * count)

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + self.below(high - low + 1)

    def pick(self, items: Any) -> Any:
        """One of the items."""
        return items[self.below(len(items))]

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random() < probability

    def latency(self, mean_ms: float) -> int:
        """A service time with a tail: 0.7 to 3.4 times the mean, at least 1 ms."""
        u = self.random()
        return max(1, int(mean_ms * (0.7 + 0.1366 * u / (1.05 - u))))

    def gap(self, mean_ms: float) -> int:
        """A time between arrivals: 0 to 9 times the mean."""
        u = self.random()
        return int(mean_ms * 0.4552 * u / (1.05 - u))

    def hex(self, digits: int) -> str:
        """A hexadecimal number."""
        return "".join("0123456789abcdef"[self.below(16)] for _ in range(digits))
