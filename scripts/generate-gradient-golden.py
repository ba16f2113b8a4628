#!/usr/bin/env python3
"""Writes Tests/ExecutionTests/Golden/gradients.safetensors: what PyTorch's autograd makes of small cases.

    scripts/generate-gradient-golden.py

Each case has inputs x0, x1 ..., outputs y0 ..., weights w0 ... of the same shapes, and for every
input that is a float the gradient g0 ... of sum(y0 w0) + sum(y1 w1) + ... . Inputs are float32
numbers of seed 7; everything is computed in float64 and stored in float32. Recurrent weights have
ONNX's layout and order of gates. GradientGoldenTests builds the same cases as graphs.

Needs: torch 2.15, whose version goes into the file's metadata, and torchvision 0.29.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision.ops
from _golden import write_safetensors

OUT = Path(__file__).resolve().parent.parent / "Tests/ExecutionTests/Golden/gradients.safetensors"
SEED = 7
torch.manual_seed(SEED)
torch.set_num_threads(1)
TENSORS = {}


def uniform(*shape, low=-1.0, high=1.0):
    return (torch.rand(shape, dtype=torch.float32) * (high - low) + low).double()


def case(name, inputs, function):
    inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    outputs = function(*inputs)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    weights = [uniform(*y.shape) for y in outputs]
    sum((y * w).sum() for y, w in zip(outputs, weights)).backward()
    for index, x in enumerate(inputs):
        TENSORS[f"{name}/x{index}"] = x.detach()
        if x.is_floating_point():
            TENSORS[f"{name}/g{index}"] = torch.zeros_like(x) if x.grad is None else x.grad
    for index, (y, w) in enumerate(zip(outputs, weights)):
        TENSORS[f"{name}/y{index}"] = y.detach()
        TENSORS[f"{name}/w{index}"] = w


# Recurrent layers from ONNX's weights -----------------------------------------------------------


def gates(matrix, order):
    parts = matrix.chunk(len(order), 0)
    return torch.cat([parts[place] for place in order], 0)


def flat_weights(w, r, b, order):
    flat = []
    for direction in range(w.shape[0]):
        wb, rb = b[direction].chunk(2)
        flat += [gates(w[direction], order), gates(r[direction], order), gates(wb, order),
                 gates(rb, order)]
    return flat


def lstm(x, w, r, b, h, c):
    weights = flat_weights(w, r, b, [0, 2, 3, 1])  # i o f c to i f c o
    y, hn, cn = torch._VF.lstm(x, (h, c), weights, True, 1, 0.0, True, w.shape[0] == 2, False)
    steps, batch, _ = y.shape
    return y.view(steps, batch, w.shape[0], -1).transpose(1, 2), hn, cn


def gru(x, w, r, b, h):
    weights = flat_weights(w, r, b, [1, 0, 2])  # z r h to r z h
    y, hn = torch._VF.gru(x, h, weights, True, 1, 0.0, True, w.shape[0] == 2, False)
    steps, batch, _ = y.shape
    return y.view(steps, batch, w.shape[0], -1).transpose(1, 2), hn


# Cases -------------------------------------------------------------------------------------------


def rms_norm(x, scale):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * scale


def main():
    case("broadcast", [uniform(3, 1, 5), uniform(4, 1), uniform(2, 1, 4, 5), uniform(5)],
         lambda a, b, c, d: (a * b + c) / (1 + torch.exp(d)))
    case("powers", [uniform(3, 7, low=0.2, high=2), uniform(7)], lambda a, b: a ** b - a.sqrt() * b)
    case("mlp", [uniform(3, 5, 7), uniform(7, 9), uniform(9), uniform(9), uniform(9)],
         lambda x, w, b, s, t: F.layer_norm(F.gelu(x @ w + b), (9,), s, t))
    case("gemm", [uniform(5, 7), uniform(6, 7), uniform(6)], lambda x, w, b: torch.tanh(x @ w.T + b))
    case("rms", [uniform(2, 3, 33), uniform(33)], rms_norm)
    case("activations", [uniform(4, 11, low=-3, high=3)],
         lambda x: (F.silu(x), F.mish(x), F.softplus(x), F.hardswish(x), F.elu(x, 0.5), F.selu(x),
                    F.gelu(x, approximate="tanh"), F.leaky_relu(x, 0.2)))
    case("softmax", [uniform(3, 4, 5, low=-3, high=3)],
         lambda x: (F.softmax(x, 1), F.log_softmax(x, -1)))
    case("reductions", [uniform(3, 4, 5)],
         lambda x: (x.mean((0, 2)), x.amax(1), x.norm(dim=2), torch.logsumexp(x, (1, 2)),
                    x.cumsum(1), x.prod(2)))
    case("conv2d", [uniform(2, 4, 9, 8), uniform(6, 2, 3, 3), uniform(6)],
         lambda x, w, b: F.relu(F.conv2d(x, w, b, (2, 1), (1, 2), (1, 2), 2)))
    case("conv1d", [uniform(2, 3, 17), uniform(5, 3, 4), uniform(5)],
         lambda x, w, b: F.conv1d(x, w, b, 3, 2))
    case("conv3d", [uniform(1, 2, 4, 5, 6), uniform(4, 2, 2, 3, 2)],
         lambda x, w: F.conv3d(x, w, None, 1, (1, 0, 1)))
    case("depthwise", [uniform(2, 5, 8, 7), uniform(5, 1, 3, 3), uniform(5)],
         lambda x, w, b: F.conv2d(x, w, b, 2, 1, 1, 5))
    case("transposed", [uniform(2, 4, 5, 6), uniform(4, 3, 3, 3), uniform(6)],
         lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2))
    case("batchnorm", [uniform(4, 3, 5, 3), uniform(3), uniform(3)],
         lambda x, s, b: F.batch_norm(x, None, None, s, b, True, 0.1, 1e-5))
    case("batchnorm1d", [uniform(9, 5), uniform(5), uniform(5), uniform(5), uniform(5, low=0.5)],
         lambda x, s, b, m, v: F.batch_norm(x, m.detach(), v.detach(), s, b, False, 0.1, 1e-5))
    case("groupnorm", [uniform(2, 6, 5, 3), uniform(6), uniform(6)],
         lambda x, s, b: F.group_norm(x, 3, s, b, 1e-5))
    case("instancenorm", [uniform(2, 3, 11), uniform(3), uniform(3)],
         lambda x, s, b: F.instance_norm(x, None, None, s, b, True, 0.1, 1e-5))
    case("pools", [uniform(2, 3, 9, 8)],
         lambda x: (F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, (3, 2), 2, (1, 0)),
                    F.avg_pool2d(x, 3, 2, 1, False, False), F.max_pool2d(x, 2, 2, 0, 1, True),
                    x.mean((2, 3), keepdim=True)))
    case("resize", [uniform(1, 2, 5, 4)],
         lambda x: (F.interpolate(x, (9, 7), mode="bilinear"), F.interpolate(x, (10, 8)),
                    F.interpolate(x, (7, 6), mode="bicubic")))
    case("lstm", [uniform(7, 3, 5), uniform(2, 24, 5), uniform(2, 24, 6), uniform(2, 48),
                  uniform(2, 3, 6), uniform(2, 3, 6)], lstm)
    case("gru", [uniform(6, 3, 5), uniform(2, 12, 5), uniform(2, 12, 4), uniform(2, 24),
                 uniform(2, 3, 4)], gru)
    case("attention", [uniform(2, 4, 5, 8), uniform(2, 4, 7, 8), uniform(2, 4, 7, 6)],
         lambda q, k, v: F.scaled_dot_product_attention(q, k, v))
    case("grouped_attention", [uniform(1, 4, 6, 8), uniform(1, 2, 6, 8), uniform(1, 2, 6, 8)],
         lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
    case("masked_attention", [uniform(2, 2, 5, 4), uniform(2, 2, 5, 4), uniform(2, 2, 5, 4),
                              uniform(5, 5)],
         lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m, scale=0.3))
    case("einsum", [uniform(2, 3, 4), uniform(4, 5), uniform(3, 6)],
         lambda a, b, c: (torch.einsum("ijk,kl,jm->ilm", a, b, c), torch.einsum("ijk->j", a)))
    places = torch.tensor([[1, 3], [1, 0], [4, 4]])
    case("gather", [uniform(5, 4, 3), places],
         lambda x, i: (x[i], x.gather(0, i.view(3, 2, 1).expand(3, 2, 3)),
                       x.flatten(1).topk(3, 1)[0]))
    target = torch.tensor([[0, 3, 2], [4, 1, 0]])
    case("cross_entropy", [uniform(2, 5, 3), target, uniform(5, low=0.5, high=2)],
         lambda x, t, w: F.cross_entropy(x, t, w.detach(), ignore_index=2))
    case("movement", [uniform(3, 4, 5)],
         lambda x: (x.transpose(0, 2)[:, 1:, ::2], F.pad(x, (1, 2), mode="reflect"),
                    torch.cat([x, x[:1]], 0), x.tril(), x.repeat(2, 1, 1)))
    case("matrices", [uniform(2, 3, 3) + 2 * torch.eye(3, dtype=torch.float64)],
         lambda x: (torch.det(x), torch.linalg.inv(x)))
    sampled_cases()
    spectral_cases()
    write()


def sampled_cases():
    """Images read between their pixels."""
    def sampled(x, grid, mode, padding, aligned):
        return F.grid_sample(x, grid, mode, padding, aligned)

    case("grid_sample", [uniform(2, 3, 5, 6), uniform(2, 4, 3, 2, low=-1.3, high=1.3)],
         lambda x, p: (sampled(x, p, "bilinear", "zeros", False),
                       sampled(x, p, "bilinear", "border", True),
                       sampled(x, p, "bilinear", "reflection", False),
                       sampled(x, p * 0.7, "bicubic", "border", False),
                       sampled(x, p, "nearest", "zeros", True)))
    case("grid_sample_3d", [uniform(1, 2, 3, 4, 5), uniform(1, 2, 3, 4, 3, low=-1.2, high=1.2)],
         lambda x, p: (sampled(x, p, "bilinear", "zeros", False),
                       sampled(x, p, "bilinear", "reflection", True)))
    boxes = torch.tensor([[1, 2, 12, 11], [3, 0, 15, 14], [5, 5, 7, 6]])
    images = torch.tensor([0, 1, 1])

    def aligned(x, boxes, images, *options):
        rows = torch.cat([images[:, None], boxes], 1).double()
        return torchvision.ops.roi_align(x, rows, (2, 3), 0.5, *options)

    case("roi_align", [uniform(2, 3, 8, 9), boxes, images],
         lambda x, b, i: (aligned(x, b, i, 2, True), aligned(x, b, i, -1, False)))
    case("deform_conv", [uniform(2, 4, 6, 5), uniform(6, 2, 3, 3), uniform(2, 36, 3, 5), uniform(6),
                         uniform(2, 18, 3, 5)],
         lambda x, w, o, b, m: torchvision.ops.deform_conv2d(x, o, w, b, (2, 1), (1, 1), (1, 1), m))
    case("fold", [uniform(2, 12, 12)],
         lambda x: F.fold(x, (5, 6), (2, 2), (1, 2), (1, 0), (2, 1)))


def spectral_cases():
    """Fourier transforms, complex numbers as pairs."""
    def pairs(x):
        return torch.view_as_real(x)

    def numbers(x):
        return torch.view_as_complex(x)

    case("fft", [uniform(2, 3, 8, 2), uniform(4, 9)],
         lambda z, x: (pairs(torch.fft.fft(numbers(z), dim=1)),
                       pairs(torch.fft.ifft(numbers(z), n=11, dim=2)),
                       torch.fft.irfft(numbers(z), n=7, dim=2)[..., None],
                       torch.fft.irfft(numbers(z), n=14, dim=2)[..., None],
                       pairs(torch.fft.rfft(x, n=6)), pairs(torch.fft.rfft(x))))
    case("stft", [uniform(2, 40), uniform(12)],
         lambda x, w: pairs(torch.stft(x, 12, 5, window=w, center=False, return_complex=True)
                            .transpose(1, 2)))


def write():
    stored = {
        name: tensor.contiguous().float() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in TENSORS.items()
    }
    write_safetensors(
        OUT, {name: tensor.numpy() for name, tensor in stored.items()},
        {"torch": torch.__version__.split("+")[0], "seed": str(SEED)})
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
