#!/usr/bin/env python3
"""Writes Tests/LayersTests/Golden/layers.safetensors: what PyTorch makes of every layer.

    scripts/generate-layers-golden.py

The entry "cases" of the file's metadata lists the cases: the layer's name and options as LayerTable
has them, the declared extents of the inputs (null where one is left out), which outputs are compared
and which tensors gradients are compared of. Case k has inputs k/x0 …, parameters k/p/NAME, outputs
k/y0 …, weights k/w0 … of the same shapes, and gradients k/g/x0 …, k/g/NAME of sum(y0 w0) + … .
Numbers are float32 of seed 11; everything is computed in float64 and stored in float32. Recurrent
parameters are put into ONNX's layout and order of gates.

Needs: torch 2.15, whose version goes into the file's metadata.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from _golden import write_safetensors
from torch import nn

OUT = Path(__file__).resolve().parent.parent / "Tests/LayersTests/Golden/layers.safetensors"
SEED = 11
torch.manual_seed(SEED)
torch.set_num_threads(1)
TENSORS = {}
CASES = []


def uniform(*shape, low=-1.0, high=1.0):
    return (torch.rand(shape, dtype=torch.float32) * (high - low) + low).double()


def case(layer, options, inputs, function, parameters=None, dims=None, name=None, outputs=None,
         fixed=(), convert=lambda values: values):
    """Adds a case.

    inputs: tensors, None for one that is left out. function(*inputs, **parameters) gives the outputs.
    dims: declared extents of the inputs where they are not "batch" in front and fixed behind.
    outputs: which of the layer's outputs function gives. fixed: parameters without gradients.
    convert: takes parameters by their names here to those of the layer, for values and gradients.
    """
    parameters = dict(parameters or {})
    leaves = {k: v.detach().clone().requires_grad_(k not in fixed) for k, v in parameters.items()}
    given = [None if x is None else
             x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    found = function(*given, **({"parameters": leaves} if parameters else {}))
    found = list(found) if isinstance(found, (tuple, list)) else [found]
    weights = [uniform(*y.shape) for y in found]
    sum((y * w).sum() for y, w in zip(found, weights)).backward()
    key = str(len(CASES))
    if dims is None:
        dims = [None if x is None else ["batch", *x.shape[1:]] for x in inputs]
    gradients = {}
    for index, x in enumerate(given):
        if x is None:
            continue
        TENSORS[f"{key}/x{index}"] = x.detach()
        if x.is_floating_point() and x.grad is not None:
            gradients[f"x{index}"] = x.grad
    for k, v in convert({k: v.detach() for k, v in leaves.items()}).items():
        TENSORS[f"{key}/p/{k}"] = v
    learned = {k: v for k, v in leaves.items() if k not in fixed}
    gradients.update(convert({k: torch.zeros_like(v) if v.grad is None else v.grad
                              for k, v in learned.items()}))
    for k, v in gradients.items():
        TENSORS[f"{key}/g/{k}"] = v
    for index, (y, w) in enumerate(zip(found, weights)):
        TENSORS[f"{key}/y{index}"] = y.detach()
        TENSORS[f"{key}/w{index}"] = w
    CASES.append({"name": name or layer, "layer": layer, "options": options, "dims": dims,
                  "outputs": outputs or list(range(len(found))), "gradients": list(gradients)})


def module_case(layer, options, module, inputs, call=None, convert=lambda values: values, fixed=(),
                **more):
    """Adds a case of a PyTorch module: its parameters get new random values."""
    module = module.double()
    state = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    values = {}
    for k, v in state.items():
        values[k] = uniform(*v.shape, low=0.5) if k.endswith("running_var") else uniform(*v.shape)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        values["weight"][module.padding_idx] = 0
    statistics = tuple(k for k in values if "running_" in k)

    def function(*given, parameters=None):
        given = [x for x in given if x is not None]
        return torch.func.functional_call(module, parameters or {}, tuple(given)) if call is None \
            else call(lambda *a, **b: torch.func.functional_call(module, parameters, a, b), *given)

    case(layer, options, inputs, function, values, convert=convert, fixed=statistics + tuple(fixed),
         **more)


# Parts that are not PyTorch's ------------------------------------------------------------------


def gates(matrix, order):
    parts = matrix.chunk(len(order), 0)
    return torch.cat([parts[place] for place in order], 0)


ORDERS = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}  # z r n; i o f c


def recurrent_names(kind, layers, directions, bias):
    def convert(values):
        result = {}
        for layer in range(layers):
            ends = [f"l{layer}" + ("_reverse" if d else "") for d in range(directions)]

            def stacked(name):
                return torch.stack([gates(values[f"{name}_{end}"], ORDERS[kind]) for end in ends])
            result[f"W_l{layer}"] = stacked("weight_ih")
            result[f"R_l{layer}"] = stacked("weight_hh")
            if bias:
                result[f"B_l{layer}"] = torch.cat([stacked("bias_ih"), stacked("bias_hh")], 1)
        return result
    return convert


def packed(call, x, lengths, *states):
    rows = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    state = states[0] if len(states) == 1 else tuple(states)
    y, end = call(rows, state) if states else call(rows)
    y, _ = nn.utils.rnn.pad_packed_sequence(y, True, total_length=x.shape[1])
    return (y, *end) if isinstance(end, tuple) else (y, end)


def unpacked(call, x, *states):
    state = states[0] if len(states) == 1 else tuple(states)
    y, end = call(x, state) if states else call(x)
    return (y, *end) if isinstance(end, tuple) else (y, end)


def masked_softmax(scores, seen):
    weights = torch.where(seen, scores, -torch.inf).softmax(-1)
    return torch.where(seen, torch.nan_to_num(weights), 0)


def rotate(x):
    angle = torch.arange(x.shape[1]).double()[:, None, None] * \
        (10000.0 ** -(torch.arange(0, x.shape[3], 2).double() / x.shape[3])).float().double()
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def slopes(heads):
    def power(n):
        return [2 ** (-8 * i / n) for i in range(1, n + 1)]
    below = 2 ** int(math.log2(heads))
    return torch.tensor(power(below) + power(2 * below)[::2][:heads - below]).double()


def alibi(heads, queries, keys):
    distance = (torch.arange(keys)[None] - torch.arange(queries)[:, None]).abs()
    return -slopes(heads)[:, None, None].float().double() * distance


def attention(q, k, v, heads, seen, shift=0.0, turn=None):
    """Multi-head attention of projected values, zeros for a query that sees nothing."""
    def split(x):
        x = x.unflatten(2, (heads, -1))
        return (turn(x) if turn else x).transpose(1, 2)
    size = q.shape[2] // heads
    scores = split(q) @ split(k).transpose(2, 3) / math.sqrt(size) + shift
    weights = masked_softmax(scores, seen.expand(scores.shape))
    values = v.unflatten(2, (heads, -1)).transpose(1, 2)
    return (weights @ values).transpose(1, 2).flatten(2), weights.mean(1)


def buckets(queries, keys, count, furthest, bidirectional):
    """As T5 has them."""
    offset = torch.arange(keys)[None] - torch.arange(queries)[:, None]
    first = torch.zeros_like(offset)
    if bidirectional:
        count //= 2
        first = (offset > 0).long() * count
        distance = offset.abs()
    else:
        distance = -offset.clamp(max=0)
    exact = count // 2
    far = exact + (torch.log(distance.float() / exact) / math.log(furthest / exact)
                   * (count - exact)).long()
    return first + torch.where(distance < exact, distance, far.clamp(max=count - 1))


# Cases -----------------------------------------------------------------------------------------


def dense():
    module_case("linear", {"out_features": 5}, nn.Linear(7, 5), [uniform(3, 7)])
    module_case("linear", {"out_features": 5, "in_features": 7}, nn.Linear(7, 5),
                [uniform(3, 4, 7)], name="linear of sequences", dims=[["batch", "time", 7]])
    module_case("linear", {"out_features": 3, "bias": False}, nn.Linear(4, 3, bias=False),
                [uniform(2, 4)], name="linear without bias")
    ids = torch.tensor([[1, 0, 3], [5, 1, 0]])
    module_case("embedding", {"num_embeddings": 6, "embedding_dim": 4, "padding_idx": 0},
                nn.Embedding(6, 4, padding_idx=0), [ids], dims=[["batch", "time"]])
    module_case("embedding", {"num_embeddings": 6, "embedding_dim": 4}, nn.Embedding(6, 4),
                [ids.int()], name="embedding of int32")

    def heads(x, parameters):
        p = parameters
        return [F.linear(x, p[f"{h}.weight"], p[f"{h}.bias"]) for h in ("severity", "confidence")]
    case("heads", {"heads": {"severity": 4, "confidence": 1}}, [uniform(3, 6)], heads,
         {"severity.weight": uniform(4, 6), "severity.bias": uniform(4),
          "confidence.weight": uniform(1, 6), "confidence.bias": uniform(1)})
    module_case("prelu", {}, nn.PReLU(), [uniform(3, 4)])
    module_case("prelu", {"num_parameters": 3}, nn.PReLU(3), [uniform(2, 3, 4, 2)],
                name="prelu of channels")


def activations():
    for name, options, function in [
        ("identity", {}, lambda x: x * 1), ("relu", {}, F.relu), ("relu6", {}, F.relu6),
        ("hardtanh", {"min_val": -0.5, "max_val": 2}, lambda x: F.hardtanh(x, -0.5, 2)),
        ("leaky_relu", {"negative_slope": 0.2}, lambda x: F.leaky_relu(x, 0.2)),
        ("elu", {"alpha": 0.7}, lambda x: F.elu(x, 0.7)),
        ("celu", {"alpha": 1.5}, lambda x: F.celu(x, 1.5)), ("selu", {}, F.selu),
        ("softshrink", {"lambd": 0.3}, lambda x: F.softshrink(x, 0.3)),
        ("hardshrink", {"lambd": 0.3}, lambda x: F.hardshrink(x, 0.3)),
        ("sigmoid", {}, torch.sigmoid), ("tanh", {}, torch.tanh), ("gelu", {}, F.gelu),
        ("gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
        ("silu", {}, F.silu), ("mish", {}, F.mish), ("hardswish", {}, F.hardswish),
        ("hardsigmoid", {}, F.hardsigmoid), ("softplus", {}, F.softplus),
        ("softplus", {"beta": 2}, lambda x: F.softplus(x, 2)), ("softsign", {}, F.softsign),
        ("tanhshrink", {}, F.tanhshrink), ("logsigmoid", {}, F.logsigmoid),
        ("softmax", {"dim": 1}, lambda x: F.softmax(x, 1)),
        ("log_softmax", {}, lambda x: F.log_softmax(x, -1)),
        ("glu", {}, lambda x: F.glu(x, -1)),
    ]:
        more = ", ".join(f"{k} {v}" for k, v in options.items())
        case(name, options, [uniform(3, 4, 6, low=-4, high=4)], function,
             name=f"{name} {more}".strip())


def convolutions():
    module_case("conv1d", {"out_channels": 5, "kernel_size": 4, "stride": 3, "padding": 2},
                nn.Conv1d(3, 5, 4, 3, 2), [uniform(2, 3, 17)], dims=[["batch", 3, "length"]])
    module_case("conv1d", {"out_channels": 4, "kernel_size": 4, "padding": "same", "dilation": 2},
                nn.Conv1d(3, 4, 4, padding="same", dilation=2), [uniform(2, 3, 11)],
                name="conv1d keeping the length")
    module_case("conv2d", {"out_channels": 6, "kernel_size": [3, 2], "stride": [2, 1],
                           "padding": [1, 2], "dilation": [1, 2], "groups": 2},
                nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2), [uniform(2, 4, 7, 6)],
                dims=[["batch", 4, "height", "width"]])
    module_case("conv2d", {"out_channels": 5, "kernel_size": 3, "groups": 5, "bias": False},
                nn.Conv2d(5, 5, 3, groups=5, bias=False), [uniform(1, 5, 6, 7)],
                name="conv2d by depth")
    for mode in ("reflect", "replicate", "circular"):
        module_case("conv2d", {"out_channels": 2, "kernel_size": 3, "padding": [1, 2],
                               "padding_mode": mode},
                    nn.Conv2d(2, 2, 3, padding=(1, 2), padding_mode=mode), [uniform(2, 2, 5, 6)],
                    dims=[["batch", 2, "height", "width"]], name=f"conv2d {mode}")
    module_case("conv3d", {"out_channels": 4, "kernel_size": [2, 3, 2], "padding": [1, 0, 1]},
                nn.Conv3d(2, 4, (2, 3, 2), padding=(1, 0, 1)), [uniform(1, 2, 4, 5, 6)])
    module_case("conv_transpose1d", {"out_channels": 3, "kernel_size": 4, "stride": 2,
                                     "padding": 1},
                nn.ConvTranspose1d(4, 3, 4, 2, 1), [uniform(2, 4, 7)],
                dims=[["batch", 4, "length"]])
    module_case("conv_transpose2d", {"out_channels": 6, "kernel_size": 3, "stride": 2,
                                     "padding": 1, "output_padding": 1, "groups": 2,
                                     "dilation": [1, 2]},
                nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, (1, 2)), [uniform(2, 4, 3, 4)])
    module_case("conv_transpose3d", {"out_channels": 2, "kernel_size": 2, "bias": False},
                nn.ConvTranspose3d(3, 2, 2, bias=False), [uniform(1, 3, 3, 2, 4)])
    flat, plane, solid = uniform(2, 3, 11), uniform(2, 3, 8, 7), uniform(1, 2, 5, 4, 6)
    for name, options, x, module in [
        ("max_pool1d", {"kernel_size": 3}, flat, nn.MaxPool1d(3)),
        ("max_pool2d", {"kernel_size": [3, 2], "stride": 2, "padding": [1, 0], "dilation": [2, 1],
                        "ceil_mode": True}, plane, nn.MaxPool2d((3, 2), 2, (1, 0), (2, 1), False,
                                                                True)),
        ("max_pool3d", {"kernel_size": 2}, solid, nn.MaxPool3d(2)),
        ("avg_pool1d", {"kernel_size": 3, "stride": 2, "padding": 1}, flat, nn.AvgPool1d(3, 2, 1)),
        ("avg_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
         plane, nn.AvgPool2d(3, 2, 1, False, False)),
        ("avg_pool2d", {"kernel_size": 3, "stride": 2, "ceil_mode": True, "padding": 1}, plane,
         nn.AvgPool2d(3, 2, 1, True)),
        ("avg_pool3d", {"kernel_size": 2}, solid, nn.AvgPool3d(2)),
        ("adaptive_avg_pool1d", {"output_size": 4}, flat, nn.AdaptiveAvgPool1d(4)),
        ("adaptive_avg_pool2d", {"output_size": [4, 3]}, plane, nn.AdaptiveAvgPool2d((4, 3))),
        ("adaptive_avg_pool2d", {"output_size": 1}, plane, nn.AdaptiveAvgPool2d(1)),
        ("adaptive_avg_pool3d", {"output_size": [2, 3, 7]}, solid,
         nn.AdaptiveAvgPool3d((2, 3, 7))),
        ("adaptive_max_pool1d", {"output_size": 4}, flat, nn.AdaptiveMaxPool1d(4)),
        ("adaptive_max_pool2d", {"output_size": [3, 4]}, plane, nn.AdaptiveMaxPool2d((3, 4))),
        ("adaptive_max_pool3d", {"output_size": 2}, solid, nn.AdaptiveMaxPool3d(2)),
        ("global_avg_pool", {}, plane, lambda x: x.mean((2, 3))),
        ("global_max_pool", {"keep_dims": True}, plane, lambda x: x.amax((2, 3), True)),
    ]:
        more = " ".join(f"{k} {v}" for k, v in options.items())
        open_dims = [["batch", x.shape[1], *["height", "width", "depth"][:x.ndim - 2]]]
        case(name, options, [x], module, name=f"{name} {more}", dims=open_dims)
    case("adaptive_avg_pool2d", {"output_size": [4, 7]}, [plane], nn.AdaptiveAvgPool2d((4, 7)),
         name="adaptive_avg_pool2d of windows side by side")


def normalizations():
    for shape in [(9, 5), (3, 4, 6), (2, 4, 5, 3)]:
        module = nn.BatchNorm1d(shape[1]) if len(shape) < 4 else nn.BatchNorm2d(shape[1])
        module_case("batch_norm", {"eps": 1e-3}, type(module)(shape[1], 1e-3).eval(),
                    [uniform(*shape)], name=f"batch_norm of {len(shape)} axes")
    module_case("batch_norm", {"affine": False}, nn.BatchNorm1d(5, affine=False).eval(),
                [uniform(4, 5)], name="batch_norm without parameters")
    module_case("layer_norm", {}, nn.LayerNorm(7), [uniform(2, 3, 7)],
                dims=[["batch", "time", 7]])
    module_case("layer_norm", {"normalized_shape": [3, 7], "eps": 1e-4, "bias": False},
                nn.LayerNorm((3, 7), 1e-4, bias=False), [uniform(2, 3, 7)],
                name="layer_norm of two axes")
    module_case("layer_norm", {"elementwise_affine": False},
                nn.LayerNorm(7, elementwise_affine=False), [uniform(2, 7)],
                name="layer_norm without parameters")
    module_case("rms_norm", {}, nn.RMSNorm(7, 1e-5), [uniform(2, 3, 7)],
                dims=[["batch", "time", 7]])
    module_case("group_norm", {"num_groups": 3}, nn.GroupNorm(3, 6), [uniform(2, 6, 4, 5)],
                dims=[["batch", 6, "height", "width"]])
    module_case("group_norm", {"num_groups": 2, "affine": False}, nn.GroupNorm(2, 4, affine=False),
                [uniform(3, 4, 7)], name="group_norm without parameters")
    module_case("instance_norm", {}, nn.InstanceNorm1d(3), [uniform(2, 3, 11)])
    module_case("instance_norm", {"affine": True, "eps": 1e-3},
                nn.InstanceNorm2d(3, 1e-3, affine=True), [uniform(2, 3, 4, 5)],
                name="instance_norm with parameters")


def recurrent():
    lengths = torch.tensor([4, 7, 1])
    x = uniform(3, 7, 5)
    open_dims = ["batch", "time", 5]
    module_case("rnn", {"hidden_size": 4}, nn.RNN(5, 4, batch_first=True), [x],
                unpacked, recurrent_names("rnn", 1, 1, True), dims=[open_dims])
    module_case("rnn", {"hidden_size": 4, "nonlinearity": "relu", "bidirectional": True,
                        "num_layers": 2, "bias": False},
                nn.RNN(5, 4, 2, "relu", False, True, 0, True), [x, lengths], packed,
                recurrent_names("rnn", 2, 2, False), dims=[open_dims, ["batch"]],
                name="rnn of relu, stacked in both directions, with lengths")
    module_case("gru", {"hidden_size": 4}, nn.GRU(5, 4, batch_first=True), [x], unpacked,
                recurrent_names("gru", 1, 1, True), dims=[open_dims])
    module_case("gru", {"hidden_size": 4, "bidirectional": True, "num_layers": 2},
                nn.GRU(5, 4, 2, True, True, 0, True), [x, lengths, uniform(4, 3, 4)], packed,
                recurrent_names("gru", 2, 2, True),
                dims=[open_dims, ["batch"], [4, "batch", 4]],
                name="gru stacked in both directions, with lengths and states")
    module_case("lstm", {"hidden_size": 4, "batch_first": False}, nn.LSTM(5, 4),
                [uniform(6, 3, 5)], unpacked, recurrent_names("lstm", 1, 1, True),
                dims=[["time", "batch", 5]], name="lstm with steps first")
    module_case("lstm", {"hidden_size": 3, "bidirectional": True, "num_layers": 3},
                nn.LSTM(5, 3, 3, True, True, 0, True),
                [x, lengths, uniform(6, 3, 3), uniform(6, 3, 3)], packed,
                recurrent_names("lstm", 3, 2, True),
                dims=[open_dims, ["batch"], [6, "batch", 3], [6, "batch", 3]],
                name="lstm of three layers in both directions, with lengths and states")
    module_case("lstm", {"hidden_size": 3, "num_layers": 2, "bias": False},
                nn.LSTM(5, 3, 2, False, True), [x], unpacked,
                recurrent_names("lstm", 2, 1, False), dims=[open_dims], name="lstm without biases")

    def reset_before(x, parameters):
        w, r, b = parameters["W_l0"][0], parameters["R_l0"][0], parameters["B_l0"][0]
        (wz, wr, wn), (rz, rr, rn), b = w.chunk(3), r.chunk(3), b.chunk(6)
        h = x.new_zeros(x.shape[0], rz.shape[0])
        states = []
        for t in range(x.shape[1]):
            z = torch.sigmoid(x[:, t] @ wz.T + h @ rz.T + b[0] + b[3])
            reset = torch.sigmoid(x[:, t] @ wr.T + h @ rr.T + b[1] + b[4])
            n = torch.tanh(x[:, t] @ wn.T + (reset * h) @ rn.T + b[2] + b[5])
            h = (1 - z) * n + z * h
            states.append(h)
        return torch.stack(states, 1), h[None]
    case("gru", {"hidden_size": 4, "reset_after": False}, [x], reset_before,
         {"W_l0": uniform(1, 12, 5), "R_l0": uniform(1, 12, 4), "B_l0": uniform(1, 24)},
         dims=[open_dims], name="gru with the reset before the product")


def attentions():
    width, heads = 8, 2
    x, memory, others = uniform(3, 5, width), uniform(3, 7, width), uniform(3, 7, width)
    steps, keys = ["batch", "time", width], ["batch", "keys", width]
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 0]])
    memory_mask = torch.tensor([[1] * 7, [1, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1]])
    options = {"num_heads": heads}
    module = nn.MultiheadAttention(width, heads, batch_first=True)
    causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)

    def own(**more):
        return lambda call, x, *rest: call(x, x, x, need_weights=True, **more)
    module_case("multihead_attention", options, module, [x], own(), dims=[steps],
                name="attention to itself")
    module_case("multihead_attention", options, module, [x, None, None, mask],
                lambda call, x, m: call(x, x, x, key_padding_mask=m == 0),
                dims=[steps, None, None, ["batch", "time"]], name="attention with a key mask")
    module_case("multihead_attention", {**options, "is_causal": True}, module, [x],
                own(attn_mask=causal), dims=[steps], name="causal attention")
    module_case("multihead_attention", {**options, "bias": False},
                nn.MultiheadAttention(width, heads, bias=False, batch_first=True),
                [x, memory, None, memory_mask],
                lambda call, x, m, k: call(x, m, m, key_padding_mask=k == 0),
                dims=[steps, keys, None, ["batch", "keys"]], name="attention to a memory")
    module_case("multihead_attention", options, module, [x, memory, others],
                lambda call, x, k, v: call(x, k, v), dims=[steps, keys, keys],
                name="attention to keys and values")
    module_case("multihead_attention", options, module,
                [x, None, None, None, uniform(3 * heads, 5, 5).reshape(3, heads, 5, 5)],
                lambda call, x, m: call(x, x, x, attn_mask=m.flatten(0, 1)),
                dims=[steps, None, None, None, ["batch", heads, "time", "time"]],
                name="attention with numbers added to the scores")

    def apart(values):
        result = {k: v for k, v in values.items() if "out_proj" in k}
        for index, name in enumerate("qkv"):
            result[f"{name}_proj.weight"] = values[f"{name}_proj_weight"]
            result[f"{name}_proj.bias"] = values["in_proj_bias"].chunk(3)[index]
        return result
    module_case("multihead_attention", {**options, "separate_projections": True},
                nn.MultiheadAttention(width, heads, batch_first=True, kdim=6, vdim=3),
                [x, uniform(3, 7, 6), uniform(3, 7, 3)], lambda call, x, k, v: call(x, k, v),
                apart, dims=[steps, ["batch", "keys", 6], ["batch", "keys", 3]],
                name="attention with projections of their own")

    seen = torch.tensor([[[1, 0, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 0, 0],
                          [0, 0, 0, 0, 1]]]).repeat(3, 1, 1)
    seen[2] = seen[2].T.clone()

    def by_hand(x, k_mask, pairs, is_causal, shift, turn):
        def function(x, *rest, parameters):
            p = parameters
            q, k, v = F.linear(x, p["in_proj_weight"], p["in_proj_bias"]).chunk(3, -1)
            allowed = torch.ones(3, 1, 5, 5, dtype=torch.bool)
            if k_mask is not None:
                allowed = allowed & (k_mask[:, None, None] != 0)
            if pairs is not None:
                allowed = allowed & (pairs[:, None] != 0)
            if is_causal:
                allowed = allowed & ~causal
            y, weights = attention(q, k, v, heads, allowed, shift, turn)
            return F.linear(y, p["out_proj.weight"], p["out_proj.bias"]), weights
        return function
    none = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 1]])
    for name, k_mask, pairs, is_causal, shift, positions in [
        ("attention with rows that see nothing", none, None, True, 0.0, "none"),
        ("attention with a mask of pairs", none, seen, False, 0.0, "none"),
        ("attention with rotary positions", None, None, True, 0.0, "rotary"),
        ("attention with alibi", mask, None, False, alibi(heads, 5, 5), "alibi"),
    ]:
        values = {"in_proj_weight": uniform(3 * width, width), "in_proj_bias": uniform(3 * width),
                  "out_proj.weight": uniform(width, width), "out_proj.bias": uniform(width)}
        case("multihead_attention", {**options, "is_causal": is_causal, "positions": positions},
             [x, None, None, k_mask, pairs],
             by_hand(x, k_mask, pairs, is_causal, shift, rotate if positions == "rotary" else None),
             values, dims=[steps, None, None, k_mask is not None and ["batch", "time"] or None,
                           pairs is not None and ["batch", "time", "time"] or None], name=name)

    def masked_mean(x, m):
        m = m.double()[:, :, None]
        return (x * m).sum(1) / m.sum(1).clamp(min=1)
    case("masked_mean", {}, [x, none], masked_mean, dims=[steps, ["batch", "time"]])

    def pooling(x, m, parameters):
        p = parameters
        scores = F.linear(torch.tanh(F.linear(x, p["proj.weight"], p["proj.bias"])),
                          p["score.weight"], p["score.bias"])[:, :, 0]
        weights = masked_softmax(scores, torch.ones_like(scores) > 0 if m is None else m != 0)
        return (weights[:, :, None] * x).sum(1), weights
    for m in (none, None):
        case("attention_pooling", {"hidden_size": 3}, [x, m], pooling,
             {"proj.weight": uniform(3, width), "proj.bias": uniform(3),
              "score.weight": uniform(1, 3), "score.bias": uniform(1)},
             dims=[steps, m is not None and ["batch", "time"] or None],
             name="attention_pooling" + ("" if m is None else " with a mask"))

    def scored(kind):
        def function(q, k, m, parameters=None):
            p = parameters
            if kind == "additive":
                both = F.linear(q, p["query_proj.weight"])[:, :, None] + \
                    F.linear(k, p["key_proj.weight"])[:, None]
                scores = F.linear(torch.tanh(both), p["score.weight"])[..., 0]
            elif kind == "dot":
                scores = q @ k.transpose(1, 2)
            else:
                scores = F.linear(q, p["query_proj.weight"]) @ k.transpose(1, 2)
            weights = masked_softmax(scores, (m != 0)[:, None].expand(scores.shape))
            return weights @ k, weights
        return function
    other = uniform(3, 7, 6)
    for kind, k, values in [
        ("additive", other, {"query_proj.weight": uniform(5, width),
                             "key_proj.weight": uniform(5, 6), "score.weight": uniform(1, 5)}),
        ("dot", memory, None), ("bilinear", other, {"query_proj.weight": uniform(6, width)}),
    ]:
        case("sequence_attention", {"score": kind, **({"hidden_size": 5} if kind == "additive"
                                                      else {})},
             [x, k, memory_mask], scored(kind), values,
             dims=[steps, ["batch", "keys", k.shape[2]], ["batch", "keys"]],
             name=f"sequence_attention, {kind}")


def positions():
    x = uniform(2, 5, 6)
    steps = [["batch", "time", 6]]
    case("learned_positions", {"max_length": 9}, [x],
         lambda x, parameters: x + parameters["weight"][:x.shape[1]], {"weight": uniform(9, 6)},
         dims=steps)
    place = torch.arange(5).double()[:, None]
    angle = place / 10000 ** (torch.arange(0, 6, 2).double() / 6)
    table = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
    case("sinusoidal_positions", {"max_length": 32}, [x], lambda x: x + table, dims=steps)
    case("rotary_positions", {}, [uniform(2, 7, 3, 4)], rotate,
         dims=[["batch", "time", 3, 4]])
    for heads in (4, 6):
        case("alibi_bias", {"num_heads": heads}, [uniform(1, 5, 1), uniform(1, 7, 1)],
             lambda q, k, heads=heads: alibi(heads, 5, 7)[None] + 0 * (q.sum() + k.sum()),
             dims=[["batch", "time", 1], ["batch", "keys", 1]], name=f"alibi_bias of {heads} heads")
        CASES[-1]["gradients"] = []
    for options, (q, k) in [({"num_buckets": 8, "max_distance": 16}, (21, 24)),
                            ({"num_buckets": 6, "max_distance": 9, "bidirectional": False},
                             (17, 17)), ({}, (3, 140))]:
        count = options.get("num_buckets", 32)
        place = buckets(q, k, count, options.get("max_distance", 128),
                        options.get("bidirectional", True))
        case("relative_position_bias", {"num_heads": 2, **options},
             [uniform(1, q, 1), uniform(1, k, 1)],
             lambda q, k, parameters, place=place:
                 parameters["weight"][place].permute(2, 0, 1)[None] + 0 * (q.sum() + k.sum()),
             {"weight": uniform(count, 2)}, dims=[["batch", "time", 1], ["batch", "keys", 1]],
             name=f"relative_position_bias of {count} buckets")
        CASES[-1]["gradients"] = ["weight"]


def transformers():
    width = 8
    x, memory = uniform(3, 5, width), uniform(3, 7, width)
    steps, keys = ["batch", "time", width], ["batch", "keys", width]
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    memory_mask = torch.tensor([[1] * 7, [1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0]])
    causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    common = {"nhead": 2, "dim_feedforward": 12, "dropout": 0}

    def layer(kind, **more):
        return kind(width, 2, 12, 0.0, batch_first=True, **more)
    module_case("transformer_encoder_layer", common, layer(nn.TransformerEncoderLayer), [x, mask],
                lambda call, x, m: call(x, src_key_padding_mask=m == 0),
                dims=[steps, ["batch", "time"]])
    module_case("transformer_encoder_layer",
                {**common, "norm_first": True, "activation": "gelu", "is_causal": True,
                 "bias": False, "layer_norm_eps": 1e-4},
                layer(nn.TransformerEncoderLayer, norm_first=True, activation="gelu", bias=False,
                      layer_norm_eps=1e-4), [x],
                lambda call, x: call(x, src_mask=causal), dims=[steps],
                name="transformer_encoder_layer, norms first, causal, without biases")
    stack = nn.TransformerEncoder(layer(nn.TransformerEncoderLayer, norm_first=True), 2,
                                  nn.LayerNorm(width), enable_nested_tensor=False)
    module_case("transformer_encoder",
                {**common, "norm_first": True, "num_layers": 2, "final_norm": True}, stack,
                [x, mask], lambda call, x, m: call(x, src_key_padding_mask=m == 0),
                dims=[steps, ["batch", "time"]])

    def decode(call, x, memory, *m):
        return call(x, memory, tgt_mask=causal,
                    memory_key_padding_mask=m[0] == 0 if m else None)
    module_case("transformer_decoder_layer", common, layer(nn.TransformerDecoderLayer),
                [x, memory, None, None, memory_mask], decode,
                dims=[steps, keys, None, None, ["batch", "keys"]])
    module_case("transformer_decoder", {**common, "norm_first": True, "num_layers": 2,
                                        "final_norm": True, "activation": "gelu"},
                nn.TransformerDecoder(layer(nn.TransformerDecoderLayer, norm_first=True,
                                            activation="gelu"), 2, nn.LayerNorm(width)),
                [x, memory], decode, dims=[steps, keys])

    def rms(x, parameters):
        p = parameters

        def norm(x, weight):
            return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight
        h = norm(x, p["norm1.weight"])
        q, k, v = (h @ p[f"self_attn.{n}_proj.weight"].T for n in "qkv")
        y, _ = attention(q, k, v, 2, ~causal[None, None], 0.0, rotate)
        x = x + y @ p["self_attn.out_proj.weight"].T
        h = norm(x, p["norm2.weight"])
        return x + F.silu(h @ p["linear1.weight"].T) @ p["linear2.weight"].T
    values = {f"self_attn.{n}_proj.weight": uniform(width, width) for n in ("q", "k", "v", "out")}
    values |= {"norm1.weight": uniform(width), "norm2.weight": uniform(width),
               "linear1.weight": uniform(12, width), "linear2.weight": uniform(width, 12)}
    case("transformer_encoder_layer",
         {**common, "norm_first": True, "norm": "rms_norm", "bias": False, "positions": "rotary",
          "is_causal": True, "activation": "silu", "separate_projections": True}, [x], rms, values,
         dims=[steps], name="transformer_encoder_layer of rms norms and rotary positions")


class Block(nn.Module):
    """The residual blocks as torchvision has them."""

    def __init__(self, channels, planes, stride, expansion):
        super().__init__()
        wide = planes * expansion
        sizes = [(channels, planes, 3, stride), (planes, wide, 3, 1)] if expansion == 1 else \
            [(channels, planes, 1, 1), (planes, planes, 3, stride), (planes, wide, 1, 1)]
        for index, (a, b, k, s) in enumerate(sizes, 1):
            setattr(self, f"conv{index}", nn.Conv2d(a, b, k, s, k // 2, bias=False))
            setattr(self, f"bn{index}", nn.BatchNorm2d(b))
        self.count = len(sizes)
        self.downsample = None
        if stride != 1 or channels != wide:
            self.downsample = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False),
                                            nn.BatchNorm2d(wide))

    def forward(self, x):
        y = x
        for index in range(1, self.count + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            y = F.relu(y) if index < self.count else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def blocks():
    for layer, channels, planes, stride, expansion in [
        ("basic_block", 3, 3, 1, 1), ("basic_block", 3, 4, 2, 1), ("bottleneck", 8, 2, 1, 4),
        ("bottleneck", 3, 2, 2, 4),
    ]:
        module_case(layer, {"planes": planes, "stride": stride},
                    Block(channels, planes, stride, expansion).eval(),
                    [uniform(2, channels, 5, 4)], name=f"{layer} of step {stride}",
                    dims=[["batch", channels, "height", "width"]])


def graphs():
    x = uniform(5, 4)
    edges = torch.tensor([[0, 1, 2, 2, 4, 0], [1, 2, 0, 3, 3, 3]])
    weights = uniform(6, low=0.2, high=2)
    weights[3] = 0
    nodes, pairs = ["nodes", 4], [2, "edges"]

    def dense_form(w, loops):
        a = torch.zeros(5, 5).double().index_put((edges[1], edges[0]), w, accumulate=True)
        return a + torch.eye(5).double() if loops else a

    def convolve(a, x, p, normalize):
        if normalize:
            d = a.sum(-1)
            r = torch.where(d > 0, d.clamp(min=1e-30) ** -0.5, 0)
            a = r[..., :, None] * a * r[..., None, :]
        return a @ (x @ p["lin.weight"].T) + p.get("bias", 0)
    for w, loops, normalize, bias in [(weights, True, True, True), (None, True, True, False),
                                      (weights, False, True, True), (None, True, False, True)]:
        def function(x, edges, w, parameters, loops=loops, normalize=normalize):
            w = torch.ones(6).double() if w is None else w
            return convolve(dense_form(w, loops), x, parameters, normalize)
        values = {"lin.weight": uniform(3, 4), **({"bias": uniform(3)} if bias else {})}
        case("graph_convolution", {"out_channels": 3, "add_self_loops": loops,
                                   "normalize": normalize, "bias": bias}, [x, edges, w], function,
             values, dims=[nodes, pairs, ["edges"] if w is not None else None],
             name=f"graph_convolution {'weighted' if w is not None else 'plain'}, loops {loops}, "
                  f"normalised {normalize}")
    adjacency = uniform(2, 5, 5, low=0, high=1)
    adjacency[1, 2] = 0
    for loops in (True, False):
        def function(x, a, parameters, loops=loops):
            a = a + torch.eye(5).double() if loops else a
            return convolve(a, x, parameters, True)
        case("dense_graph_convolution", {"out_channels": 3, "add_self_loops": loops},
             [uniform(2, 5, 4), adjacency], function,
             {"lin.weight": uniform(3, 4), "bias": uniform(3)},
             dims=[["batch", "nodes", 4], ["batch", "nodes", "nodes"]],
             name=f"dense_graph_convolution, loops {loops}")
    target, messages = edges[1], uniform(6, 3)
    for kind, w in (("sum", None), ("mean", weights), ("mean", None)):
        def function(m, index, x, w, kind=kind):
            w = torch.ones(6).double() if w is None else w
            sums = torch.zeros(5, 3).double().index_add(0, index, m * w[:, None])
            totals = torch.zeros(5).double().index_add(0, index, w)
            return sums if kind == "sum" else \
                sums / torch.where(totals > 0, totals, 1)[:, None]
        case("aggregate", {"reduction": kind}, [messages, target, x, w], function,
             dims=[["edges", 3], ["edges"], nodes, ["edges"] if w is not None else None],
             name=f"aggregate, {kind}{'' if w is None else ' weighted'}")


def shapes():
    x = uniform(2, 3, 4, 5)
    open_dims = [["batch", 3, "height", "width"]]
    case("flatten", {}, [x], lambda x: x.flatten(1) * 1, dims=open_dims)
    case("flatten", {}, [x], lambda x: x.flatten(1) * 1, name="flatten of known extents")
    case("flatten", {"start_dim": 1, "end_dim": 2}, [x], lambda x: x.flatten(1, 2) * 1,
         dims=open_dims, name="flatten of two axes")
    case("reshape", {"shape": [0, 6, -1]}, [x], lambda x: x.reshape(2, 6, 10) * 1)
    case("permute", {"dims": [0, 3, 1, 2]}, [x], lambda x: x.permute(0, 3, 1, 2) * 1)
    case("concat", {"dim": 1}, [x, uniform(2, 2, 4, 5)], lambda a, b: torch.cat([a, b], 1))
    case("sum", {}, [x, uniform(2, 3, 4, 5), uniform(5)], lambda a, b, c: a + b + c,
         dims=[["batch", 3, 4, 5], ["batch", 3, 4, 5], [5]])
    case("dropout", {"p": 0.4}, [x], lambda x: x * 1)
    case("dropout", {"p": 0.4, "mode": "channels"}, [x], lambda x: x * 1, dims=open_dims,
         name="dropout of channels")
    case("dropout", {"p": 0.4, "mode": "variational"}, [uniform(2, 3, 4)], lambda x: x * 1,
         dims=[["batch", "time", 4]], name="dropout of features")


def main():
    for part in (dense, activations, convolutions, normalizations, recurrent, attentions,
                 positions, transformers, blocks, graphs, shapes):
        part()
    write()


def write():
    stored = {
        name: tensor.contiguous().float() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in sorted(TENSORS.items(), key=lambda item: item[1].is_floating_point())
    }
    write_safetensors(
        OUT, {name: tensor.numpy() for name, tensor in stored.items()},
        {"torch": torch.__version__.split("+")[0], "seed": str(SEED),
         "cases": json.dumps(CASES, separators=(",", ":"))})
    print(f"{OUT}: {len(CASES)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
