"""Tokenizer and embedder, against Hugging Face and among themselves."""

from __future__ import annotations

import concurrent.futures
import pathlib

import numpy as np
import pytest
import stacklens

TEXTS = [
    "connection refused",
    "java.io.IOException: Connection reset by peer",
    "",
    "naïve café 日本語 \U0001f642 \u200d\u0301",
    "disk full " * 400,
    "kernel: Out of memory: Kill process 1234 (mysqld) score 980 or sacrifice child",
]


@pytest.fixture(scope="module")
def tokenizer(minilm: pathlib.Path) -> stacklens.Tokenizer:
    return stacklens.Tokenizer(minilm)


@pytest.fixture(scope="module")
def embedder(minilm: pathlib.Path) -> stacklens.Embedder:
    return stacklens.Embedder(minilm)


def test_tokens_equal_hugging_face(
    tokenizer: stacklens.Tokenizer, minilm: pathlib.Path, log_lines: list[str]
) -> None:
    hugging_face = pytest.importorskip("tokenizers")
    peer = hugging_face.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    peer.no_padding()
    texts = TEXTS + log_lines[::8]
    for text, ours, theirs in zip(
        texts, tokenizer.encode_batch(texts), peer.encode_batch(texts)
    ):
        assert ours.ids == theirs.ids, text
        assert ours.offsets == theirs.offsets, text
        assert ours.type_ids == theirs.type_ids
        assert ours.attention_mask == theirs.attention_mask
        assert ours.special_tokens_mask == theirs.special_tokens_mask
        assert ours.tokens == theirs.tokens


def test_encodings_have_all_fields(tokenizer: stacklens.Tokenizer) -> None:
    encoding = tokenizer.encode("Connection é refused", max_length=-1)
    assert encoding.tokens == ["[CLS]", "connection", "e", "refused", "[SEP]"]
    assert encoding.special_tokens_mask == [1, 0, 0, 0, 1]
    assert encoding.offsets == [(0, 0), (0, 10), (11, 12), (13, 20), (0, 0)]
    assert encoding.byte_offsets[3] == (14, 21)
    assert len(encoding) == 5 and not encoding.is_truncated
    assert [tokenizer.id(token) for token in encoding.tokens] == encoding.ids
    assert tokenizer.decode(encoding.ids) == "connection e refused"
    assert tokenizer.vocabulary_size == 30522


def test_options_of_encoding(tokenizer: stacklens.Tokenizer) -> None:
    first, second = tokenizer.encode_batch(["a b c d", "a"], pad=True, max_length=4)
    assert len(first) == 4 and first.is_truncated
    assert len(second) == 4 and second.attention_mask == [1, 1, 1, 0]
    assert tokenizer.encode("a", special_tokens=False).tokens == ["a"]
    pair = tokenizer.encode("a", "b")
    assert pair.type_ids == [0, 0, 0, 1, 1]
    assert tokenizer.encode_batch([]) == []
    assert tokenizer.encode(b"\xff a").tokens == tokenizer.encode("\ufffd a").tokens


def test_tokenizer_refuses_what_is_wrong(tokenizer: stacklens.Tokenizer) -> None:
    with pytest.raises(stacklens.InvalidArgumentError):
        tokenizer.token(1 << 40)
    with pytest.raises(stacklens.InvalidArgumentError):
        tokenizer.id("no such token")
    with pytest.raises(stacklens.ShapeError, match="2 texts cannot pair with 1"):
        tokenizer.encode_batch(["a", "b"], ["c"])
    with pytest.raises(stacklens.TypeMismatchError, match="int"):
        tokenizer.encode_batch([3])
    with pytest.raises(stacklens.TypeMismatchError, match="several texts"):
        tokenizer.encode_batch("one text")
    with pytest.raises(stacklens.InvalidArgumentError):
        tokenizer.encode("a", max_length=0)
    with pytest.raises(OSError):
        stacklens.Tokenizer("/nonexistent")


def test_vectors_are_unit_rows(embedder: stacklens.Embedder) -> None:
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension) == (6, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    raw = embedder.encode(TEXTS, normalize=False)
    np.testing.assert_allclose(
        raw / np.linalg.norm(raw, axis=1, keepdims=True), vectors, atol=1e-6
    )
    assert embedder.encode("one text").shape == (384,)
    assert embedder.encode([]).shape == (0, 384)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_vectors_are_equal_to_the_last_bit(
    minilm: pathlib.Path, log_lines: list[str], precision: str
) -> None:
    embedder = stacklens.Embedder(minilm, precision=precision)
    lines = TEXTS + log_lines[::160]
    vectors = embedder.encode(lines)
    np.testing.assert_array_equal(embedder.encode(lines, batch_size=7), vectors)
    np.testing.assert_array_equal(embedder.encode(lines[::-1])[::-1], vectors)
    np.testing.assert_array_equal([embedder.encode(line) for line in lines[:20]], vectors[:20])
    single = stacklens.Embedder(minilm, precision=precision, threads=1)
    np.testing.assert_array_equal(single.encode(lines), vectors)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(embedder.encode, [lines] * 4):
            np.testing.assert_array_equal(found, vectors)


def test_ids_give_the_vectors_of_their_texts(
    embedder: stacklens.Embedder, tokenizer: stacklens.Tokenizer
) -> None:
    short = [text for text in TEXTS if len(text) < 200]
    ids = [encoding.ids for encoding in tokenizer.encode_batch(short)]
    np.testing.assert_array_equal(embedder.encode_ids(ids), embedder.encode(short))
    with pytest.raises(stacklens.StackLensError):
        embedder.encode_ids([[1 << 40]])
    with pytest.raises(stacklens.StackLensError):
        embedder.encode_ids([[-1]])


def test_exported_encoder_gives_the_same_vectors_in_onnx_runtime(
    minilm: pathlib.Path, tokenizer: stacklens.Tokenizer, tmp_path: pathlib.Path
) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    embedder = stacklens.Embedder(minilm, max_length=128)
    embedder.save_onnx(tmp_path / "encoder.onnx")
    onnx.checker.check_model(str(tmp_path / "encoder.onnx"))
    texts = [text for text in TEXTS if text]
    encodings = tokenizer.encode_batch(texts, pad=True, max_length=128)
    arrays = {
        "input_ids": np.array([encoding.ids for encoding in encodings]),
        "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
        "token_type_ids": np.array([encoding.type_ids for encoding in encodings]),
    }
    expected = embedder.encode(texts)
    for session in (
        runtime.InferenceSession(str(tmp_path / "encoder.onnx")),
        stacklens.InferenceSession(tmp_path / "encoder.onnx"),
    ):
        feed = {value.name: arrays[value.name] for value in session.get_inputs()}
        vectors = session.run(None, feed)[-1]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)


def test_similar_texts_come_first(embedder: stacklens.Embedder) -> None:
    corpus = ["disk full", "no route to host", "user logged in", "no space left on device"]
    matches = embedder.find_similar("the disk has no space left", corpus, top_k=2)
    assert [match.text for match in matches] == ["no space left on device", "disk full"]
    vectors = embedder.encode(corpus)
    query = embedder.encode("the disk has no space left")
    np.testing.assert_allclose([m.score for m in matches], np.sort(vectors @ query)[:1:-1],
                               atol=1e-5)
    assert embedder.find_similar("x", corpus, threshold=1.0) == []
    assert len(embedder.find_similar("x", corpus, top_k=99, threshold=-1.0)) == 4
    assert embedder.similarity(corpus[0], corpus[0]) == pytest.approx(1, abs=1e-6)
    indices, scores = stacklens.nearest(query, vectors, top_k=2)
    assert indices.tolist() == [match.index for match in matches]
    for wrong in ({"top_k": 0}, {"threshold": 1.5}, {"threshold": float("nan")}):
        with pytest.raises(stacklens.InvalidArgumentError):
            embedder.find_similar("x", corpus, **wrong)


def test_embedder_refuses_what_is_wrong(
    minilm: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(OSError):
        stacklens.Embedder("/nonexistent")
    with pytest.raises(stacklens.StackLensError):
        stacklens.Embedder(tmp_path)
    with pytest.raises(stacklens.InvalidArgumentError, match="fp64"):
        stacklens.Embedder(minilm, precision="fp64")
    with pytest.raises(stacklens.InvalidArgumentError, match="max_length"):
        stacklens.Embedder(minilm, max_length=0)
    for name in ("config.json", "tokenizer.json", "vocab.txt", "modules.json"):
        (tmp_path / name).write_bytes((minilm / name).read_bytes())
    weights = (minilm / "model.safetensors").read_bytes()
    for content in (b"", weights[:1000], weights[: len(weights) // 2]):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(stacklens.StackLensError):
            stacklens.Embedder(tmp_path)


def test_hard_texts_give_finite_vectors(embedder: stacklens.Embedder) -> None:
    vectors = embedder.encode(["", " ", b"\xff\xfe\x80", "\0", "a" * (1 << 20), "\ud800"])
    assert np.isfinite(vectors).all()


def test_closed_embedder_is_refused(minilm: pathlib.Path) -> None:
    with stacklens.Embedder(minilm) as embedder:
        assert embedder.precision == "fp32"
    with pytest.raises(stacklens.InvalidArgumentError, match="closed"):
        embedder.encode(["x"])


def test_progress_ends_at_the_number_of_texts(
    embedder: stacklens.Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        "stacklens._progress.ProgressBar.update", lambda _, done: seen.append(done)
    )
    embedder.encode(["text"] * 50, batch_size=20, progress=True)
    assert seen[-1] == 50 and seen == sorted(seen)

    def fail(_: object, done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stacklens._progress.ProgressBar.update", fail)
    with pytest.raises(KeyboardInterrupt):
        embedder.encode(["text"] * 50, progress=True)
