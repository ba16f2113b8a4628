"""The autoencoder on windows of cloud metrics: NAB's scoring, beside a moving z-score.

Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms: the Numenta anomaly benchmark",
2015. Each series is learned from its probation period alone, its first 15 %.
"""

from __future__ import annotations

import csv
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import models
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3)
#: Points of a window: 3 hours and a half at 5 minutes.
WINDOW = 42
DAY, FOUR_DAYS = 288, 1152
#: Points before which a moving score says nothing.
LEAST_POINTS = 60
PROBATION = 0.15
FALSE_ALARM, MISS = 0.11, 1.0


@dataclass(frozen=True)
class Series:
    """One metric, with the first and last place of each labelled window."""

    name: str
    values: np.ndarray
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """Points that are learned from and not scored."""
        return int(PROBATION * len(self.values))


def load(folder: Path) -> list[Series]:
    """All series of the data set."""
    labels = json.loads((folder / "windows.json").read_text())
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        times = [row["timestamp"] for row in rows]
        windows = tuple(
            (
                next(place for place, when in enumerate(times) if when >= first[:19]),
                max(place for place, when in enumerate(times) if when <= last[:19]),
            )
            for first, last in labels.get(path.name, [])
        )
        found.append(Series(path.stem, np.array([float(row["value"]) for row in rows]), windows))
    return found


# ---- Scores of the points -----------------------------------------------------------------------


def moving_z_score(values: np.ndarray, width: int) -> np.ndarray:
    """How many deviations each point lies from the mean of those before it."""
    centred = values - values.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred * centred)])
    scores = np.zeros(len(values))
    for place in range(LEAST_POINTS, len(values)):
        first = max(0, place - width)
        count = place - first
        mean = (sums[place] - sums[first]) / count
        variance = (squares[place] - squares[first]) / count - mean * mean
        scores[place] = abs(centred[place] - mean) / math.sqrt(max(variance, 1e-12))
    return scores


def autoencoder(series: Series, seed: int, epochs: int) -> np.ndarray:
    """How unusual each point is both as it is and in what the window that ends there leaves
    unexplained: the geometric mean of both deviations."""
    known = series.values[: series.probation]
    scaled = (series.values - np.median(known)) / max(float(known.std()), 1e-6)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW).astype(np.float32)
    model = models.AnomalyVAE(WINDOW, (32, 16), 2, seed=seed, threads=1)
    model.fit(windows[: series.probation - WINDOW + 1], epochs=epochs)
    unexplained = np.zeros(len(scaled))
    unexplained[WINDOW - 1 :] = windows[:, -1] - model.reconstruct(windows)[:, -1]
    parts = (moving_z_score(unexplained, FOUR_DAYS), moving_z_score(scaled, FOUR_DAYS))
    return np.sqrt(parts[0] * parts[1])


# ---- NAB's scoring, standard profile ------------------------------------------------------------


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


def nab_score(all_series: list[Series], alarms: list[np.ndarray]) -> float:
    """100 for each window found at its start and no false alarm, 0 for silence."""
    total, windows = 0.0, 0
    best = _sigmoid(-1)
    for series, flags in zip(all_series, alarms):
        counted = [one for one in series.windows if one[1] >= series.probation]
        windows += len(counted)
        places = [int(place) for place in np.flatnonzero(flags) if place >= series.probation]
        for first, last in counted:
            inside = [place for place in places if first <= place <= last]
            if not inside:
                total -= MISS
                continue
            position = -(last - inside[0] + 1) / (last - first + 1)
            total += _sigmoid(position) / best
        for place in places:
            if any(first <= place <= last for first, last in series.windows):
                continue
            before = [one for one in series.windows if one[1] < place]
            if before:
                first, last = before[-1]
                total += FALSE_ALARM * _sigmoid((place - last) / max(1, last - first))
            else:
                total -= FALSE_ALARM
    return 100 * (total + MISS * windows) / ((1 + MISS) * windows)


def optimised(all_series: list[Series], scores: list[np.ndarray]) -> tuple[float, float]:
    """The score with the one threshold that serves all series best, as NAB chooses it."""
    later = np.concatenate([one[series.probation :] for series, one in zip(all_series, scores)])
    candidates = np.quantile(later, 1 - np.geomspace(1e-5, 0.2, 80))
    results = [
        (nab_score(all_series, [one > threshold for one in scores]), float(threshold))
        for threshold in np.unique(candidates)
    ]
    return max(results)


def run(options: Options) -> Result:
    """NAB's score of the autoencoder and of the moving z-score."""
    all_series = load(options.data / "nab_cloudwatch")[: 3 if options.quick else None]
    result = Result(
        f"NAB's standard score over {len(all_series)} cloud metrics (100: perfect, 0: silent)",
        ("detector", "seed", "score", "threshold", "seconds"),
    )
    baseline = 0.0
    for name, width in (("a day", DAY), ("four days", FOUR_DAYS)):
        start = time.perf_counter()
        scores = [moving_z_score(one.values, width) for one in all_series]
        score, threshold = optimised(all_series, scores)
        baseline = max(baseline, score)
        seconds = time.perf_counter() - start
        result.rows.append((f"z-score over {name}", "", score, threshold, seconds))
    found = []
    for seed in options.pick_seeds(SEEDS):
        start = time.perf_counter()
        scores = []
        for series in all_series:
            options.say(f"seed {seed}: {series.name} ...")
            scores.append(autoencoder(series, seed, 2 if options.quick else 30))
        score, threshold = optimised(all_series, scores)
        found.append(score)
        seconds = time.perf_counter() - start
        result.rows.append(("anomaly VAE", str(seed), score, threshold, seconds))
    margin = float(np.mean(found)) - baseline
    result.claims.append(Claim("mean of the VAE above the better z-score", margin, 0.01))
    return result


RECIPE = Recipe(
    "nab", "the autoencoder on windows of cloud metrics (NAB), beside a moving z-score", 3, run
)
