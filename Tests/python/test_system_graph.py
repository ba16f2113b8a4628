"""The graph network: its arithmetic, its edge cases, and what it learns of a known topology."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens import models

runtime = pytest.importorskip("onnxruntime")

API, DATABASE, CACHE, QUEUE = range(4)
CALLS = np.array([[API, API, DATABASE], [DATABASE, CACHE, QUEUE]])


def some_graph(nodes: int, edges: int, seed: int = 0, graphs: int = 1) -> dict[str, np.ndarray]:
    """A packed batch of graphs of the same extents with edges anywhere inside each."""
    random = np.random.default_rng(seed)
    ends = [random.integers(0, nodes, (2, edges)) + nodes * graph for graph in range(graphs)]
    return {
        "node_features": random.normal(size=(graphs * nodes, 12)).astype(np.float32),
        "edge_index": np.concatenate([np.zeros((2, 0), np.int64), *ends], axis=1),
        "edge_features": random.normal(size=(graphs * edges, 6)).astype(np.float32),
        "edge_weight": random.random(graphs * edges).astype(np.float32) + 0.1,
        "graph_id": np.repeat(np.arange(graphs), nodes),
    }


def make(**options: Any) -> models.SystemGraphGNN:
    return models.SystemGraphGNN(12, 6, 16, 2, **options)


@pytest.fixture(scope="module")
def fitted() -> models.SystemGraphGNN:
    model = make()
    data = some_graph(5, 8, 1, 30)
    nodes, edges = len(data["node_features"]), data["edge_index"].shape[1]
    random = np.random.default_rng(2)
    model.fit(
        **data, node_health=random.integers(0, 5, nodes), edge_propagation=random.random(edges),
        edge_propagation_reverse=random.random(edges), system_health=random.random(30), epochs=3,
    )
    return model


def alike(found: models.SystemEstimate, expected: models.SystemEstimate) -> None:
    for name, value in vars(expected).items():
        if value is not None:
            np.testing.assert_allclose(getattr(found, name), value, atol=1e-5, err_msg=name)


def test_the_arithmetic_is_that_of_the_definition(fitted: models.SystemGraphGNN) -> None:
    data = some_graph(6, 14, 3)
    w = {name: value.astype(np.float64) for name, value in fitted.model().state_dict().items()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ w[name + ".weight"].T + w.get(name + ".bias", 0)

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    h = relu(linear("node_encoder", data["node_features"]))
    e = relu(linear("edge_encoder", data["edge_features"]))
    source, target = data["edge_index"]
    for layer in ("layers.0", "layers.1"):
        update = linear(layer + ".self", h)
        for way, sender, receiver in (("in", source, target), ("out", target, source)):
            for node in range(6):
                heard = (receiver == node) & (source != target)
                if heard.any():
                    node_part = linear(f"{layer}.{way}.node", h[sender[heard]])
                    messages = relu(node_part + linear(f"{layer}.{way}.edge", e[heard]))
                    update[node] += np.average(
                        messages, axis=0, weights=data["edge_weight"][heard]
                    )
        x = h + relu(update)
        scale = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        h = (x - x.mean(axis=1, keepdims=True)) / scale
        h = h * w[layer + ".norm.weight"] + w[layer + ".norm.bias"]
    alike(
        fitted.predict(**data),
        models.SystemEstimate(
            linear("node_head", h),
            sigmoid(linear("edge_head", np.concatenate([h[source], h[target]], axis=1)))[:, 0],
            sigmoid(linear("edge_head", np.concatenate([h[target], h[source]], axis=1)))[:, 0],
            sigmoid(linear("system_head", h.mean(axis=0))), h,
        ),
    )


def test_renumbering_nodes_renumbers_outputs(fitted: models.SystemGraphGNN) -> None:
    data = some_graph(9, 20, 4)
    order = np.random.default_rng(5).permutation(9)
    moved = {
        **data, "node_features": data["node_features"][order],
        "edge_index": np.argsort(order)[data["edge_index"]],
    }
    before, after = fitted.predict(**data), fitted.predict(**moved)
    alike(
        after,
        models.SystemEstimate(
            before.node_health[order], before.edge_propagation, before.edge_propagation_reverse,
            before.system_health, before.node_embeddings[order],
        ),
    )


def test_a_graph_is_the_same_alone_and_packed(fitted: models.SystemGraphGNN) -> None:
    data = some_graph(4, 7, 6, 5)
    whole = fitted.predict(**data)
    assert whole.system_health.shape == (5,)
    for graph in range(5):
        nodes, edges = slice(4 * graph, 4 * graph + 4), slice(7 * graph, 7 * graph + 7)
        alone = fitted.predict(
            data["node_features"][nodes], data["edge_index"][:, edges] - 4 * graph,
            data["edge_features"][edges], data["edge_weight"][edges],
        )
        alike(
            alone,
            models.SystemEstimate(
                whole.node_health[nodes], whole.edge_propagation[edges],
                whole.edge_propagation_reverse[edges], whole.system_health[graph : graph + 1],
                whole.node_embeddings[nodes],
            ),
        )


def test_matrices_are_the_same_graphs(fitted: models.SystemGraphGNN) -> None:
    random = np.random.default_rng(7)
    adjacency = random.random((3, 4, 4)) * (random.random((3, 4, 4)) > 0.4)
    features = random.normal(size=(3, 4, 4, 6))
    nodes = random.normal(size=(3, 4, 12))
    mask = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1]])
    found = fitted.predict_dense(nodes, adjacency, features, mask)
    assert found.edge_index is not None
    kept = adjacency * mask[:, :, None] * mask[:, None]
    np.testing.assert_array_equal(found.edge_index, np.nonzero(kept))
    assert not found.node_health[mask == 0].any() and not found.node_embeddings[mask == 0].any()
    packed = fitted.pack(nodes, adjacency, features, mask)
    np.testing.assert_array_equal(packed["edge_weight"], kept[kept > 0].astype(np.float32))
    np.testing.assert_array_equal(packed["edge_features"], features[kept > 0].astype(np.float32))
    flat = fitted.predict(**packed)
    np.testing.assert_array_equal(flat.node_health, found.node_health[mask == 1])
    np.testing.assert_array_equal(flat.edge_propagation, found.edge_propagation)
    np.testing.assert_array_equal(flat.system_health, found.system_health)


def test_what_sends_nothing_changes_nothing_but_is_scored(fitted: models.SystemGraphGNN) -> None:
    data = some_graph(5, 6, 8)
    data["edge_index"] = np.array([[0, 1, 2, 3, 0, 4], [1, 2, 3, 0, 2, 1]])
    before = fitted.predict(**data)
    # A loop, an edge of weight 0, and the second half of an edge that is there already.
    more = {
        **data,
        "edge_index": np.concatenate([data["edge_index"], [[2, 4, 0], [2, 3, 1]]], axis=1),
        "edge_features": np.concatenate(
            [data["edge_features"], np.ones((2, 6)), data["edge_features"][:1]]
        ),
        "edge_weight": np.concatenate([data["edge_weight"], [1, 0, data["edge_weight"][0] / 2]]),
    }
    more["edge_weight"][0] /= 2
    after = fitted.predict(**more)
    assert after.edge_propagation.shape == (9,) and (after.edge_propagation > 0).all()
    np.testing.assert_allclose(after.node_embeddings, before.node_embeddings, atol=1e-5)
    np.testing.assert_allclose(after.edge_propagation[8], after.edge_propagation[0], atol=1e-6)
    np.testing.assert_allclose(after.edge_propagation[:6], before.edge_propagation, atol=1e-5)


@pytest.mark.parametrize("nodes", [1, 3])
def test_graphs_without_edges(fitted: models.SystemGraphGNN, nodes: int) -> None:
    data = some_graph(nodes, 0, 9)
    found = fitted.predict(**data)
    assert np.isfinite(found.node_health).all() and found.node_health.shape == (nodes, 5)
    assert found.edge_propagation.shape == found.edge_propagation_reverse.shape == (0,)
    assert 0 < found.system_health[0] < 1
    np.testing.assert_array_equal(fitted.impact(0, **data), np.eye(nodes)[0])
    lone = make()
    lone.fit(**data, system_health=[1.0], epochs=2)
    assert np.isfinite(lone.predict(**data).node_health).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["edge_index"].__setitem__((0, 2), 8), "holds 8"),
        (lambda data: data["edge_index"].__setitem__((1, 0), -1), "holds -1"),
        (lambda data: data["edge_index"].__setitem__((0, 0), 7), "edge 0"),
        (lambda data: data["graph_id"].__setitem__(slice(4, 8), 2), "graph 1 has no nodes"),
        (lambda data: data["graph_id"].__setitem__(slice(0, 4), 1), "graph 0 has no nodes"),
        (lambda data: data["graph_id"].__setitem__(7, 0), "falls to 0 at 7"),
        (lambda data: data["edge_weight"].__setitem__(3, -0.5), "holds -0.5 at 3"),
        (lambda data: data["edge_weight"].__setitem__(3, 3e38), "at 3"),
    ],
)
def test_wrong_graphs_are_refused(
    fitted: models.SystemGraphGNN, change: Callable[[dict[str, np.ndarray]], None], message: str
) -> None:
    data = some_graph(4, 5, 10, 2)
    data["edge_index"][:, :5] %= 4
    change(data)
    with pytest.raises(stacklens.InvalidArgumentError, match=message):
        fitted.predict(**data)


def test_wrong_inputs_are_named(fitted: models.SystemGraphGNN) -> None:
    data = some_graph(4, 5, 11)
    with pytest.raises(stacklens.InvalidArgumentError, match="no nodes"):
        fitted.predict(data["node_features"][:0], np.zeros((2, 0)), np.zeros((0, 6)))
    empty = some_graph(0, 0, graphs=0)
    assert fitted.predict(**empty).system_health.shape == (0,)
    with pytest.raises(stacklens.InvalidArgumentError, match="0 graphs"):
        fitted.fit(**empty, system_health=[])
    with pytest.raises(stacklens.ShapeError, match="edge_index"):
        fitted.predict(**{**data, "edge_index": data["edge_index"].T})
    with pytest.raises(stacklens.ShapeError, match="any, 6"):
        fitted.predict(**{**data, "edge_features": data["edge_features"][:, 1:]})
    with pytest.raises(stacklens.InvalidArgumentError, match="nothing to learn"):
        fitted.fit(**data)
    with pytest.raises(stacklens.InvalidArgumentError, match="system_health"):
        fitted.fit(**data, system_health=[1.5])
    with pytest.raises(stacklens.ShapeError, match="edge_propagation"):
        fitted.fit(**data, edge_propagation=[1.0])
    with pytest.raises(stacklens.InvalidArgumentError, match="failed"):
        fitted.impact(4, **data)
    with pytest.raises(stacklens.InvalidArgumentError, match="graph 1 has no nodes"):
        fitted.predict_dense(
            np.zeros((2, 2, 12)), np.zeros((2, 2, 2)), np.zeros((2, 2, 2, 6)), [[1, 0], [0, 0]]
        )
    with pytest.raises(stacklens.InvalidArgumentError, match="adjacency"):
        fitted.predict_dense(
            np.zeros((1, 2, 12)), np.full((1, 2, 2), -1), np.zeros((1, 2, 2, 6))
        )


def test_missing_labels_teach_nothing() -> None:
    data = some_graph(4, 5, 12, 6)
    random = np.random.default_rng(13)
    health = random.integers(0, 5, 24)
    answers = []
    for edges, system in ((None, None), (np.full(30, -100), np.full(6, -100))):
        model = make()
        model.fit(
            **data, node_health=health, edge_propagation=edges, system_health=system, epochs=2
        )
        answers.append(model.predict(**data).node_health)
    np.testing.assert_array_equal(*answers)


def test_impact_is_the_most_probable_path(fitted: models.SystemGraphGNN) -> None:
    data = some_graph(7, 10, 14, 2)
    found = fitted.predict(**data)
    steps = np.eye(14)
    source, target = data["edge_index"]
    np.maximum.at(steps, (source, target), found.edge_propagation)
    np.maximum.at(steps, (target, source), found.edge_propagation_reverse)
    np.fill_diagonal(steps, 1)
    best = steps
    for _ in range(4):
        best = (best[:, :, None] * best[None]).max(axis=1)
    impacts = fitted.impact(range(14), **data)
    np.testing.assert_allclose(impacts, best, rtol=1e-6)
    np.testing.assert_array_equal(fitted.impact(3, **data), impacts[3])
    assert not impacts[:7, 7:].any() and (np.diag(impacts) == 1).all()


def cascades(count: int, seed: int) -> dict[str, np.ndarray]:
    """Failures over API → database, API → cache, database → queue: a failing database takes the
    queue with it and mostly the API, a failing API hardly ever the cache."""
    random = np.random.default_rng(seed)
    along, against = np.array([0.3, 0.1, 0.9]), np.array([0.8, 0.3, 0.2])
    first = random.integers(0, 4, count)
    failed = np.eye(4, dtype=bool)[first]
    forward = np.where(failed[:, CALLS[0]], random.random((count, 3)) < along, -100)
    reverse = np.where(failed[:, CALLS[1]], random.random((count, 3)) < against, -100)
    reached = failed.copy()
    for edge, (source, target) in enumerate(CALLS.T):
        reached[:, target] |= forward[:, edge] == 1
        reached[:, source] |= reverse[:, edge] == 1
    features = np.concatenate(
        [np.tile(np.eye(4), (count, 1, 1)), failed[..., None],
         0.1 * random.normal(size=(count, 4, 7))], axis=2,
    )
    shift = 4 * np.arange(count)[:, None, None]
    return {
        "node_features": features.reshape(-1, 12),
        "edge_index": (CALLS + shift).transpose(1, 0, 2).reshape(2, -1),
        "edge_features": np.tile(np.eye(6)[:3], (count, 1)),
        "graph_id": np.repeat(np.arange(count), 4),
        "node_health": np.where(failed, 4, np.where(reached, 2, 0)).ravel(),
        "edge_propagation": forward.ravel(), "edge_propagation_reverse": reverse.ravel(),
        "system_health": 1 - reached.mean(axis=1),
    }


def test_learns_where_failures_go() -> None:
    model = models.SystemGraphGNN(12, 6, 32, 3)
    history = model.fit(**cascades(400, 1), validation=cascades(100, 2), epochs=20)
    assert history["val_loss"][-1] < history["val_loss"][0]
    new = cascades(200, 3)
    labels = {name: new.pop(name) for name in list(new) if name not in
              ("node_features", "edge_index", "edge_features", "graph_id")}
    found = model.predict(**new)
    failed = labels["node_health"] == 4
    assert (found.node_health.argmax(axis=1)[failed] == 4).mean() > 0.95
    assert np.abs(found.system_health - labels["system_health"]).mean() < 0.2
    single = {
        "node_features": np.concatenate(
            [np.eye(4), np.eye(4)[:, [DATABASE]], np.zeros((4, 7))], axis=1
        ),
        "edge_index": CALLS, "edge_features": np.eye(6)[:3],
    }
    impact = model.impact(DATABASE, **single)
    assert impact[DATABASE] == 1
    assert impact[QUEUE] > impact[API] > impact[CACHE]
    assert impact[QUEUE] > 0.7 and impact[CACHE] < 0.3


def test_files_take_graphs_of_any_size(
    fitted: models.SystemGraphGNN, tmp_path: pathlib.Path
) -> None:
    fitted.export_onnx(tmp_path / "gnn.onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    other = runtime.InferenceSession(
        str(tmp_path / "gnn.onnx"), options, providers=["CPUExecutionProvider"]
    )
    assert [one.name for one in other.get_inputs()] == list(some_graph(1, 0))
    names = [one.name for one in other.get_outputs()]
    again = stacklens.Session(tmp_path / "gnn.onnx")
    for data in (some_graph(6, 9, 15, 3), some_graph(1, 0, 16), some_graph(2, 30, 17)):
        expected = fitted.predict(**data)
        for run in (other.run(None, data), again.run(None, data)):
            for name, value in zip(names, run):
                np.testing.assert_allclose(value, getattr(expected, name), atol=1e-4)


def test_heads_without_labels_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    data = some_graph(5, 8, 1, 10)
    model, fresh = make(), make()
    fresh.fit(**data, node_health=np.zeros(50, np.int64), epochs=1, learning_rate=1e-30)
    model.fit(**data, node_health=np.arange(50) % 5, epochs=3, learning_rate=1e-2)
    assert not caplog.records
    for name, value in model.model().state_dict().items():
        is_kept = name.startswith(("edge_head.", "system_head."))
        assert np.array_equal(value, fresh.model().parameter(name)) == is_kept, name
