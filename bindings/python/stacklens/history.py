"""What a fit came to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union, overload

__all__ = ["History"]

_WIDTH = 10


class History(Sequence[Mapping[str, Any]]):
    """The figures of each epoch; printed as a table.

    Attributes
    ----------
    end : str
        "finished"; "early" where no better figure came; "stopped" by a callback; "interrupted" from
        the keyboard.
    warnings : list of str
        What deserved a look, in plain words.

    Examples
    --------
    >>> from stacklens.history import History
    >>> history = History([{"epoch": 0, "loss": 0.5, "seconds": 1.25, "is_best": True}])
    >>> history["loss"], len(history)
    ([0.5], 1)
    >>> print(history)
     epoch        loss    seconds
         0 *       0.5       1.25
    """

    def __init__(
        self, epochs: Sequence[Mapping[str, Any]], end: str = "finished",
        warnings: Sequence[str] = (),
    ) -> None:
        self.epochs, self.end, self.warnings = list(epochs), end, list(warnings)

    @property
    def columns(self) -> list[str]:
        """Names of the figures."""
        return list(self.epochs[0]) if self.epochs else []

    @property
    def best(self) -> Union[Mapping[str, Any], None]:
        """The figures of the best epoch."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.get("is_best")), None)

    @overload
    def __getitem__(self, key: str) -> list[Any]: ...

    @overload
    def __getitem__(self, key: int) -> Mapping[str, Any]: ...

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self.columns:
                raise KeyError(f"there is no figure '{key}': there are {', '.join(self.columns)}")
            return [epoch.get(key) for epoch in self.epochs]
        return self.epochs[key]

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.epochs)

    def __str__(self) -> str:
        return "\n".join([heading(self.columns), *(row(epoch) for epoch in self.epochs)])

    def __repr__(self) -> str:
        return f"<History of {len(self.epochs)} epochs, {self.end}>"


def heading(columns: Sequence[str]) -> str:
    """The first line of the table."""
    cells = [name.replace("_", " ") for name in _figures(columns)]
    return " epoch  " + " ".join(cell.rjust(_width(cell)) for cell in cells)


def row(epoch: Mapping[str, Any]) -> str:
    """One line of the table; a star marks the best epoch so far."""
    mark = "*" if epoch.get("is_best") else " "
    cells = []
    for name in _figures(list(epoch)):
        cells.append(_number(epoch[name]).rjust(_width(name)))
    return f"{epoch.get('epoch', 0):6d} {mark}" + " ".join(cells)


def _figures(columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name not in ("epoch", "is_best")]


def _width(name: str) -> int:
    return max(len(name), _WIDTH)


def _number(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "nan"
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
