"""Checkout (Java, Spring): places orders; retries, a circuit breaker and a buffer in memory."""

from __future__ import annotations

from collections import deque
from typing import Optional

from . import stacks
from .backends import Inventory, Notifications, Users
from .catalogue import POOL_FAULT, Catalogue
from .engine import Engine, Process, Stream
from .journal import Blame, Journal
from .payments import Payments
from .request import OK, Reply, Request

PRICE_TIMEOUT_MS = 1500
ATTEMPTS = 3
HEAP_LIMIT_MB = 1024
HEAP_IDLE_MB = 402
PARKED_ORDER_MB = 1.25


class Breaker:
    """Opens for 8 s when 16 of the last 20 calls failed; then four of eight calls decide."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._results: deque[bool] = deque(maxlen=20)
        self.state = "CLOSED"
        self._opened = 0
        self._probes = 0

    def permits(self) -> bool:
        """True when a call may go out."""
        if self.state == "OPEN" and self._engine.now - self._opened >= 8_000:
            self._results.clear()
            self.state, self._probes = "HALF_OPEN", 8
        if self.state == "HALF_OPEN":
            self._probes -= 1
            return self._probes >= 0
        return self.state == "CLOSED"

    def record(self, ok: bool) -> Optional[str]:
        """Counts a result; returns the new state when it changes."""
        self._results.append(ok)
        failed = self._results.count(False)
        if self.state == "HALF_OPEN" and self._results.count(True) >= 4:
            self._results.clear()
            self.state = "CLOSED"
            return self.state
        limit = {"HALF_OPEN": 4, "CLOSED": 16}.get(self.state)
        if limit is not None and failed >= limit:
            self.state, self._opened = "OPEN", self._engine.now
            return self.state
        return None


class Checkout:
    """An order that has no price is parked in memory, to be tried again later."""

    def __init__(
        self, engine: Engine, journal: Journal, stream: Stream, catalogue: Catalogue,
        inventory: Inventory, users: Users, payments: Payments, notifications: Notifications,
    ) -> None:
        self._engine, self._journal, self._stream = engine, journal, stream
        self._catalogue, self._inventory, self._users = catalogue, inventory, users
        self._payments, self._notifications = payments, notifications
        self._breaker = Breaker(engine)
        self.parked = 0
        self.down = False

    @property
    def heap_mb(self) -> int:
        """The heap in use."""
        return HEAP_IDLE_MB + int(self.parked * PARKED_ORDER_MB)

    def place(self, request: Request) -> Process:
        """Session, prices, stock, payment, message: the first failure ends the order."""
        began = self._engine.now
        session = yield from self._users.session(request)
        if not session.ok:
            return session
        price = yield from self._price(request)
        if not price.ok:
            self._park(request)
            return Reply(503, Blame(POOL_FAULT, "checkout.order_parked") if price.blame else None)
        stock = yield from self._inventory.reserve(request)
        if not stock.ok:
            message = f"order {request.order} rejected: stock service answered {stock.status}"
            request.write("WARN", "checkout", "order_rejected", message, (), stock.blame)
            return Reply(503, stock.blame)
        paid = yield from self._payments.charge(request)
        if not paid.ok:
            message = f"order {request.order} cancelled: payment status {paid.status}, stock freed"
            request.write("ERROR", "checkout", "order_cancelled", message, (), paid.blame)
            return paid
        yield self._stream.latency(6)
        took = self._engine.now - began
        request.write(
            "INFO", "checkout", "order_placed",
            f"order {request.order} placed user={request.user} items=1 took={took}ms",
        )
        self._engine.spawn(self._notifications.confirm(request))
        return OK

    def _price(self, request: Request) -> Process:
        for attempt in range(1, ATTEMPTS + 1):
            if not self._breaker.permits():
                blame = Blame(POOL_FAULT, "checkout.breaker")
                message = f"no price for order {request.order}"
                request.write(
                    "ERROR", "checkout", "call_not_permitted", message, stacks.breaker_open(), blame
                )
                return Reply(503, blame)
            reply = yield from self._engine.call(
                self._catalogue.price(request), PRICE_TIMEOUT_MS, Reply(504)
            )
            self._watch(self._breaker.record(reply.ok))
            if reply.ok:
                return OK
            blame = self._catalogue.blame("catalogue.pool_exhausted") or reply.blame
            message = f"price call for order {request.order} failed attempt={attempt}/{ATTEMPTS}"
            last = attempt == ATTEMPTS
            request.write(
                "ERROR" if last else "WARN", "checkout", "price_failed",
                message if last else f"{message}, next in {200 * attempt}ms",
                stacks.price_timeout(), blame,
            )
            if not last:
                yield 200 * attempt
        return Reply(503, blame)

    def _watch(self, state: Optional[str]) -> None:
        if state:
            level = "WARN" if state == "OPEN" else "INFO"
            message = f"CircuitBreaker 'catalogue-prices' changed state to {state}"
            blame = Blame(POOL_FAULT, "checkout.price_failed")
            self._journal.write(level, "checkout", "breaker", message, blame=blame)

    def _park(self, request: Request) -> None:
        self.parked += 1
        blame = Blame(POOL_FAULT, "checkout.price_failed")
        message = f"order {request.order} parked for a later attempt, parked={self.parked}"
        request.write("WARN", "checkout", "order_parked", message, (), blame)
        if self.heap_mb >= HEAP_LIMIT_MB and not self.down:
            self._engine.spawn(self._crash())

    def _crash(self) -> Process:
        blame = Blame(POOL_FAULT, "checkout.order_parked")
        write = self._journal.write
        self.down = True
        write(
            "ERROR", "checkout", "out_of_memory", "Terminating due to java.lang.OutOfMemoryError",
            stack=stacks.out_of_memory(), blame=blame,
        )
        blame = Blame(POOL_FAULT, "checkout.out_of_memory")
        yield 900
        write(
            "WARN", "kubelet", "container_exit",
            "Container checkout in pod checkout-6d9f7c5b8-x2lqm exited code=3 restartCount=1",
            blame=blame,
        )
        yield 11_000
        write(
            "INFO", "checkout", "start", "Starting CheckoutApplication v7.3.2 using Java 21.0.5 "
            f"profile=production; {self.parked} parked orders of the last run are lost",
            blame=blame,
        )
        self.parked, self.down = 0, False

    def report(self, every_ms: int) -> Process:
        """Writes the heap at intervals, and tries parked orders when prices flow again."""
        while True:
            yield every_ms
            if self.down:
                continue
            percent = self.heap_mb * 100 // HEAP_LIMIT_MB
            message = (
                f"heap used={self.heap_mb}MB limit={HEAP_LIMIT_MB}MB parkedOrders={self.parked}"
            )
            blame = Blame(POOL_FAULT, "checkout.order_parked") if self.parked else None
            level = "WARN" if percent > 75 else "INFO"
            self._journal.write(level, "checkout", "heap", message, blame=blame)
            if self.parked and self._breaker.state == "CLOSED" and not self._catalogue.pool.waiting:
                message = f"{self.parked} parked orders placed after the prices came back"
                self.parked = 0
                self._journal.write("INFO", "checkout", "parked_placed", message, blame=blame)
