"""Element types beyond NumPy's own, against ml_dtypes and the official reference."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import stacklens
from stacklens import ops
from stacklens.tensor import TYPE_NAMES

ml_dtypes = pytest.importorskip("ml_dtypes")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

NUMBER = {name: number for number, name in TYPE_NAMES.items()}
FLOAT8 = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
FLOAT6_AND_4 = ["float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"]
INTEGERS = ["int4", "uint4", "int2", "uint2"]
SMALL = FLOAT8 + FLOAT6_AND_4 + INTEGERS + ["float8_e8m0fnu"]
BITS = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4_e2m1fn": 4} | dict.fromkeys(
    FLOAT6_AND_4[:2], 6
)

# Every float16, with infinities and NaN.
HALVES = np.arange(65536, dtype=np.uint16).view(np.float16)


def dtype_of(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def every_code(name: str) -> np.ndarray:
    return np.arange(1 << BITS.get(name, 8), dtype=np.uint8).view(dtype_of(name))


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint8)


@pytest.mark.parametrize("name", [*SMALL, "bfloat16", "complex64", "complex128"])
def test_arrays_are_shared(name: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype_of(name))
    tensor = stacklens.Tensor(array)
    assert tensor.dtype == name
    assert tensor.numpy().dtype == array.dtype
    assert bits(tensor.numpy()).tolist() == bits(array).tolist()
    assert np.shares_memory(tensor.numpy(), array)
    assert stacklens.Tensor(np.arange(3), dtype=name).dtype == name


@pytest.mark.parametrize("name", SMALL)
def test_bits_become_a_type(name: str) -> None:
    codes = np.array([0, 1, 2, 3], dtype=np.uint8)
    assert bits(stacklens.Tensor(codes, dtype=name).numpy()).tolist() == [0, 1, 2, 3]


def test_misaligned_complex_arrays_are_copied() -> None:
    memory = np.arange(9, dtype=np.float32)
    array = np.ndarray(4, dtype=np.complex64, buffer=memory.data, offset=4)
    assert (ops.identity(array) == array).all()


@pytest.mark.parametrize("name", FLOAT8)
@pytest.mark.parametrize("source", [np.float16, np.float32, np.float64])
def test_float8_casts_round_as_ml_dtypes_does(name: str, source: type) -> None:
    values = HALVES.astype(source) * source(3)
    dtype = dtype_of(name)
    found = ops.cast(values, to=NUMBER[name], saturate=0)
    assert (bits(found) == bits(values.astype(dtype))).all()
    found = ops.cast(values, to=NUMBER[name])
    expected = numpy_helper.saturate_cast(values, dtype)
    isnan = np.isnan(values)
    assert (bits(found) == bits(expected))[~isnan].all()
    assert np.isnan(found.astype(np.float32))[isnan].all()


@pytest.mark.parametrize("name", FLOAT6_AND_4)
def test_small_floats_saturate(name: str) -> None:
    values = HALVES.astype(np.float32)
    expected = values.astype(dtype_of(name))
    assert (bits(ops.cast(values, to=NUMBER[name], saturate=0)) == bits(expected)).all()
    assert (bits(ops.cast(values, to=NUMBER[name])) == bits(expected)).all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16", "float64", "int32", "bool"])
def test_every_code_has_its_value(name: str, target: str) -> None:
    codes = every_code(name)
    values = codes.astype(np.float32)
    if target in ("int32", "bool"):
        codes = codes[np.isfinite(values) & (np.abs(values) < 2**31)]
    expected = codes.astype(np.float32).astype(dtype_of(target))
    found = ops.cast(codes, to=NUMBER[target])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.astype(np.float64), expected.astype(np.float64))


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("source", ["int64", "int8", "uint8", "float32", "float16"])
def test_small_integers_wrap(name: str, source: str) -> None:
    values = np.arange(0 if source == "uint8" else -20, 40).astype(source)
    expected = values.astype(np.int64).astype(dtype_of(name))
    assert (bits(ops.cast(values, to=NUMBER[name])) == bits(expected)).all()


@pytest.mark.parametrize("name", FLOAT8 + INTEGERS)
def test_casts_among_small_types(name: str) -> None:
    codes = np.array([0, 1], np.float32).astype(dtype_of(name))
    for other in [*FLOAT8, *INTEGERS, "float4_e2m1fn"]:
        found = ops.cast(codes, to=NUMBER[other])
        assert found.astype(np.float32).tolist() == [0, 1]


def test_texts_become_small_numbers_and_back() -> None:
    texts = np.array(["1.5", "-INF", "NaN", "1e9"], dtype=object)
    found = ops.cast(texts, to=NUMBER["float8_e4m3fn"])
    assert bits(found).tolist() == [0x3C, 0xFE, 0x7F, 0x7E]
    assert ops.cast(found, to=8).tolist() == ["1.5", "-448.0", "NaN", "448.0"]
    assert ops.cast(np.array(["7", "-8"], dtype=object), to=NUMBER["int4"]).tolist() == [7, -8]
    assert ops.cast(np.array([3, -1]).astype(ml_dtypes.int2), to=8).tolist() == ["-1", "-1"]


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_powers_of_two_round_as_the_reference_does(mode: str) -> None:
    values = np.abs(HALVES[np.isfinite(HALVES) & (HALVES != 0)].astype(np.float32))
    expected = numpy_helper.to_float8e8m0(values, saturate=True, round_mode=mode)
    found = ops.cast(values, to=NUMBER["float8_e8m0fnu"], round_mode=mode)
    assert (bits(found) == bits(expected)).all()


def test_an_unknown_rounding_is_refused() -> None:
    with pytest.raises(stacklens.StackLensError, match="round_mode"):
        ops.cast(np.ones(1, np.float32), to=NUMBER["float8_e8m0fnu"], round_mode="sideways")


def _identity(name: str, tensor: onnx.TensorProto, shape: tuple[int, ...]) -> onnx.ModelProto:
    """A model that gives a tensor; as float32 where Identity does not take the type."""
    is_cast = name.startswith("float6")
    node = helper.make_node("Cast" if is_cast else "Identity", ["w"], ["y"])
    if is_cast:
        node.attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
    number = TensorProto.FLOAT if is_cast else NUMBER[name]
    output = helper.make_tensor_value_info("y", number, shape)
    graph = helper.make_graph([node], "g", [], [output], [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 28)])


@pytest.mark.parametrize("name", [*SMALL, "complex64", "complex128"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("raw", [True, False])
def test_files_hold_every_type(name: str, count: int, raw: bool, tmp_path: pathlib.Path) -> None:
    if name in SMALL:
        codes = every_code(name)
        array = codes[np.arange(count) * 29 % codes.size]
    else:
        array = (np.arange(count) * (1 - 2j)).astype(name)
    proto = numpy_helper.from_array(array, "w")
    if not raw:
        proto = helper.make_tensor("w", NUMBER[name], array.shape, array.ravel().tolist())
        if name in SMALL:
            packed = numpy_helper.from_array(array).raw_data
            entries = bits(array).tolist() if BITS.get(name, 8) > 4 else list(packed)
            proto = TensorProto(name="w", data_type=NUMBER[name], dims=array.shape)
            proto.int32_data.extend(entries)
    model = _identity(name, proto, array.shape)
    (found,) = stacklens.Session(model.SerializeToString()).run(None, {})
    expected = array.astype(np.float32) if name.startswith("float6") else array
    assert found.dtype == expected.dtype and (bits(found) == bits(expected)).all()
    written = onnx.load_from_string(
        stacklens.Model.from_bytes(model.SerializeToString()).to_bytes(opset=28)
    )
    onnx.checker.check_model(written, full_check=True)
    again = numpy_helper.to_array(written.graph.initializer[0])
    assert again.dtype == array.dtype and (bits(again) == bits(array)).all()


@pytest.mark.parametrize("name", ["int4", "uint2", "float6_e2m3fn", "complex128"])
def test_external_files_hold_every_type(name: str, tmp_path: pathlib.Path) -> None:
    count = 4099
    array = (np.arange(count) % 4).astype(dtype_of(name))
    model = _identity(name, numpy_helper.from_array(array, "w"), array.shape)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    (found,) = stacklens.Session(path).run(None, {})
    assert (found.astype(array.dtype) == array).all()


def test_wrong_byte_counts_are_refused() -> None:
    proto = numpy_helper.from_array(np.arange(3).astype(ml_dtypes.int4), "w")
    proto.raw_data += b"\0"
    with pytest.raises(stacklens.StackLensError, match="takes 2 bytes, found 3"):
        stacklens.Session(_identity("int4", proto, (3,)).SerializeToString())


SUBJECTS = ["int8", "uint8", "int16", "uint16", *INTEGERS, *FLOAT8, *FLOAT6_AND_4]


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("layout", ["tensor", "axis", "block"])
def test_quantisation_agrees_with_the_reference(name: str, layout: str) -> None:
    random = np.random.default_rng(7)
    x = (random.standard_normal((3, 8)) * 9).astype(np.float32)
    shape = {"tensor": (), "axis": (3,), "block": (3, 4)}[layout]
    scale = random.uniform(0.5, 2, shape).astype(np.float32)
    attributes = {"axis": 0} if layout == "axis" else {"axis": 1}
    if layout == "block":
        attributes["block_size"] = 2
    zero = None
    if "int" in name:
        zero = np.ones(shape, np.int8).astype(dtype_of(name))
    number = NUMBER[name]
    arguments = (x, scale) if zero is None else (x, scale, zero)
    quantised = ops.quantize_linear(*arguments, output_dtype=number, **attributes)
    node = helper.make_node(
        "QuantizeLinear", ["x", "s", "z"][: len(arguments)], ["y"], output_dtype=number, **attributes
    )
    expected = _reference(node, arguments)
    assert quantised.dtype == expected.dtype
    assert (bits(quantised) == bits(np.asarray(expected))).all()
    arguments = (quantised, *arguments[1:])
    node = helper.make_node(
        "DequantizeLinear", ["x", "s", "z"][: len(arguments)], ["y"], **attributes
    )
    found = ops.dequantize_linear(*arguments, **attributes)
    np.testing.assert_array_equal(found, _reference(node, arguments))


def _reference(node: onnx.NodeProto, arguments: tuple[np.ndarray, ...]) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in zip(node.input, arguments)
    ]
    graph = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)])
    return ReferenceEvaluator(model).run(None, dict(zip(node.input, arguments)))[0]


def test_scales_may_be_powers_of_two() -> None:
    x = np.array([1, -3, 9, 100], np.float32)
    scale = np.array(2).astype(ml_dtypes.float8_e8m0fnu)
    found = ops.quantize_linear(x, scale, output_dtype=NUMBER["float8_e4m3fn"])
    assert found.astype(np.float32).tolist() == [0.5, -1.5, 4.5, 48]
    back = ops.dequantize_linear(found, scale, output_dtype=1)
    assert back.tolist() == [1, -3, 9, 96]


def test_complex_numbers_move() -> None:
    array = (np.arange(24) * (1 - 0.5j)).reshape(2, 3, 4)
    for dtype in (np.complex64, np.complex128):
        x = array.astype(dtype)
        assert (ops.transpose(x, perm=[2, 0, 1]) == x.transpose(2, 0, 1)).all()
        assert (ops.concat(x, x, axis=1) == np.concatenate([x, x], 1)).all()
        assert (ops.slice(x, [0], [3], [2], [2]) == x[:, :, 0:3:2]).all()
        assert (ops.gather(x, [2, 0], axis=1) == x[:, [2, 0]]).all()
        assert (ops.where(x.real > 5, x, x[0, 0, 0]) == np.where(x.real > 5, x, 0)).all()
        assert (ops.pad(x, [0, 1, 0, 0, 0, 2]) == np.pad(x, [(0, 0), (1, 0), (0, 2)])).all()
        values, first, inverse, counts = ops.unique(np.array([3 + 1j, 1, 3, 1, 3 + 1j], dtype))
        assert values.tolist() == [1, 3, 3 + 1j] and counts.tolist() == [2, 1, 2]
        summed = ops.scatter_elements(x[0, 0], [1, 1], x[1, 0, :2], reduction="mul")
        assert np.allclose(summed[1], x[0, 0, 1] * x[1, 0, 0] * x[1, 0, 1])
