"""Inventory (Go), users (Node.js), search (Rust), notifications (Ruby)."""

from __future__ import annotations

from . import stacks
from .catalogue import Catalogue
from .engine import Engine, Process, Stream
from .journal import Blame, Journal
from .request import OK, Reply, Request

REDIS_FAULT = "redis-failover"
POISON_FAULT = "poison-order-message"
PANIC_FAULT = "search-utf8-cut"
PACK_TIMEOUT_MS = 800


class Inventory:
    """Reserves stock; asks the catalogue how many pieces a pack holds."""

    def __init__(self, engine: Engine, stream: Stream, catalogue: Catalogue) -> None:
        self._engine, self._stream, self._catalogue = engine, stream, catalogue

    def level(self, request: Request) -> Process:
        """The pieces in stock."""
        yield self._stream.latency(8)
        pieces = request.sku * 13 % 240
        request.write("INFO", "inventory", "stock", f"stock sku={request.sku} pieces={pieces}")
        return OK

    def reserve(self, request: Request) -> Process:
        """Reserves one pack for an order."""
        pack = yield from self._engine.call(
            self._catalogue.pack(request), PACK_TIMEOUT_MS, Reply(504)
        )
        if not pack.ok:
            blame = self._catalogue.blame("catalogue.pool_exhausted") or pack.blame
            message = f"reservation failed order={request.order} sku={request.sku}"
            stack = stacks.pack_deadline(request.sku)
            request.write("ERROR", "inventory", "reserve_failed", message, stack, blame)
            return Reply(503, blame and Blame(blame.fault, "inventory.reserve_failed"))
        yield self._stream.latency(14)
        request.write(
            "INFO", "inventory", "reserved",
            f"reserved order={request.order} sku={request.sku} packs=1",
        )
        return OK


class Users:
    """Logins and sessions; sessions live in Redis."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.redis_down = False

    def login(self, request: Request) -> Process:
        """Checks a password and opens a session."""
        yield self._stream.latency(70)
        session = yield from self.session(request)
        if session.ok:
            request.write("INFO", "users", "login", f"login user={request.user} method=password")
        return session

    def session(self, request: Request) -> Process:
        """Looks a session up."""
        yield self._stream.latency(2)
        if not self.redis_down:
            return OK
        blame = Blame(REDIS_FAULT, "redis.primary_lost")
        peer = "10.20.4.17:6379"
        request.write(
            "ERROR", "users", "redis_reset", f"session lookup failed user={request.user}",
            stacks.redis_reset(peer), blame, always=self._stream.chance(0.25),
        )
        return Reply(503, Blame(REDIS_FAULT, "users.redis_reset"))


class Search:
    """Full-text search; since release 2.9.1 it cuts long queries at a byte."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def find(self, request: Request) -> Process:
        """A search that ends well."""
        took = self._stream.latency(28)
        yield took
        hits = request.sku * 31 % 180
        request.write("INFO", "search", "query", f"query hits={hits} took={took}ms shard=2")
        return OK

    def panic(self, request: Request, query: str) -> Process:
        """A search whose cut lies inside a character."""
        yield self._stream.latency(4)
        blame = Blame(PANIC_FAULT, "deployer.release")
        message = "thread 'search-worker-3' panicked at src/query.rs:57:22:"
        request.write("ERROR", "search", "panic", message, stacks.char_boundary(24, query), blame)
        return Reply(502, Blame(PANIC_FAULT, "search.panic"))


class Notifications:
    """Sends a mail for each order message."""

    def __init__(self, journal: Journal, stream: Stream) -> None:
        self._journal, self._stream = journal, stream

    def confirm(self, request: Request) -> Process:
        """The mail for an order."""
        yield self._stream.latency(420)
        request.write(
            "INFO", "notifications", "sent",
            f"sent order confirmation order={request.order} locale=en",
        )

    def poison(self, offset: int, order: int) -> Process:
        """A message that no attempt can handle; the fifth failure sends it to the dead letters."""
        blame = Blame(POISON_FAULT, "checkout.partner_import")
        where = f"topic=orders.placed partition=2 offset={offset}"
        for attempt in range(1, 6):
            self._journal.write(
                "ERROR", "notifications", "message_failed",
                f"handling order {order} failed attempt={attempt}/5 {where}",
                stack=stacks.missing_address(), blame=blame,
            )
            yield 2000 * 2**attempt
        self._journal.write(
            "WARN", "notifications", "dead_letter", f"message moved to orders.placed.dead {where}",
            blame=Blame(POISON_FAULT, "notifications.message_failed"),
        )
