"""Arrays share memory with the library in both directions."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import stacklens
from stacklens import tensor as tensors

NUMBERS = [name for name in tensors.TYPE_NAMES.values() if name not in ("str", "bfloat16")]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_numpy_arrays_are_shared(dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    tensor = stacklens.Tensor(array)
    assert (tensor.dtype, tensor.shape, tensor.size) == (dtype, (2, 3, 4), 24)
    back = np.asarray(tensor)
    assert back.dtype == array.dtype
    assert np.shares_memory(back, array)
    assert not back.flags.writeable
    assert back.tobytes() == array.tobytes()


def test_the_source_lives_until_the_library_is_done() -> None:
    before = len(tensors._lent)
    tensor = stacklens.Tensor(np.arange(1000, dtype=np.float32))
    view = np.asarray(tensor.reshape(10, -1))
    del tensor
    gc.collect()
    assert len(tensors._lent) == before + 1
    np.testing.assert_array_equal(view[9], np.arange(900, 1000))
    del view
    gc.collect()
    assert len(tensors._lent) == before


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.arange(12, dtype=np.float32)[::2],
        np.arange(6, dtype=">f4"),
        np.frombuffer(b"\0" + np.arange(5, dtype=np.int64).tobytes(), np.uint8)[1:].view(np.int64),
    ],
    ids=["transposed", "strided", "big endian", "unaligned"],
)
def test_other_layouts_are_copied(array: np.ndarray) -> None:
    np.testing.assert_array_equal(np.asarray(stacklens.Tensor(array)), array)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1)])
def test_scalars_and_empty_arrays_keep_their_shape(shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype=np.int32)
    tensor = stacklens.Tensor(array)
    assert tensor.shape == shape
    assert np.asarray(tensor).shape == shape
    before = len(tensors._lent)
    del tensor
    gc.collect()
    assert len(tensors._lent) <= before


def test_texts_survive() -> None:
    texts = np.array([["disk full", ""], ["naïve 日本 🙂", "x" * 1000]], dtype=object)
    assert stacklens.Tensor(texts).numpy().tolist() == texts.tolist()
    assert stacklens.Tensor(np.array(["a", "bc"])).numpy().tolist() == ["a", "bc"]
    assert stacklens.Tensor([b"ok", b"\xff"]).numpy().tolist() == ["ok", "\ufffd"]
    assert stacklens.Tensor(["\ud800x"]).numpy().tolist() == ["\ufffdx"]


def test_bfloat16_bits_survive() -> None:
    bits = np.array([0x3F80, 0xC000, 0x7F80], dtype=np.uint16)
    tensor = stacklens.Tensor(bits, dtype="bfloat16")
    assert tensor.dtype == "bfloat16"
    assert np.asarray(tensor).view(np.uint16).tolist() == bits.tolist()
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([1.0, -2.0], dtype=ml_dtypes.bfloat16)
    assert stacklens.Tensor(array).dtype == "bfloat16"
    assert np.asarray(stacklens.Tensor(array)).dtype == array.dtype


def test_dlpack_shares_memory_both_ways() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = stacklens.from_dlpack(array)
    assert np.shares_memory(np.asarray(tensor), array)
    back = np.from_dlpack(tensor)
    assert np.shares_memory(back, array)
    np.testing.assert_array_equal(back, array)
    del tensor, array
    gc.collect()
    np.testing.assert_array_equal(back, np.arange(6).reshape(2, 3))


def test_dlpack_copies_other_layouts_and_unused_capsules_are_freed() -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    np.testing.assert_array_equal(np.asarray(stacklens.from_dlpack(array.T)), array.T)
    before = len(tensors._lent)
    tensor = stacklens.Tensor(array)
    capsule = tensor.__dlpack__()
    del tensor
    gc.collect()
    assert len(tensors._lent) == before + 1
    del capsule
    gc.collect()
    assert len(tensors._lent) == before


def test_dlpack_refuses_what_is_no_array() -> None:
    with pytest.raises(stacklens.TypeMismatchError, match="int has no __dlpack__"):
        stacklens.from_dlpack(3)


def test_reshape_infers_one_extent_and_refuses_others() -> None:
    tensor = stacklens.Tensor(np.arange(6, dtype=np.float32))
    assert tensor.reshape(2, -1).shape == (2, 3)
    with pytest.raises(stacklens.ShapeError):
        tensor.reshape(4, -1)
    with pytest.raises(stacklens.StackLensError):
        tensor.reshape(7)


def test_unknown_types_are_refused() -> None:
    with pytest.raises(stacklens.TypeMismatchError, match="datetime"):
        stacklens.Tensor(np.zeros(2, dtype="datetime64[s]"))
    with pytest.raises(stacklens.TypeMismatchError, match="float80"):
        stacklens.Tensor([1], dtype="float80")
