"""Training: `Trainer` fits a model to data."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Mapping, Sequence
from ctypes import byref, c_void_p
from typing import Any, Optional, Union

import numpy as np

from . import _native
from ._closing import Closing
from ._native import lib
from ._options import json_bytes
from ._quick import QuickSteps
from ._training_data import Dataset, Schema, batch_of, divided
from ._watch import Callback, Event, Watch
from .errors import CancelledError, InvalidArgumentError, StackLensError
from .history import History
from .model import Model, ModelSource
from .tensor import Arguments, Value, take_values

__all__ = ["Event", "Trainer"]

Spec = Union[str, Mapping[str, Any]]


class Trainer(Closing):
    """Trains a model: the gradients of a loss, batch by batch, and an optimiser that moves the
    parameters. docs/training.md lists losses, optimisers, schedules and metrics.

    The same model, data, options and seed give the same weights to the last bit, with any number of
    threads, also where training went on from a checkpoint.

    Parameters
    ----------
    model : path, bytes or Model
        What is trained; frozen parameters (`Model.freeze`) stay as they are.
    loss : str, dict or list of dict
        A name, ``"cross_entropy"``, or a dict with it under "name" and its settings beside it
        (``{"name": "cross_entropy", "label_smoothing": 0.1}``). A dict may also have "outputs" and
        "targets", names of what is compared, and "scale"; several make a sum of scaled losses.
        ``{"output": "loss"}``: that output of the model is the loss.
    optimizer : str or dict
        A name, or a dict with it under "name" and its settings.
    learning_rate : float, optional
        The optimiser's own default unless given.
    schedule : str or dict, optional
        What the learning rate follows; constant unless given.
    metrics : sequence of str
        Figures of merit for `evaluate` and for validation.
    clip_norm, clip_value : float, optional
        Limits of the norm of all gradients together, and of each element.
    accumulation : int
        Batches whose gradients are averaged before the parameters move.
    ema : float or dict, optional
        The decay of a moving average of the weights (`averaged_model`).
    freeze : str or sequence of str
        More patterns of parameters that stay as they are.
    seed : int
        What the order of the data and dropout follow from.
    threads : int
        Threads of one step; 0 means the processors this process may use.
    precision : str
        "fp32", or "bf16": products in bfloat16, weights in float32.
    recompute : int
        Parts of the model whose inner values are computed again on the way back, to save memory.
    truncated_bptt : int, optional
        Last steps of each row that gradients flow back through in RNN, GRU and LSTM layers; all
        unless given.
    memory_limit : int, optional
        Bytes that the values of one step may take.

    Examples
    --------
    >>> from stacklens import nn
    >>> x = numpy.linspace(-1, 1, 64, dtype="float32")[:, None]
    >>> model = nn.build(nn.Linear(1, 1), nn.Input(("batch", 1)))
    >>> trainer = stacklens.Trainer(model, loss="mse", optimizer="sgd", learning_rate=0.5)
    >>> history = trainer.fit(x, 3 * x + 1, epochs=30, batch_size=16)
    >>> [round(float(value), 2) for value in trainer.model.parameter("weight")[0]]
    [3.0]
    """

    _name = "trainer"

    def __init__(
        self,
        model: ModelSource,
        loss: Union[Spec, Sequence[Spec]] = "cross_entropy",
        optimizer: Spec = "adamw",
        learning_rate: Optional[float] = None,
        *,
        schedule: Optional[Spec] = None,
        metrics: Union[str, Sequence[str]] = (),
        clip_norm: Optional[float] = None,
        clip_value: Optional[float] = None,
        accumulation: int = 1,
        ema: Union[float, Mapping[str, Any], None] = None,
        freeze: Union[str, Sequence[str]] = (),
        seed: int = 42,
        threads: int = 0,
        precision: str = "fp32",
        recompute: int = 1,
        truncated_bptt: Optional[int] = None,
        memory_limit: Optional[int] = None,
    ) -> None:
        source = Model._of(model)
        options = {
            "loss": loss, "optimizer": optimizer, "learning_rate": learning_rate,
            "schedule": schedule, "metrics": _list(metrics), "clip_norm": clip_norm,
            "clip_value": clip_value, "accumulation": accumulation, "ema": ema,
            "freeze": _list(freeze), "seed": seed, "threads": threads, "precision": precision,
            "recompute": recompute, "truncated_bptt": truncated_bptt,
            "memory_limit": memory_limit,
        }
        given = {key: value for key, value in options.items() if value is not None}
        self._handle = c_void_p()
        lib.sl_trainer_create(source._handle, json_bytes(given, "options"), byref(self._handle))
        self._finalizer = weakref.finalize(
            self, lib.sl_trainer_release, c_void_p(self._handle.value)
        )
        self._seed = seed
        self._schema = Schema(source.inputs, self._state()["targets"])
        self._quick = QuickSteps()
        self._outputs = [value.name for value in source.outputs]
        self._is_resumed = False

    def _state(self) -> dict[str, Any]:
        out = c_void_p()
        lib.sl_trainer_describe(self._live(), byref(out))
        state: dict[str, Any] = json.loads(_native.take_bytes(out))
        return state

    # ---- Where it stands ------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        """The model with the weights of now."""
        return self._model(0)

    @property
    def averaged_model(self) -> Model:
        """The model with the moving average of its weights; needs ``ema``."""
        return self._model(1)

    def _model(self, averaged: int) -> Model:
        out = c_void_p()
        lib.sl_trainer_model(self._live(), averaged, byref(out))
        return Model._owning(out)

    @property
    def step_count(self) -> int:
        """Updates of the parameters so far."""
        return int(self._state()["step"])

    @property
    def epoch(self) -> int:
        """Whole passes over the data so far."""
        return int(self._state()["epoch"])

    @property
    def learning_rate(self) -> float:
        """The rate of the next update."""
        return float(self._state()["learning_rate"])

    @property
    def parameter_names(self) -> list[str]:
        """Names of what is trained."""
        names: list[str] = self._state()["parameters"]
        return names

    def gradients(self) -> dict[str, dict[str, float]]:
        """Figures of the last step's gradients by parameter: norms, the largest element, the share of
        zeros."""
        out = c_void_p()
        lib.sl_trainer_gradients(self._live(), byref(out))
        entries = json.loads(_native.take_bytes(out))["parameters"]
        return {entry.pop("name"): entry for entry in entries}

    # ---- Fitting --------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation: Any = None,
        shuffle: bool = True,
        drop_last: bool = False,
        length_mask: Optional[str] = None,
        monitor: Optional[str] = None,
        patience: Optional[int] = None,
        minimum_delta: float = 0.0,
        restore_best: bool = True,
        checkpoint: Union[str, os.PathLike[str], None] = None,
        checkpoint_interval: int = 0,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Goes over the data.

        Parameters
        ----------
        x : array, dict of arrays, tuple of arrays, or batches
            Rows along axis 0 for the model's inputs. Contiguous arrays and DLPack tensors (PyTorch,
            JAX) of the types that the model declares are shared, others converted. Or batches: what
            can be iterated over anew for each epoch (a list, a DataLoader), or a function that gives
            such an iterator; each batch is a pair of inputs and targets, or a dict of both.
        y : array or dict of arrays, optional
            Targets of the loss.
        epochs : int
            Passes over the data. After `load_checkpoint`, passes in all, those before included.
        batch_size : int
        validation : tuple, batches or float, optional
            ``(x, y)`` to look at after each epoch, or the share of rows to keep aside for that.
        shuffle : bool
            Whether each epoch has an order of its own, which follows from the seed.
        drop_last : bool
            Whether a last batch with fewer rows is left out.
        length_mask : str, optional
            An input [rows, length] of 1 for what is real and 0 for padding: rows of similar length
            come together, and columns that are all padding are cut off.
        monitor : str, optional
            The figure that says which epoch is best: "val_loss" with validation data, else "loss".
        patience : int, optional
            Epochs without a better figure after which training ends.
        minimum_delta : float
            What counts as better must differ by more than this.
        restore_best : bool
            Whether the weights of the best epoch are taken at the end; needs validation data.
        checkpoint : path, optional
            A file that takes a checkpoint after each epoch, whole or not at all.
        checkpoint_interval : int
            Steps between more checkpoints; 0: none.
        callback : callable, optional
            Called with an `Event` for each step, epoch, warning and checkpoint; False ends training.
        progress : bool, optional
            Whether to draw a bar and a table on stderr; where somebody watches it unless given.

        Returns
        -------
        History
            The figures of each epoch. Ctrl-C ends training after the current batch: ``history.end``
            is "interrupted" then, and the weights are those of the last step.

        Raises
        ------
        InvalidArgumentError, ShapeError, TypeMismatchError
            For data that does not fit the model or the loss.
        NonFiniteError
            Where the data holds NaN or infinity, or the loss does again and again.
        IoError
            Where a checkpoint cannot be written.
        """
        options = {
            "batch_size": batch_size, "shuffle": bool(shuffle), "drop_last": bool(drop_last),
            "seed": self._seed, "length_mask": length_mask,
        }
        if isinstance(validation, (float, np.floating)):
            (x, y), validation = divided(x, y, float(validation), self._seed)
        train = Dataset.of(self._schema, x, y, options)
        held = self._validation(validation, {**options, "shuffle": False, "drop_last": False})
        done = 0 if self._is_resumed else self.epoch
        settings = {
            "epochs": _count(epochs, "epochs") + done, "monitor": monitor, "patience": patience,
            "minimum_delta": minimum_delta, "restore_best": bool(restore_best),
            "checkpoint": None if checkpoint is None else os.fspath(checkpoint),
            "checkpoint_interval": checkpoint_interval,
        }
        watch = Watch(callback, settings["epochs"], progress)
        out = c_void_p()
        try:
            with watch.interruptible():
                lib.sl_trainer_fit(
                    self._live(), train._handle, None if held is None else held._handle,
                    json_bytes({k: v for k, v in settings.items() if v is not None}, "options"),
                    watch.function, None, byref(out),
                )
        except StackLensError as error:
            for data in (train, held):
                if data is not None and data.error is not None:
                    raise data.error from (None if isinstance(error, CancelledError) else error)
            raise
        finally:
            watch.close()
            train.close()
            if held is not None:
                held.close()
        self._is_resumed = False
        return watch.history(out)

    def _validation(self, validation: Any, options: Mapping[str, Any]) -> Optional[Dataset]:
        if validation is None:
            return None
        if isinstance(validation, tuple) and len(validation) == 2:
            return Dataset.of(self._schema, validation[0], validation[1], options)
        return Dataset.of(self._schema, validation, None, options)

    def step(self, x: Any, y: Any = None) -> Event:
        """One batch: gradients, and an update once enough batches have given theirs.

        Parameters
        ----------
        x : array, dict of arrays or tuple
            The inputs; where ``y`` is not given, a pair of inputs and targets or a dict of both.
        y : array or dict of arrays, optional
            The targets.
        """
        event = _native.TrainingEvent()
        given = self._schema.pair(x, y)
        if given is not None and self._quick.step(self._live(), given, event):
            return Event._read(event)
        batch = batch_of(self._schema, x) if y is None else self._schema.complete(x, y)
        with Arguments(list(batch.values())) as arguments:
            lib.sl_trainer_step(
                self._live(), _native.names_of(batch), arguments.array, len(batch), byref(event)
            )
        if given is not None:
            self._quick.learn(given, batch)
        return Event._read(event)

    # ---- Using ----------------------------------------------------------------------------------

    def evaluate(self, x: Any, y: Any = None, *, batch_size: int = 32) -> dict[str, float]:
        """Loss and metrics over data, with the weights of now.

        Parameters
        ----------
        x, y
            As in `fit`.
        batch_size : int

        Returns
        -------
        dict of str to float
            "loss", and a figure for each metric.
        """
        data = Dataset.of(self._schema, x, y, {"batch_size": batch_size, "shuffle": False})
        out = c_void_p()
        try:
            lib.sl_trainer_evaluate(self._live(), data._handle, byref(out))
        except StackLensError:
            if data.error is not None:
                raise data.error from None
            raise
        finally:
            data.close()
        figures = json.loads(_native.take_bytes(out))
        return {name: float("nan") if value is None else value for name, value in figures.items()}

    def predict(self, x: Any, *, batch_size: int = 256) -> Union[Value, list[Value]]:
        """The model's outputs with the weights of now.

        Parameters
        ----------
        x : array, dict of arrays or tuple of arrays
            Rows along axis 0.
        batch_size : int
            Rows that are looked at together.

        Returns
        -------
        array or list of arrays
            A list where the model has several outputs.
        """
        size = _count(batch_size, "batch_size")
        given = {
            name: value for name, value in self._schema.named(x).items()
            if name in self._schema.inputs
        }
        rows = max((value.shape[0] for value in given.values() if value.shape), default=0)
        parts = [self._predict(given)] if rows <= size else [
            self._predict({
                name: np.asarray(value)[start : start + size]
                if value.shape and value.shape[0] == rows else value
                for name, value in given.items()
            })
            for start in range(0, rows, size)
        ]
        outputs = [
            part[0] if len(part) == 1 else np.concatenate(part) for part in zip(*parts)
        ]
        return outputs[0] if len(outputs) == 1 else outputs

    def _predict(self, batch: Mapping[str, Any]) -> list[Value]:
        count = len(self._outputs)
        outputs = (c_void_p * max(count, 1))()
        with Arguments(list(batch.values())) as arguments:
            lib.sl_trainer_predict(
                self._live(), _native.names_of(batch), arguments.array, len(batch), count, outputs
            )
            return take_values(outputs, count, arguments.shared)

    # ---- Checkpoints ----------------------------------------------------------------------------

    def save_checkpoint(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes a file with everything that training needs to go on as if it had never stopped:
        weights, optimiser, schedule, random state, the place in the data. Whole or not at all."""
        lib.sl_trainer_save(self._live(), _native.path_bytes(path))

    def load_checkpoint(self, path: Union[str, os.PathLike[str]]) -> None:
        """Goes on where a checkpoint was written. The trainer must have been made from the same model
        with the same optimiser and seed."""
        lib.sl_trainer_load(self._live(), _native.path_bytes(path))
        self._is_resumed = True


def _list(names: Union[str, Sequence[str]]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidArgumentError(f"{name} is {value!r}, expected an integer of at least 1")
    return int(value)
