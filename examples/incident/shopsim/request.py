"""One request of a customer on its way through the services, and what a service answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from .journal import Blame, Journal


@dataclass(frozen=True)
class Reply:
    """What a service answers."""

    status: int
    blame: Optional[Blame] = None

    @property
    def ok(self) -> bool:
        """True below status 400."""
        return self.status < 400


OK = Reply(200)


@dataclass
class Request:
    """The identity of a request; its records are written only where its trace is kept."""

    journal: Journal
    trace: str
    kept: bool
    kind: str
    path: str
    sku: int
    user: int
    order: int

    def write(
        self,
        level: str,
        service: str,
        event: str,
        message: str,
        stack: Sequence[str] = (),
        blame: Optional[Blame] = None,
        always: bool = False,
    ) -> None:
        """Writes a record of this request; `always` keeps it without the trace's other records."""
        if self.kept or always:
            self.journal.write(level, service, event, message, self.trace, stack, blame)
