"""Gradient nodes in files: what the derivatives are of, and at which values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
backend = pytest.importorskip("stacklens.backend")
import stacklens  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

TRAINING = "ai.onnx.preview.training"
RANDOM = np.random.default_rng(3)


def doubles(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape)


def run(nodes: list[Any], inputs: dict[str, np.ndarray], outputs: list[str]) -> Any:
    graph = helper.make_graph(
        nodes,
        "gradients",
        [
            helper.make_tensor_value_info(name, TensorProto.DOUBLE, value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(TRAINING, 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    return backend.prepare(model).run(list(inputs.values()))


def gradient(inputs: list[str], outputs: list[str], xs: list[str], y: str, zs: Any = None) -> Any:
    extra = {"zs": zs} if zs else {}
    return helper.make_node("Gradient", inputs, outputs, domain=TRAINING, xs=xs, y=y, **extra)


def test_product_with_bias() -> None:
    x, w, b = doubles(5, 3), doubles(3, 4), doubles(4)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["h"]),
        helper.make_node("Tanh", ["h"], ["y"]),
        gradient(["w", "b", "x"], ["dw", "db"], ["w", "b"], "y", ["x"]),
    ]
    dw, db = run(nodes, {"x": x, "w": w, "b": b}, ["dw", "db"])
    slope = 1 - np.tanh(x @ w + b) ** 2
    np.testing.assert_allclose(dw, x.T @ slope)
    np.testing.assert_allclose(db, slope.sum(0))


def test_second_order() -> None:
    w = doubles(6)
    nodes = [
        helper.make_node("Exp", ["w"], ["e"]),
        helper.make_node("Mul", ["e", "w"], ["y"]),
        gradient(["w"], ["first"], ["w"], "y"),
        gradient(["w"], ["second"], ["w"], "first"),
        gradient(["w"], ["third"], ["w"], "second"),
    ]
    found = run(nodes, {"w": w}, ["first", "second", "third"])
    for order, values in enumerate(found, 1):
        np.testing.assert_allclose(values, (w + order) * np.exp(w))


def test_at_other_values() -> None:
    x, at = doubles(4), doubles(4)
    nodes = [
        helper.make_node("Sin", ["x"], ["h"]),
        helper.make_node("Mul", ["h", "h"], ["y"]),
        gradient(["at"], ["inner"], ["h"], "y"),
        gradient(["at"], ["outer"], ["x"], "y"),
    ]
    inner, outer = run(nodes, {"x": x, "at": at}, ["inner", "outer"])
    np.testing.assert_allclose(inner, 2 * at)
    np.testing.assert_allclose(outer, 2 * np.sin(at) * np.cos(at))


def test_independent_values_have_zero_gradients() -> None:
    x, z = doubles(2, 3), doubles(3)
    nodes = [
        helper.make_node("Exp", ["x"], ["y"]),
        gradient(["x", "z"], ["dx", "dz"], ["x", "z"], "y"),
    ]
    dx, dz = run(nodes, {"x": x, "z": z}, ["dx", "dz"])
    np.testing.assert_allclose(dx, np.exp(x))
    np.testing.assert_array_equal(dz, np.zeros(3))


def test_names_the_node_without_a_gradient() -> None:
    nodes = [
        helper.make_node("Unique", ["x"], ["y"], name="kinds"),
        gradient(["x"], ["dx"], ["x"], "y"),
    ]
    with pytest.raises(stacklens.UnsupportedError, match="'kinds' .Unique.*no gradient rule"):
        run(nodes, {"x": doubles(1, 3, 1)}, ["dx"])


def test_towers_of_gradients_have_an_end() -> None:
    nodes = [helper.make_node("Tanh", ["x"], ["y0"])]
    nodes += [gradient(["x"], [f"y{i + 1}"], ["x"], f"y{i}") for i in range(40)]
    with pytest.raises(stacklens.StackLensError, match="more than 200000 nodes"):
        run(nodes, {"x": doubles(3)}, ["y40"])


def test_gradients_can_be_written(tmp_path: Any) -> None:
    runtime = pytest.importorskip("onnxruntime")
    x, w, b = (doubles(*shape).astype(np.float32) for shape in [(5, 3), (3, 4), (4,)])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["h"]),
        helper.make_node("Softmax", ["h"], ["s"]),
        helper.make_node("Mul", ["s", "s"], ["y"]),
        gradient(["w", "b"], ["dw", "db"], ["w", "b"], "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "gradients",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
            for name, value in {"x": x, "w": w, "b": b}.items()
        ],
        [
            helper.make_tensor_value_info("dw", TensorProto.FLOAT, w.shape),
            helper.make_tensor_value_info("db", TensorProto.FLOAT, b.shape),
        ],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(TRAINING, 1)]
    made = helper.make_model(graph, opset_imports=imports, ir_version=9)
    onnx.save(made, tmp_path / "gradient.onnx")
    model = stacklens.Model.load(tmp_path / "gradient.onnx")
    model.save(tmp_path / "plain.onnx")
    expected = stacklens.Session(model).run(None, {"x": x, "w": w, "b": b})
    found = runtime.InferenceSession(tmp_path / "plain.onnx").run(None, {"x": x, "w": w, "b": b})
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=1e-6)
