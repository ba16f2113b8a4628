"""The autoencoder on HDFS sessions: event counts, learned from normal sessions alone.

Features and widths were chosen on the labelled rows of robust_log_valid.csv, which are left out of
the test.
"""

from __future__ import annotations

import time

import numpy as np

from .. import models
from ._hdfs import counts, labelled, sessions, without
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3)


def run(options: Options) -> Result:
    """ROC-AUC of the autoencoder and of an isolation forest for the labelled anomalies."""
    from sklearn.ensemble import IsolationForest

    limit = 300 if options.quick else 0
    train = counts(sessions(options.data, "hdfs_train", limit))
    seen = labelled(options.data)
    normal, abnormal = (
        counts(without(sessions(options.data, name, limit), rows))
        for name, rows in zip(("hdfs_test_normal_7000", "hdfs_test_abnormal"), seen)
    )
    result = Result(
        f"HDFS sessions as event counts: {len(train)} to learn from, {len(normal)} normal and "
        f"{len(abnormal)} abnormal to tell apart",
        ("model", "seed", "ROC-AUC", "seconds"),
    )
    areas = []
    for seed in options.pick_seeds(SEEDS):
        start = time.perf_counter()
        vae = models.AnomalyVAE(train.shape[1], (128, 64), 16, seed=seed)
        vae.fit(train, epochs=3 if options.quick else 60)
        seconds = time.perf_counter() - start
        areas.append(area(vae.score(normal), vae.score(abnormal)))
        result.rows.append(("anomaly VAE", str(seed), areas[-1], seconds))
        start = time.perf_counter()
        forest = IsolationForest(random_state=seed).fit(train)
        found = area(-forest.score_samples(normal), -forest.score_samples(abnormal))
        result.rows.append(("isolation forest", str(seed), found, time.perf_counter() - start))
    result.claims.append(Claim("mean ROC-AUC of the VAE", float(np.mean(areas)), 0.95))
    return result


def area(normal: np.ndarray, abnormal: np.ndarray) -> float:
    """The chance that an abnormal row has the higher score, ties counted half."""
    from sklearn.metrics import roc_auc_score

    labels = np.concatenate([np.zeros(len(normal)), np.ones(len(abnormal))])
    return float(roc_auc_score(labels, np.concatenate([normal, abnormal])))


RECIPE = Recipe(
    "hdfs_vae", "the autoencoder on event counts of HDFS sessions, beside an isolation forest", 1,
    run, ("sklearn",),
)
