"""The encoder that comes with the package."""

from __future__ import annotations

import ctypes
import pathlib
from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import _native, models
from stacklens.recipes._encoder_folder import read_weights, turned, write_folder
from stacklens.recipes._encoder_quality import quality, tf_idf_duplicates

TEXTS = ["no space left on device", "the disk is full", "user 4711 logged in", ""]


@pytest.fixture(scope="module")
def embedder() -> stacklens.Embedder:
    return stacklens.Embedder(threads=2)


def test_it_is_small_and_knows_what_is_alike(embedder: stacklens.Embedder) -> None:
    files = list(stacklens.default_encoder().iterdir())
    assert sum(path.stat().st_size for path in files) <= 8_000_000
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (4, 384) and embedder.dimension == 384
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.1 + max(cosines[0, 2], cosines[1, 2])


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_other_precisions_are_near(embedder: stacklens.Embedder, precision: str) -> None:
    near = stacklens.Embedder(precision=precision).encode(TEXTS)
    assert (near * embedder.encode(TEXTS)).sum(axis=1).min() > 0.99


def test_its_file_says_the_same_elsewhere(
    embedder: stacklens.Embedder, tmp_path: pathlib.Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    embedder.save_onnx(tmp_path / "encoder.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    tokenizer = stacklens.Tokenizer(stacklens.default_encoder())
    ids = np.array([tokenizer.encode(TEXTS[0]).ids])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    found = session.run(["sentence_embedding"], feed)[0][0]
    np.testing.assert_allclose(found, embedder.encode(TEXTS[0], normalize=False), atol=1e-4)


def test_models_take_it() -> None:
    folder = stacklens.default_encoder()
    model = models.StackLensTransformer(folder, max_length=32)
    model.fit(TEXTS[:3], [0, 0, 3], [4, 4, 5], epochs=1, validation_share=0, progress=False)
    assert model.predict(TEXTS).confidence.shape == (4,)
    tagger = models.NerTagger(folder, hidden=8)
    text = "open config.yaml first"
    tagger.fit([text], [[(5, 16, "FILE")]], epochs=1, validation_share=0, progress=False)
    assert len(tagger.predict([text])) == 1


def test_the_environment_names_another_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = str(stacklens.default_encoder())
    monkeypatch.setenv("STACKLENS_ENCODER", str(tmp_path))
    assert stacklens.default_encoder() == tmp_path
    with pytest.raises(stacklens.IoError, match=str(tmp_path)):
        stacklens.Embedder()
    length = ctypes.c_size_t()
    room = ctypes.create_string_buffer(4096)
    _native.lib.sl_default_encoder(room, len(room), ctypes.byref(length))
    assert room.value.decode() == str(tmp_path) and length.value == len(str(tmp_path))
    with pytest.raises(stacklens.ShapeError, match="buffer holds 3 bytes"):
        _native.lib.sl_default_encoder(room, 3, ctypes.byref(length))

    monkeypatch.setenv("STACKLENS_ENCODER", own)
    handle = ctypes.c_void_p()
    _native.lib.sl_embedder_load(None, None, ctypes.byref(handle))
    _native.lib.sl_embedder_release(handle)


def test_its_figures(embedder: stacklens.Embedder, data: pathlib.Path) -> None:
    pytest.importorskip("sklearn")
    figures = quality(embedder.encode, data / "data")
    words = tf_idf_duplicates(data / "data", both=False)
    assert words[1] == pytest.approx(0.71, abs=0.01)
    assert figures[0] > 0.8 and figures[2] > words[1] and figures[5] > 0.98


def test_folders_are_written_small(tmp_path: pathlib.Path) -> None:
    own = stacklens.default_encoder()
    tokens = (own / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    random = np.random.default_rng(0)
    weights: dict[str, Any] = {
        "matrix": random.normal(size=(5, 7)).astype(np.float32),
        "zeros": np.zeros((2, 3), np.float32), "vector": random.normal(size=9).astype(np.float32),
    }
    write_folder(tmp_path / "whole", weights, tokens, {"model_type": "bert"}, small=False)
    again = read_weights(tmp_path / "whole" / "model.safetensors")
    assert list(again) == sorted(weights)
    assert all(np.array_equal(again[name], weights[name]) for name in weights)
    write_folder(tmp_path / "small", weights, tokens, {"model_type": "bert"}, small=True)
    small = read_weights(tmp_path / "small" / "model.safetensors")
    assert sorted(small) == ["matrix_scale", "vector", "zeros_scale"]
    np.testing.assert_allclose(
        small["matrix_scale"][:, 0], np.abs(weights["matrix"]).max(axis=1) / 127, rtol=1e-6
    )


def test_linear_layers_are_turned() -> None:
    state = {
        "encoder.layer.0.output.dense.weight": np.zeros((2, 3)),
        "encoder.layer.0.output.dense.bias": np.zeros(3),
        "encoder.layer.0.output.LayerNorm.weight": np.zeros(3),
        "embeddings.word_embeddings.weight": np.zeros((4, 3)),
    }
    shapes = {name: values.shape for name, values in turned(state).items()}
    assert shapes["encoder.layer.0.output.dense.weight"] == (3, 2)
    assert shapes["embeddings.word_embeddings.weight"] == (4, 3)
