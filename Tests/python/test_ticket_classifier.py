"""The classifier of tickets: its sizes, its words, and tickets of which something is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import models

SUBJECTS = (("database", "query"), ("network", "socket"), ("memory", "heap"))


def tickets(count: int) -> tuple[list[str], list[str], np.ndarray]:
    """Descriptions and resolutions that name a subject, every second without a resolution."""
    random = np.random.default_rng(3)
    descriptions, resolutions = [], []
    for index in range(count):
        subject = SUBJECTS[index % 3]
        descriptions.append(" ".join(random.choice(["the", "a", "node", "fails", *subject * 2], 10)))
        resolutions.append("" if index % 2 else f"Restarted: {subject[0]}!")
    return descriptions, resolutions, np.arange(count) % 3


def small(**options: Any) -> models.TicketClassifier:
    return models.TicketClassifier(3, vocabulary=40, length=12, width=16, hidden=8, **options)


@pytest.fixture(scope="module")
def fitted() -> models.TicketClassifier:
    descriptions, resolutions, labels = tickets(240)
    model = small()
    model.fit(
        descriptions, labels[:, None] == np.arange(3), resolutions, epochs=15, learning_rate=0.01
    )
    return model


def test_parameters_of_all_forms() -> None:
    whole = 1_391_872 + 65 * 7
    assert models.TicketClassifier(7).parameter_count == whole
    assert models.TicketClassifier(7, multi_label=False).parameter_count == whole
    assert models.TicketClassifier(7, shared=True).parameter_count == whole - 49_664
    both_ways = models.TicketClassifier(7, bidirectional=True).parameter_count
    assert both_ways == whole + 2 * 49_664 + 2 * 64 * 64
    transformer = models.TicketClassifier(7, branch="transformer").parameter_count
    assert transformer == whole + 2 * (273_472 - 49_664)


@pytest.mark.parametrize(
    "options",
    [{}, {"branch": "transformer"}, {"shared": True}, {"bidirectional": True}, {"multi_label": False}],
    ids=str,
)
def test_all_forms_learn(options: dict[str, Any]) -> None:
    descriptions, resolutions, labels = tickets(240)
    model = small(**options)
    target = labels if options.get("multi_label") is False else labels[:, None] == np.arange(3)
    model.fit(descriptions, target, resolutions, epochs=20, learning_rate=0.01)
    found = model.predict(descriptions, resolutions)
    assert (found.labels.sum(axis=1) == 1).mean() > 0.95
    assert (found.probabilities.argmax(axis=1) == labels).mean() > 0.95
    np.testing.assert_allclose(found.branch_attention.sum(axis=1), 1, atol=1e-6)
    if options.get("multi_label") is False:
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)


def test_what_is_missing_has_no_weight(fitted: models.TicketClassifier) -> None:
    alone = fitted.predict(["the network fails"])
    assert alone.branch_attention.tolist() == [[1, 0]]
    empty = fitted.predict(["the network fails"], [""])
    np.testing.assert_array_equal(alone.logits, empty.logits)
    resolved = fitted.predict(["", "  "], ["restarted: memory", "network"])
    assert resolved.branch_attention.tolist() == [[0, 1], [0, 1]]
    np.testing.assert_array_equal(
        resolved.logits, fitted.predict(None, ["restarted: memory", "network"]).logits
    )
    with pytest.raises(stacklens.InvalidArgumentError, match="both empty in row 1"):
        fitted.predict(["database", " \n"], ["", ""])
    with pytest.raises(stacklens.InvalidArgumentError, match="neither"):
        fitted.predict()


def test_words_are_numbered_by_frequency(fitted: models.TicketClassifier) -> None:
    ids = fitted.ids(["THE Node-fails, zebra!", "", "heap " * 30])
    assert ids.shape == (3, 12)
    assert (ids[0] == 1).sum() == 3 and not ids[0, 7:].any()
    assert not ids[1].any() and (ids[2] == ids[2, 0]).all()
    assert fitted.facts["vocabulary"][ids[0, 0] - 2] == "the"
    unknown = fitted.predict(["zebra giraffe"])
    assert np.isfinite(unknown.logits).all()
    as_ids = fitted.predict(fitted.ids(["the network fails"]))
    np.testing.assert_allclose(
        as_ids.logits, fitted.predict(["the network fails"]).logits, atol=1e-6
    )


def test_long_texts_are_cut_at_the_end(fitted: models.TicketClassifier) -> None:
    text = "memory heap " * 6
    np.testing.assert_array_equal(
        fitted.predict([text]).logits, fitted.predict([text + "network socket " * 9]).logits
    )


def test_padding_has_the_vector_zero(fitted: models.TicketClassifier) -> None:
    table = fitted.model().state_dict()["embedding.weight"]
    assert not table[0].any() and table[1:].any(axis=1).all()


def test_thresholds_are_tuned_on_validation_rows() -> None:
    descriptions, _, labels = tickets(240)
    # Of the third label a third is known only, and one column is never set.
    target = (labels[:, None] == np.arange(3)).astype(int)
    target[::2, 2] = -100
    target[:, 1] = 0
    model = small()
    model.fit(descriptions, target, epochs=3, learning_rate=0.01, tune_thresholds=True)
    thresholds = model.facts["thresholds"]
    assert len(thresholds) == 3 and thresholds[1] == 0.5
    found = model.predict(descriptions)
    np.testing.assert_array_equal(found.labels, found.probabilities >= np.array(thresholds))
    with pytest.raises(stacklens.InvalidArgumentError, match="validation"):
        small().fit(descriptions, target, epochs=1, validation_share=0, tune_thresholds=True)


def test_what_does_not_fit_is_named(fitted: models.TicketClassifier) -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match="description_ids.*40"):
        fitted.predict(np.array([[3, 40]]))
    with pytest.raises(stacklens.ShapeError, match="12 steps"):
        fitted.predict(np.ones((1, 13), np.int64))
    with pytest.raises(stacklens.ShapeError, match="1 resolutions"):
        fitted.predict(["a", "b"], ["c"])
    with pytest.raises(stacklens.ShapeError, match="labels"):
        small().fit(["a", "b"], np.zeros((2, 4)))
    with pytest.raises(stacklens.InvalidArgumentError, match="empty"):
        small().fit([], np.zeros((0, 3)))
    with pytest.raises(stacklens.InvalidArgumentError, match="bidirectional"):
        small(branch="transformer", bidirectional=True)
    by_ids = small()
    by_ids.fit(np.ones((8, 3), np.int64), np.zeros((8, 3)), epochs=1)
    with pytest.raises(stacklens.NotFittedError, match="ids"):
        by_ids.predict(["a text"])
