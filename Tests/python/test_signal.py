"""Fourier transforms against NumPy, for lengths of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import stacklens

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 10, 12, 16, 30, 31, 37, 64, 74, 96, 105, 121, 210, 243, 509, 1000]
LENGTHS += [1024, 1009, 2018, 2187]
RANDOM = np.random.default_rng(8)
TOLERANCES = {np.float32: 2e-6, np.float64: 1e-13}


def parts(values: np.ndarray, dtype: type) -> np.ndarray:
    return np.stack([values.real, values.imag], -1).astype(dtype)


def check(found: np.ndarray, expected: np.ndarray, dtype: type) -> None:
    assert found.dtype == dtype and found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCES[dtype] * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", LENGTHS)
def test_agrees_with_numpy(length: int, dtype: type) -> None:
    real = RANDOM.standard_normal((2, length, 3)).astype(dtype)
    complex_ = real + 1j * RANDOM.standard_normal(real.shape).astype(dtype)
    axis = np.array(1)
    inputs = real[..., None], parts(complex_, dtype)
    expected = np.fft.fft(real.astype(np.float64), axis=1)
    check(np.asarray(stacklens.ops.dft(inputs[0], None, axis)), parts(expected, dtype), dtype)
    half = np.fft.rfft(real.astype(np.float64), axis=1)
    found = np.asarray(stacklens.ops.dft(inputs[0], None, axis, onesided=1))
    check(found, parts(half, dtype), dtype)
    back = np.asarray(stacklens.ops.dft(found, np.array(length), axis, onesided=1, inverse=1))
    check(back, inputs[0], dtype)
    forward = np.asarray(stacklens.ops.dft(inputs[1], None, axis))
    check(forward, parts(np.fft.fft(complex_.astype(np.complex128), axis=1), dtype), dtype)
    check(np.asarray(stacklens.ops.dft(forward, None, axis, inverse=1)), inputs[1], dtype)


@pytest.mark.parametrize("length", [3, 9, 16])
def test_cuts_and_fills(length: int) -> None:
    signal = RANDOM.standard_normal((4, 9))
    found = np.asarray(stacklens.ops.dft(signal[..., None], np.array(length)))
    check(found, parts(np.fft.fft(signal, length, axis=-1), np.float64), np.float64)


def test_a_real_signal_has_a_symmetric_spectrum() -> None:
    found = np.asarray(stacklens.ops.dft(RANDOM.standard_normal((12, 1)).astype(np.float32)))
    assert found[0, 1] == 0 and found[6, 1] == 0
    np.testing.assert_array_equal(found[1:6], found[:6:-1] * [1, -1])


def test_short_transforms_of_frames() -> None:
    signal = RANDOM.standard_normal((2, 50))
    window = np.hanning(12)
    found = np.asarray(
        stacklens.ops.stft(signal[..., None], np.array(7), window, np.array(12)))
    frames = np.stack([signal[:, at : at + 12] * window for at in range(0, 39, 7)], 1)
    check(found, parts(np.fft.rfft(frames), np.float64), np.float64)


@pytest.mark.parametrize("length", [0, -3, 1 << 40])
def test_refuses_lengths(length: int) -> None:
    with pytest.raises(stacklens.StackLensError):
        stacklens.ops.dft(np.ones((4, 1), np.float32), np.array(length))


def test_refuses_wrong_parts() -> None:
    with pytest.raises(stacklens.StackLensError, match="1 or 2"):
        stacklens.ops.dft(np.ones((4, 3), np.float32))
    with pytest.raises(stacklens.StackLensError, match="real"):
        stacklens.ops.dft(np.ones((4, 2), np.float32), onesided=1)
    with pytest.raises(stacklens.StackLensError, match="frames of 9"):
        stacklens.ops.stft(np.ones((1, 8, 1), np.float32), np.array(1), None, np.array(9))
