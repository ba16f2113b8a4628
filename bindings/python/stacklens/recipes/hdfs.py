"""The log-key LSTM on HDFS sessions: learned from normal sessions, held against labelled ones.

What the variant judges was checked on the labelled rows of robust_log_valid.csv, which are left out of
its test. Thresholds come from normal training sessions alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from .. import models
from ._hdfs import ALL_NORMAL, labelled, sessions, without
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3)
#: Abnormal sessions of the whole test set.
ALL_ABNORMAL = 16_838
#: Parts of the normal sessions, each of which is judged by a model of the others.
FOLDS = 4
#: Normal sessions that may be called anomalies, by the order of their keys or by their counts.
FALSE_ALARMS = 0.001

Sessions = list[list[int]]
Detector = Callable[[Sessions], np.ndarray]


def run(options: Options) -> Result:
    """Precision, recall and F1 of the published rule and of a variant that counts as well."""
    limit = 300 if options.quick else 0
    train = sessions(options.data, "hdfs_train", limit)
    whole = [
        sessions(options.data, name, limit) for name in ("hdfs_test_normal_7000", "hdfs_test_abnormal")
    ]
    rest = [without(rows, seen) for rows, seen in zip(whole, labelled(options.data))]
    result = Result(
        f"HDFS sessions: {len(train)} normal ones to learn from, {len(whole[0])} normal (which stand "
        f"for {ALL_NORMAL}) and {len(whole[1])} abnormal to tell apart, of which {len(rest[0])} and "
        f"{len(rest[1])} for the variant",
        ("model", "seed", "alarms", "found", "precision", "recall", "F1", "seconds"),
    )
    variants = (
        ("log keys, top 9", likeliest, whole, 0.945),
        ("log keys and quantities", quantities, rest, 0.975),
    )
    for name, fit, (normal, abnormal), least in variants:
        rows = []
        for seed in options.pick_seeds(SEEDS):
            start = time.perf_counter()
            detect = fit(train, seed, options.quick)
            seconds = time.perf_counter() - start
            alarms, found = int(detect(normal).sum()), int(detect(abnormal).sum())
            rows.append([*scores(alarms / len(normal), found / len(abnormal)), seconds])
            result.rows.append((name, str(seed), alarms, found, *rows[-1]))
            options.say(f"{name}, seed {seed}: F1 {rows[-1][2]:.4f} in {seconds:.0f} s")
        table = np.array(rows)
        result.rows.append((name, "mean", "", "", *map(float, table.mean(axis=0))))
        result.rows.append((name, "deviation", "", "", *map(float, table.std(axis=0))))
        result.claims.append(Claim(f"mean F1, {name}", float(table[:, 2].mean()), least))
    return result


def likeliest(train: Sessions, seed: int, quick: bool) -> Detector:
    """The published setting: a key must be among the nine likeliest after the ten before it.

    Nothing is kept aside: batches of 2048 windows as in the public re-implementation, and three times
    Adam's usual rate for 100 epochs in place of its hundreds.
    """
    model = models.LogKeyLSTM(28, window=10, layers=2, top=9, seed=seed, threads=1)
    model.fit(
        train, epochs=1 if quick else 100, batch_size=2048, learning_rate=3e-3,
        validation_share=0.0,
    )
    return lambda rows: model.detect(rows).is_anomaly


def quantities(train: Sessions, seed: int, quick: bool) -> Detector:
    """Keys must not come too unexpectedly, and as often in a session as in normal ones.

    The threshold comes from normal sessions that the models which judge them did not learn from.
    """
    surprise = np.zeros(len(train))
    part = np.random.default_rng(seed).permutation(len(train)) % FOLDS
    for fold in range(FOLDS):
        model = counting([train[i] for i in np.flatnonzero(part != fold)], seed, quick)
        held = np.flatnonzero(part == fold)
        surprise[held] = model.detect([train[i] for i in held]).surprise
    # A held-out session may hold a key that the others have not: it counts as the largest.
    largest = surprise[np.isfinite(surprise)].max(initial=0)
    threshold = float(np.quantile(np.minimum(surprise, largest), 1 - FALSE_ALARMS / 2))
    model = counting(train, seed, quick)
    return lambda rows: model.detect(rows, threshold=threshold).is_anomaly


def counting(train: Sessions, seed: int, quick: bool) -> models.LogKeyLSTM:
    """A model that judges the order of keys by their probability, and how often they occur."""
    model = models.LogKeyLSTM(
        28, window=10, layers=1, quantities=True, rule="probability", seed=seed, threads=1
    )
    model.fit(
        train, epochs=1 if quick else 30, batch_size=512, learning_rate=3e-3, patience=5,
        false_alarms=FALSE_ALARMS,
    )
    return model


def scores(alarms: float, found: float) -> tuple[float, float, float]:
    """Precision, recall and F1 of shares, scaled to all normal and abnormal sessions."""
    false, true = alarms * ALL_NORMAL, found * ALL_ABNORMAL
    precision = true / (true + false) if true else 0.0
    total = precision + found
    return precision, found, 2 * precision * found / total if total else 0.0


RECIPE = Recipe("hdfs", "anomalies in HDFS sessions by order and counts of their log keys", 12, run)
