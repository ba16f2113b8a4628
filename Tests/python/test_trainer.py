"""Training from Python: data in every form, callbacks, checkpoints, interruptions, and errors that
say what to do."""

from __future__ import annotations

import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import stacklens
from conftest import ROOT
from stacklens import nn
from stacklens._progress import ProgressBar
from stacklens.history import History

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(64, 4)).astype("float32")
LABELS = (X[:, 0] + X[:, 1] > 0).astype("int64")
Y = (X @ np.float32([[1], [2], [3], [4]]) + 1).astype("float32")


def classifier(seed: int = 1) -> stacklens.Model:
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    return nn.build(net, nn.Input(("batch", 4)), outputs="logits", seed=seed)


def regression() -> stacklens.Model:
    return nn.build(nn.Linear(4, 1), nn.Input(("batch", 4)))


def trainer(**options: Any) -> stacklens.Trainer:
    return stacklens.Trainer(classifier(), **{"learning_rate": 0.02, **options})


def weights(model: stacklens.Model) -> bytes:
    return b"".join(value.tobytes() for value in model.state_dict().values())


def test_learns_and_measures() -> None:
    fitted = trainer(metrics=["accuracy", "f1"])
    history = fitted.fit(X, LABELS, epochs=30, batch_size=16, validation=(X, LABELS))
    assert history.end == "finished" and len(history) == 30
    assert history["loss"][-1] < 0.2 < history["loss"][0]
    assert history["accuracy"][-1] > 0.95 and history.best is not None
    figures = fitted.evaluate(X, LABELS)
    assert set(figures) == {"loss", "accuracy", "f1"} and figures["accuracy"] > 0.95
    predicted = fitted.predict(X, batch_size=10)
    assert isinstance(predicted, np.ndarray) and predicted.shape == (64, 2)
    np.testing.assert_array_equal(predicted, fitted.predict(X))
    np.testing.assert_allclose(
        predicted, stacklens.Session(fitted.model).run(None, {"x": X})[0], rtol=1e-5, atol=1e-5)
    assert fitted.step_count == 120 and fitted.epoch == 30
    assert fitted.parameter_names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert set(fitted.gradients()) == set(fitted.parameter_names)


def test_the_trained_model_is_a_file(tmp_path: pathlib.Path) -> None:
    fitted = trainer()
    fitted.fit(X, LABELS, epochs=2)
    fitted.model.save(tmp_path / "mine.onnx")
    again = stacklens.Model.load(tmp_path / "mine.onnx")
    assert weights(again) == weights(fitted.model) != weights(classifier())
    fitted.close()
    with pytest.raises(stacklens.InvalidArgumentError, match="closed"):
        fitted.fit(X, LABELS)


def batches(count: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(np.split(X, count), np.split(LABELS, count)))


FORMS: dict[str, Any] = {
    "dict and array": ({"x": X}, LABELS),
    "one dict": ({"x": X, "target": LABELS}, None),
    "tuple of one": ((X,), LABELS),
    "other widths": (X.astype("float64"), LABELS.astype("int32")),
    "bytes as labels": (X, LABELS.astype("uint8")),
    "lists": (X.tolist(), LABELS.tolist()),
    "tensors": (stacklens.Tensor(X), stacklens.Tensor(LABELS)),
    "strided": (np.repeat(X, 2, 0)[::2], np.asfortranarray(LABELS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_come_in_many_forms(form: str) -> None:
    x, y = FORMS[form]
    expected, found = trainer(), trainer()
    expected.fit(X, LABELS, epochs=2)
    found.fit(x, y, epochs=2)
    assert weights(found.model) == weights(expected.model)


@pytest.mark.parametrize("source", [
    batches(), [{"x": x, "target": y} for x, y in batches()], batches, iter,
    lambda: ((x, y) for x, y in batches()),
], ids=["list of pairs", "list of dicts", "function", "iterator", "generators"])
def test_batches_come_from_iterables(source: Any) -> None:
    expected, found = trainer(), trainer()
    expected.fit(X, LABELS, epochs=1, batch_size=16, shuffle=False)
    found.fit(iter(batches()) if source is iter else source, epochs=1)
    assert weights(found.model) == weights(expected.model)


def test_iterables_start_anew_each_epoch() -> None:
    seen = []

    def source() -> Any:
        seen.append(len(seen))
        yield from batches()

    fitted = trainer()
    fitted.fit(source, epochs=3, validation=source)
    assert fitted.step_count == 12 and len(seen) == 6
    with pytest.raises(stacklens.InvalidArgumentError, match="function that makes a new one"):
        trainer().fit(iter(batches()), epochs=2)


def test_pytorch_tensors_are_shared() -> None:
    torch = pytest.importorskip("torch")
    from stacklens._training_data import shared

    x = torch.from_numpy(X.copy())
    view = shared(x, "x")
    assert np.asarray(view).ctypes.data == x.data_ptr()
    expected, found, third = trainer(), trainer(), trainer()
    expected.fit(X, LABELS, epochs=2, shuffle=False)
    found.fit(x.requires_grad_(), torch.from_numpy(LABELS), epochs=2, shuffle=False)
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(LABELS))
    third.fit(torch.utils.data.DataLoader(dataset, batch_size=32), epochs=2)
    assert weights(found.model) == weights(expected.model) == weights(third.model)


def test_several_inputs_outputs_and_losses() -> None:
    def net(left: nn.Value, right: nn.Value) -> dict[str, nn.Value]:
        both = nn.Linear(8, 8)(nn.concat([left, right], -1)).relu()
        return {"kind": nn.Linear(8, 2)(both), "amount": nn.Linear(8, 1)(both)}

    spec = nn.Input(("batch", 4))
    model = nn.build(net, {"left": spec, "right": spec})
    loss = [{"name": "cross_entropy", "outputs": ["kind"], "targets": ["label"]},
            {"name": "mse", "outputs": ["amount"], "targets": ["value"], "scale": 0.1}]
    fitted = stacklens.Trainer(model, loss=loss, learning_rate=0.01)
    history = fitted.fit((X, X), {"label": LABELS, "value": Y}, epochs=20)
    assert history["loss"][-1] < history["loss"][0] / 2
    kind, amount = fitted.predict({"left": X, "right": X}, batch_size=7)
    assert kind.shape == (64, 2) and amount.shape == (64, 1)
    with pytest.raises(stacklens.InvalidArgumentError, match="2 inputs"):
        fitted.fit(X, {"label": LABELS, "value": Y})


def test_models_that_have_their_loss() -> None:
    model = nn.build(lambda x: {"loss": (nn.Linear(4, 1)(x) - x[:, :1]).__pow__(2).mean()},
                     nn.Input(("batch", 4)))
    fitted = stacklens.Trainer(model, loss={"output": "loss"}, learning_rate=0.05)
    history = fitted.fit(X, epochs=40)
    assert history["loss"][-1] < 0.01


def test_a_share_of_rows_is_kept_aside() -> None:
    history = trainer().fit(X, LABELS, epochs=2, validation=0.25)
    assert {"val_loss"} < set(history.columns)
    for share in (0.0, 1.5, 0.001):
        with pytest.raises(stacklens.InvalidArgumentError, match="share"):
            trainer().fit(X, LABELS, validation=share)


def test_callbacks_see_everything_and_stop() -> None:
    events: list[stacklens.Event] = []

    def callback(event: stacklens.Event) -> Any:
        events.append(event)
        return event.step < 5

    history = trainer().fit(X, LABELS, epochs=3, batch_size=32, callback=callback)
    assert history.end == "stopped" and len(history) == 2
    assert [event.kind for event in events] == [
        "step", "step", "epoch", "step", "step", "epoch", "step"]
    last = events[-1]
    assert (last.step, last.epoch, last.batch, last.batch_count) == (5, 2, 0, 2)
    assert last.loss > 0 and last.gradient_norm > 0 and last.learning_rate == 0.02


def test_exceptions_of_callbacks_come_through() -> None:
    def fail(event: stacklens.Event) -> None:
        raise LookupError("from the callback")

    fitted = trainer()
    with pytest.raises(LookupError, match="from the callback"):
        fitted.fit(X, LABELS, callback=fail)
    assert fitted.step_count == 1

    def source() -> Any:
        yield batches()[0]
        raise LookupError("from the data")

    with pytest.raises(LookupError, match="from the data"):
        fitted.fit(source)
    fitted.fit(X, LABELS)


def test_stops_early_with_the_best_weights() -> None:
    noise = RANDOM.integers(0, 2, 64)
    fitted = trainer(learning_rate=0.05)
    history = fitted.fit(
        X, noise, epochs=200, batch_size=8, validation=(X[::-1].copy(), LABELS), patience=3)
    assert history.end == "early" and len(history) < 200
    assert history.best is not None
    found = fitted.evaluate(X[::-1].copy(), LABELS)["loss"]
    assert found == pytest.approx(history.best["val_loss"], rel=1e-5)


def test_frozen_parameters_stay() -> None:
    model = classifier().freeze("0.*")
    fitted = stacklens.Trainer(model, learning_rate=0.1, freeze="2.bias")
    fitted.fit(X, LABELS, epochs=2)
    assert fitted.parameter_names == ["2.weight"]
    before, after = model.state_dict(), fitted.model.state_dict()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == [
        "2.weight"]


def test_epochs_add_up() -> None:
    twice, once = trainer(), trainer()
    twice.fit(X, LABELS, epochs=2)
    twice.fit(X, LABELS, epochs=3)
    once.fit(X, LABELS, epochs=5)
    assert twice.epoch == 5 and weights(twice.model) == weights(once.model)


def test_goes_on_from_checkpoints(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "training.safetensors"
    whole, first, second = (trainer(schedule={"name": "cosine", "total_steps": 40}) for _ in range(3))
    whole.fit(X, LABELS, epochs=5, batch_size=8)
    steps = []

    def stop(event: stacklens.Event) -> Any:
        steps.append(event.kind)
        return event.step < 19

    first.fit(X, LABELS, epochs=5, batch_size=8, checkpoint=path, checkpoint_interval=5,
              callback=stop)
    assert "checkpoint" in steps
    second.load_checkpoint(path)
    assert 0 < second.step_count < 19
    second.fit(X, LABELS, epochs=5, batch_size=8)
    assert weights(second.model) == weights(whole.model)
    second.save_checkpoint(path)
    with pytest.raises(stacklens.InvalidArgumentError, match="optimizer"):
        trainer(optimizer="sgd").load_checkpoint(path)
    with pytest.raises(stacklens.IoError):
        second.load_checkpoint(tmp_path / "nothing")
    (tmp_path / "wrong").write_bytes(b"wrong")
    with pytest.raises(stacklens.FormatError):
        second.load_checkpoint(tmp_path / "wrong")


def test_a_folder_that_cannot_be_written_to(tmp_path: pathlib.Path) -> None:
    fitted = trainer()
    with pytest.raises(stacklens.IoError, match="nowhere"):
        fitted.save_checkpoint(tmp_path / "nowhere" / "file")
    with pytest.raises(stacklens.IoError, match="nowhere"):
        fitted.fit(X, LABELS, checkpoint=tmp_path / "nowhere" / "file")
    assert fitted.epoch == 1  # nothing of what was learned is lost
    fitted.fit(X, LABELS)


@pytest.mark.parametrize(("x", "y", "error", "words"), [
    (np.full_like(X, np.nan), LABELS, stacklens.NonFiniteError, "'x' holds NaN"),
    (X[:0], LABELS[:0], stacklens.InvalidArgumentError, "empty"),
    (X, LABELS[:60], stacklens.StackLensError, "60"),
    (X, LABELS + 5, stacklens.InvalidArgumentError, ""),
    (X, LABELS - 1, stacklens.InvalidArgumentError, ""),
    (X[:, :3], LABELS, stacklens.ShapeError, "x"),
    (X.astype(str), LABELS, stacklens.TypeMismatchError, "x"),
    (X, None, stacklens.InvalidArgumentError, "'target'.*give y"),
    ({"x": X, "z": X}, LABELS, stacklens.InvalidArgumentError, "'z'"),
    ([[1.0, 2.0], [3.0]], LABELS[:2], (stacklens.StackLensError, ValueError), ""),
    ([], LABELS[:0], stacklens.StackLensError, ""),
    (X[0, 0], LABELS[0], stacklens.ShapeError, "rows"),
    ([(X, LABELS, X)], None, stacklens.StackLensError, ""),
    ([(X, LABELS[:5])], None, stacklens.StackLensError, ""),
    (lambda: [], None, stacklens.InvalidArgumentError, "empty"),
    (lambda: 5, None, TypeError, "iterable"),
], ids=[
    "nan", "empty", "lengths", "labels above", "labels below", "width", "texts", "no targets",
    "unknown name", "ragged", "empty list", "numbers", "triples", "lengths of a batch",
    "no batches", "no iterable",
])
def test_data_that_does_not_fit(x: Any, y: Any, error: Any, words: str) -> None:
    fitted = trainer()
    before = weights(fitted.model)
    with pytest.raises(error, match=words or None) as caught:
        fitted.fit(x, y)
    assert not isinstance(caught.value, stacklens.InternalError) and str(caught.value)
    assert weights(fitted.model) == before


@pytest.mark.parametrize(("options", "words"), [
    ({"loss": "nonsense"}, "cross_entropy"), ({"loss": {"name": "mse", "wrong": 1}}, "wrong"),
    ({"loss": {}}, "name"), ({"loss": []}, "empty"), ({"optimizer": "nonsense"}, "adam"),
    ({"optimizer": {"name": "sgd", "momentum": "much"}}, "momentum"),
    ({"learning_rate": -1.0}, "learning_rate"), ({"learning_rate": float("nan")}, "options"),
    ({"schedule": "nonsense"}, "cosine"), ({"metrics": "nonsense"}, "accuracy"),
    ({"clip_norm": 0.0}, "clip_norm"), ({"accumulation": 0}, "accumulation"),
    ({"freeze": "["}, "\\["), ({"freeze": "*"}, "frozen"), ({"precision": "fp8"}, "fp32"),
    ({"threads": -1}, "threads"), ({"seed": -1}, "seed"), ({"ema": 2.0}, "decay"),
    ({"memory_limit": 0}, "memory_limit"), ({"truncated_bptt": 0}, "truncated_bptt"),
])
def test_options_that_do_not_fit(options: Any, words: str) -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match=words):
        trainer(**options)


@pytest.mark.parametrize(("options", "words"), [
    ({"epochs": 0}, "epochs"), ({"epochs": 1.5}, "epochs"), ({"batch_size": 0}, "batch_size"),
    ({"monitor": "nonsense"}, "nonsense"), ({"patience": -1}, "patience"),
    ({"minimum_delta": -0.1}, "minimum_delta"), ({"length_mask": "mask"}, "mask"),
    ({"checkpoint_interval": -1}, "checkpoint_interval"),
])
def test_fits_that_do_not_fit(options: Any, words: str) -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match=words):
        trainer().fit(X, LABELS, **options)


def test_what_cannot_be_trained() -> None:
    with pytest.raises(stacklens.InvalidArgumentError, match="no parameters"):
        stacklens.Trainer(nn.build(lambda x: -x, nn.Input((None, 4))), "mse")
    model = nn.build(lambda x: nn.op("Unique", nn.Linear(4, 4)(x)), nn.Input((4, 4)))
    with pytest.raises(stacklens.UnsupportedError, match="Unique"):
        stacklens.Trainer(model, "mse").fit(X, Y)
    with pytest.raises(stacklens.InvalidArgumentError, match="outputs are 'logits'"):
        stacklens.Trainer(classifier(), {"name": "mse", "outputs": ["q"]}).fit(X, LABELS)


def test_threads_do_not_mix() -> None:
    fitted, errors = trainer(), []

    def callback(event: stacklens.Event) -> None:
        other = threading.Thread(target=lambda: errors.append(attempt()))
        other.start()
        other.join()

    def attempt() -> str:
        try:
            fitted.step(X, LABELS)
            return "worked"
        except stacklens.InvalidArgumentError as error:
            return str(error)

    fitted.fit(X, LABELS, epochs=1, batch_size=64, callback=callback)
    assert errors and all("another thread" in error for error in errors)


def test_callbacks_may_look_at_the_model() -> None:
    fitted, seen = trainer(), []

    def callback(event: stacklens.Event) -> None:
        if event.kind == "epoch":
            seen.append(fitted.model.parameter("2.bias")[0])
            seen.append(fitted.evaluate(X, LABELS)["loss"])

    fitted.fit(X, LABELS, epochs=2, callback=callback)
    assert len(seen) == 4 and seen[0] != seen[2]


def test_steps_one_by_one() -> None:
    one, other = trainer(), trainer()
    one.fit(batches(), epochs=1)
    for batch in batches():
        event = other.step(*batch)
    assert event.step == 4 and event.kind == "step"
    assert weights(one.model) == weights(other.model)


@pytest.mark.parametrize("form", FORMS)
def test_steps_take_arrays_in_many_forms(form: str) -> None:
    x, y = FORMS[form]
    expected, found = trainer(), trainer()
    for _ in range(3):
        assert found.step(x, y) == expected.step(stacklens.Tensor(X), stacklens.Tensor(LABELS))
    assert weights(found.model) == weights(expected.model)


def test_steps_on_arrays_like_those_before() -> None:
    expected, found = trainer(), trainer()
    fixed = X.copy()
    fixed.flags.writeable = False
    for x, labels in [
        (X, LABELS), (X[:32], LABELS[:32]), (fixed, LABELS), (X[::-1], LABELS), (X, LABELS[::-1]),
        (np.asfortranarray(X), LABELS), (X[::2], LABELS[::2]), (X[:32].copy(), LABELS[:32]),
    ]:
        wanted = expected.step(
            stacklens.Tensor(np.ascontiguousarray(x)), stacklens.Tensor(np.ascontiguousarray(labels))
        )
        assert found.step(x, labels) == wanted
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(stacklens.NonFiniteError, match="row 3"):
        found.step(bad, LABELS)
    with pytest.raises(stacklens.StackLensError):
        found.step(X, LABELS + 2)
    with pytest.raises(stacklens.InvalidArgumentError, match="lacks 'target'"):
        found.step({"x": X})
    with pytest.raises(stacklens.InvalidArgumentError, match="'other'"):
        found.step({"x": X, "target": LABELS, "other": X})
    assert found.step({"target": LABELS, "x": X}) == expected.step({"x": X, "target": LABELS})
    assert weights(found.model) == weights(expected.model)
    found.close()
    with pytest.raises(stacklens.InvalidArgumentError, match="closed"):
        found.step(X, LABELS)


def test_steps_from_several_threads_take_turns() -> None:
    fitted, taken, refused = trainer(), [], []
    fitted.step(X, LABELS)

    def steps() -> None:
        for _ in range(200):
            try:
                taken.append(fitted.step(X.copy(), LABELS.copy()).step)
            except stacklens.InvalidArgumentError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=steps) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) + len(refused) == 800 and all("another thread" in text for text in refused)
    assert sorted(taken) == list(range(2, 2 + len(taken)))


def test_moving_averages_are_models_too() -> None:
    fitted = trainer(ema=0.5)
    fitted.fit(X, LABELS, epochs=2)
    assert weights(fitted.averaged_model) != weights(fitted.model)
    with pytest.raises(stacklens.InvalidArgumentError, match="ema"):
        trainer().averaged_model  # noqa: B018


def test_the_seed_decides_and_threads_do_not() -> None:
    results = []
    for options in ({"threads": 1}, {"threads": 2}, {"threads": 1, "seed": 7}):
        fitted = trainer(**options)
        fitted.fit(X, LABELS, epochs=3, batch_size=16)
        results.append(weights(fitted.model))
    assert results[0] == results[1] != results[2]


def test_data_is_given_back() -> None:
    x = X.copy()
    watch = weakref.ref(x)
    fitted = trainer()
    fitted.fit(x, LABELS, epochs=1)
    fitted.fit(list(zip([x], [LABELS])), epochs=1)
    del x
    gc.collect()
    assert watch() is None


INTERRUPTED = """
import os, signal, numpy, stacklens
from stacklens import nn
# Processes in the background may be born with SIGINT ignored.
before = signal.getsignal(signal.SIGINT)
x = numpy.ones((64, 4), "float32")
model = nn.build(nn.Linear(4, 1), nn.Input(("batch", 4)))
trainer = stacklens.Trainer(model, "mse")
def callback(event):
    if event.step == 10:
        os.kill(os.getpid(), signal.SIGINT)
history = trainer.fit(x, x[:, :1], epochs=10**6, callback=callback)
print(history.end, trainer.step_count, signal.getsignal(signal.SIGINT) is before)
trainer.fit(x, x[:, :1])
"""


def test_control_c_ends_training_after_the_batch() -> None:
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python")}, check=False,
    )
    assert result.returncode == 0, result.stderr
    end, steps, is_restored = result.stdout.split()
    assert end == "interrupted" and int(steps) <= 12 and is_restored == "True"
    assert signal.getsignal(signal.SIGINT) is not None


class Screen:
    """A terminal that remembers what was written to it."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_progress_is_a_bar_and_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    history = trainer(metrics="accuracy").fit(
        X, LABELS, epochs=2, batch_size=16, validation=(X, LABELS))
    lines = [line.split("\r")[-1] for line in screen.text.split("\n")]
    assert "\r".join(lines[:3]) == "\r".join(str(history).split("\n"))
    assert "epoch 1/2 [#" in screen.text and "loss" in screen.text
    widths = {len(line.rstrip()) for line in str(history).split("\n")}
    assert len(widths) == 1


def test_nothing_is_drawn_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    trainer().fit(X, LABELS)
    assert capsys.readouterr().err == ""


def test_bars_show_in_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    class ZMQInteractiveShell:
        pass

    class IPython:
        get_ipython = staticmethod(ZMQInteractiveShell)

    class Cell(Screen):
        def isatty(self) -> bool:
            return False

    monkeypatch.setitem(sys.modules, "IPython", IPython)  # type: ignore[arg-type]
    cell = Cell()
    bar = ProgressBar(10, "work", cell)  # type: ignore[arg-type]
    bar.update(10, "note")
    assert cell.text.startswith("\rwork [####") and cell.text.rstrip().endswith("note")
    bar.clear()
    assert cell.text.endswith("\r")


def test_history_is_a_table() -> None:
    history = History([
        {"epoch": 0, "loss": 0.5, "val_loss": None, "seconds": 1.0, "is_best": True},
        {"epoch": 1, "loss": 0.25, "val_loss": 12345678.0, "seconds": 10.5, "is_best": False},
    ], warnings=["something"])
    assert history["loss"] == [0.5, 0.25] and history[1]["seconds"] == 10.5
    assert history.best == history[0] and repr(history) == "<History of 2 epochs, finished>"
    lines = str(history).split("\n")
    assert len({len(line) for line in lines}) == 1 and "nan" in lines[1] and "*" in lines[1]
    with pytest.raises(KeyError, match="loss"):
        history["nonsense"]
    assert str(History([])) == " epoch  "


CELLS = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(cell: str, direction: str) -> bytes:
    """A layer of 5 units whose loss is a weighted sum of its outputs and of its last state; batches of
    one row for each of `x`, with the states before it."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(7)
    sizes = {"W": (1, 5 * CELLS[cell], 3), "R": (1, 5 * CELLS[cell], 5), "B": (1, 10 * CELLS[cell])}
    states = ["h", "c"] if cell == "LSTM" else ["h"]
    ends = ["Y", "Yh", "Yc"][: 1 + len(states)]
    nodes = [
        helper.make_node(
            cell, ["x", "W", "R", "B", "lengths", *states], ends, hidden_size=5, direction=direction),
        helper.make_node("Mul", ["Y", "wy"], ["a"]), helper.make_node("Mul", ["Yh", "wh"], ["b"]),
        helper.make_node("ReduceSum", ["a"], ["sa"], keepdims=0),
        helper.make_node("ReduceSum", ["b"], ["sb"], keepdims=0),
        helper.make_node("Add", ["sa", "sb"], ["loss"]),
    ]
    shapes = {"x": ("t", "n", 3), "wy": ("t", 1, "n", 5), "wh": (1, "n", 5), "h": (1, "n", 5)}
    if cell == "LSTM":
        shapes["c"] = (1, "n", 5)
    inputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in shapes.items()]
    inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ("n",)))
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("loss", ()), *((end, None) for end in ends[1:]))
    ]
    initial = [
        numpy_helper.from_array(random.normal(size=size).astype("float32"), name)
        for name, size in sizes.items()
    ]
    graph = helper.make_graph(nodes, "recurrent", inputs, outputs, initial)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("cell", CELLS)
def test_truncated_back_propagation(cell: str, direction: str) -> None:
    model = recurrent(cell, direction)
    lengths, steps = np.int32([6, 2, 4]), 3
    random = np.random.default_rng(8)
    states = ["h", "c"] if cell == "LSTM" else ["h"]
    batch = {
        "x": random.normal(size=(6, 3, 3)), "wy": random.normal(size=(6, 1, 3, 5)),
        "wh": random.normal(size=(1, 3, 5)), **{s: random.normal(size=(1, 3, 5)) for s in states},
    }  # fmt: skip
    batch = {name: value.astype("float32") for name, value in batch.items()}

    def moved(data: dict[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
        fitted = stacklens.Trainer(
            model, loss={"output": "loss"}, optimizer="sgd", learning_rate=1.0, **options)
        before = {name: np.array(value) for name, value in fitted.model.state_dict().items()}
        fitted.step(data)
        return {name: before[name] - value for name, value in fitted.model.state_dict().items()}

    found = moved({**batch, "lengths": lengths}, truncated_bptt=steps)
    whole = moved({**batch, "lengths": lengths})
    # Each row alone: what comes before its last steps only gives them their first state.
    expected = {name: np.zeros_like(value) for name, value in found.items()}
    session = stacklens.Session(model)
    for row, length in enumerate(lengths):
        alone = {name: value[..., row : row + 1, :] for name, value in batch.items()}
        early = max(0, length - steps)
        first, last = slice(0, early), slice(early, length)
        if direction == "reverse":
            first, last = slice(steps, length), slice(0, min(steps, length))
        if early:
            parts = {name: alone[name][first] for name in ("x", "wy")}
            ran = session.run(
                ["Yh", "Yc"][: len(states)], {**alone, **parts, "lengths": np.int32([early])})
            alone.update(zip(states, ran))
        parts = {name: alone[name][last] for name in ("x", "wy")}
        part = moved({**alone, **parts, "lengths": np.int32([length - early])})
        expected = {name: value + part[name] for name, value in expected.items()}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
    assert any(not np.allclose(found[name], whole[name], rtol=1e-2) for name in found)
    same = moved({**batch, "lengths": lengths}, truncated_bptt=6)
    assert all((same[name] == whole[name]).all() for name in same)
