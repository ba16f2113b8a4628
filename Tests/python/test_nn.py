"""Models built in Python: values, modules, layers, heads on models that were there before."""

from __future__ import annotations

import ctypes
import pathlib
import subprocess
import sys
from typing import Any, Callable

import numpy as np
import pytest
import stacklens
from conftest import ROOT
from stacklens import nn, ops

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(2, 3, 4)).astype("float32")


def run(module: Callable[..., Any], *arrays: np.ndarray, shapes: Any = None) -> Any:
    """What a module makes of arrays."""
    inputs = [
        nn.Input(shape or ("batch", *array.shape[1:]), array.dtype, f"in{index}")
        for index, (array, shape) in enumerate(zip(arrays, shapes or [None] * len(arrays)))
    ]
    model = nn.build(module, inputs)
    session = stacklens.Session(model, threads=1)
    outputs = session.run(None, {f"in{index}": array for index, array in enumerate(arrays)})
    for found, declared in zip(outputs, model.outputs):
        assert declared.shape is None or len(declared.shape) == found.ndim
    return outputs[0] if len(outputs) == 1 else outputs


EXPRESSIONS: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "arithmetic": (lambda x: (1 - x) * 2.5 / (x * x + 1), lambda x: (1 - x) * 2.5 / (x * x + 1)),
    "power": (lambda x: x**2 + 2**x, lambda x: x**2 + 2**x),
    "negative and absolute": (lambda x: -abs(x), lambda x: -abs(x)),
    "array on the left": (
        lambda x: np.arange(4) * x, lambda x: (np.arange(4) * x).astype("float32")),
    "float64 constant": (
        lambda x: x + np.array([0.5]), lambda x: x + np.float32(0.5)),
    "list": (lambda x: x * [1, 2, 3, 4], lambda x: x * np.float32([1, 2, 3, 4])),
    "product": (
        lambda x: x @ np.ones((4, 2), "float32"), lambda x: x @ np.ones((4, 2), "float32")),
    "product from the left": (
        lambda x: np.ones((5, 3), "float32") @ x, lambda x: np.ones((5, 3), "float32") @ x),
    "comparison": (
        lambda x: nn.where(x > 0, x, 0.0), lambda x: np.where(x > 0, x, 0)),
    "logic": (
        lambda x: nn.where(~((x > 0) & (x < 1)) | (x == 2), x, 9),
        lambda x: np.where(~((x > 0) & (x < 1)) | (x == 2), x, 9).astype("float32")),
    "inequality": (lambda x: (x != 0).float(), lambda x: (x != 0).astype("float32")),
    "first": (lambda x: x[0], lambda x: x[0]),
    "last of an axis": (lambda x: x[:, -1], lambda x: x[:, -1]),
    "slices": (lambda x: x[:, 1:3, ::2], lambda x: x[:, 1:3, ::2]),
    "backwards": (lambda x: x[:, ::-1], lambda x: x[:, ::-1]),
    "negative bounds": (lambda x: x[:, -2:-1], lambda x: x[:, -2:-1]),
    "dots": (lambda x: x[..., 0], lambda x: x[..., 0]),
    "new axes": (lambda x: x[:, None, 1, :, None], lambda x: x[:, None, 1, :, None]),
    "list of places": (lambda x: x[:, [2, 0]], lambda x: x[:, [2, 0]]),
    "all": (lambda x: x[:], lambda x: x),
    "reshape": (lambda x: x.reshape(x.shape[0], -1), lambda x: x.reshape(2, -1)),
    "reshape to numbers": (lambda x: x.reshape(-1, 6), lambda x: x.reshape(-1, 6)),
    "reshape elsewhere": (lambda x: x.reshape(-1, x.shape[0]), lambda x: x.reshape(-1, 2)),
    "flatten": (lambda x: x.flatten(1), lambda x: x.reshape(2, 12)),
    "flatten all": (lambda x: x.flatten(), lambda x: x.reshape(-1)),
    "swap": (lambda x: x.transpose(1, 2), lambda x: x.swapaxes(1, 2)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1)),
    "transpose": (lambda x: x.T, lambda x: x.T),
    "squeeze": (lambda x: x.unsqueeze(-1).squeeze(-1), lambda x: x),
    "sum": (lambda x: x.sum(1), lambda x: x.sum(1)),
    "sum of all": (lambda x: x.sum(), lambda x: x.sum()),
    "mean": (lambda x: x.mean((1, 2), keepdims=True), lambda x: x.mean((1, 2), keepdims=True)),
    "extremes": (lambda x: x.max(-1) - x.min(-1), lambda x: x.max(-1) - x.min(-1)),
    "variance": (lambda x: x.var(-1), lambda x: x.var(-1)),
    "largest": (lambda x: x.argmax(-1), lambda x: x.argmax(-1)),
    "functions": (
        lambda x: x.tanh() + x.sigmoid() + x.exp() + x.relu(),
        lambda x: np.tanh(x) + 1 / (1 + np.exp(-x)) + np.exp(x) + np.maximum(x, 0)),
    "root and logarithm": (
        lambda x: (abs(x) + 1).log() + (abs(x)).sqrt(), lambda x: np.log(abs(x) + 1) + abs(x)**0.5),
    "softmax": (
        lambda x: x.softmax(-1) - x.log_softmax(-1).exp(), lambda x: np.zeros_like(x)),
    "clip": (lambda x: x.clip(-0.5, 0.5), lambda x: x.clip(-0.5, 0.5)),
    "clip from below": (lambda x: x.clip(low=0), lambda x: x.clip(0)),
    "concatenation": (lambda x: nn.concat([x, x * 0], 1), lambda x: np.concatenate([x, x * 0], 1)),
    "stack": (lambda x: nn.stack([x, -x], 1), lambda x: np.stack([x, -x], 1)),
    "split": (lambda x: nn.split(x, [1, 3], -1)[1], lambda x: x[..., 1:]),
    "even split": (lambda x: nn.split(x, 2, -1)[0], lambda x: x[..., :2]),
    "index sums": (
        lambda x: nn.einsum("bij,bkj->bik", x, x), lambda x: np.einsum("bij,bkj->bik", x, x)),
    "any operator": (
        lambda x: nn.op("Softmax", x, axis=1),
        lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "functions of ops": (
        lambda x: ops.layer_normalization(x, np.ones(4, "float32"), axis=-1),
        lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)),
    "several outputs": (lambda x: nn.ops.top_k(x, [1])[0], lambda x: x.max(-1, keepdims=True)),
    "integers": (
        lambda x: (x.astype("int64") + 2) / 2, lambda x: (x.astype("int64") + 2) / np.float32(2)),
    "integers and floats": (lambda x: x.astype("int32") * x, lambda x: x.astype("int32") * x),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_values_compute_what_numpy_does(name: str) -> None:
    build, compute = EXPRESSIONS[name]
    found, expected = run(build, X), np.asarray(compute(X))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_values_know_their_types() -> None:
    seen = {}

    def look(x: nn.Value, ids: nn.Value) -> nn.Value:
        y = x[:, 1:].reshape(x.shape[0], 2, 2, 2)
        seen.update(x=x.shape, y=y.shape, dtype=ids.dtype, rank=y.ndim, text=repr(x))
        assert (x + ids.float()[:, None, None]).dtype == "float32"
        return y + ids[:, None, None, None]

    nn.build(look, [nn.Input(("batch", 3, 4)), nn.Input(("batch",), "int64")])
    assert seen["x"] == ("batch", 3, 4) and seen["y"] == ("batch", 2, 2, 2)
    assert seen["dtype"] == "int64" and seen["rank"] == 4
    assert seen["text"] == "Value('x', shape=('batch', 3, 4), dtype='float32')"


class Affine(nn.Module):
    def __init__(self, size: int) -> None:
        self.scale = nn.Parameter(np.arange(size, dtype="float32"))
        self.shift = nn.Parameter((size,), init={"name": "constant", "value": 2.0})

    def forward(self, x: nn.Value) -> nn.Value:
        return self.shift + x * self.scale


class Tower(nn.Module):
    def __init__(self) -> None:
        self.parts = [Affine(4), nn.Sequential(nn.Linear(4, 4), Affine(4))]
        self.named = {"out": nn.Linear(4, 2)}
        self.same = self.parts[0]

    def forward(self, x: nn.Value) -> tuple[nn.Value, nn.Value]:
        for part in self.parts:
            x = part(x)
        return self.same(x), self.named["out"](x)


def test_parameters_are_called_after_their_attributes() -> None:
    model = nn.build(Tower(), nn.Input(("batch", 4)))
    assert {parameter.name: parameter.shape for parameter in model.parameters()} == {
        "parts.0.scale": (4,), "parts.0.shift": (4,), "parts.1.0.weight": (4, 4),
        "parts.1.0.bias": (4,), "parts.1.1.scale": (4,), "parts.1.1.shift": (4,),
        "named.out.weight": (2, 4), "named.out.bias": (2,),
    }
    assert [output.name for output in model.outputs] == ["output_0", "output_1"]
    state = model.state_dict()
    np.testing.assert_array_equal(state["parts.0.shift"], np.full(4, 2, "float32"))
    x = RANDOM.normal(size=(3, 4)).astype("float32")
    y = (x * state["parts.0.scale"] + 2) @ state["parts.1.0.weight"].T + state["parts.1.0.bias"]
    y = y * state["parts.1.1.scale"] + 2
    found = stacklens.Session(model).run(None, {"x": x})
    np.testing.assert_allclose(found[0], y * state["parts.0.scale"] + 2, rtol=1e-5, atol=1e-5)
    expected = y @ state["named.out.weight"].T + state["named.out.bias"]
    np.testing.assert_allclose(found[1], expected, rtol=1e-5, atol=1e-5)


def test_initial_values_follow_the_seed() -> None:
    def weights(seed: int) -> np.ndarray:
        return nn.build(nn.Linear(4, 8), nn.Input((None, 4)), seed=seed).state_dict()["weight"]

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))
    assert 0 < np.abs(weights(1)).max() <= 0.5


def test_layers_that_are_no_attributes_have_names_too() -> None:
    def net(x: nn.Value) -> nn.Value:
        return nn.Linear(4, 3)(x) + nn.Linear(4, 3)(x)

    names = [parameter.name for parameter in nn.build(net, nn.Input((None, 4))).parameters()]
    assert names == ["linear.weight", "linear.bias", "linear_1.weight", "linear_1.bias"]


def test_outputs_take_names() -> None:
    spec = nn.Input(("batch", 4))
    assert nn.build(lambda x: {"a": x, "b": -x}, spec).outputs[1].name == "b"
    assert nn.build(lambda x: -x, spec, outputs="y").outputs[0].name == "y"
    assert nn.build(lambda x: x, spec).outputs[0].name == "output"
    named = nn.build(lambda left, right: left + right, [spec, spec])
    assert [value.name for value in named.inputs] == ["left", "right"]
    by_name = nn.build(lambda p, q: p @ q.T, {"q": spec, "k": (5, 4)})
    assert [value.name for value in by_name.inputs] == ["q", "k"]


def test_state_dicts_go_in_and_out() -> None:
    net, spec = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), nn.Input((None, 4))
    model = nn.build(net, spec)
    state = {name: np.ones_like(value) for name, value in model.state_dict().items()}
    other = nn.build(net, spec, state_dict=state)
    for value in other.state_dict().values():
        np.testing.assert_array_equal(value, np.ones_like(value))
    state["0.weight"][:] = 5  # a model keeps its own copy
    assert other.parameter("0.weight").max() == 1
    assert model.load_state_dict({"2.bias": [1.5, 2.5]}, strict=False).parameter("2.bias")[1] == 2.5
    with pytest.raises(stacklens.InvalidArgumentError, match="missing are '0.weight'"):
        model.load_state_dict({"2.bias": [1, 2]})
    with pytest.raises(stacklens.InvalidArgumentError, match="unknown are 'nonsense'"):
        model.load_state_dict({**model.state_dict(), "nonsense": [1]})
    with pytest.raises(stacklens.ShapeError, match="2.bias"):
        model.load_state_dict({"2.bias": [1, 2, 3]}, strict=False)
    with pytest.raises(stacklens.InvalidArgumentError, match="2.weight"):
        model.parameter("weight")


def test_pytorch_state_dicts_fit() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
    net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
    ours = nn.build(net, nn.Input(("batch", 4)), state_dict=theirs.state_dict())
    x = RANDOM.normal(size=(5, 4)).astype("float32")
    found = stacklens.Session(ours).run(None, {"x": x})[0]
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_freezing_is_remembered(tmp_path: pathlib.Path) -> None:
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))
    model = nn.build(net, nn.Input((None, 4)))

    def trainable(model: stacklens.Model) -> list[str]:
        return [parameter.name for parameter in model.parameters() if parameter.trainable]

    assert len(trainable(model)) == 8
    frozen = model.freeze("[0-2].*")
    assert trainable(frozen) == ["3.weight", "3.bias"] and len(trainable(model)) == 8
    frozen.save(tmp_path / "frozen.onnx")
    again = stacklens.Model.load(tmp_path / "frozen.onnx")
    assert trainable(again) == ["3.weight", "3.bias"]
    assert again.metadata("stacklens.frozen") == '["[0-2].*"]'
    thawed = again.thaw("1.*")
    assert trainable(thawed) == ["1.weight", "1.bias", "3.weight", "3.bias"]
    assert len(trainable(thawed.thaw())) == 8
    assert trainable(model.freeze(["*.bias", "0.weight"])) == ["1.weight", "2.weight", "3.weight"]
    with pytest.raises(stacklens.InvalidArgumentError, match="encoder"):
        model.freeze("encoder.*")
    with pytest.raises(stacklens.InvalidArgumentError, match="'\\['"):
        model.freeze("[")


def test_heads_go_onto_models(tmp_path: pathlib.Path) -> None:
    trunk = nn.build(
        lambda x, mask: {"features": nn.Linear(4, 8)(x), "mask_sum": mask.sum(1)},
        [nn.Input(("batch", "time", 4)), nn.Input(("batch", "time"))])
    trunk.save(tmp_path / "trunk.onnx")
    trunk = stacklens.Model.load(tmp_path / "trunk.onnx")
    with pytest.raises(stacklens.InvalidArgumentError, match="'features', 'mask_sum'"):
        trunk.attach(nn.Linear(8, 3))

    class Pooled(nn.Module):
        def __init__(self) -> None:
            self.out = nn.Linear(8, 3)

        def forward(self, features: nn.Value, mask: nn.Value) -> nn.Value:
            weights = mask[:, :, None]
            return self.out((features * weights).sum(1) / weights.sum(1))

    model = trunk.attach(Pooled(), ["features", "mask"], "logits")
    assert [value.name for value in model.outputs] == ["logits"]
    assert model.outputs[0].shape == ("batch", 3)
    names = [parameter.name for parameter in model.parameters()]
    assert names == ["linear.weight", "linear.bias", "head.out.weight", "head.out.bias"]
    assert [value.name for value in trunk.attach(
        nn.Linear(8, 3), "features", keep_outputs=True).outputs] == ["head", "features", "mask_sum"]
    x = RANDOM.normal(size=(2, 5, 4)).astype("float32")
    feed = {"x": x, "mask": np.float32([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])}
    found = stacklens.Session(model).run(None, feed)[0]
    cut = stacklens.Session(model).run(None, {"x": x[:1, :3], "mask": feed["mask"][:1, :3]})[0]
    np.testing.assert_allclose(found[:1], cut, rtol=1e-5, atol=1e-6)


def test_built_models_are_standard(tmp_path: pathlib.Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = nn.build(
        nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3)),
        nn.Input(("batch", 4)))
    model.save(tmp_path / "net.onnx")
    x = RANDOM.normal(size=(6, 4)).astype("float32")
    expected = runtime.InferenceSession(str(tmp_path / "net.onnx")).run(None, {"x": x})[0]
    found = stacklens.Session(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("build", "error", "words"), [
    (lambda x: nn.Linear(5, 3)(x), stacklens.ShapeError, "in_features"),
    (lambda x: nn.Linear(4)(x), stacklens.InvalidArgumentError, "out_features"),
    (lambda x: nn.op("Nonsense", x), stacklens.UnsupportedError, "Nonsense"),
    (lambda x: nn.op("Relu", x, alpha=1), stacklens.InvalidArgumentError, "alpha"),
    (lambda x: nn.op("Relu", x, x), stacklens.InvalidArgumentError, "2 inputs"),
    (lambda x: x @ np.ones((4, 2), "int64") if x > 0 else x, TypeError, "truth value"),
    (lambda x: x[:, 9], IndexError, "axis 1"),
    (lambda x: x[0, 0, 0], stacklens.ShapeError, "2 axes"),
    (lambda x: x[..., ...], stacklens.ShapeError, "one"),
    (lambda x: x.reshape("nobody", 2), stacklens.ShapeError, "nobody"),
    (lambda x: x + "text", stacklens.TypeMismatchError, "no common type"),
    (lambda x: None, stacklens.TypeMismatchError, "NoneType"),
    (lambda x: np.ones(3), stacklens.TypeMismatchError, "ndarray"),
    (lambda x: (), stacklens.TypeMismatchError, "nothing"),
    (lambda x: {"x": -x}, stacklens.InvalidArgumentError, "already"),
    (nn.Module(), NotImplementedError, "forward"),
    (lambda x: x * nn.Parameter((4,)), stacklens.InvalidArgumentError, "name"),
    (lambda x: x * nn.Parameter((4,), init="nonsense", name="p"),
     stacklens.InvalidArgumentError, "nonsense"),
    (nn.Linear(4, 3, weight_initializer={"name": "normal", "wrong": 1}),
     stacklens.InvalidArgumentError, "wrong"),
    (nn.Linear(4, 3, bias="yes"), stacklens.InvalidArgumentError, "true or false"),
    (nn.Linear(4, np.inf), stacklens.InvalidArgumentError, "options"),
])
def test_what_is_wrong_is_said(build: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        nn.build(build, nn.Input(("batch", 4)))


@pytest.mark.parametrize(("inputs", "words"), [
    ([], "at least one"), (nn.Input((-1, 4)), "out of range"), (nn.Input((1.5,)), "1.5"),
    ([nn.Input((1,), name="a"), nn.Input((1,), name="a")], "already called"),
    (nn.Input((1,), "float31"), "float31"), (nn.Input((1,), name=""), "no name"),
])
def test_wrong_inputs_are_named(inputs: Any, words: str) -> None:
    with pytest.raises(stacklens.StackLensError, match=words):
        nn.build(lambda *values: values[0], inputs)


def test_values_of_different_models_do_not_mix() -> None:
    kept = []

    def keep(x: nn.Value) -> nn.Value:
        kept.append(x)
        return x

    nn.build(keep, nn.Input((1, 4)))
    with pytest.raises(stacklens.InvalidArgumentError, match="another model"):
        nn.build(lambda x: x + kept[0], nn.Input((1, 4)))
    with pytest.raises(stacklens.InvalidArgumentError, match="no model is being built"):
        nn.constant([1.0])
    with pytest.raises(stacklens.TypeMismatchError, match="build"):
        nn.Linear(4, 2)(np.ones((1, 4)))


def test_failing_calls_leave_the_graph_as_it_was() -> None:
    def net(x: nn.Value) -> nn.Value:
        for _ in range(3):
            with pytest.raises(stacklens.ShapeError):
                nn.Linear(7, 3)(x)
            with pytest.raises(stacklens.StackLensError):
                nn.op("Gemm", x)
        return x.relu()

    model = nn.build(net, nn.Input(("batch", 4)))
    assert model.parameters() == []
    assert "Relu.out: float32[batch, 4] = Relu(x)" in model.describe()


def test_classes_are_those_of_the_library() -> None:
    script = ROOT / "scripts" / "generate-nn-layers"
    found = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_null_and_dead_handles_are_refused() -> None:
    from stacklens._native import lib

    out, name = ctypes.c_void_p(), ctypes.c_char_p()
    for call in (
        lambda: lib.sl_graph_create(None, 1, ctypes.byref(out)),
        lambda: lib.sl_graph_create(b"g", 1, None),
        lambda: lib.sl_graph_continue(None, 1, ctypes.byref(out)),
        lambda: lib.sl_graph_constant(None, None, ctypes.byref(name)),
        lambda: lib.sl_graph_value(None, b"x", ctypes.byref(out)),
        lambda: lib.sl_graph_model(ctypes.c_void_p(0x1234), ctypes.byref(out)),
        lambda: lib.sl_model_parameters(None, ctypes.byref(out)),
        lambda: lib.sl_model_freeze(None, b"*", ctypes.byref(out)),
    ):
        with pytest.raises(stacklens.InvalidArgumentError):
            call()
    lib.sl_graph_release(None)
    assert not out.value and not name.value
