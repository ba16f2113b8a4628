"""Repeated runs on plain arrays, which take a shorter way than the first one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import stacklens
from onnx import TensorProto, helper


def model(nodes, inputs, outputs) -> bytes:
    graph = helper.make_graph(nodes, "quick", inputs, outputs)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def value(name, dtype=TensorProto.FLOAT, shape=("n",)):
    return helper.make_tensor_value_info(name, dtype, shape)


@pytest.fixture
def doubling():
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    return stacklens.Session(model(nodes, [value("x")], [value("y")]))


def test_results_are_their_own(doubling):
    x = np.arange(4, dtype=np.float32)
    first, second, third = (doubling.run(None, {"x": x + i})[0] for i in range(3))
    second[:] = -1
    np.testing.assert_array_equal(first, 2 * x)
    np.testing.assert_array_equal(third, 2 * (x + 2))


def test_shapes_and_layouts_may_change(doubling):
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    for array in (grid[0], grid[1], grid[:, 2], grid[:, 3], grid[2, ::2], grid[0][:0], grid[1][:0]):
        np.testing.assert_array_equal(doubling.run(None, {"x": array})[0], 2 * array)


LARGE = 20_000


def test_large_results_are_their_own(doubling):
    x = np.arange(LARGE, dtype=np.float32)
    results = [doubling.run(None, {"x": x + i})[0] for i in range(4)]
    results[1][:] = -1
    for i in (0, 2, 3):
        assert results[i].flags.writeable
        np.testing.assert_array_equal(results[i], 2 * (x + i))
    del doubling
    np.testing.assert_array_equal(results[3], 2 * (x + 3))


def test_large_layouts_may_change(doubling):
    grid = np.arange(3 * LARGE, dtype=np.float32).reshape(3, LARGE)
    misaligned = np.frombuffer(b"-" + grid[2].tobytes(), np.uint8)[1:].view(np.float32)
    columns = np.asfortranarray(grid)
    frozen = grid[0].copy()
    frozen.flags.writeable = False
    for array in (grid[0], grid[1], columns[1], misaligned, frozen, grid[1][::-1], grid[2]):
        np.testing.assert_array_equal(doubling.run(None, {"x": array})[0], 2 * array)


def test_small_and_large_together():
    nodes = [
        helper.make_node("Add", ["x", "c"], ["y"]),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
    ]
    inputs = [value("c", shape=(1,)), value("x")]
    session = stacklens.Session(model(nodes, inputs, [value("sum", shape=()), value("y")]))
    x = np.ones(LARGE, np.float32)
    for i in range(4):
        total, y = session.run(None, {"x": x, "c": np.array([i], np.float32)})
        assert total == LARGE
        np.testing.assert_array_equal(y, x + i)


def test_a_large_output_may_be_the_input():
    nodes = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Reshape", ["x", "two"], ["z"]),
    ]
    inputs = [value("x"), value("two", TensorProto.INT64, (2,))]
    session = stacklens.Session(model(nodes, inputs, [value("y"), value("z", shape=None)]))
    x = np.arange(LARGE, dtype=np.float32)
    for _ in range(3):
        y, z = session.run(None, {"x": x, "two": np.array([2, -1])})
        y += 1
        z += 2
        np.testing.assert_array_equal(x, np.arange(LARGE))
        np.testing.assert_array_equal(y, x + 1)


def test_errors_stay_the_same(doubling):
    x = np.ones(3, np.float32)
    for _ in range(3):
        doubling.run(None, {"x": x})
    with pytest.raises(stacklens.TypeMismatchError):
        doubling.run(None, {"x": x.astype(np.int32)})
    with pytest.raises(stacklens.ShapeError):
        doubling.run(None, {"x": x.reshape(1, 3)})
    with pytest.raises(stacklens.InvalidArgumentError):
        doubling.run(None, {"x": x, "z": x})
    with pytest.raises(stacklens.InvalidArgumentError):
        doubling.run(None, {})
    doubling.close()
    with pytest.raises(stacklens.InvalidArgumentError):
        doubling.run(None, {"x": x})


def test_named_dimensions_must_agree():
    nodes = [helper.make_node("Concat", ["a", "b"], ["y"], axis=0)]
    session = stacklens.Session(model(nodes, [value("a"), value("b")], [value("y", shape=None)]))
    x = np.ones(2, np.float32)
    for _ in range(2):
        assert session.run(None, {"a": x, "b": x})[0].shape == (4,)
    with pytest.raises(stacklens.ShapeError):
        session.run(None, {"a": x, "b": np.ones(3, np.float32)})


def test_outputs_that_depend_on_the_data():
    nodes = [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Neg", ["x"], ["y"])]
    session = stacklens.Session(
        model(nodes, [value("x")], [value("places", TensorProto.INT64, (1, "k")), value("y")])
    )
    for array in ([1, 0, 1], [1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]):
        x = np.array(array, np.float32)
        places, y = session.run(None, {"x": x})
        np.testing.assert_array_equal(places, [np.flatnonzero(x)])
        np.testing.assert_array_equal(y, -x)


def test_an_output_may_be_the_input():
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    session = stacklens.Session(model(nodes, [value("x")], [value("y"), value("z")]))
    x = np.arange(3, dtype=np.float32)
    for _ in range(3):
        y, _ = session.run(None, {"x": x})
        y += 1
        np.testing.assert_array_equal(x, [0, 1, 2])


def test_threads_do_not_share_memory(doubling):
    failures = []

    def work(seed: int) -> None:
        x = np.full(16, seed, np.float32)
        for _ in range(300):
            if (doubling.run(None, {"x": x})[0] != 2 * seed).any():
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
