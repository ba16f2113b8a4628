"""Cora: which field a paper is of, from its words and whom it cites, with 140 labels known.

The graph convolution network of Kipf and Welling ("Semi-supervised classification with graph
convolutional networks", ICLR 2017) as it was published, and APPNP (Gasteiger, Bojchevski and
Günnemann, "Predict then propagate", ICLR 2019), whose labels walk further than two citations. The
split is the public one of Yang et al. (ICML 2016); the test papers are looked at once, at the end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import numpy as np

import stacklens

from .. import nn
from ._recipe import Claim, Options, Recipe, Result

SEEDS = tuple(range(1, 11))
MISSING = -100


@dataclass(frozen=True)
class Citations:
    """Papers and whom they cite.

    Attributes
    ----------
    features : array [papers, words]
        The words of each paper, each row of sum 1.
    edges : array [2, links]
        Citations in both directions.
    labels, split : array [papers]
        Fields, and what each paper is for: train, val, test or none.
    """

    features: np.ndarray
    edges: np.ndarray
    labels: np.ndarray
    split: np.ndarray

    def targets(self, part: str) -> np.ndarray:
        """The labels of a part of the papers, those of the others missing."""
        return np.where(self.split == part, self.labels, MISSING)

    def normalised(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges with a loop at each paper, and weights 1 / √(dᵤ dᵥ)."""
        loops = np.arange(len(self.labels))
        edges = np.concatenate([self.edges, [loops, loops]], axis=1)
        roots = 1 / np.sqrt(np.bincount(edges[1]))
        return edges, (roots[edges[0]] * roots[edges[1]]).astype(np.float32)


def load(folder: Path) -> Citations:
    """The data set."""
    papers = [line.split("\t") for line in (folder / "nodes.tsv").read_text().splitlines()[1:]]
    words = [np.array(paper[3].split(), dtype=int) for paper in papers]
    features = np.zeros((len(papers), 1 + max(row.max() for row in words if len(row))), np.float32)
    for place, row in enumerate(words):
        features[place, row] = 1 / max(len(row), 1)
    links = np.loadtxt(folder / "edges.tsv", dtype=np.int64, skiprows=1).T
    return Citations(
        features, np.concatenate([links, links[::-1]], axis=1),
        np.array([int(paper[1]) for paper in papers]), np.array([paper[2] for paper in papers]),
    )


class GCN(nn.Module):
    """Two graph convolutions, dropout before each; decay of the first alone, as published."""

    name, published, epochs, patience, least = "GCN", 0.815, 200, 200, 0.815
    decay = 5e-4

    def __init__(self, words: int, fields: int) -> None:
        self.dropout = nn.Dropout(0.5)
        self.first = nn.GraphConvolution(words, 16)
        self.second = nn.GraphConvolution(16, fields)

    def forward(self, x: nn.Value, edge_index: nn.Value) -> nn.Value:
        """Scores of the fields."""
        h = self.first(self.dropout(x), edge_index).relu()
        return self.second(self.dropout(h), edge_index)


class APPNP(nn.Module):
    """Two linear layers whose scores are spread over the citations ten times, a tenth of what each
    paper said itself kept each time; while learning, half of the citations are left out each time."""

    name, published, epochs, patience, least = "APPNP", 0.833, 1_000, 100, 0.83
    decay = 5e-3

    def __init__(self, words: int, fields: int) -> None:
        self.dropout = nn.Dropout(0.5)
        self.first = nn.Linear(words, 64, bias=False)
        self.second = nn.Linear(64, fields, bias=False)
        self.sum = nn.Aggregate("sum")

    def forward(self, x: nn.Value, edge_index: nn.Value, edge_weight: nn.Value) -> nn.Value:
        """Scores of the fields."""
        source, target = edge_index[0], edge_index[1]
        own = self.second(self.dropout(self.first(self.dropout(x)).relu()))
        h = own
        for _ in range(10):
            heard = nn.op("Gather", h, source, axis=0)
            h = 0.9 * self.sum(heard, target, own, self.dropout(edge_weight)) + 0.1 * own
        return h


def trained(
    kind: type[Union[GCN, APPNP]], data: Citations, seed: int, epochs: int
) -> np.ndarray:
    """The field that a model names for each paper, at the epoch of the least validation loss."""
    words, fields = data.features.shape[1], 1 + int(data.labels.max())
    edges, weights = data.normalised() if kind is APPNP else (data.edges, None)
    given = {"x": data.features, "edge_index": edges}
    inputs = {
        "x": nn.Input(("papers", words)), "edge_index": nn.Input((2, "links"), "int64"),
    }
    if weights is not None:
        given["edge_weight"] = weights
        inputs["edge_weight"] = nn.Input(("links",))
    model = nn.build(kind(words, fields), inputs, outputs="fields", seed=seed)
    decay = {"parameters": ["first.*"], "weight_decay": kind.decay}
    trainer = stacklens.Trainer(
        model, loss="cross_entropy", optimizer={"name": "adam", "groups": [decay]},
        learning_rate=0.01, seed=seed,
    )
    trainer.fit(
        [(given, data.targets("train"))], validation=[(given, data.targets("val"))],
        epochs=epochs, patience=kind.patience, monitor="val_loss", progress=False,
    )
    scores: np.ndarray = stacklens.Session(trainer.model).run(None, given)[0]
    return scores.argmax(axis=1)


def run(options: Options) -> Result:
    """Test accuracy of both over the seeds."""
    data = load(options.data / "cora")
    sizes = {part: int((data.split == part).sum()) for part in ("train", "val", "test")}
    result = Result(
        f"Cora, public split: {len(data.labels)} papers, {sizes['train']} labels to learn from, "
        f"{sizes['val']} to choose the epoch, {sizes['test']} to test",
        ("model", "seeds", "test accuracy", "deviation", "lowest", "highest", "validation",
         "published", "seconds a seed"),
    )
    seeds = options.pick_seeds(SEEDS)
    for kind in (GCN, APPNP):
        start = time.perf_counter()
        figures: dict[str, list[float]] = {"val": [], "test": []}
        for seed in seeds:
            named = trained(kind, data, seed, 5 if options.quick else kind.epochs)
            for part, values in figures.items():
                chosen = data.split == part
                values.append(float((named[chosen] == data.labels[chosen]).mean()))
            options.say(f"{kind.name}, seed {seed}: validation {figures['val'][-1]:.3f}")
        test = np.array(figures["test"])
        result.rows.append((
            kind.name, str(len(seeds)), float(test.mean()), float(test.std()), float(test.min()),
            float(test.max()), float(np.mean(figures["val"])), kind.published,
            (time.perf_counter() - start) / len(seeds),
        ))
        result.figures[kind.name] = {"seeds": list(seeds), **figures}
        result.claims.append(
            Claim(f"mean test accuracy of {kind.name}", float(test.mean()), kind.least)
        )
    return result


RECIPE = Recipe(
    "cora", "the field of papers from words and citations: GCN, and APPNP from the same layers", 12,
    run,
)
