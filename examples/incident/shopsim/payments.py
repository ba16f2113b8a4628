"""Payments (Python): charges a card at an outside provider and books it in the ledger."""

from __future__ import annotations

from . import stacks
from .engine import Engine, Process, Stream
from .journal import Blame
from .request import OK, Reply, Request

PROVIDER_FAULT = "card-provider-slow"
LEDGER_FAULT = "ledger-deadlock"
PROVIDER_TIMEOUT_MS = 3000


class Payments:
    """`provider_slow` and `reconciling` are switched by the faults."""

    def __init__(self, engine: Engine, stream: Stream) -> None:
        self._engine = engine
        self._stream = stream
        self.provider_slow = False
        self.reconciling = False

    def charge(self, request: Request) -> Process:
        """Charges an order, twice tried with one idempotency key."""
        for attempt in (1, 2):
            slow = self.provider_slow and self._stream.chance(0.8)
            took = self._stream.latency(5200 if slow else 190)
            if took <= PROVIDER_TIMEOUT_MS:
                yield took
                break
            yield PROVIDER_TIMEOUT_MS
            blame = Blame(PROVIDER_FAULT, "payments.provider_status")
            message = f"charge for order {request.order} failed attempt={attempt}/2"
            request.write(
                "ERROR", "payments", "provider_timeout", message, stacks.provider_timeout(), blame
            )
        else:
            return Reply(502, Blame(PROVIDER_FAULT, "payments.provider_timeout"))
        yield from self._book(request)
        cents = 500 + request.sku * 7 % 9500
        request.write(
            "INFO", "payments", "charged",
            f"charged order {request.order} amount={cents // 100}.{cents % 100:02d} EUR "
            f"took={took}ms",
        )
        return OK

    def _book(self, request: Request) -> Process:
        yield self._stream.latency(12)
        if not (self.reconciling and self._stream.chance(0.02)):
            return
        waiting, holding = 4100 + self._stream.below(90), 4100
        yield 1000
        blame = Blame(LEDGER_FAULT, "payments.reconciliation")
        request.journal.write(
            "ERROR", "postgres", "deadlock",
            f"deadlock detected: process {waiting} and process {holding} on relation balance, "
            f"process {waiting} cancelled", blame=blame,
        )
        request.write(
            "ERROR", "payments", "deadlock",
            f"ledger entry for order {request.order} failed, will be repeated",
            stacks.deadlock(waiting, holding), Blame(LEDGER_FAULT, "postgres.deadlock"),
            always=True,
        )
        yield self._stream.latency(40)
