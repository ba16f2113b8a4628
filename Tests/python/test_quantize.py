"""`stacklens.quantize`: how near the result stays, that other runtimes load it and agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stacklens

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

MODES = ["int8-dynamic", "int8-static", "int4-weights", "bf16", "fp16"]
# Of the largest number in the result.
ERRORS = {
    "int8-dynamic": 0.03, "int8-static": 0.05, "int4-weights": 0.25, "bf16": 0.02, "fp16": 0.005,
}
OPSETS = {"int4-weights": 21}

Feed = dict[str, np.ndarray]


def weights(random: np.random.Generator, name: str, *shape: int) -> Any:
    scale = 1 / np.sqrt(shape[-1] if len(shape) < 3 else np.prod(shape[1:]))
    return numpy_helper.from_array(
        (random.standard_normal(shape) * scale).astype(np.float32), name
    )


def encode(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def perceptron(random: np.random.Generator) -> tuple[bytes, Feed]:
    """Products with and without a bias, one of them transposed, one weight used twice."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w1"], ["m1"]), node("Add", ["m1", "b1"], ["a1"]),
        node("Relu", ["a1"], ["r1"]), node("Gemm", ["r1", "w2", "b2"], ["g1"], transB=1),
        node("Tanh", ["g1"], ["t1"]), node("MatMul", ["t1", "w1"], ["m2"]),
        node("MatMul", ["m2", "w3"], ["y"]),
    ]
    constants = [
        weights(random, "w1", 64, 48), weights(random, "b1", 48), weights(random, "w2", 64, 48),
        weights(random, "b2", 64), weights(random, "w3", 48, 10),
    ]
    declare = helper.make_tensor_value_info
    data = encode(
        nodes, [declare("x", TensorProto.FLOAT, ["n", 64])],
        [declare("y", TensorProto.FLOAT, ["n", 10])], constants,
    )
    return data, {"x": random.standard_normal((9, 64)).astype(np.float32)}


def network(random: np.random.Generator) -> tuple[bytes, Feed]:
    """A small convolutional network with what such networks have between convolutions."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1] * 4), node("Relu", ["c1"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2", "b2"], ["c2"], pads=[1] * 4), node("Add", ["c2", "p1"], ["a1"]),
        node("Relu", ["a1"], ["r2"]), node("Conv", ["r2", "w3"], ["c3"], pads=[1] * 4, group=8),
        node("HardSwish", ["c3"], ["h1"]), node("GlobalAveragePool", ["h1"], ["s1"]),
        node("Conv", ["s1", "w4", "b2"], ["s2"]), node("HardSigmoid", ["s2"], ["s3"]),
        node("Mul", ["h1", "s3"], ["e1"]), node("Concat", ["e1", "r2"], ["k1"], axis=1),
        node("AveragePool", ["k1"], ["v1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["v1"], ["f1"]), node("Gemm", ["f1", "w5", "b5"], ["y"], transB=1),
    ]
    constants = [
        weights(random, "w1", 8, 3, 3, 3), weights(random, "b1", 8),
        weights(random, "w2", 8, 8, 3, 3), weights(random, "b2", 8),
        weights(random, "w3", 8, 1, 3, 3), weights(random, "w4", 8, 8, 1, 1),
        weights(random, "w5", 10, 256), weights(random, "b5", 10),
    ]
    declare = helper.make_tensor_value_info
    data = encode(
        nodes, [declare("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [declare("y", TensorProto.FLOAT, ["n", 10])], constants,
    )
    return data, {"x": random.standard_normal((2, 3, 16, 16)).astype(np.float32)}


MAKERS = {"perceptron": perceptron, "network": network}


def quantised(data: bytes, mode: str, feed: Feed, **options: Any) -> stacklens.Model:
    samples = [feed] if mode == "int8-static" else None
    return stacklens.quantize(data, mode, calibration=samples, **options)


def run(data: bytes, feed: Feed, level: int = 2) -> np.ndarray:
    result: np.ndarray = stacklens.Session(data, optimization_level=level).run(None, feed)[0]
    return result


def run_there(data: bytes, feed: Feed) -> np.ndarray:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0])


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_result_is_near_and_runs_elsewhere(mode: str, maker: str, per_channel: bool) -> None:
    data, feed = MAKERS[maker](np.random.default_rng(5))
    expected = run(data, feed)
    small = quantised(data, mode, feed, per_channel=per_channel).to_bytes(OPSETS.get(mode))
    onnx.checker.check_model(small, full_check=True)
    found = run(small, feed)
    assert 0 < distance(found, expected) < ERRORS[mode]
    # The fused graph, the graph as written, and ONNX Runtime compute the same.
    allowed = 2e-2 if mode == "fp16" else 6e-3 if mode == "int8-static" else 1e-3
    assert distance(run(small, feed, level=0), found) < allowed
    if mode == "int4-weights":
        # ONNX Runtime rounds the inputs of such products to 8 bits as well.
        allowed = 0.05
    assert distance(run_there(small, feed), found) < allowed


def test_files_are_smaller() -> None:
    data, feed = perceptron(np.random.default_rng(1))
    sizes = {mode: len(quantised(data, mode, feed).to_bytes(OPSETS.get(mode))) for mode in MODES}
    parameters = 64 * 48 * 4 * 2 + 480 * 4
    assert sizes["bf16"] < 0.5 * parameters + 4000
    assert sizes["int8-dynamic"] < 0.25 * parameters + 6000
    assert sizes["int4-weights"] < 0.16 * parameters + 4000


def operators(data: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(data).graph.node]


def test_dynamic_has_both_forms() -> None:
    data, feed = perceptron(np.random.default_rng(2))
    rows = quantised(data, "int8-dynamic", feed).to_bytes()
    assert operators(rows).count("MatMulInteger") == 4
    assert "DynamicQuantizeLinear" not in operators(rows)
    whole = quantised(data, "int8-dynamic", feed, row_scales=False).to_bytes()
    assert operators(whole).count("DynamicQuantizeLinear") == 4
    assert distance(run_there(whole, feed), run(whole, feed)) < 1e-5


def test_weights_in_blocks_in_both_forms() -> None:
    data, feed = perceptron(np.random.default_rng(3))
    contrib = quantised(data, "int4-weights", feed, contrib_operators=True, block_size=16)
    written = contrib.to_bytes()
    assert operators(written).count("MatMulNBits") == 4
    standard = quantised(data, "int4-weights", feed, block_size=16).to_bytes(21)
    assert "MatMulNBits" not in operators(standard)
    assert distance(run(written, feed), run(standard, feed)) < 1e-5
    assert distance(run(written, feed, level=0), run(standard, feed, level=0)) < 1e-5
    assert distance(run_there(written, feed), run(written, feed)) < 1e-4
    with pytest.raises(stacklens.errors.UnsupportedError, match="21"):
        quantised(data, "int4-weights", feed).to_bytes(17)


def test_weights_in_blocks_learn_by_their_scales() -> None:
    data, feed = perceptron(np.random.default_rng(6))
    model = quantised(data, "int4-weights", feed, contrib_operators=True, block_size=16)
    trainer = stacklens.Trainer(model, loss="mse", optimizer="adam", learning_rate=0.003)
    wanted = run(data, feed)
    losses = [trainer.step(feed["x"], wanted).loss for _ in range(80)]
    assert losses[-1] < losses[0] / 2
    written = trainer.model.to_bytes()
    assert operators(written).count("MatMulNBits") == 4
    assert distance(run(written, feed), wanted) < distance(run(model.to_bytes(), feed), wanted)


def test_nodes_can_be_left_alone() -> None:
    data, feed = perceptron(np.random.default_rng(4))
    for exclude in (["Gemm"], ["g1"]):
        small = quantised(data, "int8-dynamic", feed, exclude=exclude).to_bytes()
        assert operators(small).count("MatMulInteger") == 3
        assert "Gemm" in operators(small)
    everything = quantised(data, "int8-dynamic", feed, exclude=["Gemm", "MatMul"]).to_bytes()
    np.testing.assert_array_equal(run(everything, feed), run(data, feed))


@pytest.mark.parametrize("method", ["min-max", "percentile", "entropy"])
def test_methods_of_calibration(method: str) -> None:
    random = np.random.default_rng(6)
    data, feed = network(random)
    samples = [{"x": random.standard_normal((4, 3, 16, 16)).astype(np.float32)} for _ in range(9)]
    # One value far out, which two of the methods leave out of the range.
    samples[1]["x"][0, 0, 0, 0] = 60
    small = stacklens.quantize(data, "int8-static", calibration=samples, method=method)
    error = distance(run(small.to_bytes(), feed), run(data, feed))
    assert error < (0.4 if method == "min-max" else 0.12)
    scale = {
        constant.name: numpy_helper.to_array(constant)
        for constant in onnx.load_from_string(small.to_bytes()).graph.initializer
    }["x_scale"]
    assert (scale > 60 / 255) == (method == "min-max")


def test_what_is_refused() -> None:
    data, feed = perceptron(np.random.default_rng(7))
    refused = stacklens.errors.InvalidArgumentError
    with pytest.raises(refused, match="int3"):
        stacklens.quantize(data, "int3")
    with pytest.raises(refused, match="sample"):
        stacklens.quantize(data, "int8-static")
    with pytest.raises(refused, match="x"):
        stacklens.quantize(data, "int8-static", calibration=[{"z": feed["x"]}])
    with pytest.raises(refused, match="24"):
        stacklens.quantize(data, "int4-weights", block_size=24)
    with pytest.raises(refused, match="method"):
        stacklens.quantize(data, "int8-static", method="guess", calibration=[feed])
    with pytest.raises(refused, match="other inputs"):
        stacklens.quantize(data, "int8-static", calibration=[feed, {}])


def test_sentences_stay_where_they_were(
    minilm: Path, log_lines: list[str], tmp_path: Path
) -> None:
    embedder = stacklens.Embedder(minilm)
    path = tmp_path / "encoder.onnx"
    embedder.save_onnx(path)
    small = stacklens.quantize(path, "int8-dynamic")
    small.save(tmp_path / "int8.onnx")
    tokenizer = stacklens.Tokenizer(minilm)
    full = stacklens.Session(path)
    session = stacklens.Session(tmp_path / "int8.onnx")
    there = ort.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
    for line in log_lines[::800]:
        ids = np.array([tokenizer.encode(line).ids], dtype=np.int64)
        feed = {
            "input_ids": ids, "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        names = ["sentence_embedding"]
        expected = full.run(names, feed)[0][0]
        for found in (session.run(names, feed)[0][0], there.run(names, feed)[0][0]):
            cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
            assert cosine >= 0.99
