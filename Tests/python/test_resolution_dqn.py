"""The Q-network: what it learns on problems whose answers are known, and its edge cases."""

from __future__ import annotations

import numpy as np
import pytest
import stacklens
from stacklens import models


def test_greedy_policy_of_a_ten_cluster_bandit() -> None:
    random = np.random.default_rng(3)
    centres = random.normal(size=(10, 512)).astype(np.float32)

    def states(count: int) -> tuple[np.ndarray, np.ndarray]:
        cluster = random.integers(10, size=count)
        return centres[cluster] + 0.3 * random.normal(size=(count, 512)).astype(np.float32), cluster

    model = models.ResolutionDQN(discount=0)
    state, cluster = states(4_000)
    action = random.integers(10, size=4_000)
    reward = np.where(action == cluster, 1.0, -1.0)
    model.fit(state, action, reward, state, np.ones(4_000), steps=1_500)
    unseen, right = states(1_000)
    found, values = model.suggest(unseen)
    assert values.shape == (1_000, 10)
    assert (found == right).mean() >= 0.95


@pytest.mark.parametrize("double", [False, True])
def test_values_of_a_five_step_chain(double: bool) -> None:
    # From place k to k + 1; the last step pays 1: the value of place k is 0.9^(4 - k).
    places = np.eye(5, dtype=np.float32)
    following = np.roll(places, -1, axis=0)
    rows = np.tile(np.arange(5), 40)
    model = models.ResolutionDQN(
        5, 1, (64,), copy_interval=50, double=double, least_stored=1, learning_rate=2e-3
    )
    model.fit(
        places[rows], np.zeros(len(rows)), rows == 4, following[rows], rows == 4, steps=3_000
    )
    expected = 0.9 ** np.arange(4, -1, -1)
    np.testing.assert_allclose(model.q_values(places)[:, 0], expected, atol=0.05)


def test_learns_from_call_to_call() -> None:
    model = models.ResolutionDQN(3, 2, (8,), least_stored=4, batch_size=4, exploration=0.5)
    state = np.eye(3, dtype=np.float32)
    assert set(model.act(np.repeat(state, 40, axis=0)).tolist()) == {0, 1}
    with pytest.raises(stacklens.NotFittedError):
        model.suggest(state)
    losses = model.observe(state, [0, 1, 0], [1, -1, 0], state, [0, 0, 1])
    assert np.isnan(losses).all()
    losses = model.observe(state, [0, 1, 0], [1, -1, 0], state, [0, 0, 1])
    assert np.isfinite(losses).all() and model.facts["steps"] == 3
    before = model.q_values(state)
    model.observe(state, [0, 1, 0], [1, -1, 0], state, [0, 0, 1])
    assert not np.array_equal(before, model.q_values(state))


def test_edge_cases() -> None:
    model = models.ResolutionDQN(3, 4, (8,))
    state = np.eye(3, dtype=np.float32)
    never = np.full((3, 3), np.nan, np.float32)
    # The next state of an end is not looked at, rewards are clipped.
    model.fit(state, [0, 1, 3], [50, -50, 0], never, [1, 1, 1], steps=400)
    assert np.abs(model.q_values(state)).max() < 1.5
    with pytest.raises(stacklens.NonFiniteError, match="next_state"):
        model.fit(state, [0, 1, 3], [1, 0, 0], never, [1, 0, 1])
    for wrong in (4, -1):
        with pytest.raises(stacklens.InvalidArgumentError, match="action"):
            model.fit(state, [0, 1, wrong], [1, 0, 0], state, [1, 0, 1])
    with pytest.raises(stacklens.InvalidArgumentError, match="0 rows"):
        model.fit(state[:0], [], [], state[:0], [])
    allowed = np.zeros((3, 4), bool)
    allowed[1, 2] = allowed[2, 1:3] = True
    action, values = model.suggest(state, allowed)
    assert action.tolist() == [-1, 2, 1 + int(values[2, 2] > values[2, 1])]
    assert model.act(state, allowed).tolist()[0] == -1
    with pytest.raises(stacklens.InvalidArgumentError, match="least_stored"):
        models.ResolutionDQN(least_stored=20_000)
