"""Models in fewer bits: `quantize`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from ctypes import byref, c_char_p, c_void_p
from typing import Optional

from . import _native
from ._native import lib
from .errors import InvalidArgumentError
from .model import Model, ModelSource
from .tensor import Arguments, ArrayLike

__all__ = ["quantize"]

_MODES = ("int8-dynamic", "int8-static", "int4-weights", "bf16", "fp16")
_METHODS = ("min-max", "percentile", "entropy")


def quantize(
    model: ModelSource,
    mode: str = "int8-dynamic",
    *,
    calibration: Optional[Iterable[Mapping[str, ArrayLike]]] = None,
    method: str = "min-max",
    per_channel: bool = True,
    row_scales: bool = True,
    exclude: Sequence[str] = (),
    block_size: int = 32,
    contrib_operators: bool = False,
) -> Model:
    """A model with weights and products in fewer bits, in operators that other runtimes load.

    Parameters
    ----------
    model : path, bytes or Model
        An ONNX model with float32 weights.
    mode : str
        ``"int8-dynamic"``
            8-bit weights; the inputs of products are rounded to 8 bits as they come. Needs no
            samples; for transformers and other products of matrices.
        ``"int8-static"``
            8-bit weights and activations between QuantizeLinear and DequantizeLinear, with ranges
            from `calibration`; for convolutional networks.
        ``"int4-weights"``
            4-bit weights in blocks, everything computed in float32: an eighth of the size. The
            standard's form needs opset 21 and up (``save(path, opset=21)``).
        ``"bf16"``
            Operands of products rounded to bfloat16, sums in float32: half the size.
        ``"fp16"``
            Everything between inputs and outputs in float16: half the size.
    calibration : iterable of mapping, optional
        Inputs for sample runs, needed by ``"int8-static"``.
    method : str
        How ranges come from the samples: ``"min-max"``, ``"percentile"`` (all but one value in
        10,000) or ``"entropy"``.
    per_channel : bool
        A scale for each column or output channel of the weights instead of one for all.
    row_scales : bool
        In ``"int8-dynamic"``, a scale for each row of an input, which transformers need; else one
        for all of it, by DynamicQuantizeLinear.
    exclude : sequence of str
        Nodes to leave alone: names, names of outputs, or operators such as ``"Gemm"``.
    block_size : int
        Weights that share a scale in ``"int4-weights"``: a power of two from 16.
    contrib_operators : bool
        4-bit products as MatMulNBits of ONNX Runtime, which every opset can hold.

    Returns
    -------
    Model

    Raises
    ------
    InvalidArgumentError
        For options that do not fit.
    StackLensError
        With what running the samples reports.

    Examples
    --------
    >>> small = stacklens.quantize("model.onnx", "int8-dynamic")                # doctest: +SKIP
    >>> small.save("model-int8.onnx")                                           # doctest: +SKIP
    """
    if mode not in _MODES:
        raise InvalidArgumentError(f"mode is {mode!r}, expected one of {', '.join(_MODES)}")
    if method not in _METHODS:
        raise InvalidArgumentError(f"method is {method!r}, expected one of {', '.join(_METHODS)}")
    if isinstance(exclude, str):
        raise InvalidArgumentError("exclude must be a sequence of names, found a str")
    if not isinstance(block_size, int) or not 0 < block_size < 1 << 31:
        raise InvalidArgumentError(f"block_size is {block_size!r}, expected a power of two from 16")
    source = Model._of(model)
    samples = [dict(sample) for sample in calibration or ()]
    names = sorted(samples[0]) if samples else []
    for index, sample in enumerate(samples):
        if sorted(sample) != names:
            raise InvalidArgumentError(
                f"sample {index} of calibration has other inputs than the first: {sorted(sample)}"
            )
    excluded = [_native.name_bytes(name, "exclude") for name in exclude]
    given = [_native.name_bytes(name, "calibration") for name in names]
    out = c_void_p()
    with Arguments([sample[name] for sample in samples for name in names]) as values:
        options = _native.QuantizeOptions(
            ctypes.sizeof(_native.QuantizeOptions),
            _MODES.index(mode),
            int(per_channel),
            int(row_scales),
            _METHODS.index(method),
            block_size,
            int(contrib_operators),
            (c_char_p * max(len(excluded), 1))(*excluded),
            len(excluded),
            (c_char_p * max(len(given), 1))(*given),
            len(given),
            ctypes.cast(values.array, ctypes.POINTER(c_void_p)),
            len(samples),
        )
        lib.sl_model_quantize(source._handle, byref(options), byref(out))
    return Model._owning(out)
