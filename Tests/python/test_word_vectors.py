"""Word vectors: one step against NumPy, words that are not known, what is asked, what is refused."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import stacklens
from stacklens import models

TEXTS = [
    "The disk of node alpha is full", "Disk error: node beta is down", "node alpha reads the disk",
    "Network is down on host beta", "The host lost its network", "network error on node gamma",
] * 40  # fmt: skip


def fitted(**options: object) -> models.WordVectors:
    model = models.WordVectors(**{"width": 20, "min_count": 2, "threads": 1, **options})  # type: ignore[arg-type]
    model.fit(TEXTS, epochs=3)
    return model


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("width", [5, 16, 37, 100])
@pytest.mark.parametrize("architecture", ["skip_gram", "cbow"])
def test_steps_are_those_of_the_paper(architecture: str, width: int) -> None:
    """With two words, of which each is once the other's neighbour, what is drawn decides nothing but
    how often a word is held against the wrong one; with one negative there are two outcomes."""
    rate, epochs = 0.5, 6
    options = {"width": width, "architecture": architecture, "window": 1, "negative": 1,
               "min_count": 1, "subsample": 0}  # fmt: skip
    start = models.WordVectors(**options)
    start.fit([["a", "b"]], epochs=1, learning_rate=0)
    model = models.WordVectors(**options)
    model.fit([["a", "b"]], epochs=epochs, learning_rate=rate, least_learning_rate=rate)
    found = model.vector(["a", "b"])

    def outcomes(inputs: np.ndarray, outputs: np.ndarray, left: int) -> list[np.ndarray]:
        if left == 0:
            return [inputs]
        ends = []
        # Whether the negative of each word is the other one; it does nothing otherwise.
        for drawn in ((0, 0), (0, 1), (1, 0), (1, 1)):
            x, y = inputs.copy(), outputs.copy()
            for word, other in ((0, 1), (1, 0)):
                scores = x @ y.T
                right = rate * (1 - sigmoid(scores[other, word]))
                wrong = -rate * sigmoid(scores[other, other]) if drawn[word] else 0.0
                move = right * y[word] + wrong * y[other]
                y[word], y[other] = y[word] + right * x[other], y[other] + wrong * x[other]
                x[other] = x[other] + move
            ends += outcomes(x, y, left - 1)
        return ends

    inputs = start.vector(["a", "b"]).astype(np.float64)
    assert np.abs(inputs).max() <= 1 / width and np.abs(inputs).max() > 0
    ends = outcomes(inputs, np.zeros_like(inputs), epochs)
    assert min(np.abs(end - found).max() for end in ends) < 1e-6
    assert np.abs(found - inputs).max() > 1e-4


@pytest.mark.parametrize("subwords", [False, True])
@pytest.mark.parametrize("architecture", ["skip_gram", "cbow"])
def test_bits_do_not_depend_on_one_thread_or_two(architecture: str, subwords: bool) -> None:
    vectors = []
    for threads in (1, 2, 2):
        model = fitted(
            architecture=architecture, subwords=subwords, threads=threads, width=37, buckets=50
        )
        vectors.append(model.vector(list(model.words)))
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_words_are_what_stands_between_marks() -> None:
    model = models.WordVectors(8, min_count=1)
    model.fit(["Disk_0 FULL: disk-0!", "Größe ÜBER Größe…", "", "  ?!  "])
    assert model.words == {"0": 2, "disk": 2, "größe": 2, "full": 1, "über": 1}
    model.fit([["Disk_0", "FULL:"], ["Disk_0"], []])
    assert model.words == {"Disk_0": 2, "FULL:": 1}
    with pytest.raises(stacklens.InvalidArgumentError, match="not one word"):
        model.fit([["two words"]])


def test_words_in_the_same_surroundings_are_near() -> None:
    random = np.random.default_rng(0)
    colours, beasts = ["red", "green", "blue", "black"], ["cat", "dog", "cow", "hen"]
    texts = [
        f"the paint is {random.choice(colours)} and wet" if random.random() < 0.5
        else f"feed my {random.choice(beasts)} some more grain" for _ in range(2000)
    ]  # fmt: skip
    for architecture in ("skip_gram", "cbow"):
        model = models.WordVectors(24, architecture, min_count=1, subsample=0)
        history = model.fit(texts, epochs=10)
        assert len(history) == 10 and history["loss"][-1] < history["loss"][0]
        assert {word for word, _ in model.most_similar("red", top_k=3)} == set(colours) - {"red"}
        assert model.most_similar(["cat", "dog"], top_k=2, negative=["red"])[0][0] in beasts


def test_answers_are_cosines_of_means() -> None:
    model = fitted()
    words = list(model.words)
    vectors = model.vector(words)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    place = {word: index for index, word in enumerate(words)}
    mean = units[place["disk"]] + units[place["host"]] - units[place["error"]]
    cosines = units @ mean / np.linalg.norm(mean)
    order = [i for i in np.argsort(-cosines) if words[i] not in ("disk", "host", "error")]
    found = model.most_similar(["disk", "host"], "error", top_k=4)
    assert [word for word, _ in found] == [words[i] for i in order[:4]]
    np.testing.assert_allclose([score for _, score in found], cosines[order[:4]], atol=1e-6)
    assert model.most_similar(vector=vectors[place["disk"]], top_k=1)[0][0] == "disk"
    assert len(model.most_similar("disk", top_k=1000)) == len(words) - 1


def test_unknown_words() -> None:
    plain, parts = fitted(), fitted(subwords=True, buckets=500)
    with pytest.raises(stacklens.InvalidArgumentError, match="'disks'"):
        plain.vector(["disk", "disks"])
    with pytest.raises(stacklens.InvalidArgumentError, match="'disks'"):
        plain.most_similar("disks")
    assert parts.vector("disks").shape == (20,) and np.abs(parts.vector("disks")).max() > 0
    assert parts.most_similar("disks", top_k=1)[0][0] == "disk"

    # The mean of its n-grams, whose numbers the hash of fastText gives.
    def bucket(gram: bytes) -> int:
        value = 2166136261
        for byte in gram:
            value = ((value ^ (byte | (0xFFFFFF00 if byte > 127 else 0))) * 16777619) & 0xFFFFFFFF
        return value % 500

    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(parts.model("subwords").to_bytes()).graph
    table = next(onnx.numpy_helper.to_array(one) for one in graph.initializer if one.name == "subwords")
    word = "<göß>"
    grams = [word[i : i + n] for i in range(5) for n in range(3, 7) if i + n <= 5]
    expected = np.mean([table[bucket(gram.encode())] for gram in grams], axis=0)
    np.testing.assert_allclose(parts.vector("göß"), expected, atol=1e-6)


def test_subword_network_runs_elsewhere(tmp_path: pathlib.Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = fitted(subwords=True, buckets=50)
    model.export_onnx(tmp_path / "pieces.onnx", network="subwords")
    pieces = np.array([[1, 7, 7], [3, -1, -1]])
    session = runtime.InferenceSession(str(tmp_path / "pieces.onnx"))
    ours = stacklens.Session(model.model("subwords")).run(None, {"pieces": pieces})[0]
    np.testing.assert_allclose(session.run(None, {"pieces": pieces})[0], ours, atol=1e-6)


def test_what_is_refused() -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match="min_n"):
        models.WordVectors(min_n=5, max_n=4, subwords=True)
    with pytest.raises(stacklens.InvalidArgumentError, match="architecture"):
        models.WordVectors(architecture="glove")
    model = models.WordVectors(min_count=3)
    for texts in ([], ["", "?"], ["once only"]):
        with pytest.raises(stacklens.InvalidArgumentError, match="empty"):
            model.fit(texts)
    with pytest.raises(stacklens.NotFittedError):
        model.most_similar("disk")
    model = fitted()
    with pytest.raises(stacklens.InvalidArgumentError, match="nothing is asked"):
        model.most_similar()
    with pytest.raises(stacklens.NonFiniteError):
        model.most_similar(vector=np.full(20, np.nan))
    with pytest.raises(stacklens.ShapeError):
        model.most_similar(vector=np.zeros(19))
    with pytest.raises(stacklens.NonFiniteError, match="learning rate"):
        model.fit(TEXTS, learning_rate=1e6, epochs=20)


def test_it_can_be_stopped() -> None:
    model = models.WordVectors(8, min_count=1)
    history = model.fit(TEXTS, epochs=50, callback=lambda event: event.epoch < 2)
    assert history.end == "stopped" and len(history) < 4
    assert model.most_similar("disk", top_k=1)
