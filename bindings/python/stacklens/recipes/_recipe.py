"""What all recipes have in common: their options, their tables, and where figures are kept."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, TextIO

import stacklens

__all__ = ["Claim", "Options", "Recipe", "Result", "names", "recipe"]

#: Modules of this package, each with a ``RECIPE``.
_MODULES = (
    "cartpole", "cora", "default_encoder", "error_classes", "hdfs", "hdfs_vae", "latency", "nab", "ner",
    "questions", "root_cause", "seq2seq", "tickets", "word2vec",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How a recipe is run.

    Attributes
    ----------
    data : Path
        The folder with the data sets.
    quick : bool
        A short form that shows that everything works, not how well.
    seeds : tuple of int, optional
        In place of the recipe's own.
    """

    data: Path
    quick: bool = False
    seeds: Optional[tuple[int, ...]] = None

    def pick_seeds(self, whole: Sequence[int]) -> tuple[int, ...]:
        """The seeds to run: given ones, else the recipe's, the first alone in the short form."""
        return self.seeds or tuple(whole[:1] if self.quick else whole)

    def say(self, text: str) -> None:
        """Tells what is being done, on stderr."""
        print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Claim:
    """A figure and the least that it must be."""

    what: str
    value: float
    least: float

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.value >= self.least


@dataclass
class Result:
    """What came of a recipe.

    Attributes
    ----------
    title : str
        Stands over the table.
    columns : sequence of str
    rows : list of sequence
        Texts and numbers; numbers get four digits.
    claims : list of Claim
        What the whole form must reach.
    figures : dict
        What is kept as JSON beside the table.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """One command.

    Attributes
    ----------
    name : str
    summary : str
        A line for the list.
    minutes : float
        What the whole form takes on two cores, about.
    run : callable
    needs : tuple of str
        Packages beside NumPy.
    """

    name: str
    summary: str
    minutes: float
    run: Callable[[Options], Result]
    needs: tuple[str, ...] = ()


def names() -> tuple[str, ...]:
    """The recipes there are."""
    return _MODULES


def recipe(name: str) -> Recipe:
    """A recipe by its name."""
    if name not in _MODULES:
        raise stacklens.InvalidArgumentError(
            f"there is no recipe '{name}'; known are: {', '.join(_MODULES)}"
        )
    found: Recipe = importlib.import_module(f".{name}", __package__).RECIPE
    return found


def show(result: Result, stream: Optional[TextIO] = None) -> None:
    """Prints the table and what was claimed."""
    lines = [list(result.columns), *([_text(cell) for cell in row] for row in result.rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(result.columns))]
    print(result.title, file=stream)
    for index, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells), file=stream)
        if index == 0:
            print("  ".join("-" * width for width in widths), file=stream)
    for claim in result.claims:
        mark = "ok   " if claim.is_met else "SHORT"
        print(f"{mark} {claim.what}: {claim.value:.4g} (>= {claim.least:g})", file=stream)


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def keep(path: Path, name: str, result: Result, options: Options) -> None:
    """Writes the figures into a file that holds those of all recipes, whole or not at all."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known[name] = {
        "title": result.title,
        "table": [dict(zip(result.columns, row)) for row in result.rows],
        "claims": [
            {"what": claim.what, "value": claim.value, "least": claim.least}
            for claim in result.claims
        ],
        "figures": result.figures,
        "version": stacklens.version(),
        "processor": f"{stacklens.usable_processors()} threads, {stacklens.cpu_features()}",
    }
    ordered: Mapping[str, Any] = dict(sorted(known.items()))
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(ordered, indent=2) + "\n")
    os.replace(beside, path)
