"""What the recipe for root causes ranks by: signals of components, and the simple rankings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stacklens.recipes import _incidents, root_cause
from stacklens.recipes._incidents import SIGNALS, Incident

SHOP, CART, STOCK, PAY = range(4)


def incident(**changes: Any) -> Incident:
    """A shop that calls a cart and payment, the cart calls the stock, which is slow."""
    signals = np.zeros((4, len(SIGNALS)))
    signals[:, 0] = [6, 8, 9, 0]
    slow = np.array([1, 2, 4, 2, 1.0])
    values: dict[str, Any] = {
        "system": "shop", "name": "one", "nodes": ["shop", "cart", "stock", "pay"],
        "edges": [(SHOP, CART), (SHOP, PAY), (CART, STOCK)], "symptom": SHOP, "cause": STOCK,
        "signals": signals, "missing": np.array([0, 0, 0, 1.0]),
        "series": np.stack([slow, slow + [0, 0, 1, 0, 0], 2 * slow, np.full(5, np.nan)]),
    }
    return Incident(**{**values, **changes})


def test_signals_are_held_against_what_is_called() -> None:
    found = _incidents.own(incident().signals[:, 0], incident().edges)
    np.testing.assert_array_equal(found, [0, 0, 9, 0])
    np.testing.assert_array_equal(_incidents.distances(incident()), [0, 1, 2, 1])
    alone = incident(edges=[(SHOP, SHOP)])
    np.testing.assert_array_equal(_incidents.own(alone.signals[:, 0], alone.edges), [6, 8, 9, 0])
    seen = _incidents.features(incident())
    assert seen.dtype == np.float32 and seen.shape == (4, 2 * len(SIGNALS) + 4)
    assert np.isfinite(_incidents.features(alone)).all()


def test_components_are_seen_the_same_in_any_order() -> None:
    order = np.array([2, 0, 3, 1])
    place = np.argsort(order)
    one = incident()
    other = incident(
        edges=[(int(place[a]), int(place[b])) for a, b in one.edges], symptom=int(place[SHOP]),
        cause=int(place[STOCK]), signals=one.signals[order], missing=one.missing[order],
        series=one.series[order],
    )
    np.testing.assert_array_equal(_incidents.features(other), _incidents.features(one)[order])
    for ranking in (root_cause.degree, root_cause.correlation, root_cause.random_walk):
        np.testing.assert_allclose(ranking(other), ranking(one)[order], atol=1e-9)


def test_simple_rankings() -> None:
    one = incident()
    np.testing.assert_array_equal(root_cause.degree(one), [2, 2, 1, 1])
    found = root_cause.correlation(one)
    assert found[STOCK] == pytest.approx(1) and 0.9 < found[CART] < 1 and found[PAY] == 0
    walk = root_cause.random_walk(one)
    assert walk.sum() == pytest.approx(1) and walk.argmax() == STOCK


def test_ranks_share_places_and_leave_the_symptom_out() -> None:
    one = incident()
    assert root_cause.rank(one, np.array([9.0, 1, 2, 1])) == 1
    assert root_cause.rank(one, np.array([9.0, 3, 2, 1])) == 2
    assert root_cause.rank(one, np.array([9.0, 2, 2, 2])) == 2


def test_incidents_are_packed_one_behind_the_other() -> None:
    graphs = root_cause.packed([incident(), incident()])
    np.testing.assert_array_equal(graphs["graph_id"], [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(graphs["edge_index"][:, 3:], graphs["edge_index"][:, :3] + 4)
