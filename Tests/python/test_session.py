"""Sessions on small models: names, types, errors, threads, cancellation."""

from __future__ import annotations

import concurrent.futures
import gc
import json
import logging
import pathlib

import numpy as np
import pytest
import stacklens

onnx = pytest.importorskip("onnx")
from onnx import parser  # noqa: E402

AFFINE = """
<ir_version: 8, opset_import: ["" : 17]>
affine (float[batch, 3] x, int64[?] shape) => (float[batch, 2] y, float[a, b] z)
<float[3, 2] w = {1, 2, 3, 4, 5, 6}>
{
  y = MatMul(x, w)
  z = Reshape(y, shape)
}
"""


def model(text: str) -> bytes:
    return parser.parse_model(text).SerializeToString()


@pytest.fixture
def session() -> stacklens.Session:
    return stacklens.Session(model(AFFINE), threads=1)


INPUTS = {"x": np.eye(2, 3, dtype=np.float32), "shape": np.array([4, 1])}


def test_declarations_have_names_types_and_shapes(session: stacklens.Session) -> None:
    x, shape = session.inputs
    assert (x.name, x.dtype, x.shape, x.kind) == ("x", "float32", ("batch", 3), "tensor")
    assert (shape.name, shape.dtype, shape.shape) == ("shape", "int64", (None,))
    assert [output.name for output in session.outputs] == ["y", "z"]


def test_runs_all_or_chosen_outputs(session: stacklens.Session) -> None:
    y, z = session.run(None, INPUTS)
    np.testing.assert_array_equal(y, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(z, [[1], [2], [3], [4]])
    (only,) = session.run(["z"], INPUTS)
    np.testing.assert_array_equal(only, z)
    assert [v.shape for v in session.run(["z", "y", "z"], INPUTS)] == [(4, 1), (2, 2), (4, 1)]


def test_accepts_paths_models_and_tensors(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "affine.onnx"
    path.write_bytes(model(AFFINE))
    for source in (path, str(path), stacklens.Model.load(path)):
        (y,) = stacklens.Session(source).run(["y"], INPUTS)
        np.testing.assert_array_equal(y, [[1, 2], [3, 4]])
    tensor = stacklens.Tensor(INPUTS["x"])
    (y,) = stacklens.Session(path).run(["y"], {"x": tensor, "shape": [4, 1]})
    np.testing.assert_array_equal(y, [[1, 2], [3, 4]])


def test_spelling_of_onnx_runtime() -> None:
    session = stacklens.InferenceSession(model(AFFINE), providers=["CPUExecutionProvider"])
    x, shape = session.get_inputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["batch", 3])
    assert (shape.type, shape.shape) == ("tensor(int64)", [None])
    assert session.get_outputs()[1].name == "z"
    assert len(session.run([], INPUTS)) == 2


def test_outputs_are_the_callers_own() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    keep (float[3] x) => (float[3] same, float[3] constant)
    <float[3] constant = {1, 2, 3}>
    { same = Identity(x) }
    """
    session = stacklens.Session(model(text))
    x = np.array([7, 8, 9], dtype=np.float32)
    same, constant = session.run(None, {"x": x})
    same += 1
    constant += 1
    np.testing.assert_array_equal(x, [7, 8, 9])
    np.testing.assert_array_equal(session.run(["constant"], {"x": x})[0], [1, 2, 3])


def test_outputs_outlive_the_session() -> None:
    session = stacklens.Session(model(AFFINE))
    y, _ = session.run(None, INPUTS)
    session.run(None, {**INPUTS, "x": np.full((2, 3), 9, dtype=np.float32)})
    session.close()
    del session
    gc.collect()
    np.testing.assert_array_equal(y, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("inputs", "error", "word"),
    [
        ({"x": INPUTS["x"]}, stacklens.InvalidArgumentError, "shape"),
        ({**INPUTS, "q": INPUTS["x"]}, stacklens.InvalidArgumentError, "q"),
        ({**INPUTS, "x": np.eye(2, 3)}, stacklens.TypeMismatchError, "x"),
        ({**INPUTS, "x": np.eye(2, 4, dtype="f4")}, stacklens.ShapeError, "x"),
        ({**INPUTS, "x": np.zeros(3, dtype="f4")}, stacklens.ShapeError, "x"),
        ({**INPUTS, "shape": np.array([5, 1])}, stacklens.StackLensError, "Reshape"),
        ({**INPUTS, "x": np.zeros((2, 3), dtype=complex)}, stacklens.TypeMismatchError, "complex"),
    ],
)
def test_wrong_inputs_are_named(
    session: stacklens.Session, inputs: dict, error: type, word: str
) -> None:
    with pytest.raises(error, match=word) as caught:
        session.run(None, inputs)
    assert caught.value.status == error.status or error is stacklens.StackLensError
    assert caught.value.message == str(caught.value)
    assert len(session.run(None, INPUTS)) == 2


def test_unknown_output_and_closed_session_are_refused(session: stacklens.Session) -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match="nowhere"):
        session.run(["nowhere"], INPUTS)
    with pytest.raises(stacklens.InvalidArgumentError, match="sequence of names"):
        session.run("y", INPUTS)
    with session:
        pass
    with pytest.raises(stacklens.InvalidArgumentError, match="closed"):
        session.run(None, INPUTS)


def test_options_are_checked() -> None:
    for options in (
        {"threads": -1}, {"optimization_level": 3}, {"memory_limit": 0}, {"threads": 1 << 40},
    ):
        with pytest.raises(stacklens.InvalidArgumentError):
            stacklens.Session(model(AFFINE), **options)


def test_memory_limit_ends_a_run() -> None:
    session = stacklens.Session(model(AFFINE), memory_limit=1 << 12)
    with pytest.raises(stacklens.StackLensError) as caught:
        session.run(["y"], {"x": np.zeros((1 << 14, 3), "f4"), "shape": [1 << 15, 1]})
    assert caught.value.status == stacklens.Status.LIMIT_EXCEEDED


def test_profile_lists_the_steps() -> None:
    session = stacklens.Session(model(AFFINE), profile=True)
    session.run(None, INPUTS)
    trace = json.loads(session.profile_json())
    assert "MatMul" in json.dumps(trace)
    with pytest.raises(stacklens.InvalidArgumentError, match="profiling"):
        stacklens.Session(model(AFFINE)).profile_json()


def test_cancellation_ends_a_run(session: stacklens.Session) -> None:
    flag = stacklens.Cancellation()
    assert len(session.run(None, INPUTS, flag)) == 2
    flag.cancel()
    with pytest.raises(stacklens.CancelledError):
        session.run(None, INPUTS, flag)


def test_log_receives_levels_of_logging() -> None:
    messages: list[tuple[int, str]] = []
    stacklens.Session(model(AFFINE), log=lambda level, text: messages.append((level, text)))
    assert all(level in (logging.DEBUG, logging.INFO, logging.WARNING) for level, _ in messages)


def test_many_threads_share_a_session() -> None:
    session = stacklens.Session(model(AFFINE))
    random = np.random.default_rng(7)
    batches = [random.standard_normal((n, 3)).astype("f4") for n in range(1, 9)]
    weights = np.arange(1, 7, dtype="f4").reshape(3, 2)
    expected = [session.run(["y"], {"x": x, "shape": [2 * len(x), 1]})[0] for x in batches]
    for x, y in zip(batches, expected):
        np.testing.assert_allclose(y, x @ weights, rtol=1e-5, atol=1e-6)

    def work(seed: int) -> int:
        wrong = 0
        for round in range(100):
            index = (seed * 31 + round) % len(batches)
            x = batches[index]
            (y,) = session.run(["y"], {"x": x, "shape": [2 * len(x), 1]})
            wrong += not np.array_equal(y, expected[index])
        return wrong

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0
    session.trim()
    np.testing.assert_array_equal(session.run(["y"], INPUTS)[0], [[1, 2], [3, 4]])


def test_a_branch_may_hand_its_input_on() -> None:
    # Many values follow, so that the memory of the one handed on would be used again.
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    branch (float[4] x, bool c) => (float[4] y)
    {
      a = Exp(x)
      kept = If (c) <
        then_branch = yes () => (float[4] t) { t = Identity(a) },
        else_branch = no () => (float[4] e) { e = Neg(a) }
      >
      b = Sin(x)
      d = Cos(b)
      f = Mul(b, d)
      g = Sub(f, f)
      y = Add(kept, g)
    }
    """
    x = np.array([0, 1, 2, 3], dtype=np.float32)
    for level in (0, 2):
        session = stacklens.Session(model(text), optimization_level=level)
        (y,) = session.run(None, {"x": x, "c": np.array(True)})
        np.testing.assert_allclose(y, np.exp(x), rtol=1e-6)
        (y,) = session.run(None, {"x": x, "c": np.array(False)})
        np.testing.assert_allclose(y, -np.exp(x), rtol=1e-6)


def test_lists_are_sequences_where_the_model_wants_one() -> None:
    helper, proto = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("SequenceAt", ["items", "place"], ["item"])],
        "pick",
        [
            helper.make_tensor_sequence_value_info("items", proto.FLOAT, None),
            helper.make_tensor_value_info("place", proto.INT64, []),
        ],
        [helper.make_tensor_value_info("item", proto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = stacklens.Session(model.SerializeToString())
    items = [np.zeros(2, np.float32), np.ones((3, 1), np.float32)]
    (item,) = session.run(None, {"items": items, "place": np.array(-1)})
    np.testing.assert_array_equal(item, items[1])
    with pytest.raises(stacklens.TypeMismatchError, match="items"):
        session.run(None, {"items": items[0], "place": np.array(0)})


def test_long_sequences_come_back_whole() -> None:
    x = np.arange(10_001, dtype=np.float32)
    parts = stacklens.ops.SplitToSequence(x)
    assert len(parts) == 10_001 and parts[0].shape == (1,)
    np.testing.assert_array_equal(np.concatenate(parts), x)
    parts[3][0] = -1  # each has memory of its own
    assert parts[2][0] == 2 and x[3] == 3
    mixed = stacklens.ops.SequenceConstruct(np.zeros((2, 9000), np.float32), x)
    assert [part.shape for part in mixed] == [(2, 9000), (10_001,)]
