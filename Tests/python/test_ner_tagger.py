"""The tagger of entities: its chain against all paths, shapes of words, windows, texts."""

from __future__ import annotations

import itertools
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import models

SHAPES = (
    "initial_capital", "all_capitals", "mixed_case", "digits", "only_digits", "underscore", "dot",
    "slash", "hyphen", "colon", "parenthesis", "quoted", "hexadecimal", "sigil", "file_extension",
    "long",
)  # fmt: skip


def small(**options: Any) -> models.NerTagger:
    return models.NerTagger(
        vocabulary=40, positions=16, width=12, layers=2, heads=3, feed_forward=16, hidden=6,
        **options,
    )


def pieces(rows: int, count: int = 3) -> dict[str, np.ndarray]:
    """Random pieces, every other one the first of a word, with tags that could be."""
    random = np.random.default_rng(rows)
    mask = (np.arange(7) < random.integers(2, 8, (rows, 1))).astype(np.int64)
    tags = random.integers(0, count, (rows, 7)) * 2
    tags[:, 1:] = np.where(random.random((rows, 6)) < 0.5, tags[:, :-1] - 1, tags[:, 1:] - 1)
    return {
        "input_ids": random.integers(0, 40, (rows, 7)) * mask, "attention_mask": mask,
        "shapes": random.integers(0, 2, (rows, 7, 16)).astype(np.float32),
        "tags": np.where((mask > 0) & (np.arange(7) % 2 > 0), np.maximum(tags, 0), -100),
    }


def score(model: models.NerTagger, scores: np.ndarray, path: tuple[int, ...]) -> float:
    """Of one sequence of tags over the rows of `scores`."""
    tables = model.facts["crf"]
    total = tables["start"][path[0]] + tables["end"][path[-1]]
    total += sum(scores[place, tag] for place, tag in enumerate(path))
    return total + sum(tables["transitions"][a][b] for a, b in itertools.pairwise(path))


def test_the_head_has_as_many_parameters_as_specified() -> None:
    sizes = {"vocabulary": 10, "positions": 8, "types": 2, "layers": 1, "heads": 12}
    encoder = (10 + 8 + 2) * 384 + 2 * 384
    encoder += 4 * (384**2 + 384) + 2 * 384 * 8 + 8 + 384 + 4 * 384
    for entities, count in ((("A", "B", "C"), 544_582), (("A",), 542_720 + 257 * 3 + 9 + 6)):
        model = models.NerTagger(entities=entities, width=384, feed_forward=8, **sizes)
        assert model.parameter_count - encoder == count


def test_the_chain_is_that_of_all_paths() -> None:
    """Loss, best tags and marginals against a sum over every sequence of tags."""
    model = small(entities=["A"], dropout=0)
    rows = pieces(24, 1)
    model.fit(**rows, epochs=4, learning_rate=0.05)
    assert model.facts["crf"]["tags"] == model.tags == ["O", "B-A", "I-A"]
    scores = model.forward(rows["input_ids"], rows["attention_mask"], shapes=rows["shapes"])
    starts = rows["tags"] >= 0
    tags, marginals = model.decode(scores, starts)
    assert (tags[~starts] == -100).all() and not marginals[~starts].any()
    losses = []
    for row in range(24):
        places = np.flatnonzero(starts[row])
        if len(places) == 0:
            losses.append(0.0)
            continue
        paths = list(itertools.product(range(3), repeat=len(places)))
        totals = np.array([score(model, scores[row, places], path) for path in paths])
        chances = np.exp(totals - np.logaddexp.reduce(totals))
        assert tuple(tags[row, places]) == paths[int(chances.argmax())]
        for place, tag in itertools.product(range(len(places)), range(3)):
            expected = sum(p for p, path in zip(chances, paths) if path[place] == tag)
            assert abs(marginals[row, places[place], tag] - expected) < 1e-5
        labels = tuple(rows["tags"][row, places])
        losses.append(np.logaddexp.reduce(totals) - score(model, scores[row, places], labels))
    history = model.fit(**rows, validation=rows, epochs=1, learning_rate=1e-30)
    np.testing.assert_allclose(history["val_loss"][0], np.mean(losses), rtol=1e-4)


def test_tags_that_violate_bio_are_never_found() -> None:
    model = small()
    model.fit(**pieces(20), epochs=1)
    random = np.random.default_rng(3)
    scores = (random.normal(size=(200, 9, 7)) * 30).astype(np.float32)
    tags, marginals = model.decode(scores, np.ones((200, 9), bool))
    for row in tags:
        before = "O"
        for tag in (model.tags[number] for number in row):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
            before = tag
    np.testing.assert_allclose(marginals.sum(axis=-1), 1, atol=1e-5)


def test_padding_changes_nothing() -> None:
    model = small(word_buckets=9, word_width=4)
    rows = pieces(30)
    words = np.random.default_rng(1).integers(0, 9, (30, 7, 8))
    model.fit(**rows, word_ids=words, epochs=1)
    del rows["tags"]

    def wide(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(0, 0), (0, 4)] + [(0, 0)] * (array.ndim - 2))

    wider = {name: wide(array) for name, array in rows.items()}
    found = model.forward(**wider, word_ids=wide(words))
    expected = model.forward(**rows, word_ids=words)
    real = rows["attention_mask"] > 0
    np.testing.assert_allclose(found[:, :7][real], expected[real], atol=1e-5)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match="overlap"):
        small(overlap=14)
    with pytest.raises(stacklens.InvalidArgumentError, match="max_length"):
        small(max_length=17)
    with pytest.raises(stacklens.InvalidArgumentError, match="word_buckets"):
        small(word_buckets=1)
    with pytest.raises(stacklens.InvalidArgumentError, match="entities"):
        small(entities=["A", "A"])
    model = small()
    with pytest.raises(stacklens.NotFittedError, match="tokenizer"):
        model.fit(["a text"], [[]])
    with pytest.raises(stacklens.InvalidArgumentError, match="expected one of"):
        model.fit()
    rows = pieces(4)
    with pytest.raises(stacklens.InvalidArgumentError, match="'tags' holds 7"):
        model.fit(**{**rows, "tags": np.full((4, 7), 7)})
    with pytest.raises(stacklens.InvalidArgumentError, match="word_ids"):
        model.fit(**rows, word_ids=np.zeros((4, 7, 8)))
    model.fit(**rows, epochs=1)
    with pytest.raises(stacklens.InvalidArgumentError, match="mask is all 0"):
        model.forward(rows["input_ids"], np.zeros((4, 7)), shapes=rows["shapes"])
    with pytest.raises(stacklens.NonFiniteError):
        model.decode(np.full((1, 2, 7), np.nan), np.ones((1, 2), bool))
    with pytest.raises(stacklens.ShapeError, match="word_starts"):
        model.decode(np.zeros((1, 2, 7)), np.ones((1, 3), bool))


# ---- Texts --------------------------------------------------------------------------------------

TEXTS = [
    "The function foo_bar() reads config.yaml into $path",
    "Call parse() on data.json",
    "variable xCount holds it",
] * 6
NAMES = {
    "foo_bar": "FUNCTION", "config.yaml": "FILE", "$path": "VARIABLE", "parse": "FUNCTION",
    "data.json": "FILE", "xCount": "VARIABLE",
}


def marked(text: str) -> list[tuple[int, int, str]]:
    data = text.encode()
    spans = []
    for name, kind in NAMES.items():
        place = data.find(name.encode())
        if place >= 0:
            spans.append((place, place + len(name.encode()), kind))
    return spans


@pytest.fixture(scope="module")
def tagger(minilm: pathlib.Path) -> models.NerTagger:
    model = models.NerTagger(minilm, hidden=32)
    model.fit(
        TEXTS, [marked(text) for text in TEXTS],
        {"text": TEXTS[:3], "spans": [marked(text) for text in TEXTS[:3]]},
        epochs=20, batch_size=4, learning_rate=5e-3,
    )
    return model


def test_it_finds_what_it_learned(tagger: models.NerTagger) -> None:
    texts = TEXTS[:3]
    for text, found in zip(texts, tagger.predict(texts)):
        assert [(e.start, e.end, e.type) for e in found] == sorted(marked(text))
        for entity in found:
            assert entity.text == text.encode()[entity.start : entity.end].decode()
            assert 0 < entity.score <= 1 and entity.source == "model"


def test_texts_of_every_kind_have_spans_that_hold(
    tagger: models.NerTagger, tmp_path: pathlib.Path
) -> None:
    texts = [
        "", "   \n\t", "é", "naïve café foo_bar() 😀😀 config.yaml", "日本語 foo_bar",
        "\x00\x01foo_bar",
        "\ud800 foo_bar", "e\u0301" * 40 + " $path", "x" * 300, "()" * 200, TEXTS[0] * 40,
    ]  # fmt: skip
    found = tagger.predict(texts)
    assert found[0] == [] and found[1] == []
    for text, entities in zip(texts, found):
        data = text.replace("\ud800", "\ufffd").encode()
        for left, right in itertools.pairwise(entities):
            assert left.end <= right.start
        for entity in entities:
            assert 0 <= entity.start < entity.end <= len(data)
            assert data[entity.start : entity.end].decode() == entity.text
    alone = [tagger.predict([text])[0] for text in texts]
    for one, other in zip(alone, found):
        assert [(e.start, e.end, e.type) for e in one] == [(e.start, e.end, e.type) for e in other]
    assert tagger.predict([]) == []
    tagger.save(tmp_path / "tagger")
    loaded = models.NerTagger.load(tmp_path / "tagger")
    assert loaded.predict(texts) == found and loaded.entities == tagger.entities


def test_long_texts_come_in_windows(tagger: models.NerTagger) -> None:
    text = " ".join(f"word{place}" for place in range(400))
    windows = tagger.tokenize([text, "short"])
    real = windows.attention_mask.sum(axis=1)
    assert (windows.row == 0).sum() > 2 and windows.row[-1] == 1
    assert real.max() == 256
    for before, behind in itertools.pairwise(np.flatnonzero(windows.row == 0)):
        shared = set(windows.start[before][1 : real[before] - 1]) & set(
            windows.start[behind][1 : real[behind] - 1]
        )
        assert len(shared) == 64
    first = windows.row == 0
    starts = set(windows.start[first][windows.word_starts[first]].tolist())
    assert starts == {place for place in range(len(text)) if place == 0 or text[place - 1] == " "}
    # What is found does not depend on how much stands behind it.
    many = " . ".join(TEXTS[:3] * 25)
    kinds = {entity.text: entity.type for entity in tagger.predict([many])[0]}
    assert set(NAMES.items()) & set(kinds.items())


@pytest.mark.parametrize(
    ("text", "word", "shape"),
    [
        ("a Word", "word", "initial_capital"), ("a NULL", "null", "initial_capital all_capitals"),
        ("camelCase", "camel", "mixed_case"), ("HTMLParser", "html", "initial_capital mixed_case"),
        ("x86", "x", "digits"), ("port 8080", "80", "digits only_digits"),
        ("max_size", "max", "underscore"), ("os.path", "os", "dot"), ("a/b", "b", "slash"),
        ("a\\b", "b", "slash"), ("well-known", "known", "hyphen"), ("std::sort", "sort", "colon"),
        ("print(x)", "print", "parenthesis"), ("the 'name'", "name", "quoted"),
        ("`name`", "name", "quoted"), ("0xff", "ff", "digits hexadecimal"),
        ("$home", "home", "sigil"), ("@override", "override", "sigil"),
        ("main.py", "py", "dot file_extension"),
        ("MAIN.PY", "py", "initial_capital all_capitals dot file_extension"),
        ("a" * 21, "aaa", "long"), ("the end.", "end", ""), ("name:", "name", ""), ("(", "(", ""),
        ("É", "e", "initial_capital"), ("word", "word", ""),
    ],
)  # fmt: skip
def test_shapes_of_words(tagger: models.NerTagger, text: str, word: str, shape: str) -> None:
    windows = tagger.tokenize([text])
    data = text.encode()
    for start, end, flags in zip(windows.start[0], windows.end[0], windows.shapes[0]):
        if end > start and word[:1] in data[start:end].decode().lower().replace("é", "e"):
            found = {name for name, flag in zip(SHAPES, flags) if flag}
            if found == set(shape.split()):
                return
    pytest.fail(f"no piece of {text!r} is {shape!r}: {windows.shapes[0]}")


def test_tokens_with_tags_are_texts_with_spans(minilm: pathlib.Path) -> None:
    tokens = [["open", "the", "main.py", "file", "née"], ["run", "it"]] * 8
    tags = [["O", "O", "B-FILE", "I-FILE", "O"], ["B-FUNCTION", "O"]] * 8
    spans = [[(9, 21, "FILE")], [(0, 3, "FUNCTION")]] * 8
    models_ = [models.NerTagger(minilm, hidden=4, words="space") for _ in range(2)]
    models_[0].fit(tokens, tags, epochs=2)
    models_[1].fit([" ".join(one) for one in tokens], spans, epochs=2)
    assert models_[0].facts == models_[1].facts


def test_wrong_spans_are_refused(tagger: models.NerTagger) -> None:
    for spans, match in (
        ([(0, 9, "FILE")], "which has 4 bytes"), ([(2, 2, "FILE")], "from 2 to 2"),
        ([(0, 3, "FILE"), (2, 4, "FILE")], "overlap"),
    ):  # fmt: skip
        with pytest.raises(stacklens.InvalidArgumentError, match=match):
            tagger.fit(["text"], [spans])


def test_the_encoder_can_learn(minilm: pathlib.Path) -> None:
    model = models.NerTagger(minilm, hidden=4, states="mean", word_buckets=50, word_width=4)
    before = model.model().state_dict()["bert.encoder.layer.0.output.dense.weight"]
    model.fit(
        TEXTS[:6], [marked(text) for text in TEXTS[:6]], epochs=1, freeze_encoder=False,
        schedule="cosine",
    )
    after = model.model().state_dict()["bert.encoder.layer.0.output.dense.weight"]
    assert 0 < np.abs(after - before).max() < 1e-3


def test_files_tell_how_to_decode(tagger: models.NerTagger, tmp_path: pathlib.Path) -> None:
    graph = tagger.model()
    tables = json.loads(graph.metadata("stacklens.crf"))
    assert tables["tags"] == tagger.tags and tables["start"][2] <= -9999
    assert [info.name for info in graph.inputs] == [
        "input_ids", "attention_mask", "token_type_ids", "shapes",
    ]  # fmt: skip
    windows = tagger.tokenize(TEXTS[:2])
    ours = tagger.forward(windows.input_ids, windows.attention_mask, shapes=windows.shapes)
    runtime = pytest.importorskip("onnxruntime")
    tagger.export_onnx(tmp_path / "tagger.onnx")
    session = runtime.InferenceSession(str(tmp_path / "tagger.onnx"))
    (scores,) = session.run(
        None,
        {
            "input_ids": windows.input_ids, "attention_mask": windows.attention_mask,
            "token_type_ids": np.zeros_like(windows.input_ids), "shapes": windows.shapes,
        },
    )
    real = windows.attention_mask > 0
    np.testing.assert_allclose(scores[real], ours[real], atol=1e-4)
