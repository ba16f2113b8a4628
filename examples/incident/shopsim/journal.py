"""The log of the shop, and beside each record the truth about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .engine import Engine

DAY = "2025-11-14"


def clock(ms: int) -> str:
    """Writes milliseconds since midnight as HH:MM:SS.mmm."""
    seconds, fraction = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}.{fraction:03d}"


def at(text: str) -> int:
    """Reads HH:MM:SS as milliseconds since midnight."""
    hour, minute, second = (int(part) for part in text.split(":"))
    return ((hour * 60 + minute) * 60 + second) * 1000


@dataclass(frozen=True)
class Blame:
    """Why something failed: the fault, and the event that caused it directly."""

    fault: str
    cause: str


@dataclass
class Entry:
    """One record and what is true about it."""

    lines: list[str]
    time: str
    level: str
    service: str
    event: str
    kind: str
    blame: Optional[Blame]
    is_root_cause: bool


class Journal:
    """Collects records in order of simulated time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.entries: list[Entry] = []

    def write(
        self,
        level: str,
        service: str,
        event: str,
        message: str,
        trace: str = "-",
        stack: Sequence[str] = (),
        blame: Optional[Blame] = None,
        kind: str = "normal",
        is_root_cause: bool = False,
    ) -> None:
        """Writes one record; `stack` holds its continuation lines."""
        time = f"{DAY}T{clock(self._engine.now)}Z"
        self.entries.append(
            Entry(
                lines=[f"{time} {level} {service} [{trace}] {message}", *stack],
                time=time,
                level=level,
                service=service,
                event=f"{service}.{event}",
                kind="fault" if blame else kind,
                blame=blame,
                is_root_cause=is_root_cause,
            )
        )

    def text(self) -> str:
        """The whole log."""
        return "".join(line + "\n" for entry in self.entries for line in entry.lines)

    def records(self) -> list[dict[str, Any]]:
        """The truth, one item for each record, in file order."""
        items, line = [], 1
        for index, entry in enumerate(self.entries):
            items.append(
                {
                    "index": index,
                    "first_line": line,
                    "last_line": line + len(entry.lines) - 1,
                    "service": entry.service,
                    "level": entry.level,
                    "event": entry.event,
                    "kind": entry.kind,
                    "fault": entry.blame.fault if entry.blame else None,
                    "cause": entry.blame.cause if entry.blame else None,
                    "is_root_cause": entry.is_root_cause,
                }
            )
            line += len(entry.lines)
        return items
