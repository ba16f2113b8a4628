"""Operators that ONNX Runtime's optimiser writes around transformers, against ONNX Runtime.

Each case runs there, here, and there again after we wrote it for opset 17 in standard operators.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
import stacklens

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

Arrays = "list[Optional[np.ndarray]]"
RANDOM = np.random.default_rng(7)
OPSET = 17


def floats(*dims: int) -> np.ndarray:
    return RANDOM.standard_normal(dims).astype(np.float32)


def ints(*values: Any, dtype: type = np.int32) -> np.ndarray:
    return np.array(values, dtype=dtype)


def ids(high: int, *dims: int) -> np.ndarray:
    return RANDOM.integers(0, high, dims).astype(np.int32)


def kept(batch: int, keys: int) -> np.ndarray:
    """A padding mask that keeps at least one key of each entry."""
    counts = RANDOM.integers(1, keys + 1, (batch, 1))
    return (np.arange(keys)[None] < counts).astype(np.int32)


def angles(places: int, pairs: int) -> "tuple[np.ndarray, np.ndarray]":
    turn = np.arange(places)[:, None] / (100.0 ** (np.arange(pairs) / pairs))
    return np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)


def model_of(
    op: str, inputs: Arrays, outputs: int, attributes: dict, domain: str, constants: set,
    hidden: bool,
) -> bytes:
    """A model of one node. With `hidden` nothing is declared about what the node reads."""
    names, declared, nodes, initializers = [], [], [], []
    for index, array in enumerate(inputs):
        name = f"x{index}"
        if array is None:
            names.append("")
        elif index in constants:
            initializers.append(numpy_helper.from_array(array, name))
            names.append(name)
        else:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            declared.append(helper.make_tensor_value_info(name, kind, array.shape))
            if hidden:
                nodes.append(helper.make_node("Identity", [name], [f"{name}_hidden"]))
                name = f"{name}_hidden"
            names.append(name)
    made = [f"y{index}" for index in range(outputs)]
    nodes.append(helper.make_node(op, names, made, domain=domain, **attributes))
    results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in made]
    graph = helper.make_graph(nodes, "one", declared, results, initializers)
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    for value in model.graph.output:
        value.ClearField("type")
    return model.SerializeToString()


def run_there(content: bytes, feeds: dict) -> list:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def run_here(content: bytes, feeds: dict, level: int) -> list:
    return stacklens.Session(content, optimization_level=level).run(None, feeds)


def declared_outputs(content: bytes, arrays: list) -> bytes:
    """The model with the types of its outputs, which a written file must have."""
    model = onnx.load_from_string(content)
    for value, array in zip(model.graph.output, arrays):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, array.shape))
    return model.SerializeToString()


def assert_same(found: list, expected: list, tolerance: float, ignored: Any = None) -> None:
    assert len(found) == len(expected)
    for index, (one, two) in enumerate(zip(found, expected)):
        assert one.shape == two.shape, index
        assert one.dtype == two.dtype, index
        if ignored is not None:
            one, two = ignored(index, one), ignored(index, two)
        if two.dtype.kind in "iub":
            np.testing.assert_array_equal(one, two, err_msg=str(index))
        else:
            np.testing.assert_allclose(
                one.astype(np.float64), two.astype(np.float64), rtol=tolerance, atol=tolerance,
                err_msg=str(index),
            )


def check(
    op: str, inputs: Arrays, attributes: Optional[dict] = None, outputs: int = 1,
    domain: str = "com.microsoft", constants: Any = (), tolerance: float = 2e-5,
    ignored: Any = None, writes_hidden: bool = True,
) -> None:
    feeds = {
        f"x{index}": array
        for index, array in enumerate(inputs)
        if array is not None and index not in constants
    }
    for hidden in (False, True):
        content = model_of(op, inputs, outputs, attributes or {}, domain, set(constants), hidden)
        expected = run_there(content, feeds)
        for level in (0, 2):
            assert_same(run_here(content, feeds, level), expected, tolerance, ignored)
        if hidden and not writes_hidden:
            continue
        written = stacklens.Model.from_bytes(declared_outputs(content, expected)).to_bytes()
        loaded = onnx.load_from_string(written)
        onnx.checker.check_model(loaded, full_check=True)
        assert {node.domain for node in loaded.graph.node} == {""}
        assert_same(run_there(written, feeds), expected, tolerance, ignored)


@pytest.mark.parametrize("op", ["Gelu", "FastGelu", "QuickGelu"])
def test_activations(op: str) -> None:
    check(op, [floats(3, 4, 8) * 3], {"alpha": 1.3} if op == "QuickGelu" else {}, tolerance=1e-5)


@pytest.mark.parametrize("op", ["BiasGelu", "FastGelu"])
def test_activations_with_a_bias(op: str) -> None:
    check(op, [floats(3, 4, 8), floats(8)], constants={1})


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("skip", [(2, 5, 16), (1, 5, 16), (5, 16)])
def test_skip_layer_normalization(bias: bool, shift: bool, skip: tuple) -> None:
    inputs = [floats(2, 5, 16), floats(*skip), floats(16), floats(16) if shift else None]
    if bias:
        inputs.append(floats(16))
    check("SkipLayerNormalization", inputs, {"epsilon": 1e-5})


@pytest.mark.parametrize("op", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_skip_normalizations_give_the_sum(op: str) -> None:
    inputs = [floats(2, 5, 16), floats(2, 5, 16), floats(16)]
    names = 4
    feeds = {f"x{index}": array for index, array in enumerate(inputs)}
    content = model_of(op, inputs, names, {"epsilon": 1e-5}, "com.microsoft", set(), False)
    model = onnx.load_from_string(content)
    for index in (1, 2):
        model.graph.node[-1].output[index] = ""
    del model.graph.output[1:3]
    content = model.SerializeToString()
    assert_same(run_here(content, feeds, 2), run_there(content, feeds), 1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_skip_simplified_layer_normalization(bias: bool) -> None:
    inputs = [floats(2, 5, 16), floats(2, 5, 16), floats(16)] + ([floats(16)] if bias else [])
    check("SkipSimplifiedLayerNormalization", inputs, {"epsilon": 1e-5})


@pytest.mark.parametrize("axis", [-1, -2])
def test_simplified_layer_normalization(axis: int) -> None:
    scale = floats(16) if axis == -1 else floats(5, 16)
    check("SimplifiedLayerNormalization", [floats(2, 5, 16), scale],
          {"axis": axis, "epsilon": 1e-5}, domain="", writes_hidden=axis == -1)


def test_simplified_layer_normalization_gives_the_deviation() -> None:
    check("SimplifiedLayerNormalization", [floats(2, 5, 16), floats(16)], outputs=2, domain="")


def test_layer_normalization_before_its_opset() -> None:
    """ONNX Runtime writes LayerNormalization into files of any opset."""
    model = onnx.load_from_string(
        model_of("LayerNormalization", [floats(2, 8), floats(8), floats(8)], 1, {}, "", {1, 2},
                 False))
    model.opset_import[0].version = 13
    feeds = {"x0": floats(2, 8)}
    content = model.SerializeToString()
    assert_same(run_here(content, feeds, 2), run_there(content, feeds), 1e-5)


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("places", [None, 1, 2])
def test_embed_layer_normalization(segments: bool, mask: bool, places: Optional[int]) -> None:
    inputs = [
        ids(20, 2, 6), ids(2, 2, 6) if segments else None, floats(20, 8), floats(9, 8),
        floats(2, 8) if segments else None, floats(8), floats(8),
    ]
    if mask or places:
        inputs.append(kept(2, 6) if mask else None)
    if places:
        inputs.append(ids(9, places, 6))
    check("EmbedLayerNormalization", inputs, {"epsilon": 1e-5}, outputs=2,
          constants={2, 3, 4, 5, 6} if segments else {2, 3, 5, 6})


def test_embed_layer_normalization_gives_the_sum() -> None:
    inputs = [ids(20, 2, 6), ids(2, 2, 6), floats(20, 8), floats(9, 8), floats(2, 8), floats(8),
              floats(8), kept(2, 6)]
    check("EmbedLayerNormalization", inputs, outputs=3)


ATTENTION_MASKS = {
    "none": None, "counts": ints(3, 6), "keys": kept(2, 6),
    "matrix": (RANDOM.random((2, 6, 6)) < 0.7).astype(np.int32) | np.eye(6, dtype=np.int32),
}


@pytest.mark.parametrize("mask", ATTENTION_MASKS)
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("constant", [False, True])
def test_attention(mask: str, causal: int, constant: bool) -> None:
    check("Attention", [floats(2, 6, 16), floats(16, 48), floats(48), ATTENTION_MASKS[mask]],
          {"num_heads": 4, "unidirectional": causal}, constants={1, 2} if constant else ())


def test_attention_with_starts_and_ends() -> None:
    inputs = [floats(2, 6, 16), floats(16, 48), floats(48), ints(4, 6, 1, 2)]
    content = model_of("Attention", inputs, 1, {"num_heads": 4}, "com.microsoft", set(), False)
    feeds = {f"x{index}": array for index, array in enumerate(inputs)}
    assert_same(run_here(content, feeds, 2), run_there(content, feeds), 2e-5)


def test_attention_where_a_text_has_no_key() -> None:
    mask = np.array([[0] * 6, [1] * 6], dtype=np.int32)
    check("Attention", [floats(2, 6, 16), floats(16, 48), floats(48), mask], {"num_heads": 4})


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention_with_a_past_or_a_bias(mask: bool, bias: bool, causal: int) -> None:
    inputs = [
        floats(2, 3, 16), floats(16, 48), floats(48), kept(2, 8) if mask else None,
        floats(2, 2, 4, 5, 4), floats(1, 4, 3, 8) if bias else None,
    ]
    if bias:
        inputs[4] = None
        inputs[5] = floats(1, 4, 3, 3)
        inputs[3] = kept(2, 3) if mask else None
    check("Attention", inputs, {"num_heads": 4, "unidirectional": causal},
          outputs=1 if bias else 2)


@pytest.mark.parametrize("constant", [False, True])
def test_attention_with_a_narrow_value(constant: bool) -> None:
    check("Attention", [floats(2, 6, 16), floats(16, 40), floats(40)],
          {"num_heads": 4, "qkv_hidden_sizes": [16, 16, 8], "scale": 0.3},
          constants={1, 2} if constant else ())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("mask", ["none", "counts", "keys"])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("causal", [0, 1])
def test_multi_head_attention(bias: bool, mask: str, added: bool, causal: int) -> None:
    inputs = [
        floats(2, 6, 16), floats(2, 6, 16), floats(2, 6, 12), floats(44) if bias else None,
        ATTENTION_MASKS[mask], floats(2, 1, 6, 6) if added else None,
    ]
    check("MultiHeadAttention", inputs, {"num_heads": 4, "unidirectional": causal})


@pytest.mark.parametrize("constant", [False, True])
def test_cross_attention(constant: bool) -> None:
    inputs = [floats(2, 3, 16), floats(2, 7, 16), floats(2, 7, 16), floats(48), kept(2, 7)]
    check("MultiHeadAttention", inputs, {"num_heads": 2, "scale": 0.2},
          constants={3} if constant else ())


def test_cross_attention_with_split_keys() -> None:
    inputs = [floats(2, 3, 16), floats(2, 4, 7, 4), floats(2, 4, 7, 4)]
    content = model_of("MultiHeadAttention", inputs, 1, {"num_heads": 4}, "com.microsoft", set(),
                       False)
    feeds = {f"x{index}": array for index, array in enumerate(inputs)}
    expected = run_there(content, feeds)
    assert_same(run_here(content, feeds, 2), expected, 2e-5)
    written = stacklens.Model.from_bytes(declared_outputs(content, expected)).to_bytes()
    assert_same(run_there(written, feeds), expected, 2e-5)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("length", [1, 4])
def test_multi_head_attention_with_a_past(mask: bool, causal: int, length: int) -> None:
    inputs = [
        floats(2, length, 16), floats(2, length, 16), floats(2, length, 16), None,
        kept(2, 5 + length) if mask else None, None, floats(2, 4, 5, 4), floats(2, 4, 5, 4),
    ]
    check("MultiHeadAttention", inputs, {"num_heads": 4, "unidirectional": causal}, outputs=3)


@pytest.mark.parametrize("axes", [3, 4])
@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("offset", [False, True])
def test_rotary_embedding(axes: int, interleaved: int, partial: bool, offset: bool) -> None:
    attributes = {"interleaved": interleaved}
    if partial:
        attributes.update(num_heads=3, rotary_embedding_dim=4)
    places = ints(2, dtype=np.int64) if offset else ids(9, 2, 5).astype(np.int64)
    x = floats(2, 3, 5, 8) if axes == 4 else floats(2, 5, 24)
    check("RotaryEmbedding", [x, places, *angles(9, 2 if partial else 4)], attributes,
          constants={2, 3}, writes_hidden=False)


def caches(past: int, total: int, before: "list[int]") -> Any:
    """Only rows of the cache that hold tokens are compared."""

    def ignored(index: int, array: np.ndarray) -> np.ndarray:
        if index == 0:
            return array
        array = array.copy()
        for batch, count in enumerate(before):
            array[batch, :, count:] = 0
        return array

    return ignored


@pytest.mark.parametrize("rotary", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("window", [-1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_group_query_attention_of_one_token(
    rotary: int, packed: bool, window: int, bias: bool
) -> None:
    past, ends = 6, [5, 3]
    q, k, v = floats(2, 1, 64), floats(2, 1, 32), floats(2, 1, 32)
    inputs = [np.concatenate([q, k, v], 2), None, None] if packed else [q, k, v]
    inputs += [floats(2, 2, past, 16), floats(2, 2, past, 16), ints(*ends), ints(6)[0:1]]
    inputs += list(angles(9, 8)) if rotary else [None, None]
    inputs += [None, floats(2, 1, 1, 6) if bias else None]
    attributes = {"num_heads": 4, "kv_num_heads": 2, "do_rotary": rotary,
                  "local_window_size": window}
    check("GroupQueryAttention", inputs, attributes, outputs=3,
          ignored=caches(past, 6, [end + 1 for end in ends]))


@pytest.mark.parametrize("rotary", [0, 1])
@pytest.mark.parametrize("ends", [[4, 4], [4, 2]])
@pytest.mark.parametrize("window", [-1, 2])
def test_group_query_attention_of_a_prompt(rotary: int, ends: "list[int]", window: int) -> None:
    inputs = [floats(2, 5, 64), floats(2, 5, 32), floats(2, 5, 32), floats(2, 2, 0, 16),
              floats(2, 2, 0, 16), ints(*ends), ints(5)]
    inputs += list(angles(9, 8)) if rotary else [None, None]

    def ignored(index: int, array: np.ndarray) -> np.ndarray:
        array = array.copy()
        for batch, end in enumerate(ends):
            if index == 0:
                array[batch, end + 1:] = 0
            else:
                array[batch, :, end + 1:] = 0
        return array

    attributes = {"num_heads": 4, "kv_num_heads": 2, "do_rotary": rotary, "softcap": 3.0,
                  "local_window_size": window, "scale": 0.4}
    check("GroupQueryAttention", inputs, attributes, outputs=3, ignored=ignored)


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("extra", ["smooth", "sink", "sink and cap", "scores", "weights"])
def test_group_query_attention_with_open_scores(length: int, extra: str) -> None:
    past = 3 if length == 1 else 0
    total = past + length
    sink = floats(4) if "sink" in extra else None
    inputs = [floats(2, length, 64), floats(2, length, 32), floats(2, length, 32),
              floats(2, 2, past, 16), floats(2, 2, past, 16), ints(total - 1, total - 1),
              ints(total), None, None, None, floats(1, 1, length, total), sink]
    attributes: dict = {"num_heads": 4, "kv_num_heads": 2, "local_window_size": 3}
    if extra == "smooth":
        attributes["smooth_softmax"] = 1
    if extra == "sink and cap":
        attributes.update(softcap=1.5, scale=0.3)
    outputs = 3
    if extra in ("scores", "weights"):
        attributes.update(qk_output=1 if extra == "scores" else 2)
        outputs = 4

    def ignored(index: int, array: np.ndarray) -> np.ndarray:
        """Scores of keys that a query does not see are not written."""
        if index != 3:
            return array
        places = past + np.arange(length)[:, None]
        keys = np.arange(total)[None]
        return np.where((keys <= places) & (keys > places - 3), array, 0)

    check("GroupQueryAttention", inputs, attributes, outputs=outputs, ignored=ignored)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("form", ["PER_TENSOR", "PER_CHANNEL"])
@pytest.mark.parametrize("length", [1, 4])
def test_group_query_attention_with_quantised_caches(bits: int, form: str, length: int) -> None:
    past = 3 if length == 1 else 0
    kind, width = (np.int8, 16) if bits == 8 else (np.uint8, 8)
    info = np.iinfo(kind)
    caches = [
        RANDOM.integers(info.min, info.max + 1, (2, 2, past, width)).astype(kind) for _ in "kv"
    ]
    scale = (1,) if form == "PER_TENSOR" else (1, 2, 1, 16)
    scales = [(RANDOM.uniform(1, 2, scale) / 2 ** (bits - 1)).astype(np.float32) for _ in "kv"]
    inputs = [floats(2, length, 64), floats(2, length, 32), floats(2, length, 32), *caches,
              ints(past + length - 1, past + length - 1), ints(past + length), None, None, None,
              None, None, *scales]
    check("GroupQueryAttention", inputs, {
        "num_heads": 4, "kv_num_heads": 2, "kv_cache_bit_width": bits, "k_quant_type": form,
        "v_quant_type": form}, outputs=3)


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding_of_three_places(layout: int, split: bool, interleaved: int) -> None:
    rows = floats(2, 4, 5, 16) if split else floats(2, 5, 64)
    inputs = [rows, ids(9, 3, 2, 5).astype(np.int64), *angles(9, 8)]
    attributes = {"mrope_section": [4, 2, 2], "mrope_layout": layout, "interleaved": interleaved}
    check("MRotaryEmbedding", inputs, attributes if split else {**attributes, "num_heads": 4})


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_linear_attention(rule: str) -> None:
    decay = -np.abs(floats(2, 5, 2)) if "gated" in rule else None
    rate = RANDOM.random((2, 5, 2)).astype(np.float32) if "delta" in rule else None
    inputs = [floats(2, 5, 16), floats(2, 5, 8), floats(2, 5, 6), floats(2, 2, 4, 3), decay, rate]
    if rule == "linear":
        inputs = inputs[:4]
    runs_alike("LinearAttention", inputs,
               {"q_num_heads": 4, "kv_num_heads": 2, "update_rule": rule})


@pytest.mark.parametrize("activation", ["none", "silu"])
@pytest.mark.parametrize("past", [False, True])
def test_causal_convolution_with_state(activation: str, past: bool) -> None:
    inputs = [floats(2, 3, 7), floats(3, 1, 4), floats(3), floats(2, 3, 3) if past else None]
    runs_alike("CausalConvWithState", inputs, {"activation": activation})


def runs_alike(op: str, inputs: Arrays, attributes: dict) -> None:
    """As `check`, for operators that opset 17 has no form of."""
    feeds = {f"x{index}": array for index, array in enumerate(inputs) if array is not None}
    content = model_of(op, inputs, 2, attributes, "com.microsoft", set(), False)
    expected = run_there(content, feeds)
    for level in (0, 2):
        assert_same(run_here(content, feeds, level), expected, 2e-5)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_decoder_masked_attention(mask: bool, bias: bool) -> None:
    inputs = [
        floats(2, 1, 16), floats(2, 1, 16), floats(2, 1, 16), kept(2, 6) if mask else None, None,
        floats(2, 4, 9, 4), floats(2, 4, 9, 4), ints(5), None, None,
        floats(48) if bias else None,
    ]
    check("DecoderMaskedMultiHeadAttention", inputs,
          {"num_heads": 4, "past_present_share_buffer": 1}, outputs=3,
          ignored=caches(9, 9, [6, 6]))


@pytest.mark.parametrize("type", [np.float16])
def test_half_precision(type: Any) -> None:
    inputs = [floats(2, 6, 16), floats(2, 6, 16), floats(16)]
    half = [array.astype(type) for array in inputs]
    check("SkipLayerNormalization", half, {"epsilon": 1e-5}, tolerance=4e-3)
