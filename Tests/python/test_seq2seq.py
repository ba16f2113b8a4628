"""The model that writes sequences: its forms, its beam, its parts in another runtime."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import models

FORMS: list[dict[str, Any]] = [
    {},
    {"attention": "dot"},
    {"attention": "none"},
    {"cell": "gru", "attention": "bilinear", "bidirectional": True, "layers": 2},
    {"cell": "gru", "attention": "none", "bidirectional": True},
    {"bidirectional": True, "layers": 2, "dropout": 0.1},
]


def pairs(rows: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Up to four of eight symbols, and the same in reverse."""
    random = np.random.default_rng(seed)
    source, target = np.zeros((2, rows, 4), np.int64)
    for row, length in enumerate(random.integers(1, 5, rows)):
        symbols = random.integers(4, 12, length)
        source[row, :length], target[row, :length] = symbols, symbols[::-1]
    return source, target


def small(**options: Any) -> models.Seq2Seq:
    return models.Seq2Seq(12, 12, width=16, hidden=24, **options)


@pytest.fixture(scope="module")
def fitted() -> models.Seq2Seq:
    model = small()
    model.fit(*pairs(800), epochs=10, learning_rate=0.01)
    return model


def expected(source: np.ndarray, target: np.ndarray, steps: int) -> np.ndarray:
    truth = np.zeros((len(target), max(steps, 5)), np.int64)
    truth[:, :4] = target
    truth[np.arange(len(target)), (target > 0).sum(axis=1)] = 3
    return truth[:, :steps]


def count(options: dict[str, Any], v: int = 12, e: int = 16, h: int = 24) -> int:
    """The parameters by the definition of each part."""
    gates = 3 if options.get("cell") == "gru" else 4
    directions = 2 if options.get("bidirectional") else 1
    layers, d = options.get("layers", 1), directions * h

    def cell(x: int) -> int:
        return gates * (h * (x + h) + 2 * h)

    encoder = v * e + directions * (cell(e) + (layers - 1) * cell(d))
    bridge = layers * (d * h + h) * (1 if gates == 3 else 2)
    scores = {"additive": h * h + h * d + h, "bilinear": h * d, "dot": 0, "none": 0}
    decoder = v * e + cell(e + d) + (layers - 1) * cell(h) + (h + d) * v + v
    return encoder + bridge + scores[options.get("attention", "additive")] + decoder


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_all_forms_learn_and_run_elsewhere(options: dict[str, Any]) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = small(**options)
    assert model.parameter_count == count(options)
    source, target = pairs(800)
    history = model.fit(source, target, epochs=4, learning_rate=0.01)
    assert history.epochs[-1]["val_loss"] < 0.6 * history.epochs[0]["val_loss"]
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4
    parts = {
        name: runtime.InferenceSession(
            model.model(name).to_bytes(), settings, providers=["CPUExecutionProvider"]
        )
        for name in ("encoder", "decoder")
    }

    def run(name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [one.name for one in parts[name].get_outputs()]
        return dict(zip(names, parts[name].run(names, inputs)))

    # Greedy decoding by another runtime gives the same tokens.
    memory = run("encoder", {"source": source[:20]})
    token, found = np.full(20, 2), []
    for _ in range(5):
        outputs = run("decoder", {**memory, "token": token})
        logs = outputs["log_probabilities"].copy()
        np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, atol=1e-5)
        logs[:, [0, 2]] = -np.inf
        token = logs.argmax(axis=1)
        found.append(token)
        for name in ("h", "c"):
            if name in memory:
                memory[name] = outputs["next_" + name]
    tokens = np.stack(found, axis=1)
    ended = (np.cumsum(tokens == 3, axis=1) - (tokens == 3)) > 0
    ours = model.translate(source[:20], max_length=5).tokens
    np.testing.assert_array_equal(ours, np.where(ended, 0, tokens)[:, : ours.shape[1]])


def test_sequences_are_reversed(fitted: models.Seq2Seq) -> None:
    source, target = pairs(200, seed=8)
    found = fitted.translate(source)
    right = found.tokens == expected(source, target, found.tokens.shape[1])
    assert right.mean() > 0.97 and found.finished.all()
    # Each weight lies on what is there.
    sums = found.attention.sum(axis=2)
    np.testing.assert_allclose(sums, (found.tokens > 0).astype(np.float32), atol=1e-5)
    assert not found.attention[(source == 0)[:, None, :] & (found.tokens > 0)[:, :, None]].any()


def test_a_wide_beam_finds_the_best_sequence(fitted: models.Seq2Seq) -> None:
    """All sequences of up to two tokens and an end, against a beam that keeps all of them."""
    source, _ = pairs(3, seed=2)
    session = {name: stacklens.Session(fitted.model(name)) for name in ("encoder", "decoder")}

    def run(name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [one.name for one in fitted.model(name).outputs]
        return dict(zip(names, session[name].run(None, inputs)))

    words = [1, *range(4, 12)]
    found = fitted.translate(source, beam=200, max_length=3)
    for row in range(3):
        best = (-np.inf, ())
        memory = run("encoder", {"source": source[row : row + 1]})
        for length in range(3):
            for tokens in itertools.product(words, repeat=length):
                state, last, total = dict(memory), 2, 0.0
                for token in (*tokens, 3):
                    outputs = run("decoder", {**state, "token": np.array([last])})
                    total += float(outputs["log_probabilities"][0, token])
                    state.update(h=outputs["next_h"], c=outputs["next_c"])
                    last = token
                best = max(best, (total / (length + 1) ** 0.6, (*tokens, 3)))
        tokens = found.tokens[row][found.tokens[row] > 0]
        assert tuple(tokens) == best[1]
        assert found.log_probability[row] / len(tokens) ** 0.6 == pytest.approx(best[0], abs=1e-4)


def test_rows_padding_and_limits(fitted: models.Seq2Seq) -> None:
    source, _ = pairs(6, seed=9)
    whole = fitted.translate(source, beam=3)
    padded = fitted.translate(np.pad(source, ((0, 0), (0, 3))), beam=3)
    np.testing.assert_array_equal(whole.tokens, padded.tokens)
    np.testing.assert_allclose(whole.log_probability, padded.log_probability, atol=1e-5)
    for row in range(6):
        alone = fitted.translate(source[row : row + 1], beam=3)
        tokens = whole.tokens[row][whole.tokens[row] > 0]
        np.testing.assert_array_equal(alone.tokens[0], tokens)
        np.testing.assert_allclose(alone.log_probability, whole.log_probability[row], atol=1e-5)
    short = fitted.translate(np.full((1, 4), 5), max_length=2)
    assert short.tokens.shape == (1, 2) and not short.finished[0]
    none = fitted.translate(source[:0])
    assert none.tokens.shape == (0, 0) and none.finished.shape == (0,)


def test_own_tokens_can_be_learned_from() -> None:
    model = small()
    history = model.fit(
        *pairs(400), epochs=4, learning_rate=0.01, teacher_forcing=0.9, teacher_forcing_end=0.3
    )
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    same = small()
    same.fit(
        *pairs(400), epochs=4, learning_rate=0.01, teacher_forcing=0.9, teacher_forcing_end=0.3
    )
    for name, array in same.model("decoder").state_dict().items():
        np.testing.assert_array_equal(array, model.model("decoder").state_dict()[name])


def test_what_does_not_fit_is_named(fitted: models.Seq2Seq) -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match="row 1 is empty"):
        fitted.translate([[4, 5], [0, 0]])
    with pytest.raises(stacklens.InvalidArgumentError, match="12"):
        fitted.translate([[4, 12]])
    with pytest.raises(stacklens.ShapeError, match="source"):
        fitted.translate([4, 5])
    with pytest.raises(stacklens.NotFittedError):
        small().translate([[4]])
    with pytest.raises(stacklens.InvalidArgumentError, match="'source' is empty in row 1"):
        small().fit([[4], [0]], [[4], [4]])
    with pytest.raises(stacklens.ShapeError, match="2 sources"):
        small().fit([[4], [5]], [[4]])
    with pytest.raises(stacklens.InvalidArgumentError, match="512|511"):
        small().fit([[4]], np.full((1, 512), 4))
    with pytest.raises(stacklens.InvalidArgumentError, match="dot"):
        small(attention="dot", bidirectional=True)
    with pytest.raises(stacklens.InvalidArgumentError, match="4 ids"):
        models.Seq2Seq(4, 12)
