"""A small convolutional network learns the 8x8 digits that come with scikit-learn.

    pip install scikit-learn
    python examples/training/digits.py [--epochs 40] [--seed 1] [--save digits.onnx]

1,438 images to learn from, 359 held out (every fifth, in the order of the data set), which are looked
at once, at the end.
"""

from __future__ import annotations

import argparse

import numpy as np
import stacklens
from sklearn.datasets import load_digits
from stacklens import nn


def network() -> stacklens.Model:
    net = nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )
    return nn.build(net, nn.Input(("batch", 1, 8, 8), name="image"), outputs="logits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", help="write the trained model to this file")
    arguments = parser.parse_args()

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    held_out = np.arange(len(images)) % 5 == 4

    trainer = stacklens.Trainer(
        network(), loss={"name": "cross_entropy", "label_smoothing": 0.05},
        optimizer={"name": "adamw", "weight_decay": 1e-3}, learning_rate=2e-3,
        schedule={
            "name": "cosine", "total_steps": arguments.epochs * -(-int((~held_out).sum()) // 64),
        },
        metrics="accuracy", seed=arguments.seed,
    )
    trainer.fit(images[~held_out], labels[~held_out], epochs=arguments.epochs, batch_size=64)
    figures = trainer.evaluate(images[held_out], labels[held_out])
    print(f"{held_out.sum()} held out digits: {figures['accuracy']:.2%} right")
    if arguments.save:
        trainer.model.save(arguments.save)


if __name__ == "__main__":
    main()
