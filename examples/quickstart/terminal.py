"""Headings, tables and text for a terminal of any width; colour only where it is one."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_LEVEL_COLOURS = {
    **dict.fromkeys(["WARN", "WARNING"], "yellow"),
    **dict.fromkeys(["ERROR", "SEVERE", "CRITICAL", "CRIT", "ALERT", "EMERG"], "red"),
    **dict.fromkeys(["FATAL", "FAILURE", "PANIC"], "red"),
}
_WIDEST = 22  # cells of a column other than the last
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")

has_colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
width = max(72, min(shutil.get_terminal_size((110, 24)).columns, 180))


def styled(text: str, style: str) -> str:
    """The text in a colour or weight, where the terminal shows them."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if has_colour and style else text


def clean(text: str) -> str:
    """One line without control characters: what a log holds must not steer the terminal."""
    return _CONTROL.sub(" ", _ESCAPE.sub("", text)).strip()


def columns(text: str) -> int:
    """Cells that the text takes up."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def fitted(text: str, size: int) -> str:
    """The text cut or filled to exactly ``size`` cells."""
    if columns(text) > size:
        while columns(text) > size - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (size - columns(text))


def heading(text: str) -> None:
    """A line that begins a section."""
    print(f"\n{styled(text, 'bold')}")


def paragraph(text: str, indent: str = "") -> None:
    """Text, wrapped."""
    print(textwrap.fill(text, min(width, 100), initial_indent=indent, subsequent_indent=indent))


@dataclass
class Table:
    """Rows under headings; the last column takes the room that is left, on ``lines`` lines at most.

    A row may end in a second text for the last column, which is shown dimmed below the first.
    """

    headings: Sequence[str]
    right: frozenset[int] = frozenset()
    lines: int = 2
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str, below: str = "") -> None:
        """Adds a row."""
        self.rows.append([clean(cell) for cell in cells] + [clean(below)])

    def show(self) -> None:
        """Prints the table."""
        last = len(self.headings) - 1
        sizes = [
            min(_WIDEST, max(columns(row[i]) for row in [self.headings, *self.rows]))
            for i in range(last)
        ]
        sizes.append(max(20, width - sum(sizes) - 2 * last))
        indent = " " * (sum(sizes[:last]) + 2 * last)
        print(styled(self._line(self.headings, sizes), "dim"))
        for *cells, below in self.rows:
            first, *rest = self._wrapped(cells[last], sizes[last])
            print(self._line([*cells[:last], first], sizes, self._colours(cells)))
            for line in rest:
                print(indent + line)
            if below:
                print(styled(indent + fitted(below, sizes[last]).rstrip(), "dim"))

    def _wrapped(self, text: str, size: int) -> list[str]:
        lines = []
        while len(lines) + 1 < self.lines and columns(text) > size:
            cut = text.rfind(" ", 1, size)
            cut = cut if cut > size // 2 else size
            lines.append(text[:cut])
            text = text[cut:].lstrip()
        return [*lines, fitted(text, size).rstrip()]

    def _line(
        self, row: Sequence[str], sizes: Sequence[int], colours: Sequence[str] = ()
    ) -> str:
        cells = []
        for i, size in enumerate(sizes):
            cell = fitted(row[i], size)
            if i in self.right:
                cell = cell.rstrip().rjust(size)
            cells.append(styled(cell, colours[i]) if colours else cell)
        return "  ".join(cells).rstrip()

    def _colours(self, row: Sequence[str]) -> list[str]:
        return [
            _LEVEL_COLOURS.get(cell, "") if name == "level" else ""
            for name, cell in zip(self.headings, row)
        ]
