"""The transformer that reads errors: its encoder, its terms, and texts of all sorts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import models

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the a connection pool exhausted out of memory disk is full of on "
    "node timeout after s login failed ##s ##ed . , : error"
).split()
WIDTH, LAYERS, INSIDE, POSITIONS = 24, 2, 32, 20
TERMS = ["pool", "connection pool", "out of memory", "Disk", "timeout"]


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, data = {}, b""
    for name, array in tensors.items():
        end = len(data) + array.nbytes
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), end]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT encoder with random weights."""
    path = tmp_path_factory.mktemp("encoder")
    words = list(dict.fromkeys(WORDS))
    (path / "vocab.txt").write_text("\n".join(words) + "\n")
    (path / "config.json").write_text(json.dumps({
        "model_type": "bert", "vocab_size": len(words), "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": 3, "intermediate_size": INSIDE,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }))
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(words), WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "pooler.dense.weight": (WIDTH, WIDTH), "pooler.dense.bias": (WIDTH,),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}."
        for name, out, width in [
            ("attention.self.query", WIDTH, WIDTH), ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH), ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", INSIDE, WIDTH), ("output.dense", WIDTH, INSIDE),
        ]:
            shapes[start + name + ".weight"], shapes[start + name + ".bias"] = (out, width), (out,)
        norms += [start + "attention.output.LayerNorm", start + "output.LayerNorm"]
    tensors = {
        name: random.normal(size=shape, scale=0.3).astype(np.float32) for name, shape in shapes.items()
    }
    for name in norms:
        tensors[name + ".weight"] = random.uniform(0.5, 1.5, WIDTH).astype(np.float32)
        tensors[name + ".bias"] = random.normal(size=WIDTH, scale=0.1).astype(np.float32)
    write_safetensors(path / "model.safetensors", tensors)
    return path


def errors(count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts whose subject is their category and whose ending is their severity."""
    subjects = ["connection pool exhausted", "out of memory", "disk is full", "login failed"]
    endings = ["on the node", "after a timeout", ", error", "."]
    category = np.arange(count) % 4
    severity = np.arange(count) // 4 % 4
    return [f"{subjects[c]} {endings[s]}" for c, s in zip(category, severity)], severity, category


def made(folder: Path, **options: Any) -> models.StackLensTransformer:
    return models.StackLensTransformer(
        folder, attention_heads=2, **{"terms": TERMS, **options}
    )


@pytest.fixture(scope="module")
def fitted(folder: Path) -> models.StackLensTransformer:
    model = made(folder)
    text, severity, category = errors(96)
    model.fit(text, severity, category, epochs=40, patience=40, learning_rate=5e-3, batch_size=8)
    return model


def test_it_learns_both_and_knows_it(fitted: models.StackLensTransformer) -> None:
    text, severity, category = errors(16)
    report = fitted.predict(text)
    assert (report.severity == severity).mean() > 0.9
    assert (report.category == category).mean() > 0.9
    np.testing.assert_allclose(report.severity_probabilities.sum(axis=1), 1, rtol=1e-5)
    assert report.confidence.min() > 0.5
    assert 0.05 <= fitted.facts["confidence_temperature"] <= 20


def test_both_forms_agree(fitted: models.StackLensTransformer) -> None:
    text = [*errors(7)[0], "x", "out of memory"]
    pieces = fitted.tokenize(text)
    padded, packed = fitted.forward(**pieces), fitted.predict(text)
    np.testing.assert_allclose(padded.embeddings, packed.embeddings, atol=2e-5)
    np.testing.assert_allclose(padded.confidence[:, 0], packed.confidence, atol=2e-5)
    np.testing.assert_array_equal(padded.severity_logits.argmax(axis=1), packed.severity)


def test_terms_are_found(fitted: models.StackLensTransformer) -> None:
    text = ["The CONNECTION  Pool is full", "pools, pool.", "out of\nmemory on disk", "memory"]
    pieces = fitted.tokenize(text)
    found = [row[mask > 0].tolist() for row, mask in zip(pieces["tech_ids"], pieces["attention_mask"])]
    assert found == [
        [-1, -1, 1, 1, -1, -1, -1],  # the longest of those that begin first, whatever the case
        [-1, -1, -1, -1, 0, -1, -1],  # whole words only
        [-1, 2, 2, 2, -1, 3, -1],
        [-1, -1, -1],
    ]


def test_terms_change_the_answer_only_where_they_are(fitted: models.StackLensTransformer) -> None:
    pieces = fitted.tokenize(["the node is full", "out of memory"])
    with_terms = fitted.forward(**pieces).embeddings
    none = np.full_like(pieces["tech_ids"], -1)
    without = fitted.forward(pieces["input_ids"], pieces["attention_mask"], tech_ids=none).embeddings
    np.testing.assert_array_equal(with_terms[0], without[0])
    assert np.abs(with_terms[1] - without[1]).max() > 1e-4


def test_attention_is_that_of_real_pieces(fitted: models.StackLensTransformer) -> None:
    pieces = fitted.tokenize(["disk is full on the node", "error"])
    weights = fitted.forward(**pieces).attention_weights
    real = pieces["attention_mask"]
    np.testing.assert_allclose(weights.sum(axis=2), real, atol=1e-5)
    assert not weights[real[:, :, None] * real[:, None, :] == 0].any()


def test_texts_of_all_sorts(fitted: models.StackLensTransformer) -> None:
    report = fitted.predict(["", "xyz qqq", "disk " * 60, "disk xyz", "\ud83d\ude00".encode(
        "utf-16", "surrogatepass").decode("utf-16")])
    assert report.empty.tolist() == [True, False, False, False, False]
    assert report.confidence[0] == 0
    assert report.truncated.tolist() == [False, False, True, False, False]
    assert report.unknown_ratio.tolist() == [0, 1, 0, 0.5, 1]
    assert np.isfinite(report.embeddings).all()
    assert fitted.predict([]).embeddings.shape == (0, WIDTH)


def test_number_formats(fitted: models.StackLensTransformer) -> None:
    text = errors(16)[0]
    exact = fitted.predict(text)
    for precision, tolerance in (("bf16", 0.05), ("int8", 0.2)):
        near = fitted.predict(text, precision)
        scale = np.abs(exact.embeddings).max()
        assert np.abs(near.embeddings - exact.embeddings).max() < tolerance * scale, precision


def test_a_frozen_encoder_stays(folder: Path) -> None:
    text, severity, category = errors(32)
    model = made(folder)
    before = model.model().state_dict()
    model.fit(text, severity, category, epochs=3, batch_size=8, validation_share=0.0)
    after = model.model().state_dict()
    for name, weight in before.items():
        assert np.array_equal(weight, after[name]) == name.startswith(("bert.", "statistics.")), name
    # Rows of the table that no term has are zero, before and after.
    assert not before["terms.weight"][len(TERMS):].any()
    assert not after["terms.weight"][len(TERMS):].any()
    model.fit(
        text, severity, category, epochs=2, batch_size=8, freeze_encoder=False, validation_share=0.0
    )
    moved = model.model().state_dict()
    assert not np.array_equal(moved["bert.encoder.layer.0.output.dense.weight"],
                              after["bert.encoder.layer.0.output.dense.weight"])


def test_terms_can_start_from_the_encoder(folder: Path) -> None:
    model = made(folder, term_start="encoder")
    text, severity, _ = errors(16)
    model.fit(text, severity, epochs=1, learning_rate=1e-12)
    rows = model.model().state_dict()["terms.weight"]
    assert not rows[len(TERMS):].any()
    assert np.abs(rows[: len(TERMS)]).max() > 0
    np.testing.assert_allclose(rows[: len(TERMS)].sum(axis=0), 0, atol=1e-5)


def test_a_missing_task_does_not_count(folder: Path) -> None:
    text, severity, category = errors(32)
    one, other = made(folder), made(folder)
    one.fit(text, severity, epochs=2)
    other.fit(text, severity, category, epochs=2, category_weight=0, confidence_weight=0)
    third = made(folder)
    third.fit(text, severity, np.full(32, -100), epochs=2, confidence_weight=0)
    np.testing.assert_array_equal(
        other.predict(text).severity_probabilities, third.predict(text).severity_probabilities
    )


def test_reliability_takes_the_place_of_being_right(folder: Path) -> None:
    text, severity, _ = errors(64)
    model = made(folder)
    unsure = np.where(np.arange(64) % 4 == 1, 0.0, 1.0)
    model.fit(
        text, severity, reliability=unsure, epochs=30, patience=30, learning_rate=5e-3, batch_size=8,
        validation_share=0.0, severity_weight=0.1,
    )
    confidence = model.predict(text).confidence
    assert confidence[unsure == 0].max() < 0.5 < confidence[unsure == 1].min()


def test_files_need_no_folder(
    folder: Path, fitted: models.StackLensTransformer, tmp_path: Path
) -> None:
    copy = tmp_path / "encoder"
    shutil.copytree(folder, copy)
    model = made(copy)
    text, severity, category = errors(16)
    model.fit(text, severity, category, epochs=1)
    model.save(tmp_path / "model.stacklens")
    shutil.rmtree(copy)
    again = models.StackLensTransformer.load(tmp_path / "model.stacklens")
    np.testing.assert_array_equal(again.predict(text).embeddings, model.predict(text).embeddings)
    assert again.severities == ["critical", "high", "medium", "low"]
    assert len(again.categories) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terms": [f"t{i}" for i in range(5001)]}, "5000"),
        ({"terms": ["a", "a"]}, "different"),
        ({"severities": []}, "severities"),
        ({"attention_heads": 5}, "attention_heads"),
        ({"width": 48}, "width"),
        ({"max_length": 21}, "max_length"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match=message):
        models.StackLensTransformer(folder, **{"attention_heads": 2, **options})


def test_what_cannot_be_read_is_refused(
    folder: Path, fitted: models.StackLensTransformer, tmp_path: Path
) -> None:
    with pytest.raises(stacklens.IoError, match="config.json"):
        models.StackLensTransformer(tmp_path)
    ids = np.array([[2, 5, 3], [2, 3, 0]])
    with pytest.raises(stacklens.InvalidArgumentError, match="row 1"):
        fitted.forward(ids, np.array([[1, 1, 1], [0, 0, 0]]))
    with pytest.raises(stacklens.InvalidArgumentError, match="tech_ids"):
        fitted.forward(ids, np.ones_like(ids), tech_ids=np.full_like(ids, len(TERMS)))
    with pytest.raises(stacklens.ShapeError, match="at most 20"):
        fitted.forward(np.full((1, 21), 5), np.ones((1, 21), np.int64))
    text, severity, category = errors(8)
    with pytest.raises(stacklens.InvalidArgumentError, match="no label"):
        made(folder).fit(text)
    with pytest.raises(stacklens.InvalidArgumentError, match="severity"):
        made(folder).fit(text, severity + 4)
    with pytest.raises(stacklens.ShapeError, match="category"):
        made(folder).fit(text, severity, category[:-1])
    with pytest.raises(stacklens.InvalidArgumentError, match="holes"):
        made(folder).fit(
            input_ids=ids, attention_mask=np.array([[1, 0, 1], [1, 1, 0]]), severity=[0, 1]
        )
    without = models.StackLensTransformer(
        vocabulary=40, positions=16, width=12, layers=1, heads=3, feed_forward=16, attention_heads=2
    )
    with pytest.raises(stacklens.NotFittedError, match="tokenizer"):
        without.fit(text, severity)


def test_encoders_come_from_onnx_files_too(folder: Path, tmp_path: Path) -> None:
    """Files of ours, and files whose exporter folded and renamed the weights."""
    for name in ("config.json", "vocab.txt"):
        shutil.copy(folder / name, tmp_path)
    stacklens.Embedder(folder).save_onnx(tmp_path / "model.onnx")
    wanted = made(folder).model().state_dict()
    for source in (tmp_path, tmp_path / "model.onnx"):
        found = made(source).model().state_dict()
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    onnx = pytest.importorskip("onnx")
    file = onnx.load(tmp_path / "model.onnx")
    query = "encoder.layer.1.attention.self.query"
    for place, tensor in enumerate(file.graph.initializer):
        if tensor.name == query + ".weight":
            tensor.name = f"onnx::MatMul_{place}"
            for node in file.graph.node:
                node.input[:] = [tensor.name if name == query + ".weight" else name for name in node.input]
    (tmp_path / "onnx").mkdir()
    onnx.save(file, str(tmp_path / "onnx" / "renamed.onnx"))
    found = made(tmp_path / "onnx" / "renamed.onnx").model().state_dict()
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    for tensor in file.graph.initializer:
        if tensor.name == query + ".bias":
            tensor.name = "another"
    onnx.save(file, str(tmp_path / "model.onnx"))
    with pytest.raises(stacklens.StackLensError, match=query):
        made(tmp_path)


def test_the_encoder_is_the_embedders(minilm: Path) -> None:
    """An attention that looks at all alike and changes nothing leaves the mean of the states."""
    text = ["Connection pool exhausted after 30 s", "out of memory"]
    model = models.StackLensTransformer(minilm, terms=["api"])
    weights = model.model().state_dict()
    one = np.eye(384, dtype=np.float32)
    weights["error_attention.in_proj_weight"] = np.concatenate([0 * one, 0 * one, one])
    weights["error_attention.out_proj.weight"] = one
    for name in ("error_attention.in_proj_bias", "error_attention.out_proj.bias"):
        weights[name] = np.zeros_like(weights[name])
    session = stacklens.Session(model.model().load_state_dict(weights))
    pieces = model.tokenize(text)
    found = session.run(
        ["embeddings"], {**pieces, "token_type_ids": np.zeros_like(pieces["input_ids"])}
    )[0]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(found, stacklens.Embedder(minilm).encode(text), atol=2e-6)


# How texts are spelt ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spelling(folder: Path) -> models.StackLensTransformer:
    """A model whose severity can be told by the ends of words that the tokenizer does not know."""
    text, severity = spelt(120)
    model = made(folder, spelling_buckets=512)
    model.fit(text, severity, epochs=10, head_learning_rate=0.05, batch_size=8, patience=10)
    return model


def spelt(count: int, start: int = 0) -> tuple[list[str], np.ndarray]:
    random = np.random.default_rng(start)
    severity = np.arange(count) % 4
    stems = ["".join(random.choice(list("bcghkvwxz"), 4)) for _ in range(count)]
    return [stem + ("oops", "arr", "umm", "yay")[s] for stem, s in zip(stems, severity)], severity


def test_spelling_tells_words_that_are_not_known(
    folder: Path, spelling: models.StackLensTransformer
) -> None:
    text, severity = spelt(80, start=1)
    assert (spelling.predict(text).severity == severity).mean() > 0.95
    plain = made(folder)
    plain.fit(*spelt(120), epochs=10, head_learning_rate=0.05, batch_size=8, patience=10)
    assert (plain.predict(text).severity == severity).mean() < 0.5


def test_spelling_in_both_forms_and_in_files(
    spelling: models.StackLensTransformer, tmp_path: Path
) -> None:
    text = [*spelt(9, start=2)[0], "", "a  A", "é" * 3000]
    pieces = spelling.tokenize(text)
    padded, packed = spelling.forward(**pieces), spelling.predict(text)
    exact = np.exp(padded.severity_logits - padded.severity_logits.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(exact, packed.severity_probabilities, atol=2e-5)
    spelling.save(tmp_path / "model.safetensors")
    again = models.StackLensTransformer.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        again.predict(text).severity_probabilities, packed.severity_probabilities
    )
    onnxruntime = pytest.importorskip("onnxruntime")
    spelling.export_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    feed = {**pieces, "token_type_ids": np.zeros_like(pieces["input_ids"])}
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))
    np.testing.assert_allclose(found["severity_logits"], padded.severity_logits, atol=1e-4)


def test_what_spelling_gives_a_text(spelling: models.StackLensTransformer) -> None:
    rows, weights = (
        spelling.tokenize(["ab AB\tab", "ab"])[name] for name in ("spelling_ids", "spelling_weights")
    )
    # " ab " has three n-grams of two characters, two of three and one of four; each occurs thrice.
    assert ((rows > 0).sum(axis=1) <= 6).all() and (rows[0] == rows[1]).all()
    np.testing.assert_allclose(weights[0][rows[0] > 0].max(), 1 + np.log(3), rtol=1e-6)
    np.testing.assert_allclose(weights[1][rows[1] > 0].min(), 1)
    assert len(spelling.tokenize(["é" * 9 + str(i) for i in range(3)])["spelling_ids"]) == 3


def test_spelling_is_asked_for(folder: Path, fitted: models.StackLensTransformer) -> None:
    pieces = fitted.tokenize(["disk"])
    assert "spelling_ids" not in pieces
    grams = {"spelling_ids": np.ones((1, 2)), "spelling_weights": np.ones((1, 2))}
    with pytest.raises(stacklens.InvalidArgumentError, match="does not look at spelling"):
        fitted.forward(**pieces, **grams)
    with pytest.raises(stacklens.InvalidArgumentError, match="'spelling_buckets' is 1"):
        made(folder, spelling_buckets=1).predict(["x"])


def test_spelling_that_there_is_not(spelling: models.StackLensTransformer) -> None:
    pieces = spelling.tokenize(["disk"])
    pieces["spelling_ids"] = np.full_like(pieces["spelling_ids"], 512)
    with pytest.raises(stacklens.InvalidArgumentError, match="512 .*expected 0 to 511"):
        spelling.forward(**pieces)
    pieces["spelling_ids"] = pieces["spelling_ids"][:, :1] * 0
    with pytest.raises(stacklens.ShapeError, match="spelling_weights"):
        spelling.forward(**pieces)


def test_what_spelling_adds(spelling: models.StackLensTransformer) -> None:
    state = spelling.model().state_dict()
    rarity, table = state["statistics.spelling_rarity"], state["severity_spelling.weight"]
    pieces = spelling.tokenize(spelt(5, start=3)[0])
    rows, weights = pieces.pop("spelling_ids"), pieces.pop("spelling_weights")
    shares = weights * rarity[rows]
    shares /= np.linalg.norm(shares, axis=1, keepdims=True)
    with_it = spelling.forward(**pieces, spelling_ids=rows, spelling_weights=weights)
    added = with_it.severity_logits - spelling.forward(**pieces).severity_logits
    np.testing.assert_allclose(added, np.einsum("bg,bgc->bc", shares, table[rows]), atol=1e-5)
    assert np.abs(added).max() > 0.5


def test_rare_spellings_count_more(folder: Path) -> None:
    model = made(folder, spelling_buckets=1 << 12)
    text = ["ab ab", "ab xy", "ab", "cd"]
    model.fit(text, np.arange(4), epochs=1, validation_share=0.0)
    rarity = model.model().state_dict()["statistics.spelling_rarity"]
    for word, texts in {"ab": 3, "xy": 1, "cd": 1}.items():
        rows = model.tokenize([word])["spelling_ids"]
        wanted = np.log(5 / (1 + texts)) + 1
        np.testing.assert_allclose(rarity[rows[rows > 0]].max(), wanted, rtol=1e-6)
    never = model.tokenize(["qwertz"])["spelling_ids"]
    assert (rarity[never[never > 0]] == 0).any()
