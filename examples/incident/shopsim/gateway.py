"""Gateway (.NET): routes requests, limits the calls in flight, tries reads a second time."""

from __future__ import annotations

from collections.abc import Callable

from . import stacks
from .backends import Inventory, Search, Users
from .catalogue import POOL_FAULT, Catalogue
from .checkout import Checkout
from .engine import Engine, Pool, Process
from .journal import Blame, Journal
from .request import Reply, Request

CATALOGUE_SLOTS = 32
CATALOGUE_TIMEOUT_S = 3
CHECKOUT_TIMEOUT_S = 10


class Gateway:
    """The door of the shop."""

    def __init__(
        self, engine: Engine, journal: Journal, catalogue: Catalogue, checkout: Checkout,
        inventory: Inventory, users: Users, search: Search,
    ) -> None:
        self._engine, self._journal = engine, journal
        self._catalogue, self._checkout = catalogue, checkout
        self.failing_share = 0.0
        self._slots = Pool(engine, CATALOGUE_SLOTS)
        self._routes: dict[str, Callable[[Request], Process]] = {
            "product": self._product,
            "order": self._order,
            "stock": inventory.level,
            "login": users.login,
            "search": search.find,
        }

    def handle(self, request: Request) -> Process:
        """Answers a request and writes the access record."""
        began = self._engine.now
        reply = yield from self._routes[request.kind](request)
        self.failing_share += 0.01 * ((0.0 if reply.ok else 1.0) - self.failing_share)
        self.access(request, reply, began)

    def access(self, request: Request, reply: Reply, began: int) -> None:
        """The access record."""
        verb = "POST" if request.kind in ("order", "login") else "GET"
        message = f"{verb} {request.path} {reply.status} {self._engine.now - began}ms"
        request.write("INFO", "gateway", "access", message, (), reply.blame)

    def _product(self, request: Request) -> Process:
        reply = Reply(503)
        for attempt in (1, 2):
            if not (yield from self._slots.acquire(1000)):
                blame = Blame(POOL_FAULT, "gateway.catalogue_timeout")
                message = f"cluster catalogue rejected the call: inFlight={CATALOGUE_SLOTS}"
                request.write("WARN", "gateway", "slots_full", message, (), blame)
                return Reply(503, blame)
            reply = yield from self._engine.call(
                self._catalogue.product(request), CATALOGUE_TIMEOUT_S * 1000, Reply(504)
            )
            self._slots.release()
            if reply.ok:
                return reply
            blame = self._catalogue.blame("catalogue.pool_exhausted") or reply.blame
            reply = Reply(reply.status, reply.blame or blame)
            if reply.status == 504:
                request.write(
                    "ERROR", "gateway", "catalogue_timeout", f"forwarding {request.path} failed",
                    stacks.gateway_timeout("Catalogue", CATALOGUE_TIMEOUT_S), blame,
                )
            if attempt == 1:
                message = f"retrying GET {request.path} after status {reply.status}"
                request.write("WARN", "gateway", "retry", message, (), reply.blame)
        return reply

    def _order(self, request: Request) -> Process:
        if self._checkout.down:
            blame = Blame(POOL_FAULT, "checkout.out_of_memory")
            request.write(
                "ERROR", "gateway", "checkout_refused", f"forwarding {request.path} failed",
                stacks.gateway_refused("Checkout"), blame, always=request.order % 3 == 0,
            )
            yield 1
            return Reply(503, blame)
        reply = yield from self._engine.call(
            self._checkout.place(request), CHECKOUT_TIMEOUT_S * 1000, Reply(504)
        )
        return reply

    def report(self, every_ms: int) -> Process:
        """Writes calls in flight and queue length at intervals."""
        while True:
            yield every_ms
            busy = self._slots.active > CATALOGUE_SLOTS // 2
            blame = Blame(POOL_FAULT, "catalogue.pool_exhausted") if busy else None
            slots = self._slots
            message = f"cluster catalogue inFlight={slots.active} queued={slots.waiting}"
            level = "WARN" if blame else "INFO"
            self._journal.write(level, "gateway", "in_flight", message, blame=blame)

    def search_failed(self, request: Request, reply: Reply) -> None:
        """The record of a search whose connection broke."""
        request.write(
            "ERROR", "gateway", "search_ended", "forwarding /search failed",
            stacks.gateway_ended("Search"), reply.blame,
        )
