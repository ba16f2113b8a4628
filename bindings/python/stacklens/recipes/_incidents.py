"""Incidents of systems as graphs: which component calls which, what is unusual at each, which failed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SIGNALS", "Incident", "features", "own", "squashed"]

#: What each component is measured by, each 0 where it is as usual or not known.
SIGNALS = ("latency", "own latency", "errors", "requests", "new events")

Edges = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Incident:
    """One incident, and what is known of the system while it lasted.

    Attributes
    ----------
    system, name : str
    nodes : list of str
    edges : list of tuple
        Who calls whom.
    symptom : int
        Where users see it.
    cause : int
        The component that failed.
    signals : array [nodes, SIGNALS]
        How far each is from its normal level, in deviations.
    missing : array [nodes]
        1 where nothing was measured.
    series : array [nodes, times]
        What the symptom shows in, over time, for each component; NaN where it was not measured.
    """

    system: str
    name: str
    nodes: list[str]
    edges: Edges
    symptom: int
    cause: int
    signals: np.ndarray
    missing: np.ndarray
    series: np.ndarray


def features(incident: Incident) -> np.ndarray:
    """What the network sees of each component: nothing that tells which component it is.

    Each signal, squashed, also compared with the worst of the components that it calls; whether it was
    measured; its calls; how near the symptom is.
    """
    count = len(incident.nodes)
    signals = squashed(incident.signals)
    excess = np.stack([own(column, incident.edges) for column in signals.T], axis=1)
    degrees = np.zeros((count, 2))
    for source, target in incident.edges:
        degrees[source, 0] += 1
        degrees[target, 1] += 1
    near = 1 / (1 + distances(incident))
    parts = [signals, excess, incident.missing[:, None], np.log1p(degrees) / 2, near[:, None]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def squashed(deviations: np.ndarray) -> np.ndarray:
    """Deviations of any size, within about 2 of zero."""
    return np.asarray(np.arcsinh(deviations / 2) / 2)


def own(values: np.ndarray, edges: Edges) -> np.ndarray:
    """What is above the worst of the components called."""
    worst = np.zeros(len(values))
    for source, target in edges:
        if source != target:
            worst[source] = max(worst[source], values[target])
    return np.asarray(np.maximum(values - worst, 0))


def distances(incident: Incident) -> np.ndarray:
    """Calls from the symptom to each component, infinite where none lead there."""
    found = np.full(len(incident.nodes), np.inf)
    found[incident.symptom] = 0
    for _ in incident.nodes:
        for source, target in incident.edges:
            found[target] = min(found[target], found[source] + 1)
    return found
