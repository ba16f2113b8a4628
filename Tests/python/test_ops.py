"""Operators called directly, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import stacklens
from stacklens import ops

RANDOM = np.random.default_rng(3)
A = RANDOM.standard_normal((2, 3, 4)).astype(np.float32)
B = RANDOM.standard_normal((3, 1)).astype(np.float32)
POSITIVE = np.abs(A) + 0.1
INTS = RANDOM.integers(-9, 9, (3, 5))


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


CASES = {
    "add": (lambda: ops.add(A, B), A + B),
    "sub": (lambda: ops.sub(A, B), A - B),
    "mul": (lambda: ops.mul(INTS, INTS[0]), INTS * INTS[0]),
    "div": (lambda: ops.div(A, POSITIVE), A / POSITIVE),
    "pow": (lambda: ops.pow(POSITIVE, np.float32(1.5)), POSITIVE**1.5),
    "exp": (lambda: ops.exp(A), np.exp(A)),
    "log": (lambda: ops.log(POSITIVE), np.log(POSITIVE)),
    "sqrt": (lambda: ops.sqrt(POSITIVE), np.sqrt(POSITIVE)),
    "tanh": (lambda: ops.tanh(A), np.tanh(A)),
    "sigmoid": (lambda: ops.sigmoid(A), 1 / (1 + np.exp(-A))),
    "relu": (lambda: ops.relu(A), np.maximum(A, 0)),
    "leaky_relu": (lambda: ops.leaky_relu(A, alpha=0.25), np.where(A < 0, A * 0.25, A)),
    "abs": (lambda: ops.abs(INTS), np.abs(INTS)),
    "clip": (lambda: ops.clip(A, np.float32(-0.5), None), np.maximum(A, -0.5)),
    "where": (lambda: ops.where(A > 0, A, np.float32(9)), np.where(A > 0, A, 9)),
    "equal": (lambda: ops.equal(INTS, 3), INTS == 3),
    "and": (lambda: ops.and_(A > 0, A < 1), (A > 0) & (A < 1)),
    "not": (lambda: ops.not_(A > 0), A <= 0),
    "cast": (lambda: ops.cast(A, to=7), A.astype(np.int64)),
    "matmul": (lambda: ops.matmul(A, A.transpose(0, 2, 1)), A @ A.transpose(0, 2, 1)),
    "gemm": (lambda: ops.gemm(A[0], A[1], transB=1, alpha=0.5), 0.5 * A[0] @ A[1].T),
    "einsum": (lambda: ops.einsum(A, A, equation="bij,bkj->bik"), np.einsum("bij,bkj->bik", A, A)),
    "softmax": (lambda: ops.softmax(A, axis=1), softmax(A, 1)),
    "reduce_sum": (lambda: ops.reduce_sum(A, [1], keepdims=0), A.sum(axis=1)),
    "reduce_mean": (lambda: ops.ReduceMean(A, [0, 2]), A.mean(axis=(0, 2), keepdims=True)),
    "reduce_max": (lambda: ops.reduce_max(INTS), INTS.max(keepdims=True)),
    "arg_max": (lambda: ops.arg_max(A, axis=2, keepdims=0), A.argmax(axis=2)),
    "cum_sum": (lambda: ops.cum_sum(INTS, 1), INTS.cumsum(axis=1)),
    "transpose": (lambda: ops.transpose(A, perm=[2, 0, 1]), A.transpose(2, 0, 1)),
    "reshape": (lambda: ops.reshape(A, [4, -1]), A.reshape(4, 6)),
    "concat": (lambda: ops.concat(A, A, axis=-1), np.concatenate([A, A], axis=-1)),
    "slice": (lambda: ops.slice(INTS, [1], [3], [0]), INTS[1:3]),
    "gather": (lambda: ops.gather(INTS, [2, -1], axis=1), INTS[:, [2, -1]]),
    "pad": (lambda: ops.pad(INTS, [0, 1, 0, 2]), np.pad(INTS, [(0, 0), (1, 2)])),
    "tile": (lambda: ops.tile(INTS, [2, 1]), np.tile(INTS, (2, 1))),
    "expand": (lambda: ops.expand(B, [2, 3, 4]), np.broadcast_to(B, (2, 3, 4))),
    "shape": (lambda: ops.shape(A), np.array(A.shape)),
    "scalar": (lambda: ops.add(np.float32(1), np.float32(2)), np.float32(3)),
    "float64": (lambda: ops.add(A.astype(np.float64), 1e-9 * np.ones(1)), A + 1e-9),
    "empty": (lambda: ops.add(A[:0], B), (A + B)[:0]),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_numpy(name: str) -> None:
    compute, expected = CASES[name]
    found, expected = compute(), np.asarray(expected)
    assert found.shape == expected.shape
    if expected.dtype.kind == "f":
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * scale)
    else:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_several_outputs_are_a_tuple() -> None:
    values, indices = ops.top_k(INTS, [2], axis=1)
    np.testing.assert_array_equal(values, -np.sort(-INTS, axis=1)[:, :2])
    np.testing.assert_array_equal(np.take_along_axis(INTS, indices, 1), values)
    left, right = ops.split(A, [1, 3], axis=2)
    assert (left.shape, right.shape) == ((2, 3, 1), (2, 3, 3))
    assert len(ops.split(A[..., :3], axis=2, num_outputs=3)) == 3


@pytest.mark.parametrize("name", ["MatMul", "mat_mul", "matmul"])
def test_both_spellings_name_the_operator(name: str) -> None:
    np.testing.assert_allclose(getattr(ops, name)(np.eye(4, dtype="f4"), A[0].T), A[0].T)


def test_all_operators_are_listed() -> None:
    listed = dir(ops)
    for name, domain in ops.names():
        assert ops.snake_case(name) in listed
        if domain == "":
            assert callable(getattr(ops, name)) and callable(getattr(ops, ops.snake_case(name)))


def test_results_do_not_share_memory_with_inputs() -> None:
    x = np.arange(6, dtype=np.float32)
    y = ops.reshape(x, [2, 3])
    y[:] = -1
    np.testing.assert_array_equal(x, np.arange(6))


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(AttributeError, match="no_such_operator"):
        ops.no_such_operator(A)
    with pytest.raises(stacklens.UnsupportedError, match="NoSuchOperator"):
        ops.run("NoSuchOperator", A)
    with pytest.raises(stacklens.StackLensError, match="MatMul"):
        ops.matmul(A, np.ones((7, 2), "f4"))
    with pytest.raises(stacklens.StackLensError, match="(?i)add"):
        ops.add(A, INTS)
    with pytest.raises(stacklens.StackLensError, match="nonsense"):
        ops.softmax(A, nonsense=3)
    with pytest.raises(stacklens.StackLensError):
        ops.softmax(A, axis=7)
    with pytest.raises(stacklens.TypeMismatchError, match="axis"):
        ops.softmax(A, axis=object())
    with pytest.raises(stacklens.InvalidArgumentError, match="64 bits"):
        ops.softmax(A, axis=1 << 70)
    with pytest.raises(stacklens.InvalidArgumentError, match="outputs"):
        ops.relu(A, outputs=0)
