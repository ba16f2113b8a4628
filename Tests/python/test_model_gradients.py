"""Gradients of every model's network, held against differences along random directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import stacklens
from test_estimators import CASES, Case

#: How far parameters are moved to both sides, as a length over all of them.
STEP = 2e-3


def loss_of(model: stacklens.Model) -> stacklens.Model:
    """The network with one output: its outputs, each element weighted, added up."""
    floats = [value.name for value in model.outputs if value.dtype == "float32"]

    def head(*values: Any) -> Any:
        total: Any = None
        for place, value in enumerate(values):
            # A smooth function whose slope differs from element to element.
            part = ((value * 0.7 + 0.3 * place).tanh() * (1 + 0.1 * place)).sum()
            total = part if total is None else total + part
        return total

    return model.attach(head, output=floats, name="loss")


@pytest.mark.parametrize("kind", sorted(CASES))
def test_gradients_agree_with_differences(kind: str) -> None:
    case: Case = CASES[kind]
    fitted = case.make(seed=3)
    case.fit(fitted)
    names = ("encoder",) if kind == "seq2seq" else ("",)
    for name in names:
        model = loss_of(fitted.model(name))
        feeds = case.feeds(6)
        wanted = {value.name for value in model.inputs}
        feeds = {key: value for key, value in feeds.items() if key in wanted}
        trainer = stacklens.Trainer(
            model, loss={"output": "loss"}, optimizer="sgd", learning_rate=1.0, freeze=["statistics.*"]
        )
        before = {key: value.astype(np.float64) for key, value in trainer.model.state_dict().items()}
        trainer.step(feeds)
        after = trainer.model.state_dict()
        gradients = {key: before[key] - after[key] for key in before}
        moving = [key for key in gradients if np.abs(gradients[key]).max(initial=0) > 0]
        assert moving, "nothing moves"
        random = np.random.default_rng(1)
        for turn in range(4):
            direction = {
                key: random.normal(size=before[key].shape) * np.abs(gradients[key]).max()
                for key in moving
            }
            length = np.sqrt(sum((value**2).sum() for value in direction.values()))
            slope = sum((gradients[key] * direction[key]).sum() for key in moving) / length
            size = np.sqrt(sum((gradients[key] ** 2).sum() for key in moving))
            if turn == 0:  # along the gradient itself
                direction, length, slope = {key: gradients[key] for key in moving}, size, size
            values = []
            for side in (STEP, -STEP):
                moved = {
                    key: (value + side * direction[key] / length if key in direction else value)
                    .astype(np.float32) for key, value in before.items()
                }
                session = stacklens.Session(model.load_state_dict(moved, strict=False))
                values.append(float(session.run(["loss"], feeds)[0]))
            difference = (values[0] - values[1]) / (2 * STEP)
            assert abs(difference - slope) <= 1e-3 * size + 1e-4 * abs(values[0]), (kind, turn)
