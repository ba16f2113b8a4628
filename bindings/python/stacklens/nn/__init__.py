"""Models in a few lines: layers, modules, and operators on symbolic values.

>>> from stacklens import nn
>>> net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
>>> model = nn.build(net, nn.Input(("batch", 4)))
>>> stacklens.Session(model).run(None, {"x": numpy.zeros((2, 4), "float32")})[0].shape
(2, 3)

A module is a class with ``forward``, as in PyTorch; `build` calls it once with values that stand for
the inputs, and what it does with them becomes a `stacklens.Model`: to be trained by
`stacklens.Trainer`, run by `stacklens.Session`, saved as ONNX. Inside of ``forward``, values know
arithmetic, comparisons and indexing; `op` and the functions of `stacklens.ops` (here as `ops`) apply
any ONNX operator.
"""

from __future__ import annotations

from .. import ops
from . import layers
from ._module import Input, Layer, Module, Parameter, Sequential, build
from ._value import Value, concat, constant, einsum, matmul, op, split, stack, where
from .layers import *  # noqa: F403
from .layers import BatchNorm, InstanceNorm

# One class serves any number of axes; these are the names that PyTorch has for it.
BatchNorm1d = BatchNorm2d = BatchNorm3d = BatchNorm
InstanceNorm1d = InstanceNorm2d = InstanceNorm3d = InstanceNorm

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Input",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "Layer",
    "Module",
    "Parameter",
    "Sequential",
    "Value",
    "build",
    "concat",
    "constant",
    "einsum",
    "matmul",
    "op",
    "ops",
    "split",
    "stack",
    "where",
    *layers.__all__,
]
