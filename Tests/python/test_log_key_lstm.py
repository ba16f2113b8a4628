"""The log-key LSTM: windows, rules and edges of sessions."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import models

CYCLE = [1, 2, 3, 1, 2, 3, 1]


def fitted(keys: Any = None, **options: Any) -> models.LogKeyLSTM:
    """A model of sessions that count to three, over and over."""
    settings: dict[str, Any] = {"keys": 5, "window": 2, "embedding": 8, "hidden": 8, "top": 1}
    model = models.LogKeyLSTM(**{**settings, **options})
    model.fit(
        [CYCLE, CYCLE[:4]] * 20 if keys is None else keys, epochs=80, learning_rate=1e-2,
        batch_size=16, patience=80, validation_share=0.0,
    )
    return model


def test_finds_the_first_key_that_is_not_expected() -> None:
    model = fitted()
    found = model.detect([CYCLE, [1, 2, 1, 1, 2, 3], [1, 2, 3, 1, 3]])
    np.testing.assert_array_equal(found.is_anomaly, [False, True, True])
    np.testing.assert_array_equal(found.first_anomaly, [-1, 2, 4])
    assert found.worst_rank[0] == 1 and found.worst_rank[1:].min() > 1
    assert found.surprise[1] > found.surprise[0] >= 0
    assert not model.detect([[1, 2, 1, 1, 2, 3]], top=5).is_anomaly[0]
    assert not model.detect([[1, 2, 1, 1, 2, 3]], threshold=1e6).is_anomaly[0]
    with pytest.raises(stacklens.InvalidArgumentError, match="not both"):
        model.detect([CYCLE], top=1, threshold=1.0)


def test_keys_that_are_not_known_are_anomalies() -> None:
    model = fitted()
    for session, first in (([1, 6, 3, 1], 1), ([1, 2, 3, 1 << 40], 3), ([6], 0)):
        found = model.detect([session], threshold=1e6)
        assert found.is_anomaly[0] and found.first_anomaly[0] == first
        assert found.worst_rank[0] == 6 and np.isinf(found.surprise[0])
    # Nor what normal sessions never held.
    assert np.isinf(model.detect([[1, 2, 3, 4]]).surprise[0])
    for wrong in (0, -1):
        with pytest.raises(stacklens.InvalidArgumentError, match="session 1, step 2"):
            model.detect([CYCLE[:3], [1, 2, wrong]])
    with pytest.raises(stacklens.InvalidArgumentError, match="session 0, step 1"):
        model.fit([[1, 6, 2, 3]])


def test_sessions_that_end_before_they_can_be_judged() -> None:
    found = fitted().detect([[], [1], [1, 2], [1, 2, 3]])
    # All that it learned from had four keys and more.
    np.testing.assert_array_equal(found.is_anomaly, [True, True, True, False])
    np.testing.assert_array_equal(found.first_anomaly, [0, 1, 2, -1])
    found = fitted([CYCLE, [1, 2], []] * 10).detect([[], [1], [1, 2]])
    np.testing.assert_array_equal(found.is_anomaly, [False] * 3)
    np.testing.assert_array_equal(found.worst_rank, [0] * 3)
    np.testing.assert_array_equal(found.surprise, [0] * 3)


def test_padded_sessions_are_judged_from_their_first_key_to_their_end() -> None:
    model = fitted([[1, 2, 3]] * 20, padded=True, end=True)
    found = model.detect([[1, 2, 3], [2, 3], [1, 2], [], [1, 2, 3, 1]])
    np.testing.assert_array_equal(found.first_anomaly, [-1, 0, 2, 0, 3])
    assert found.end_surprise[2] > 2 > max(found.surprise[2], found.end_surprise[0])
    # The end has a threshold of its own.
    strict, loose = (
        model.detect([[1, 2]], threshold=1e6, end_threshold=end) for end in (2.0, 1e6)
    )
    assert strict.first_anomaly[0] == 2 and not loose.is_anomaly[0]
    assert model.predict([[0, 0], [2, 3]]).argmax(axis=1).tolist() == [0, 5]
    assert model.detect([[1, 2, 3]]).worst_rank[0] == 1


def test_counts_tell_what_the_window_does_not() -> None:
    sessions = [[1] * 3 + [2], [3] * 2] * 20
    seeing = fitted(sessions, window=1, padded=True, end=True, counts=True)
    blind = fitted(sessions, window=1, padded=True, end=True)
    wrong = [[1, 1, 2], [1, 1, 1, 1], [3], [3, 3, 3]]
    assert seeing.detect(wrong, top=1).is_anomaly[1:].all()
    assert seeing.detect(wrong[:1], threshold=2.0, end_threshold=2.0).is_anomaly[0]
    assert not blind.detect(wrong[:1], threshold=2.0, end_threshold=2.0).is_anomaly[0]
    with pytest.raises(stacklens.ShapeError, match="counts"):
        seeing.predict([[1]], np.zeros((2, 5)))
    with pytest.raises(stacklens.InvalidArgumentError, match="missing"):
        seeing.predict([[1]])
    with pytest.raises(stacklens.InvalidArgumentError, match="counts"):
        seeing.predict([[1]], -np.ones((1, 5)))
    with pytest.raises(stacklens.InvalidArgumentError, match="no counts"):
        blind.predict([[1]], np.zeros((1, 5)))


def test_merged_windows_train_as_often_as_they_occur() -> None:
    model = fitted([[1, 2]] * 30 + [[1, 3]] * 10, window=1, hidden=16)
    scores = np.exp(model.predict([[1]])[0])
    np.testing.assert_allclose(scores[1:3] / scores.sum(), [0.75, 0.25], atol=0.05)


def test_quantities_are_the_counts_of_keys_that_vary_little(tmp_path: pathlib.Path) -> None:
    # Key 1 comes twice, 4 and 5 both or neither, 2 as often as it likes.
    sessions = [[1, 1] + [2] * times + [4, 5] * (times % 2) for times in range(40)] * 3
    sessions += [[1, 1] + [2] * times for times in range(100, 103)]
    model = models.LogKeyLSTM(5, 1, 8, 8, 1, rule="top", top=5, quantities=True)
    model.fit(sessions, epochs=1, false_alarms=0.02)
    keys, *known = model.facts["quantities"]
    assert keys == [1, 4, 5] and known == [[2, 0, 0], [2, 1, 1]]
    wrong = [[1, 2, 2], [1, 1, 1, 2], [1, 1, 4], [1, 1, 4, 5, 4, 5]]
    found = model.detect([[1, 1, *[2] * 60], [1, 1, 4, 5], *wrong])
    np.testing.assert_array_equal(found.has_known_counts, [True, True] + [False] * 4)
    np.testing.assert_array_equal(found.is_anomaly, ~found.has_known_counts)
    # How often keys occur is known at the end.
    np.testing.assert_array_equal(found.first_anomaly, [-1, -1, 3, 4, 3, 6])
    model.save(tmp_path / "model.stacklens")
    again = models.load(tmp_path / "model.stacklens").detect(wrong)
    np.testing.assert_array_equal(again.has_known_counts, [False] * 4)
    # Nobody may be called an anomaly: what only one session had tells nothing.
    model.fit(sessions, epochs=1, false_alarms=0.0)
    assert model.facts["quantities"][0] == [1, 4, 5]
    model.fit([*sessions, [1, 1, 4]], epochs=1, false_alarms=0.0)
    assert model.facts["quantities"][0] == [1, 5]
    assert fitted().detect([[1, 2, 3, 1]] * 2).has_known_counts.all()


def test_the_threshold_comes_from_validation_sessions() -> None:
    sessions = [[1, 2, 3, 1]] * 30 + [[1, 3, 2, 1]] * 3
    model = models.LogKeyLSTM(5, 1, 8, 8, 1, rule="probability", padded=True, end=True)
    model.fit(
        sessions, validation=(np.array(sessions), np.full(33, 4)), epochs=60,
        learning_rate=1e-2, patience=60, false_alarms=0.0,
    )
    found = model.detect(sessions)
    assert not found.is_anomaly.any()
    for name, surprise in (("threshold", found.surprise), ("end_threshold", found.end_surprise)):
        assert model.facts[name] == pytest.approx(float(surprise.max()), rel=1e-5)
    lower = model.detect(sessions, threshold=model.facts["threshold"] * 0.99)
    assert lower.is_anomaly.tolist() == [False] * 30 + [True] * 3


def test_vectors_are_what_keys_start_with() -> None:
    vectors = np.arange(20, dtype=np.float32).reshape(5, 4)
    model = models.LogKeyLSTM(5, 2, 4, 4, 1)
    model.fit([CYCLE] * 10, vectors=vectors, epochs=1, learning_rate=1e-30)
    table = model.model().parameter("embedding.weight")
    np.testing.assert_allclose(table, np.vstack([np.zeros((1, 4)), vectors]), atol=1e-20)
    with pytest.raises(stacklens.ShapeError, match="vectors"):
        model.fit([CYCLE] * 10, vectors=vectors[:4])


def test_lengths_and_shapes_are_checked() -> None:
    model = fitted()
    table = np.array([CYCLE, CYCLE])
    whole, cut = model.detect(table), model.detect(table, [7, 4])
    assert not whole.is_anomaly.any() and not cut.is_anomaly.any()
    for wrong in ([7, 8], [-1, 7]):
        with pytest.raises(stacklens.InvalidArgumentError, match="lengths"):
            model.detect(table, wrong)
    with pytest.raises(stacklens.ShapeError, match="lengths"):
        model.detect(table, [7])
    with pytest.raises(stacklens.ShapeError, match="keys"):
        model.detect(np.array(CYCLE), [7])
    with pytest.raises(stacklens.InvalidArgumentError, match="'keys'"):
        model.predict([[1, 6]])
    with pytest.raises(stacklens.ShapeError, match="keys"):
        model.predict([[1, 2, 3]])
    assert model.detect([]).is_anomaly.shape == (0,)
    assert model.detect([[], []]).is_anomaly.tolist() == [True, True]


def test_data_without_a_window_is_refused() -> None:
    model = models.LogKeyLSTM(5, 4)
    for keys, what in (([], "0 sessions"), ([[1, 2, 3, 4]] * 5, "no session is longer")):
        with pytest.raises(stacklens.InvalidArgumentError, match=what):
            model.fit(keys)
    with pytest.raises(stacklens.NotFittedError):
        model.detect([CYCLE])
