"""The autoencoder: what it finds unusual, and its edge cases."""

from __future__ import annotations

import numpy as np
import pytest
import stacklens
from stacklens import models


def usual(rows: int, seed: int) -> np.ndarray:
    """Rows near a plane of four directions in twenty-four."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(0).normal(size=(4, 24))
    rows_ = random.normal(size=(rows, 4)) @ directions + 0.1 * random.normal(size=(rows, 24))
    return (rows_ * 5 + 2).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> models.AnomalyVAE:
    model = models.AnomalyVAE(24, (32, 16), 4)
    model.fit(usual(1_500, 1), epochs=40)
    return model


def test_finds_what_leaves_the_plane(fitted: models.AnomalyVAE) -> None:
    normal, flags = fitted.predict(usual(1_000, 2))
    random = np.random.default_rng(3)
    strange, found = fitted.predict((random.normal(size=(500, 24)) * 11 + 2).astype(np.float32))
    assert np.median(strange) > 3 * np.median(normal)
    assert found.mean() > 0.9 and abs(flags.mean() - 0.05) < 0.03
    assert fitted.facts["threshold"] > 0


def test_scores_are_those_of_the_reconstruction(fitted: models.AnomalyVAE) -> None:
    x = usual(50, 4)
    parameter = fitted.model().parameter
    deviation = parameter("statistics.deviation")
    errors = ((fitted.reconstruct(x) - x) / deviation) ** 2
    np.testing.assert_allclose(fitted.score(x), errors.mean(axis=1), rtol=1e-4, atol=1e-6)
    mean, logvar = fitted.encode(x)
    assert mean.shape == logvar.shape == (50, 4)
    np.testing.assert_allclose(fitted.decode(mean), fitted.reconstruct(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(fitted.score(x), fitted.score(x))


def test_edge_cases(fitted: models.AnomalyVAE) -> None:
    x = usual(60, 5)
    constant = x.copy()
    constant[:, 3] = 7
    model = models.AnomalyVAE(24, (8,), 2)
    history = model.fit(constant, constant[:9], epochs=2, quantile=1)
    assert len(history) == 2 and np.isfinite(model.score(constant)).all()
    assert not model.predict(constant[:9])[1].any()
    assert model.predict(constant, threshold=0)[1].all()
    with pytest.raises(stacklens.InvalidArgumentError, match="0 rows"):
        model.fit(x[:0])
    with pytest.raises(stacklens.ShapeError, match="any, 24"):
        model.fit(x[:, :-1])
    x[4, 2] = np.nan
    with pytest.raises(stacklens.NonFiniteError, match="row 4, column 2"):
        model.fit(x)
    model.fit(constant[:1], epochs=1)
