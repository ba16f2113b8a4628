"""What ONNX Runtime makes of a file: optimised offline, and quantised."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime import quantization

from .exporting import silence
from .recipe import Recipe


def optimise(level: str, source: Path, target: Path) -> None:
    """ONNX Runtime's graph optimisation, written to a file."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def optimise_transformer(recipe: Recipe, source: Path, target: Path) -> None:
    """The Python optimiser for transformers, which writes contributed operators."""
    from onnxruntime.transformers import optimizer

    kind, heads, width = recipe.family or ("bert", 0, 0)
    with silence():
        model = optimizer.optimize_model(
            str(source), model_type=kind, num_heads=heads, hidden_size=width, opt_level=0,
            use_gpu=False,
        )
        model.save_model_to_file(str(target))


class Calibration(quantization.CalibrationDataReader):
    """The two random inputs, which is enough for ranges of random weights."""

    def __init__(self, recipe: Recipe, source: Path):
        # An exporter may drop an input that the model makes no use of.
        graph = onnx.load(source, load_external_data=False).graph
        names = {item.name for item in graph.input}
        self.feeds = iter([
            {name: value for name, value in recipe.feed(step).items() if name in names}
            for step in (0, 1)
        ])

    def get_next(self):
        return next(self.feeds, None)


def prepared(source: Path, folder: Path) -> Path:
    """The file as ONNX Runtime wants it before quantising: with shapes inferred."""
    path = folder / "prepared.onnx"
    if not path.exists():
        with silence():
            try:
                quantization.shape_inference.quant_pre_process(
                    str(source), str(path), skip_symbolic_shape=True
                )
            except Exception:  # some graphs it cannot take; they are quantised as they are
                shutil.copy(source, path)
    return path


def quantise_dynamic(source: Path, target: Path) -> None:
    with silence():
        quantization.quantize_dynamic(
            str(prepared(source, target.parent)), str(target),
            weight_type=quantization.QuantType.QInt8,
        )


def quantise_static(form: str, recipe: Recipe, source: Path, target: Path) -> None:
    with silence():
        quantization.quantize_static(
            str(prepared(source, target.parent)), str(target), Calibration(recipe, source),
            quant_format=getattr(quantization.QuantFormat, form),
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8, per_channel=form == "QDQ",
        )


def variants(recipe: Recipe) -> dict[str, Callable[[Path, Path], None]]:
    """Makers of the rewritten files by name; each gets the source and the target."""
    result: dict[str, Callable[[Path, Path], None]] = {
        "ort-basic": lambda s, t: optimise("ORT_ENABLE_BASIC", s, t),
        "ort-extended": lambda s, t: optimise("ORT_ENABLE_EXTENDED", s, t),
        "ort-all": lambda s, t: optimise("ORT_ENABLE_ALL", s, t),
    }
    if recipe.family is not None:
        result["ort-transformers"] = lambda s, t: optimise_transformer(recipe, s, t)
    result["int8-dynamic"] = quantise_dynamic
    result["int8-static-qdq"] = lambda s, t: quantise_static("QDQ", recipe, s, t)
    result["int8-static-qop"] = lambda s, t: quantise_static("QOperator", recipe, s, t)
    for name in ("int8-dynamic", "int8-static-qdq", "int8-static-qop"):
        make = result[name]
        result[name + "+ort-all"] = _then_optimised(make)
    return result


def _then_optimised(make: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    def both(source: Path, target: Path) -> None:
        middle = target.with_suffix(".middle.onnx")
        make(source, middle)
        optimise("ORT_ENABLE_ALL", middle, target)
        middle.unlink()

    return both


def node_count(path: Path) -> int:
    return len(onnx.load(path, load_external_data=False).graph.node)
