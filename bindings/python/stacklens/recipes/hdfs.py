"""The log-key LSTM on HDFS sessions: learned from normal sessions, held against labelled ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from .. import models
from ._hdfs import ALL_NORMAL, sessions
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3)
#: Parts of the normal sessions, each of which is judged by a model of the others.
FOLDS = 4
#: Normal sessions that may be called anomalies, by their order or by their end.
FALSE_ALARMS = 0.001

Sessions = list[list[int]]
Detector = Callable[[Sessions], np.ndarray]


def run(options: Options) -> Result:
    """Precision, recall and F1 of the published rule and of a variant with thresholds."""
    limit = 300 if options.quick else 0
    train = sessions(options.data, "hdfs_train", limit)
    normal = sessions(options.data, "hdfs_test_normal_7000", limit)
    abnormal = sessions(options.data, "hdfs_test_abnormal", limit)
    result = Result(
        f"HDFS sessions: {len(train)} normal ones to learn from, {len(normal)} normal (which stand "
        f"for {ALL_NORMAL}) and {len(abnormal)} abnormal to tell apart",
        ("model", "seed", "alarms", "found", "precision", "recall", "F1", "seconds"),
    )
    variants = (("log keys, top 9", likeliest, 0.945), ("log keys, start and end", ends, 0.975))
    for name, fit, least in variants:
        rows = []
        for seed in options.pick_seeds(SEEDS):
            start = time.perf_counter()
            detect = fit(train, seed, options.quick)
            seconds = time.perf_counter() - start
            alarms, found = int(detect(normal).sum()), int(detect(abnormal).sum())
            rows.append([*scores(alarms, len(normal), found, len(abnormal)), seconds])
            result.rows.append((name, str(seed), alarms, found, *rows[-1]))
            options.say(f"{name}, seed {seed}: F1 {rows[-1][2]:.4f} in {seconds:.0f} s")
        table = np.array(rows)
        result.rows.append((name, "mean", "", "", *map(float, table.mean(axis=0))))
        result.rows.append((name, "deviation", "", "", *map(float, table.std(axis=0))))
        result.claims.append(Claim(f"mean F1, {name}", float(table[:, 2].mean()), least))
    return result


def likeliest(train: Sessions, seed: int, quick: bool) -> Detector:
    """The published setting: a key must be among the nine likeliest after the ten before it."""
    model = models.LogKeyLSTM(28, window=10, layers=2, top=9, seed=seed, threads=1)
    model.fit(train, epochs=2 if quick else 60, batch_size=64, patience=15)
    return lambda rows: model.detect(rows).is_anomaly


def ends(train: Sessions, seed: int, quick: bool) -> Detector:
    """A session is judged from its first key to its end, which has a threshold of its own.

    The thresholds come from normal sessions that the models which judge them did not learn from.
    """
    surprise, end_surprise = np.zeros(len(train)), np.zeros(len(train))
    part = np.random.default_rng(seed).permutation(len(train)) % FOLDS
    for fold in range(FOLDS):
        model = judging_ends([train[i] for i in np.flatnonzero(part != fold)], seed, quick)
        held = np.flatnonzero(part == fold)
        found = model.detect([train[i] for i in held])
        surprise[held], end_surprise[held] = found.surprise, found.end_surprise
    # A held-out session may hold a key that the others have not: it counts as the largest.
    largest = surprise[np.isfinite(surprise)].max(initial=0)
    share = 1 - FALSE_ALARMS / 2
    threshold = float(np.quantile(np.minimum(surprise, largest), share))
    end_threshold = float(np.quantile(end_surprise, share))
    model = judging_ends(train, seed, quick)
    return lambda rows: model.detect(
        rows, threshold=threshold, end_threshold=end_threshold
    ).is_anomaly


def judging_ends(train: Sessions, seed: int, quick: bool) -> models.LogKeyLSTM:
    """A model that judges where sessions begin and end."""
    model = models.LogKeyLSTM(
        28, window=10, layers=1, padded=True, end=True, rule="probability", seed=seed, threads=1,
    )
    model.fit(
        train, epochs=2 if quick else 60, batch_size=64, learning_rate=3e-3, patience=12,
        repetition=0.5,
    )
    return model


def scores(alarms: int, normal: int, found: int, abnormal: int) -> tuple[float, float, float]:
    """Precision, recall and F1, the alarms scaled to all normal sessions."""
    false = alarms * ALL_NORMAL / normal
    precision = found / (found + false) if found else 0.0
    recall = found / abnormal
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


RECIPE = Recipe("hdfs", "anomalies in HDFS sessions by the order of their log keys", 12, run)
