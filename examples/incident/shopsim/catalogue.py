"""Catalogue (Java): products, prices and pack sizes from PostgreSQL through a connection pool."""

from __future__ import annotations

from typing import Optional

from . import stacks
from .engine import Engine, Pool, Process, Signal, Stream
from .journal import Blame, Journal
from .request import OK, Reply, Request

POOL_FAULT = "catalogue-pool-halved"
FULL_POOL = 20
CONNECTION_TIMEOUT_MS = 2800
REFRESH_WORKERS = 8


class Catalogue:
    """A query holds a connection while it runs; the price refresh holds eight for minutes."""

    def __init__(self, engine: Engine, journal: Journal, stream: Stream) -> None:
        self._engine = engine
        self._journal = journal
        self._stream = stream
        self.pool = Pool(engine, FULL_POOL)
        self._stop_refresh: Optional[Signal] = None

    def blame(self, cause: str) -> Optional[Blame]:
        """The fault behind a slow answer: the small pool, when callers queue for it."""
        short = self.pool.capacity < FULL_POOL and self.pool.active >= self.pool.capacity
        return Blame(POOL_FAULT, cause) if short else None

    def product(self, request: Request) -> Process:
        """A product page: from the cache, else 300 ms of queries."""
        if self._stream.chance(0.3):
            yield self._stream.latency(9)
            request.write("INFO", "catalogue", "product", f"product {request.sku} source=cache")
            return OK
        return (yield from self._query(request, "products", "findProduct", 88, 300))

    def price(self, request: Request) -> Process:
        """The prices of a basket."""
        return (yield from self._query(request, "prices", "findPrices", 132, 140))

    def pack(self, request: Request) -> Process:
        """The pack size of a product."""
        return (yield from self._query(request, "packs", "findPack", 167, 90))

    def _query(self, request: Request, what: str, caller: str, line: int, mean_ms: int) -> Process:
        pool, began = self.pool, self._engine.now
        if not (yield from pool.acquire(CONNECTION_TIMEOUT_MS)):
            waited = self._engine.now - began + self._stream.below(4)
            blame = self.blame("catalogue.pool_exhausted")
            stack = stacks.hikari(waited, caller, line, pool.active, pool.waiting)
            message = f"GET /{what}/{request.sku} failed after {waited}ms"
            request.write("ERROR", "catalogue", "pool_timeout", message, stack, blame)
            return Reply(503, Blame(POOL_FAULT, "catalogue.pool_timeout") if blame else None)
        waited = self._engine.now - began
        held = self._stream.latency(mean_ms)
        yield held
        pool.release()
        if waited > 250:
            message = f"slow connection acquire {waited}ms for {caller} threshold=250ms"
            blame = Blame(POOL_FAULT, "catalogue.pool_exhausted")
            request.write("WARN", "catalogue", "slow_acquire", message, (), blame)
        elif what != "packs":
            message = f"{what[:-1]} {request.sku} source=db took={held}ms"
            request.write("INFO", "catalogue", what[:-1], message)
        return OK

    def report(self, every_ms: int) -> Process:
        """Writes the state of the pool at intervals."""
        while True:
            yield every_ms
            pool = self.pool
            idle = max(0, pool.capacity - pool.active)
            counts = (
                f"total={pool.capacity}, active={pool.active}, idle={idle}, waiting={pool.waiting}"
            )
            blame = self.blame("catalogue.pool_exhausted") if pool.waiting else None
            level = "WARN" if pool.waiting else "INFO"
            message = f"HikariPool-1 - stats ({counts})"
            self._journal.write(level, "catalogue", "pool_stats", message, blame=blame)

    def restart(self, revision: int, capacity: int, blame: Optional[Blame]) -> None:
        """New instances take over with a pool of the given size; a running refresh is cut off."""
        write, root = self._journal.write, blame is not None
        write(
            "INFO", "catalogue", "start", "Starting CatalogueApplication v4.18.0 using Java 21.0.5 "
            f"profile=production configRevision={revision}",
        )
        write(
            "INFO", "catalogue", "pool_config", "HikariPool-1 - configured "
            f"maximumPoolSize={capacity} connectionTimeout={CONNECTION_TIMEOUT_MS} "
            f"minimumIdle={capacity // 2}",
            blame=blame, is_root_cause=root,
        )
        self.pool = Pool(self._engine, capacity)
        if self._stop_refresh is not None:
            self._stop_refresh.fire("interrupted")

    def refresh(self, duration_ms: int, rows: int) -> Process:
        """Recomputes all prices over eight long-lived connections; returns what is left in ms."""
        pool, write = self.pool, self._journal.write
        write(
            "INFO", "catalogue", "refresh_start",
            f"PriceRefreshJob started workers={REFRESH_WORKERS} rows={rows}",
        )
        taken = 0
        for _ in range(REFRESH_WORKERS):
            taken += yield from pool.acquire(30_000)
        began = self._engine.now
        stop = self._stop_refresh = Signal(self._engine)
        self._engine.after(duration_ms, stop.fire, "finished")
        outcome = yield stop
        self._stop_refresh = None
        for _ in range(taken):
            pool.release()
        spent = self._engine.now - began
        write(
            "INFO", "catalogue", "refresh_" + outcome,
            f"PriceRefreshJob {outcome} after {spent // 1000}s rows={rows * spent // duration_ms}",
        )
        return max(0, duration_ms - spent)
