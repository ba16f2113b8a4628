"""What tells a value of a model under construction from an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Symbol"]


class Symbol:
    """The base of `stacklens.nn.Value` and `stacklens.nn.Parameter`: operators that meet one become
    nodes of its graph in place of being run."""

    __slots__ = ()

    def _applied(
        self, name: str, domain: str, inputs: Sequence[Any], attributes: dict[str, Any], count: int
    ) -> list[Any]:
        raise NotImplementedError
