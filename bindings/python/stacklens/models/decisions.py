"""Models that suggest what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers, reals

__all__ = ["ResolutionDQN"]


class ResolutionDQN(Estimator):
    """A deep Q-network: values actions in a state and suggests the best one.

    It learns from recorded transitions (`fit`), or step by step while something happens (`act`,
    `observe`).

    Parameters
    ----------
    width : int
        Features of a state.
    actions : int
    hidden : sequence of int
        Widths of the layers.
    discount : float
        What a later reward counts; 0 is a bandit.
    double : bool
        Whether the online network chooses the next action (Double DQN).
    huber : bool
        Huber's loss in place of squares.
    capacity : int
        Transitions that are remembered.
    batch_size, least_stored : int
        Transitions of a step, and without which there is none.
    learning_rate : float
    copy_interval : int
        Steps between copies to the target network; 0: it moves by ``softness`` each step.
    softness : float
    exploration, exploration_end : float
        The share of random actions of `act`, at first and after ``exploration_steps``.
    exploration_steps : int
    seed, threads : int

    Examples
    --------
    >>> models.ResolutionDQN().parameter_count
    165514
    """

    kind = "resolution_dqn"

    def __init__(
        self,
        width: int = 512,
        actions: int = 10,
        hidden: Sequence[int] = (256, 128),
        *,
        discount: float = 0.9,
        double: bool = False,
        huber: bool = False,
        capacity: int = 10_000,
        batch_size: int = 32,
        least_stored: int = 64,
        learning_rate: float = 1e-3,
        copy_interval: int = 500,
        softness: float = 0.005,
        exploration: float = 1.0,
        exploration_end: float = 0.05,
        exploration_steps: int = 10_000,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            width=width, actions=actions, hidden=list(hidden), discount=discount, double=double,
            huber=huber, capacity=capacity, batch_size=batch_size, least_stored=least_stored,
            learning_rate=learning_rate, copy_interval=copy_interval, softness=softness,
            exploration=exploration, exploration_end=exploration_end,
            exploration_steps=exploration_steps, seed=seed, threads=threads,
        )

    def fit(
        self,
        state: Any,
        action: Any,
        reward: Any,
        next_state: Any,
        done: Any,
        *,
        steps: int = 5_000,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from recorded transitions, each a row of the arrays.

        Parameters
        ----------
        state, next_state : array [rows, width]
        action : array [rows]
        reward : array [rows]
            Clipped to [-1, 1].
        done : array [rows]
            Whether it was the end; ``next_state`` is not looked at then.
        steps : int
            Steps of learning.
        callback, progress
        """
        arrays = _transitions(state, action, reward, next_state, done)
        return self._fit(arrays, {"steps": steps}, callback, progress)

    def q_values(self, state: Any) -> np.ndarray:
        """The value of each action: [rows, actions]."""
        values: np.ndarray = self._call("q_values", {"state": reals(state)})[0]
        return values

    def suggest(self, state: Any, allowed: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """The best allowed action of each row, -1 where none is allowed, and the value of each."""
        arrays = {"state": reals(state), "allowed": _flags(allowed)}
        action, values = self._call("suggest", arrays, 2)
        return action, values

    def act(self, state: Any, allowed: Any = None) -> np.ndarray:
        """As `suggest`, but a random allowed action now and then, to learn from."""
        arrays = {"state": reals(state), "allowed": _flags(allowed)}
        action: np.ndarray = self._call("act", arrays)[0]
        return action

    def observe(
        self, state: Any, action: Any, reward: Any, next_state: Any, done: Any
    ) -> np.ndarray:
        """Remembers transitions and learns a step for each; the losses, NaN before the first step."""
        losses: np.ndarray = self._call(
            "observe", _transitions(state, action, reward, next_state, done)
        )[0]
        return losses


def _transitions(
    state: Any, action: Any, reward: Any, next_state: Any, done: Any
) -> dict[str, np.ndarray]:
    return {
        "state": reals(state), "action": integers(action), "reward": reals(reward),
        "next_state": reals(next_state), "done": np.ascontiguousarray(done, dtype=bool),
    }


def _flags(allowed: Any) -> Optional[np.ndarray]:
    return None if allowed is None else np.ascontiguousarray(allowed, dtype=bool)
