"""Sequences of symbols written in reverse: what attention is good for."""

from __future__ import annotations

import time

import numpy as np

from .. import models
from ._recipe import Claim, Options, Recipe, Result

#: The ids 0 to 3 are no symbols.
FIRST, SYMBOLS = 4, 20
SHORT, LONG = 10, 20
SEED = 1
ROWS, TEST_ROWS = 10_000, 1_000


def run(options: Options) -> Result:
    """Learns to reverse up to 10 and up to 20 symbols, with attention and without."""
    result = Result(
        "Reversing sequences: share of right tokens, greedy",
        ("attention", "symbols in training", "measured at", "tokens right", "rows right", "seconds"),
    )
    (seed,) = options.pick_seeds((SEED,))[:1]
    rows, epochs = (500, 1) if options.quick else (ROWS, 12)
    figures: dict[tuple[str, int], float] = {}
    for attention in ("additive", "none"):
        for longest in (SHORT, LONG):
            options.say(f"attention {attention}, up to {longest} symbols ...")
            start = time.perf_counter()
            model = learn(attention, longest, rows, epochs, seed)
            seconds = time.perf_counter() - start
            lengths = "1 to 10" if longest == SHORT else "20"
            source, target = pairs(
                TEST_ROWS, 1 if longest == SHORT else LONG, longest, seed + 1_000
            )
            tokens, whole = accuracy(model, source, target)
            figures[attention, longest] = tokens
            result.rows.append((attention, f"1 to {longest}", lengths, tokens, whole, seconds))
    result.claims = [
        Claim("tokens right, up to 10 symbols, with attention", figures["additive", SHORT], 0.99),
        Claim(
            "tokens right at 20 symbols, with attention less without",
            figures["additive", LONG] - figures["none", LONG], np.finfo(float).eps,
        ),
    ]
    return result


def pairs(rows: int, least: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of random symbols and lengths, and the same in reverse."""
    random = np.random.default_rng(seed)
    source = np.zeros((rows, most), np.int64)
    target = np.zeros((rows, most), np.int64)
    for row, length in enumerate(random.integers(least, most + 1, rows)):
        symbols = random.integers(FIRST, FIRST + SYMBOLS, length)
        source[row, :length], target[row, :length] = symbols, symbols[::-1]
    return source, target


def learn(attention: str, longest: int, rows: int, epochs: int, seed: int) -> models.Seq2Seq:
    """A model that has seen sequences of up to so many symbols."""
    model = models.Seq2Seq(
        FIRST + SYMBOLS, FIRST + SYMBOLS, width=32, hidden=64, attention=attention, seed=seed,
        threads=1,
    )
    source, target = pairs(rows, 1, longest, seed)
    model.fit(source, target, epochs=epochs, batch_size=64, learning_rate=3e-3)
    return model


def accuracy(
    model: models.Seq2Seq, source: np.ndarray, target: np.ndarray
) -> tuple[float, float]:
    """The shares of tokens and of whole rows that are right, the end tokens among them."""
    rows, width = target.shape
    truth = np.zeros((rows, width + 1), np.int64)
    truth[:, :width] = target
    truth[np.arange(rows), (target > 0).sum(axis=1)] = 3
    found = np.zeros_like(truth)
    tokens = model.translate(source, max_length=width + 1).tokens
    found[:, : tokens.shape[1]] = tokens
    right, counts = found == truth, truth > 0
    return float(right[counts].mean()), float((right | ~counts).all(axis=1).mean())


RECIPE = Recipe("seq2seq", "reversing sequences, with attention and without", 6, run)
