"""Models over graphs of components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers, reals, some

__all__ = ["SystemEstimate", "SystemGraphGNN"]


@dataclass(frozen=True)
class SystemEstimate:
    """How components are, and where failures go.

    Attributes
    ----------
    node_health : array [nodes, classes]
        Logits of the health of each node.
    edge_propagation : array [edges]
        The probability that a failure of the source reaches the target.
    edge_propagation_reverse : array [edges]
        The probability that a failure of the target reaches the source.
    system_health : array [graphs]
        1 is healthy.
    node_embeddings : array [nodes, hidden]
    edge_index : array [3, edges], optional
        For graphs as matrices: the graph, the source and the target of each edge; what is of nodes
        is [graphs, nodes, ...] there, zeros for padding.
    """

    node_health: np.ndarray
    edge_propagation: np.ndarray
    edge_propagation_reverse: np.ndarray
    system_health: np.ndarray
    node_embeddings: np.ndarray
    edge_index: Optional[np.ndarray] = None


class SystemGraphGNN(Estimator):
    """A graph network over components and their calls: health, propagation of failures, impact.

    An edge from u to v says that u calls or depends on v. Several graphs go in one behind the other
    (``graph_id``), or as matrices (`predict_dense`, `pack`).

    Parameters
    ----------
    node_width, edge_width : int
        Features of a node and of an edge.
    hidden : int
        Width of the layers.
    layers : int
        Graph convolutions.
    classes : int
        Classes of a node's health.
    seed, threads : int

    Examples
    --------
    >>> models.SystemGraphGNN().parameter_count
    1038599
    """

    kind = "system_graph_gnn"

    def __init__(
        self,
        node_width: int = 128,
        edge_width: int = 64,
        hidden: int = 256,
        layers: int = 3,
        classes: int = 5,
        *,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            node_width=node_width, edge_width=edge_width, hidden=hidden, layers=layers,
            classes=classes, seed=seed, threads=threads,
        )

    def fit(
        self,
        node_features: Any,
        edge_index: Any,
        edge_features: Any,
        edge_weight: Any = None,
        graph_id: Any = None,
        *,
        node_health: Any = None,
        edge_propagation: Any = None,
        edge_propagation_reverse: Any = None,
        system_health: Any = None,
        validation: Optional[dict[str, Any]] = None,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        patience: int = 10,
        validation_share: float = 0.1,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from graphs and what happened after each. At least one kind of label is needed;
        -100 stands for one that is missing.

        Parameters
        ----------
        node_features : array [nodes, node_width]
        edge_index : array [2, edges]
            The source, which calls, and the target of each edge.
        edge_features : array [edges, edge_width]
        edge_weight : array [edges], optional
            What a message over each edge counts; 0 sends none.
        graph_id : array [nodes], optional
            Which graph each node belongs to, rising from 0; one graph unless given.
        node_health : array [nodes], optional
            Classes.
        edge_propagation, edge_propagation_reverse : array [edges], optional
            Whether a failure crossed each edge, from 0 to 1: along it, and against it.
        system_health : array [graphs], optional
            From 0 to 1.
        validation : dict, optional
            The same by name, to judge by; a share of the graphs unless given.
        epochs, batch_size, learning_rate, patience, validation_share, callback, progress
            Batches are of whole graphs.
        """
        arrays = {
            **_packed(node_features, edge_index, edge_features, edge_weight, graph_id),
            **_labels(node_health, edge_propagation, edge_propagation_reverse, system_health),
        }
        held = dict(validation or {})
        labels = _labels(*(held.pop(name, None) for name in _LABELS))
        for name, value in {**(_packed(**held) if held else {}), **labels}.items():
            arrays["validation_" + name] = value
        options = {
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "patience": patience, "validation_share": validation_share,
        }
        return self._fit(arrays, options, callback, progress)

    def predict(
        self,
        node_features: Any,
        edge_index: Any,
        edge_features: Any,
        edge_weight: Any = None,
        graph_id: Any = None,
    ) -> SystemEstimate:
        """How components are, and where failures go; arrays as in `fit`."""
        arrays = _packed(node_features, edge_index, edge_features, edge_weight, graph_id)
        return SystemEstimate(*self._call("predict", arrays, 5))

    def predict_dense(
        self, node_features: Any, adjacency: Any, edge_features: Any, node_mask: Any = None
    ) -> SystemEstimate:
        """The same for graphs as matrices.

        Parameters
        ----------
        node_features : array [graphs, nodes, node_width]
        adjacency : array [graphs, nodes, nodes]
            Entry (u, v) above 0 is an edge from u to v of that weight; edges come out row by row.
        edge_features : array [graphs, nodes, nodes, edge_width]
        node_mask : array [graphs, nodes], optional
            0 for padding.
        """
        arrays = _dense(node_features, adjacency, edge_features, node_mask)
        return SystemEstimate(*self._call("predict_dense", arrays, 6))

    def pack(
        self, node_features: Any, adjacency: Any, edge_features: Any, node_mask: Any = None
    ) -> dict[str, np.ndarray]:
        """Graphs as matrices in the form that `fit`, `predict` and `impact` take, by name."""
        arrays = _dense(node_features, adjacency, edge_features, node_mask)
        return dict(zip(_PACKED, self._call("pack", arrays, 5)))

    def impact(
        self,
        failed: Any,
        node_features: Any,
        edge_index: Any,
        edge_features: Any,
        edge_weight: Any = None,
        graph_id: Any = None,
    ) -> np.ndarray:
        """The largest product of probabilities along any path from a failed node to each node.

        Parameters
        ----------
        failed : int or array [failures]
            Nodes; several are looked at one by one.
        node_features, edge_index, edge_features, edge_weight, graph_id
            As in `fit`.

        Returns
        -------
        array [nodes] or [failures, nodes]
            1 at the failed node, 0 where no path leads.
        """
        arrays = _packed(node_features, edge_index, edge_features, edge_weight, graph_id)
        given = {"failed": np.atleast_1d(integers(failed)), **arrays}
        impacts: np.ndarray = self._call("impact", given)[0]
        return impacts if np.ndim(failed) else impacts[0]


_PACKED = ("node_features", "edge_index", "edge_features", "edge_weight", "graph_id")
_LABELS = ("node_health", "edge_propagation", "edge_propagation_reverse", "system_health")


def _packed(
    node_features: Any, edge_index: Any, edge_features: Any, edge_weight: Any = None,
    graph_id: Any = None,
) -> dict[str, Any]:
    return {
        "node_features": reals(node_features), "edge_index": integers(edge_index),
        "edge_features": reals(edge_features),
        "edge_weight": some(edge_weight, reals),
        "graph_id": some(graph_id, integers),
    }


def _dense(
    node_features: Any, adjacency: Any, edge_features: Any, node_mask: Any
) -> dict[str, Any]:
    return {
        "node_features": reals(node_features), "adjacency": reals(adjacency),
        "edge_features": reals(edge_features),
        "node_mask": some(node_mask, integers),
    }


def _labels(
    node_health: Any, edge_propagation: Any, edge_propagation_reverse: Any, system_health: Any
) -> dict[str, Any]:
    return {
        "node_health": some(node_health, integers),
        "edge_propagation": some(edge_propagation, reals),
        "edge_propagation_reverse": some(edge_propagation_reverse, reals),
        "system_health": some(system_health, reals),
    }
