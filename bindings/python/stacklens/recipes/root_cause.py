"""Which component failed: the system graph network and three simple rankings, one incident left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import models
from . import _petshop, _trainticket
from ._incidents import Incident, features
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3, 4, 5)
SYSTEMS = ("petshop", "trainticket")
NETWORK, ABROAD = "system graph network", "the same, from the other system alone"
FAILED = 1
#: Of the random walk: starting anew, and going back to a caller.
RESTART, BACK = 0.15, 0.2

Others = Callable[[list[Incident], Incident], list[Incident]]


def run(options: Options) -> Result:
    """Top 1, top 3 and mean rank of the component that failed, for each system and ranking."""
    known = [*_petshop.incidents(options.data), *_trainticket.incidents(options.data)]
    if options.quick:
        known = [*known[:2], *known[-2:]]
    result = Result(
        "Root causes, each incident left out once: "
        + ", ".join(f"{sum(i.system == name for i in known)} of {name}" for name in SYSTEMS),
        ("system", "ranking", "seeds", "top 1", "top 3", "mean rank"),
    )
    rankings = {
        name: np.array([[rank(incident, score(incident)) for incident in known]])
        for name, score in (
            ("degree", degree), ("correlation", correlation), ("random walk", random_walk)
        )
    }
    simple = list(rankings)
    seeds = options.pick_seeds(SEEDS)
    start = time.perf_counter()
    for name, others in ((NETWORK, but_one), (ABROAD, but_its_system)):
        rankings[name] = np.array([ranks(known, others, seed, options) for seed in seeds])
    result.figures["seconds"] = time.perf_counter() - start
    for system in SYSTEMS:
        own = np.array([incident.system == system for incident in known])
        top = {}
        for name, found in rankings.items():
            ours = found[:, own]
            top[name] = float((ours <= 3).mean())
            result.rows.append(
                (
                    system, name, str(len(found)), float((ours == 1).mean()), top[name],
                    float(ours.mean()),
                )
            )
        result.claims.append(
            Claim(f"top 3, {system}", top[NETWORK], max(top[name] for name in simple))
        )
    result.figures["ranks"] = {
        incident.name: {name: found[:, place].tolist() for name, found in rankings.items()}
        for place, incident in enumerate(known)
    }
    return result


def but_one(known: list[Incident], incident: Incident) -> list[Incident]:
    """All incidents but one."""
    return [other for other in known if other is not incident]


def but_its_system(known: list[Incident], incident: Incident) -> list[Incident]:
    """The incidents of other systems."""
    return [other for other in known if other.system != incident.system]


def ranks(known: list[Incident], others: Others, seed: int, options: Options) -> list[float]:
    """The rank of the cause of each incident by a network that learned from others."""
    found, last = [], None
    for incident in known:
        training = others(known, incident)
        if last is None or training != last[0]:
            last = (training, learned(training, seed, options.quick))
        found.append(rank(incident, judged(last[1], incident)))
    options.say(f"seed {seed}: ranks {found}")
    return found


def rank(incident: Incident, scores: np.ndarray) -> float:
    """The place of the cause among all components but the one with the symptom; equals share one."""
    rivals = np.delete(scores, [incident.cause, incident.symptom])
    own = scores[incident.cause]
    return float(1 + (rivals > own).sum() + (rivals == own).sum() / 2)


def degree(incident: Incident) -> np.ndarray:
    """How many calls start and end at each."""
    return np.bincount(np.ravel(incident.edges), minlength=len(incident.nodes)).astype(float)


def correlation(incident: Incident) -> np.ndarray:
    """How closely each follows what the symptom shows in, without its sign."""
    found = np.zeros(len(incident.nodes))
    symptom = incident.series[incident.symptom]
    for place, values in enumerate(incident.series):
        both = ~np.isnan(values) & ~np.isnan(symptom)
        if both.sum() > 2 and np.ptp(values[both]) > 0 and np.ptp(symptom[both]) > 0:
            found[place] = abs(np.corrcoef(values[both], symptom[both])[0, 1])
    return found


def random_walk(incident: Incident) -> np.ndarray:
    """How often somebody is at each who follows calls to what correlates with the symptom, turns back
    now and then, stays where nothing called correlates as much (Kim et al., "Root cause detection in
    a service-oriented architecture", 2013)."""
    likely = correlation(incident) + 1e-6
    count = len(likely)
    steps = np.zeros((count, count))
    for source, target in incident.edges:
        steps[source, target] = likely[target]
        steps[target, source] = max(steps[target, source], BACK * likely[source])
    for place in range(count):
        called = [likely[target] for source, target in incident.edges if source == place]
        if place != incident.symptom:
            steps[place, place] = max(0.0, likely[place] - max(called, default=0.0))
    rows = steps.sum(axis=1, keepdims=True)
    steps = np.divide(steps, rows, out=np.full_like(steps, 1 / count), where=rows > 0)
    home = likely.copy()
    home[incident.symptom] = 0
    home /= home.sum()
    place = home
    for _ in range(200):
        place = (1 - RESTART) * place @ steps + RESTART * home
    return place


def learned(training: list[Incident], seed: int, quick: bool) -> models.SystemGraphGNN:
    """A network that tells failed components from healthy ones. Every system counts about the same,
    however many incidents of it there are."""
    times = {
        name: max(1, round(10 / max(1, sum(i.system == name for i in training))))
        for name in SYSTEMS
    }
    training = [incident for incident in training for _ in range(times[incident.system])]
    graphs = packed(training)
    health = np.zeros(len(graphs["graph_id"]), np.int64)
    starts = np.cumsum([0, *(len(incident.nodes) for incident in training)])
    health[[start + incident.cause for start, incident in zip(starts, training)]] = FAILED
    model = models.SystemGraphGNN(
        graphs["node_features"].shape[1], 1, hidden=16, layers=2, classes=2, seed=seed, threads=1
    )
    model.fit(
        **graphs, node_health=health, epochs=2 if quick else 150, learning_rate=3e-3,
        batch_size=len(training), validation_share=0.0, progress=False,
    )
    return model


def judged(model: models.SystemGraphGNN, incident: Incident) -> np.ndarray:
    """How much more each looks like a failed component than like a healthy one."""
    logits = model.predict(**packed([incident])).node_health
    return np.asarray(logits[:, FAILED] - logits[:, 0])


def packed(incidents: list[Incident]) -> dict[str, Any]:
    """Incidents as graphs one behind the other."""
    starts = np.cumsum([0, *(len(incident.nodes) for incident in incidents)])
    edges = [
        (source + start, target + start)
        for start, incident in zip(starts, incidents)
        for source, target in incident.edges
    ]
    return {
        "node_features": np.concatenate([features(incident) for incident in incidents]),
        "edge_index": np.array(edges).T,
        "edge_features": np.ones((len(edges), 1), np.float32),
        "graph_id": np.repeat(np.arange(len(incidents)), np.diff(starts)),
    }


RECIPE = Recipe(
    "root_cause", "the component that failed, from graphs of calls, one incident left out", 5, run
)
