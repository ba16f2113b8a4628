"""From a recipe to files: both of PyTorch's exporters at several opsets."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from .recipe import Recipe

EXPORTS = [
    *(("torchscript", opset) for opset in (13, 17, 18, 20)),
    *(("dynamo", opset) for opset in (13, 17, 18, 20, 23)),
]


@contextlib.contextmanager
def silence():
    """The exporters talk a lot; failures come as exceptions."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    logging.disable(logging.NOTSET)


def module(recipe: Recipe) -> torch.nn.Module:
    """The model with the weights of its seed."""
    torch.manual_seed(recipe.seed)
    with silence():
        built = recipe.build()
    if recipe.finish is not None:
        with torch.no_grad():
            built = recipe.finish(built)
    return built.eval()


def export(recipe: Recipe, exporter: str, opset: int, path: Path, feed=None) -> None:
    """Writes one file from inputs like `feed`; raises what the exporter raises."""
    model = module(recipe)
    values = tuple(torch.from_numpy(value) for value in (feed or recipe.feed(0)).values())
    options: dict[str, Any] = {
        "input_names": [item.name for item in recipe.inputs],
        "output_names": recipe.outputs,
        "opset_version": opset,
        "dynamo": exporter == "dynamo",
    }
    if exporter == "dynamo":
        shapes: Any = tuple(
            {axis: torch.export.Dim.DYNAMIC for axis in item.axes} for item in recipe.inputs
        )
        if any("*" in name for name in _parameters(model)):
            fixed = sum("*" not in name for name in _parameters(model))
            shapes = (*shapes[:fixed], tuple(shapes[fixed:]))
        options.update(dynamic_shapes=shapes, verbose=False, external_data=False)
    else:
        axes = {item.name: item.axes for item in recipe.inputs if item.axes}
        options.update(dynamic_axes={**axes, **recipe.output_axes})
    torch.backends.mha.set_fastpath_enabled(False)  # a kernel of PyTorch's own, no ONNX form
    with silence(), torch.no_grad():
        torch.onnx.export(model, values, str(path), **options)


def _parameters(model: torch.nn.Module) -> list[str]:
    if isinstance(model, torch.jit.ScriptModule):
        return []
    import inspect

    return [str(item) for item in inspect.signature(model.forward).parameters.values()]
