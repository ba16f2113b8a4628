"""What a model of the zoo is: how it is built, what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import numpy as np

# Extents by the names of axes: two sizes of every input.
SIZES = (
    {"batch": 2, "length": 7, "target": 5, "past": 4, "growth": 0},
    {"batch": 1, "length": 12, "target": 3, "past": 9, "growth": 32},
)
TIMED = {"batch": 1, "length": 128, "target": 1, "past": 128, "growth": 0}


@dataclass(frozen=True)
class Input:
    """One input. `shape` mixes numbers and the names of axes."""

    name: str
    shape: tuple[Union[int, str], ...]
    axes: dict[int, str]
    extents: dict[str, int] = field(default_factory=dict)
    # Exclusive bound of integers; None makes floats. A bound of 0 is a mask of ones.
    below: Optional[int] = None

    def extent(self, name: Union[int, str], size: dict[str, int]) -> int:
        if isinstance(name, int):
            return name
        if name in self.extents:  # images grow where the axis is free
            return self.extents[name] + size["growth"] * (name in self.axes.values())
        return sum(size[part] for part in name.split("+"))

    def value(self, size: dict[str, int], random: np.random.Generator) -> np.ndarray:
        """Random contents of one size."""
        shape = [self.extent(name, size) for name in self.shape]
        if self.below is None:
            return random.standard_normal(shape).astype(np.float32)
        if self.below == 0:
            return np.ones(shape, np.int64)
        return random.integers(1, self.below, shape)


@dataclass(frozen=True)
class Recipe:
    """A model: `build` makes the module, `finish` touches its weights up."""

    name: str
    build: Callable[[], Any]
    inputs: list[Input]
    outputs: list[str]
    finish: Optional[Callable[[Any], Any]] = None
    # A transformer family that ONNX Runtime's own optimiser knows, with heads and width.
    family: Optional[tuple[str, int, int]] = None
    output_axes: dict[str, dict[int, str]] = field(default_factory=dict)
    # Only this exporter can take the module; None means both.
    exporter: Optional[str] = None
    seed: int = 7

    def feed(self, step: int) -> dict[str, np.ndarray]:
        """Inputs of one of the two sizes."""
        return self._values(SIZES[step], step)

    def timed_feed(self) -> dict[str, np.ndarray]:
        """Inputs of the size that is timed: one item, 128 tokens, one token after 128."""
        return self._values(TIMED, 2)

    def _values(self, size: dict[str, int], seed: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng([self.seed, seed])
        return {item.name: item.value(size, random) for item in self.inputs}
