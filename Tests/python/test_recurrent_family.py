"""Recurrent layers beside each other: their sizes, and rows that do not see their padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import models, nn

CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def built(cell: str, **options: Any) -> stacklens.Model:
    layer = CELLS[cell](5, 7, **options)
    inputs = [nn.Input(("batch", "steps", 5)), nn.Input(("batch",), "int64")]
    return nn.build(layer, inputs)


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"num_layers": 3, "bidirectional": True}], ids=str
)
def test_gates_multiply_parameters(options: dict[str, Any]) -> None:
    sizes = {
        cell: sum(array.size for array in built(cell, **options).state_dict().values())
        for cell in CELLS
    }
    assert sizes["gru"] == 3 * sizes["rnn"] and sizes["lstm"] == 4 * sizes["rnn"]


def test_one_bias_or_two() -> None:
    assert models.SentimentClassifier(biases=1).parameter_count == 344_897
    assert models.SentimentClassifier(biases=2).parameter_count == 345_153
    for biases in (1, 2):
        sizes = [
            models.SentimentClassifier(cell=cell, biases=biases).parameter_count - 320_065
            for cell in ("rnn", "gru", "lstm")
        ]
        assert sizes == [gates * (64 * (32 + 64) + biases * 64) for gates in (1, 3, 4)]


@pytest.mark.parametrize("cell", CELLS)
def test_rows_are_those_of_each_alone(cell: str) -> None:
    session = stacklens.Session(built(cell, num_layers=2, bidirectional=True))
    x = np.random.default_rng(4).normal(size=(5, 6, 5)).astype(np.float32)
    lengths = np.array([6, 1, 3, 5, 2])
    names = [info.name for info in session.inputs]
    whole = session.run(None, dict(zip(names, (x, lengths))))
    for row, length in enumerate(lengths):
        alone = session.run(
            None, dict(zip(names, (x[row : row + 1, :length], lengths[row : row + 1])))
        )
        np.testing.assert_allclose(whole[0][row, :length], alone[0][0], atol=1e-5)
        assert not whole[0][row, length:].any()
        for state, single in zip(whole[1:], alone[1:]):
            np.testing.assert_allclose(state[:, row], single[:, 0], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_word_at_any_place_is_noticed(cell: str) -> None:
    random = np.random.default_rng(1)
    words = np.array("the service node a reply was fine again".split())
    texts, labels = [], []
    for index in range(400):
        text = list(random.choice(words, random.integers(3, 9)))
        if index % 2:
            text[random.integers(len(text))] = "failed"
        texts.append(" ".join(text).capitalize() + "!")
        labels.append(index % 2)
    model = models.SentimentClassifier(vocabulary=20, length=12, width=8, hidden=12, cell=cell)
    model.fit(texts, labels, epochs=20, learning_rate=0.01)
    found, flags = model.predict(texts)
    assert (flags == np.array(labels)).mean() > 0.97
    np.testing.assert_array_equal(flags, found >= 0.5)
    long = " ".join(["fine"] * 12)
    np.testing.assert_array_equal(model.predict([long])[0], model.predict([long + " failed"])[0])
    with pytest.raises(stacklens.InvalidArgumentError, match="row 1 is empty"):
        model.predict(["fine", " "])
    with pytest.raises(stacklens.InvalidArgumentError, match="neither"):
        model._call("classify", {}, 2)
