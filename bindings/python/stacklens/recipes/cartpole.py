"""The Q-network on a standard environment: balancing a pole (Gymnasium's CartPole-v1)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .. import models
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3, 4, 5)
SOLVED = 475.0
#: Rewards are clipped to [-1, 1]: each step pays 1.
STEPS = 60_000
#: Steps between looks at how good the greedy policy is, and episodes of such a look.
LOOK_EVERY, LOOK = 2_000, 20
EPISODES = 100


def run(options: Options) -> Result:
    """Learns on a few seeds and plays 100 greedy episodes with each."""
    result = Result(
        "CartPole-v1: mean return of 100 greedy episodes (solved from 475)",
        ("seed", "mean return", "worst", "steps learned", "seconds"),
    )
    solved = 0
    for seed in options.pick_seeds(SEEDS):
        options.say(f"learning with seed {seed} ...")
        start = time.perf_counter()
        agent, steps = learn(seed, 2_000 if options.quick else STEPS)
        seconds = time.perf_counter() - start
        returns = play(agent, range(10_000, 10_000 + (3 if options.quick else EPISODES)))
        solved += float(np.mean(returns)) >= SOLVED
        result.rows.append((str(seed), float(np.mean(returns)), min(returns), steps, seconds))
    result.claims.append(Claim("seeds that solve it", solved, 4))
    return result


def learn(seed: int, steps: int) -> tuple[models.ResolutionDQN, int]:
    """An agent after so many steps of the environment, or once it plays a few episodes to the end."""
    import gymnasium

    agent = models.ResolutionDQN(
        4, 2, (128, 128), discount=0.99, double=True, huber=True, capacity=50_000, batch_size=128,
        least_stored=1_000, learning_rate=5e-4, copy_interval=0, softness=0.005,
        exploration_steps=8_000, exploration_end=0.02, seed=seed, threads=1,
    )
    environment: Any = gymnasium.make("CartPole-v1")
    state, _ = environment.reset(seed=seed)
    for step in range(1, steps + 1):
        action = int(agent.act(state[None])[0])
        following, reward, failed, over, _ = environment.step(action)
        agent.observe(state[None], [action], [reward], following[None], [failed])
        state = environment.reset()[0] if failed or over else following
        # Episodes of other starts than those that count in the end.
        if step % LOOK_EVERY == 0 and min(play(agent, range(LOOK))) >= 500:
            return agent, step
    return agent, steps


def play(agent: models.ResolutionDQN, seeds: range) -> list[float]:
    """The return of one greedy episode for each seed, all played side by side."""
    import gymnasium

    environments: list[Any] = [gymnasium.make("CartPole-v1") for _ in seeds]
    states = [one.reset(seed=seed)[0] for one, seed in zip(environments, seeds)]
    returns = [0.0] * len(environments)
    playing = list(range(len(environments)))
    while playing:
        actions, _ = agent.suggest(np.stack([states[place] for place in playing]))
        still = []
        for place, action in zip(playing, actions):
            states[place], reward, failed, over, _ = environments[place].step(int(action))
            returns[place] += float(reward)
            if not (failed or over):
                still.append(place)
        playing = still
    return returns


RECIPE = Recipe(
    "cartpole", "the Q-network balances a pole in Gymnasium's CartPole-v1", 5, run, ("gymnasium",)
)
