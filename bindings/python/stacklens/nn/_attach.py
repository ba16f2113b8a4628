"""Heads on models that are there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Union

from ..errors import InvalidArgumentError
from ..model import Model
from ._graph import Graph
from ._module import apply_module
from ._value import Value


def attached(
    model: Model,
    head: Callable[..., Any],
    output: Union[str, Sequence[str], None],
    name: Union[str, Sequence[str], None],
    *,
    scope: str,
    keep_outputs: bool,
    seed: int,
) -> Model:
    """What `Model.attach` gives."""
    own = [value.name for value in model.outputs]
    if output is None:
        if len(own) != 1:
            names = "', '".join(own)
            raise InvalidArgumentError(
                f"the model has {len(own)} outputs: output must say which of '{names}' is meant"
            )
        output = own
    taken = [output] if isinstance(output, str) else list(output)
    graph = Graph(seed=seed, origin=model)
    values = [Value(graph, value) for value in taken]
    apply_module(graph, head, values, name, path=scope, default=scope or "output")
    if keep_outputs:
        for value in own:
            graph.output(value, value)
    return graph.model()
