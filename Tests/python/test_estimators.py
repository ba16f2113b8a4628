"""What all models of docs/models have in common, each with small data of its own."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import pytest
import stacklens
from stacklens import models

runtime = pytest.importorskip("onnxruntime")


class Case:
    """A small model, its data, and the rows that it is asked about."""

    def __init__(
        self,
        make: Callable[..., models.Estimator],
        fit: Callable[[Any], stacklens.History],
        inputs: Callable[[int], dict[str, np.ndarray]],
        ask: Callable[[Any, dict[str, np.ndarray]], list[np.ndarray]],
        whole: tuple[Callable[[], models.Estimator], int],
        feeds: Optional[Callable[[int], dict[str, np.ndarray]]] = None,
    ) -> None:
        self.make, self.fit, self.inputs, self.ask, self.whole = make, fit, inputs, ask, whole
        # What the network itself takes, where that is not what the model is asked about.
        self.feeds = feeds or inputs


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def vae_rows(rows: int) -> dict[str, np.ndarray]:
    return {"x": normal(rows, 12, seed=rows) * 3 + 1}


def flow_rows(rows: int) -> dict[str, np.ndarray]:
    return {"x": normal(rows, 5, 12, seed=rows), "lengths": np.arange(rows, dtype=np.int64) % 5 + 1}


def fit_flow(model: Any) -> stacklens.History:
    rows = flow_rows(64)
    return model.fit(
        rows["x"], np.where(np.arange(64) % 7, np.arange(64) % 4, -100), normal(64, 12),
        np.abs(normal(64)) * 60, np.arange(64) % 3 == 0, rows["lengths"], epochs=2,
    )


def dqn_rows(rows: int) -> dict[str, np.ndarray]:
    return {"state": normal(rows, 6, seed=rows)}


def fit_dqn(model: Any) -> stacklens.History:
    states, later = normal(200, 6, seed=1), normal(200, 6, seed=2)
    actions = np.arange(200) % 3
    return model.fit(states, actions, actions - 1, later, np.arange(200) % 5 == 0, steps=30)


def ticket_rows(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    description = random.integers(1, 30, (rows, 8))
    resolution = random.integers(1, 30, (rows, 8))
    description[np.arange(8) >= random.integers(1, 9, (rows, 1))] = 0
    resolution[np.arange(8) >= random.integers(0, 9, (rows, 1))] = 0
    return {"description_ids": description, "resolution_ids": resolution}


def fit_tickets(model: Any) -> stacklens.History:
    rows = ticket_rows(60)
    labels = rows["description_ids"][:, :1] > np.array([5, 10, 20])
    return model.fit(rows["description_ids"], labels, rows["resolution_ids"], epochs=2)


def gnn_rows(rows: int) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(rows).random((rows, 4, 4))
    return {
        "node_features": normal(rows, 4, 12, seed=rows),
        "adjacency": (chance * (chance > 0.5)).astype(np.float32),
        "edge_features": normal(rows, 4, 4, 6, seed=rows + 1),
        "node_mask": np.arange(4) <= np.arange(rows)[:, None] % 4,
    }


def gnn_feeds(rows: int) -> dict[str, np.ndarray]:
    return models.SystemGraphGNN(12, 6, 8, 2).pack(**gnn_rows(rows))


def fit_gnn(model: Any) -> stacklens.History:
    graphs = model.pack(**gnn_rows(40))
    nodes, edges = len(graphs["node_features"]), len(graphs["edge_weight"])
    return model.fit(
        **graphs, node_health=np.where(np.arange(nodes) % 7, np.arange(nodes) % 5, -100),
        edge_propagation=np.arange(edges) % 2, edge_propagation_reverse=np.full(edges, -100),
        system_health=np.linspace(0, 1, 40), epochs=2, batch_size=8,
    )


def text_rows(rows: int) -> dict[str, np.ndarray]:
    return {"text_ids": ticket_rows(rows)["description_ids"]}


def sequence_rows(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    source = random.integers(4, 9, (rows, 4))
    source[np.arange(4) >= random.integers(1, 5, (rows, 1))] = 0
    return {"source": source}


def fit_sequences(model: Any) -> stacklens.History:
    source = sequence_rows(60)["source"]
    return model.fit(source, source[:, ::-1] * (source[:, -1:] > 0), epochs=2)


def key_rows(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    return {
        "keys": random.integers(0, 7, (rows, 3)),
        "counts": random.integers(0, 9, (rows, 6)).astype(np.float32),
    }


def fit_keys(model: Any) -> stacklens.History:
    keys = np.random.default_rng(1).integers(1, 7, (40, 9))
    return model.fit(keys, np.arange(40) % 10, epochs=2)


def piece_rows(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    mask = (np.arange(7) < random.integers(2, 8, (rows, 1))).astype(np.int64)
    return {
        "input_ids": random.integers(0, 40, (rows, 7)) * mask, "attention_mask": mask,
        "token_type_ids": np.zeros((rows, 7), np.int64),
        "tech_ids": np.where(mask > 0, random.integers(-1, 3, (rows, 7)), -1),
    }


def small_transformer(**options: Any) -> models.StackLensTransformer:
    return models.StackLensTransformer(
        vocabulary=40, positions=16, width=12, layers=2, heads=3, feed_forward=16,
        attention_heads=2, terms=["disk", "out of memory", "time"], **options,
    )


def spelt_rows(rows: int) -> dict[str, np.ndarray]:
    """Pieces beside n-grams of how their texts are spelt, as many as each row has pieces."""
    pieces = piece_rows(rows)
    random = np.random.default_rng(rows + 1)
    return {
        **pieces, "spelling_ids": random.integers(1, 50, (rows, 7)) * pieces["attention_mask"],
        "spelling_weights": (1 + random.random((rows, 7)) * pieces["attention_mask"]).astype(np.float32)
        * pieces["attention_mask"].astype(np.float32),
    }


def fit_errors(model: Any, rows: Any = None) -> stacklens.History:
    rows = rows or piece_rows(60)
    del rows["token_type_ids"]
    return model.fit(
        severity=rows["input_ids"][:, 0] % 4, category=np.where(np.arange(60) < 3, -100, np.arange(60) % 9), epochs=2,
        **rows,
    )


def tagger_rows(rows: int) -> dict[str, np.ndarray]:
    pieces = piece_rows(rows)
    del pieces["tech_ids"]
    shapes = np.random.default_rng(rows).integers(0, 2, (rows, 7, 16))
    return {**pieces, "shapes": shapes.astype(np.float32)}


def fit_tagger(model: Any) -> stacklens.History:
    rows = tagger_rows(60)
    del rows["token_type_ids"]
    tags = np.where(rows["attention_mask"] > 0, rows["input_ids"] % 4 * 2 - 1, -100)
    return model.fit(**rows, tags=np.maximum(tags, np.where(tags < -1, -100, 0)), epochs=2)


def word_rows(rows: int) -> dict[str, np.ndarray]:
    words = np.random.default_rng(rows).choice(["disk", "node", "full", "down"], rows)
    return {"words": words.astype(object)}


def fit_words(model: Any) -> stacklens.History:
    return model.fit(["disk full on a node", "node down", "down node full disk"] * 9, epochs=2)


CASES: dict[str, Case] = {
    "stacklens_transformer": Case(
        small_transformer, fit_errors, piece_rows,
        lambda model, rows: list(vars(model.forward(**rows)).values()),
        (models.StackLensTransformer, 115_105_551),
    ),
    "stacklens_transformer with spelling": Case(
        lambda **options: small_transformer(spelling_buckets=50, **options),
        lambda model: fit_errors(model, spelt_rows(60)), spelt_rows,
        lambda model, rows: list(vars(model.forward(**rows)).values()),
        # Scores of four and of ten classes for each of 1,000 n-grams.
        (lambda: models.StackLensTransformer(spelling_buckets=1000), 115_105_551 + 14 * 1000),
    ),
    "anomaly_vae": Case(
        lambda **options: models.AnomalyVAE(12, (16, 8), 4, **options),
        lambda model: model.fit(vae_rows(300)["x"], epochs=3),
        vae_rows,
        lambda model, rows: [*model.predict(rows["x"]), *model.encode(rows["x"])],
        (models.AnomalyVAE, 353_664),
    ),
    "error_flow_lstm": Case(
        lambda **options: models.ErrorFlowLSTM(12, 8, 2, 4, **options),
        fit_flow, flow_rows,
        lambda model, rows: list(vars(model.predict(**rows)).values())[:6],
        (models.ErrorFlowLSTM, 5_257_475 + 257 * 10),
    ),
    "log_key_lstm": Case(
        lambda **options: models.LogKeyLSTM(6, 3, 5, 8, 1, counts=True, end=True, **options),
        fit_keys, key_rows,
        lambda model, rows: [model.predict(**rows)],
        # Vectors, two layers of four gates with two biases each, and the head.
        (models.LogKeyLSTM, 29 * 64 + 2 * 4 * 64 * (64 + 64 + 2) + 65 * 28),
    ),
    "ner_tagger": Case(
        lambda **options: models.NerTagger(
            vocabulary=40, positions=16, width=12, layers=2, heads=3, feed_forward=16, hidden=6,
            **options,
        ),
        fit_tagger, tagger_rows, lambda model, rows: [model.forward(**rows)],
        # The width of MiniLM; what stands before the plus is a small encoder.
        (
            lambda: models.NerTagger(
                vocabulary=10, positions=8, width=384, layers=1, heads=12, feed_forward=8,
            ),
            607_880 + 544_582,
        ),
    ),
    "resolution_dqn": Case(
        lambda **options: models.ResolutionDQN(6, 3, (16, 8), **options),
        fit_dqn, dqn_rows,
        lambda model, rows: list(model.suggest(rows["state"]))[::-1],
        (models.ResolutionDQN, 165_514),
    ),
    "sentiment_classifier": Case(
        lambda **options: models.SentimentClassifier(
            vocabulary=30, length=9, width=6, hidden=8, biases=1, **options
        ),
        lambda model: model.fit(text_rows(60)["text_ids"], np.arange(60) % 2, epochs=2),
        text_rows,
        lambda model, rows: list(model.predict(rows["text_ids"])),
        (models.SentimentClassifier, 345_153),
    ),
    "seq2seq": Case(
        lambda **options: models.Seq2Seq(9, 9, width=6, hidden=8, **options),
        fit_sequences, sequence_rows,
        lambda model, rows: [model.translate(rows["source"], beam=2).log_probability],
        (lambda: models.Seq2Seq(30, 30), 341_662),
    ),
    "ticket_classifier": Case(
        lambda **options: models.TicketClassifier(
            3, vocabulary=30, length=12, width=8, hidden=6, **options
        ),
        fit_tickets, ticket_rows,
        lambda model, rows: list(vars(model.predict(*rows.values())).values()),
        (models.TicketClassifier, 1_391_872 + 65 * 10),
    ),
    "system_graph_gnn": Case(
        lambda **options: models.SystemGraphGNN(12, 6, 8, 2, **options),
        fit_gnn, gnn_rows,
        lambda model, rows: [
            getattr(model.predict_dense(**rows), name)
            for name in ("node_health", "system_health", "node_embeddings")
        ],
        (models.SystemGraphGNN, 51_719 + 3 * 328_960), gnn_feeds,
    ),
    "word_vectors": Case(
        lambda **options: models.WordVectors(20, min_count=1, **options),
        fit_words, word_rows,
        lambda model, rows: [model.vector(rows["words"])],
        # As many words as come, times the width: none before it is fitted.
        (models.WordVectors, 0), lambda rows: {"ids": np.arange(rows) % 6},
    ),
}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_parameters_are_as_many_as_specified(case: Case) -> None:
    make, count = case.whole
    assert make().parameter_count == count


def test_saved_and_loaded_models_are_the_same(case: Case, tmp_path: pathlib.Path) -> None:
    model = case.make()
    with pytest.raises(stacklens.NotFittedError):
        model.save(tmp_path / "empty")
    with pytest.raises(stacklens.NotFittedError):
        case.ask(model, case.inputs(2))
    case.fit(model)
    model.save(tmp_path / "model")
    loaded = models.load(tmp_path / "model")
    assert type(loaded) is type(model) and loaded.facts == model.facts
    rows = case.inputs(5)
    for found, expected in zip(case.ask(loaded, rows), case.ask(model, rows)):
        np.testing.assert_array_equal(found, expected)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_damaged_files_are_refused(case: Case, tmp_path: pathlib.Path) -> None:
    model = case.make()
    case.fit(model)
    path = tmp_path / "model"
    model.save(path)
    data = bytearray(path.read_bytes())
    for place in (0, 20, len(data) // 2, len(data) - 3):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(stacklens.StackLensError):
            models.load(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(stacklens.FormatError):
        models.load(path)


def test_files_run_in_another_runtime(case: Case) -> None:
    model = case.make()
    case.fit(model)
    graph = model.model()
    graph.check()
    rows = {info.name: value for info, value in zip(graph.inputs, case.feeds(7).values())}
    ours = stacklens.Session(graph).run(None, rows)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    other = runtime.InferenceSession(
        graph.to_bytes(), options, providers=["CPUExecutionProvider"]
    )
    for found, expected in zip(other.run(None, rows), ours):
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_rows_do_not_depend_on_their_batch(case: Case) -> None:
    model = case.make()
    case.fit(model)
    rows = case.inputs(6)
    whole = case.ask(model, rows)
    alone = case.ask(model, {name: array[2:3] for name, array in rows.items()})
    for found, expected in zip(alone, whole):
        np.testing.assert_allclose(found[0], expected[2], atol=1e-5)
    for found, expected in zip(
        case.ask(model, {name: array[:0] for name, array in rows.items()}), whole
    ):
        assert found.shape == (0, *expected.shape[1:])


def test_seeds_and_threads(case: Case) -> None:
    rows = case.inputs(4)
    answers = []
    for options in ({"threads": 1}, {"threads": 2}, {"seed": 7}):
        model = case.make(**options)
        case.fit(model)
        answers.append(case.ask(model, rows)[0])
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_numbers_that_are_none_are_named(case: Case) -> None:
    model = case.make()
    case.fit(model)
    rows = case.inputs(3)
    name = next((name for name, array in rows.items() if array.dtype == np.float32), None)
    if name is None:
        pytest.skip("it takes ids only, which are always numbers")
    rows[name] = rows[name].copy()
    rows[name].reshape(3, -1)[1, 4] = np.inf
    with pytest.raises(stacklens.NonFiniteError, match="row 1, column 4"):
        case.ask(model, rows)
    rows[name] = rows[name][..., :-1]
    with pytest.raises(stacklens.ShapeError, match=name):
        case.ask(model, rows)


def test_padding_changes_nothing() -> None:
    model = CASES["error_flow_lstm"].make()
    fit_flow(model)
    rows = flow_rows(4)
    padded = np.concatenate([rows["x"], normal(4, 3, 12)], axis=1)
    found, expected = model.predict(padded, rows["lengths"]), model.predict(**rows)
    for name in ("class_logits", "next_sequence", "time_to_next", "cascade_prob"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)
    assert not found.attention_weights[:, 5:].any() and not found.hidden_states[:, 5:].any()
    np.testing.assert_allclose(found.attention_weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.hn, expected.hn, atol=1e-5)
    for wrong in (0, 6):
        with pytest.raises(stacklens.InvalidArgumentError, match="lengths"):
            model.predict(rows["x"], np.full(4, wrong))


def test_files_that_lie_are_refused(tmp_path: pathlib.Path) -> None:
    """Every byte of a small file's header changed, and headers that promise what is not there."""
    model = models.AnomalyVAE(2, (2,), 1)
    model.fit(normal(20, 2), epochs=1)
    path = tmp_path / "model"
    model.save(path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    for place in range(length):
        damaged = bytearray(data)
        damaged[8 + place] ^= 1 + place % 31
        path.write_bytes(damaged)
        with contextlib.suppress(stacklens.StackLensError):
            models.load(path).score(normal(1, 2))  # a changed threshold may well be read

    def refused(old: bytes, new: bytes, match: str) -> None:
        assert old in header
        changed = header.replace(old, new)
        path.write_bytes(len(changed).to_bytes(8, "little") + changed + rest)
        with pytest.raises(stacklens.FormatError, match=match):
            models.load(path)

    refused(b"stacklens-model-1", b"stacklens-model-9", "stacklens-model-9")
    refused(b"anomaly_vae", b"anomaly_val", "anomaly_val")
    refused(b'"mu.bias"', b'"mu.bios"', "mu.bios")
    refused(b'\\"width\\":2', b'\\"width\\":3', "expected float32")
    refused(b'\\"width\\":2', b'\\"width\\":1048576', "expected float32")
    refused(b'\\"latent\\":1', b'\\"latent\\":true', "latent")
