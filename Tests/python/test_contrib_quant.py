"""Quantised operators of com.microsoft against ONNX Runtime, and that export writes standard ones."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
import stacklens

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from onnx import helper, numpy_helper  # noqa: E402

DOMAIN = "com.microsoft"
Arrays = list[Optional[np.ndarray]]


def model_of(
    operator: str, inputs: Arrays, constants: set[int], outputs: int = 1, **attributes: Any
) -> Any:
    """A model of one node; the inputs in `constants` are initialisers."""
    names = ["" if value is None else f"i{index}" for index, value in enumerate(inputs)]
    node = helper.make_node(
        operator, names, [f"o{index}" for index in range(outputs)], domain=DOMAIN, **attributes
    )
    given, weights = [], []
    for index, (name, value) in enumerate(zip(names, inputs)):
        if value is None:
            continue
        if index in constants:
            weights.append(numpy_helper.from_array(value, name))
        else:
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            given.append(helper.make_tensor_value_info(name, kind, value.shape))
    results = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "g", given, results, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def both(
    operator: str, inputs: Arrays, constants: set[int] = frozenset(), outputs: int = 1,
    written_for: int = 21, **attributes: Any,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Outputs here and there: by hand as a call, in a session, and after an export."""
    model = model_of(operator, inputs, constants, outputs, **attributes)
    feed = {
        f"i{index}": value
        for index, value in enumerate(inputs)
        if value is not None and index not in constants
    }
    data = model.SerializeToString()
    expected = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feed)
    for info, value in zip(model.graph.output, expected):
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        info.CopyFrom(helper.make_tensor_value_info(info.name, kind, value.shape))
    data = model.SerializeToString()
    found = stacklens.Session(data).run(None, feed)
    plain = stacklens.Session(data, optimization_level=0).run(None, feed)
    written = stacklens.Model.from_bytes(data).to_bytes(written_for)
    again = stacklens.Session(written).run(None, feed)
    pairs = []
    for results in (found, plain, again):
        for mine, theirs in zip(results, expected):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
            pairs.append((mine, theirs))
    exported = onnx.load_from_string(written)
    onnx.checker.check_model(exported)
    return pairs


def assert_numbers(pairs: list[tuple[np.ndarray, np.ndarray]], tolerance: float = 1e-5) -> None:
    for found, expected in pairs:
        scale = max(1.0, float(np.abs(expected.astype(np.float32)).max(initial=0)))
        np.testing.assert_allclose(
            found.astype(np.float32), expected.astype(np.float32), rtol=0, atol=tolerance * scale
        )


def assert_steps(
    pairs: list[tuple[np.ndarray, np.ndarray]], share: float = 0, steps: int = 1
) -> None:
    """Equal integers, but for a `share` of them that may be some steps away."""
    for found, expected in pairs:
        away = np.abs(found.astype(np.int64) - expected.astype(np.int64))
        assert away.max(initial=0) <= steps
        assert np.count_nonzero(away) <= share * away.size


@pytest.fixture(params=range(4))
def random(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


def integers(random: np.random.Generator, kind: str, *shape: int) -> np.ndarray:
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max + 1, shape).astype(kind)


def scale(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.uniform(0.005, 0.02, shape).astype(np.float32)


def zero(random: np.random.Generator, kind: str, *shape: int) -> np.ndarray:
    low, high = (100, 156) if kind == "uint8" else (-20, 20)
    return random.integers(low, high, shape).astype(kind)


def floats(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


KINDS = ["uint8", "int8"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("extras", [False, True])
def test_dynamic_quantize_matmul(
    random: np.random.Generator, kind: str, columns: bool, extras: bool
) -> None:
    n = 7
    inputs: Arrays = [
        floats(random, 2, 5, 12), integers(random, kind, 12, n),
        scale(random, n) if columns else scale(random),
        (zero(random, kind, n) if columns else zero(random, kind)) if extras else None,
        floats(random, n) if extras else None,
    ]
    assert_numbers(both("DynamicQuantizeMatMul", inputs, {1, 2, 3, 4}), 2e-5)


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("right", KINDS)
@pytest.mark.parametrize("extras", [False, True])
def test_matmul_integer_to_float(
    random: np.random.Generator, left: str, right: str, extras: bool
) -> None:
    if left == "int8" and right == "uint8":
        pytest.skip("ONNX Runtime has no such product on the CPU")
    inputs: Arrays = [
        integers(random, left, 3, 16), integers(random, right, 16, 9), scale(random),
        scale(random, 9) if extras else scale(random), zero(random, left) if extras else None,
        zero(random, right, 9) if extras else None, floats(random, 9) if extras else None,
    ]
    assert_numbers(both("MatMulIntegerToFloat", inputs, {1, 3, 5, 6}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0)])
@pytest.mark.parametrize("is_quantised", [False, True])
def test_qgemm(
    random: np.random.Generator, kind: str, turned: tuple[int, int], is_quantised: bool
) -> None:
    a = integers(random, kind, *((8, 5) if turned[0] else (5, 8)))
    b = integers(random, "int8", *((6, 8) if turned[1] else (8, 6)))
    inputs: Arrays = [
        a, scale(random), zero(random, kind), b, scale(random, 6), np.zeros(6, np.int8),
        random.integers(-999, 999, 6).astype(np.int32),
    ]
    if is_quantised:
        inputs += [np.float32(0.05), zero(random, kind)]
    pairs = both(
        "QGemm", [np.asarray(x) for x in inputs], {3, 4, 5, 6, 7, 8}, transA=turned[0],
        transB=turned[1], alpha=0.5 if turned[0] else 1.0,
    )
    if is_quantised:
        # One rounding of a product of scales there, of a quotient here.
        assert_steps(pairs, 0.05)
    else:
        assert_numbers(pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operator", ["QLinearSigmoid", "QLinearLeakyRelu"])
def test_unary(random: np.random.Generator, kind: str, operator: str) -> None:
    attributes = {"alpha": 0.2} if operator == "QLinearLeakyRelu" else {}
    for zeros in (True, False):
        inputs: Arrays = [
            integers(random, kind, 3, 300), scale(random), zero(random, kind) if zeros else None,
            np.asarray(np.float32(1 / 200)), zero(random, kind) if zeros else None,
        ]
        assert_steps(both(operator, inputs, {1, 2, 3, 4}, **attributes), 0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("other", [(2, 3, 70), (70,), (3, 1), (1,), ()])
def test_binary(
    random: np.random.Generator, kind: str, operator: str, other: tuple[int, ...]
) -> None:
    inputs: Arrays = [
        integers(random, kind, 2, 3, 70), scale(random), zero(random, kind),
        np.asarray(integers(random, kind, *other)), scale(random), zero(random, kind),
        np.asarray(np.float32(0.03)), zero(random, kind),
    ]
    # ONNX Runtime multiplies by a quotient of scales rounded beforehand.
    assert_steps(both(operator, inputs), 0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_concat(random: np.random.Generator, kind: str) -> None:
    inputs: Arrays = [scale(random), zero(random, kind)]
    for width in (3, 40, 5):
        inputs += [integers(random, kind, 2, width, 4), scale(random), zero(random, kind)]
    constants = {0, 1, 3, 4, 6, 7, 9, 10}
    assert_steps(both("QLinearConcat", inputs, constants, axis=1), 0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padded", [0, 1])
def test_average_pool(random: np.random.Generator, kind: str, padded: int) -> None:
    inputs: Arrays = [
        integers(random, kind, 2, 3, 9, 8), scale(random), zero(random, kind), scale(random),
        zero(random, kind),
    ]
    pairs = both(
        "QLinearAveragePool", inputs, {1, 2, 3, 4}, kernel_shape=[3, 2], strides=[2, 1],
        pads=[1, 0, 1, 1], count_include_pad=padded,
    )
    assert_steps(pairs, 0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", [0, 1])
def test_global_average_pool(random: np.random.Generator, kind: str, last: int) -> None:
    inputs: Arrays = [
        integers(random, kind, 2, 5, 4, 6), scale(random), zero(random, kind), scale(random),
        zero(random, kind),
    ]
    pairs = both("QLinearGlobalAveragePool", inputs, {1, 2, 3, 4}, channels_last=last)
    assert_steps(pairs, 0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opset", [12, 13])
@pytest.mark.parametrize("steps", [256, 191.6])
def test_softmax(random: np.random.Generator, kind: str, opset: int, steps: float) -> None:
    low = 0 if kind == "uint8" else -128
    inputs: Arrays = [
        integers(random, kind, 20, 3, 10), np.asarray(np.float32(0.02)), zero(random, kind),
        np.asarray(np.float32(1 / steps)), np.asarray(np.array(low, kind)),
    ]
    assert_steps(both("QLinearSoftmax", inputs, {1, 2, 3, 4}, axis=-1, opset=opset), 0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_where(random: np.random.Generator, kind: str) -> None:
    inputs: Arrays = [
        random.integers(0, 2, (3, 4)).astype(bool), integers(random, kind, 3, 4), scale(random),
        zero(random, kind), integers(random, kind, 4), scale(random), zero(random, kind),
        scale(random), zero(random, kind),
    ]
    assert_steps(both("QLinearWhere", inputs, {2, 3, 5, 6, 7, 8}), 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_convolution_with_channels_last(random: np.random.Generator, kind: str) -> None:
    inputs: Arrays = [
        integers(random, kind, 1, 6, 5, 4), scale(random), zero(random, kind),
        integers(random, "int8", 8, 4, 3, 3), scale(random, 8), np.zeros(8, np.int8),
        np.asarray(np.float32(0.2)), zero(random, kind),
    ]
    constants = {1, 2, 3, 4, 5, 6, 7}
    pairs = both("QLinearConv", inputs, constants, channels_last=1, pads=[1, 1, 1, 1])
    assert_steps(pairs, 0.02)


@pytest.mark.parametrize("kind", [*KINDS, "int16", "uint16"])
def test_quantize_and_dequantize(random: np.random.Generator, kind: str) -> None:
    for shape in ((), (4,)):
        zeros = np.asarray(random.integers(3, 9, shape).astype(kind))
        inputs: Arrays = [floats(random, 3, 4), np.asarray(scale(random, *shape)), zeros]
        assert_steps(both("QuantizeLinear", inputs, axis=1))
        inputs[0] = integers(random, kind, 3, 4)
        assert_numbers(both("DequantizeLinear", inputs, axis=1), 1e-7)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("columns", [False, True])
def test_lstm(random: np.random.Generator, direction: str, columns: bool) -> None:
    count, hidden = (2 if direction == "bidirectional" else 1), 8
    shape = (count, 4 * hidden) if columns else (count,)
    inputs: Arrays = [
        floats(random, 5, 2, 6), integers(random, "int8", count, 6, 4 * hidden),
        integers(random, "int8", count, hidden, 4 * hidden), floats(random, count, 8 * hidden),
        None, floats(random, count, 2, hidden), floats(random, count, 2, hidden), None,
        scale(random, *shape) / 4, np.zeros(shape, np.int8), scale(random, *shape) / 4,
        np.zeros(shape, np.int8),
    ]
    pairs = both(
        "DynamicQuantizeLSTM", inputs, {1, 2, 3, 8, 9, 10, 11}, 3, direction=direction,
        hidden_size=hidden,
    )
    # There the inputs of each product are rounded to 8 bits, here nothing is.
    assert_numbers(pairs, 0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", ["none", "counts", "keys"])
@pytest.mark.parametrize("columns", [False, True])
def test_attention(random: np.random.Generator, kind: str, mask: str, columns: bool) -> None:
    batch, length, width, heads = 2, 5, 8, 2
    shape = (3 * width,) if columns else ()
    masks = {
        "none": None, "counts": np.array([5, 3], np.int32),
        "keys": (np.arange(length) < [[5], [2]]).astype(np.int32),
    }
    inputs: Arrays = [
        integers(random, "uint8", batch, length, width), integers(random, kind, width, 3 * width),
        floats(random, 3 * width), scale(random), np.asarray(scale(random, *shape)), masks[mask],
        zero(random, "uint8"), np.asarray(zero(random, kind, *shape)),
    ]
    # Before opset 23, which brought Attention, masks need declared types to be written out.
    pairs = both("QAttention", inputs, {1, 2, 3, 4, 6, 7}, written_for=23, num_heads=heads)
    assert_numbers(pairs, 2e-5)


@pytest.mark.parametrize("causal", [0, 1])
def test_attention_with_a_past(random: np.random.Generator, causal: int) -> None:
    inputs: Arrays = [
        integers(random, "uint8", 1, 3, 8), integers(random, "int8", 8, 24), floats(random, 24),
        scale(random), scale(random), None, zero(random, "uint8"), np.int8(0),
        floats(random, 2, 1, 2, 4, 4),
    ]
    inputs = [None if value is None else np.asarray(value) for value in inputs]
    pairs = both(
        "QAttention", inputs, {1, 2, 3, 4, 6, 7}, 2, num_heads=2, unidirectional=causal
    )
    assert_numbers(pairs, 2e-5)


@pytest.mark.parametrize("has_mask", [False, True])
def test_embedding(random: np.random.Generator, has_mask: bool) -> None:
    kind, width = "uint8", 8
    inputs: Arrays = [
        random.integers(0, 20, (2, 5)).astype(np.int32),
        random.integers(0, 2, (2, 5)).astype(np.int32),
        integers(random, kind, 20, width), integers(random, kind, 6, width),
        integers(random, kind, 2, width), integers(random, kind, width),
        integers(random, kind, width),
        random.integers(0, 2, (2, 5)).astype(np.int32) if has_mask else None,
        *[scale(random) for _ in range(5)], *[zero(random, kind) for _ in range(5)],
    ]
    assert_numbers(both("QEmbedLayerNormalization", inputs, set(range(2, 7)), 2), 2e-5)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("block", [16, 32, 128])
@pytest.mark.parametrize("zeros", ["none", "packed", "numbers"])
@pytest.mark.parametrize("rows", [1, 3, 17])
def test_matmul_nbits(
    random: np.random.Generator, bits: int, block: int, zeros: str, rows: int
) -> None:
    if bits != 4 and zeros == "numbers":
        pytest.skip("ONNX Runtime takes them with 4 bits only")
    n, k = 37, 100
    blocks = -(-k // block)
    inputs: Arrays = [
        floats(random, 2, rows, k), integers(random, "uint8", n, blocks, block * bits // 8),
        scale(random, n, blocks),
    ]
    if zeros == "packed":
        inputs.append(integers(random, "uint8", n, -(-blocks * bits // 8)))
    elif zeros == "numbers":
        inputs.append(random.uniform(0, 15, (n, blocks)).astype(np.float32))
    else:
        inputs.append(None)
    inputs += [None, floats(random, n)]
    pairs = both(
        "MatMulNBits", inputs, {1, 2, 3, 5}, K=k, N=n, bits=bits, block_size=block,
        accuracy_level=1,
    )
    assert_numbers(pairs, 2e-5)


def test_matmul_nbits_in_8_bits(random: np.random.Generator) -> None:
    n, k, block = 40, 256, 32
    inputs: Arrays = [
        floats(random, 9, k), integers(random, "uint8", n, k // block, block // 2),
        scale(random, n, k // block), integers(random, "uint8", n, k // block // 2),
    ]
    pairs = both(
        "MatMulNBits", inputs, {1, 2, 3}, K=k, N=n, bits=4, block_size=block, accuracy_level=4
    )
    assert_numbers(pairs, 0.01)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("k", [64, 50])
def test_matmul_bnb4(random: np.random.Generator, kind: int, k: int) -> None:
    n, block = 12, 16
    count = n * k
    inputs: Arrays = [
        floats(random, 5, k), integers(random, "uint8", (count + 1) // 2),
        scale(random, -(-count // block)),
    ]
    pairs = both("MatMulBnb4", inputs, {1, 2}, K=k, N=n, block_size=block, quant_type=kind)
    assert_numbers(pairs)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("has_zeros", [False, True])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_gather_block_quantized(
    random: np.random.Generator, bits: int, has_zeros: bool, kind: type
) -> None:
    rows, width, block = 11, 96, 32
    blocks = width // block
    inputs: Arrays = [
        integers(random, "uint8", rows, width * bits // 8),
        random.integers(-rows, rows, (2, 3)).astype(kind), scale(random, rows, blocks),
        integers(random, "uint8", rows, -(-blocks * bits // 8)) if has_zeros else None,
    ]
    pairs = both(
        "GatherBlockQuantized", inputs, {0, 2, 3}, bits=bits, block_size=block, gather_axis=0,
        quantize_axis=1,
    )
    assert_numbers(pairs, 1e-6)


def test_export_writes_standard_operators(random: np.random.Generator) -> None:
    model = model_of(
        "DynamicQuantizeMatMul",
        [floats(random, 3, 4), integers(random, "int8", 4, 5), scale(random)], {1, 2},
    )
    written = stacklens.Model.from_bytes(model.SerializeToString()).to_bytes()
    exported = onnx.load_from_string(written)
    assert {node.domain for node in exported.graph.node} == {""}
    assert [node.op_type for node in exported.graph.node] == [
        "DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul", "Mul",
    ]
