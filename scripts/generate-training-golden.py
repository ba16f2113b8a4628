#!/usr/bin/env python3
"""Writes Tests/TrainingTests/Golden/training.safetensors: steps of optimisers, losses with their gradients
and learning rates as PyTorch has them.

    scripts/generate-training-golden.py

What PyTorch lacks (LAMB, Lion, focal, contrastive, multiple negatives, evidence bound, hinge, chains of
tags) is the paper's formula under PyTorch's autograd; chains of tags are summed over every sequence.
Inputs are float32 numbers of seed 11; everything is computed in float64 and stored in float32, rates in
float64. The file's metadata list the cases with the options that TrainingGoldenTests gives ours.

Needs: torch 2.15, whose version goes into the file's metadata.
"""

import itertools
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from _golden import write_safetensors
from torch.optim import lr_scheduler

OUT = Path(__file__).resolve().parent.parent / "Tests/TrainingTests/Golden/training.safetensors"
SEED = 11
STEPS = 6
torch.manual_seed(SEED)
torch.set_num_threads(1)
TENSORS = {}
CASES = {"optimizers": [], "losses": [], "schedules": []}


def uniform(*shape, low=-1.0, high=1.0):
    return (torch.rand(shape, dtype=torch.float32) * (high - low) + low).double()


# Optimisers --------------------------------------------------------------------------------------

SHAPES = {"layer.weight": (7, 5), "layer.bias": (33,), "scale": (1,), "conv.weight": (3, 4, 3)}
START = {name: uniform(*shape) for name, shape in SHAPES.items()}
GRADIENTS = [{name: uniform(*shape) for name, shape in SHAPES.items()} for _ in range(STEPS)]


class Formula(torch.optim.Optimizer):
    """What PyTorch lacks: `step_of(parameter, gradient, state, t, options)` gives the new values."""

    def __init__(self, parameters, step_of, **options):
        super().__init__(parameters, options)
        self.step_of = step_of

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["t"] = state.get("t", 0) + 1
                p.data = self.step_of(p.data, p.grad, state, state["t"], group)


def moments(g, state, beta1, beta2):
    state["exp_avg"] = beta1 * state.get("exp_avg", 0) + (1 - beta1) * g
    state["exp_avg_sq"] = beta2 * state.get("exp_avg_sq", 0) + (1 - beta2) * g * g
    return state["exp_avg"], state["exp_avg_sq"]


def lamb(p, g, state, t, o):
    m, v = moments(g, state, *o["betas"])
    m, v = m / (1 - o["betas"][0] ** t), v / (1 - o["betas"][1] ** t)
    direction = m / (v.sqrt() + o["eps"]) + o["weight_decay"] * p
    lengths = p.norm(), direction.norm()
    ratio = lengths[0] / lengths[1] if min(lengths) > 0 else 1.0
    return p - o["lr"] * ratio * direction


def lion(p, g, state, t, o):
    m = state.get("exp_avg", torch.zeros_like(p))
    update = torch.sign(o["betas"][0] * m + (1 - o["betas"][0]) * g)
    state["exp_avg"] = o["betas"][1] * m + (1 - o["betas"][1]) * g
    return p * (1 - o["lr"] * o["weight_decay"]) - o["lr"] * update


def optimizer(case, name, options, make, before=None, after=None, **extra):
    """`make` takes the parameters by name; `before` changes gradients, `after` parameters."""
    parameters = {n: torch.nn.Parameter(x.clone()) for n, x in START.items()}
    method = make(parameters)
    for step, gradients in enumerate(GRADIENTS):
        for n, p in parameters.items():
            p.grad = gradients[n].clone()
        if before:
            before(parameters)
        method.step()
        if after:
            after(parameters)
        if step in (0, STEPS - 1):
            for n, p in parameters.items():
                TENSORS[f"optimizer/{case}/{step}/{n}"] = p.detach().clone()
    states = {}
    for n, p in parameters.items():
        for key, value in method.state[p].items():
            if torch.is_tensor(value) and value.shape == p.shape and key not in ("step", "mu_product"):
                states[key] = states.get(key, []) + [n]
                TENSORS[f"optimizer/{case}/{key}/{n}"] = value.detach().clone()
    CASES["optimizers"].append(
        {"case": case, "name": name, "options": options, "states": sorted(states)} | extra)


def plain(case, name, cls, options, **torch_options):
    """Options under the same names as PyTorch's but for the rate."""
    renamed = {"lr" if k == "learning_rate" else k: v for k, v in options.items()}
    if "betas" in renamed:
        renamed["betas"] = tuple(renamed["betas"])
    optimizer(case, name, options, lambda p: cls(p.values(), **renamed, **torch_options))


def optimizers():
    o = torch.optim
    plain("sgd", "sgd", o.SGD, {"learning_rate": 0.1})
    plain("sgd_momentum", "sgd", o.SGD,
          {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1})
    plain("sgd_nesterov", "sgd", o.SGD,
          {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02})
    plain("adam", "adam", o.Adam, {"learning_rate": 0.1})
    plain("adam_decay", "adam", o.Adam,
          {"learning_rate": 0.05, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1})
    plain("amsgrad", "adam", o.Adam,
          {"learning_rate": 0.1, "betas": [0.5, 0.6], "amsgrad": True})
    plain("adamw", "adamw", o.AdamW, {"learning_rate": 0.1})
    plain("adamw_amsgrad", "adamw", o.AdamW,
          {"learning_rate": 0.03, "betas": [0.7, 0.9], "weight_decay": 0.3, "amsgrad": True})
    plain("adamax", "adamax", o.Adamax, {"learning_rate": 0.1})
    plain("adamax_decay", "adamax", o.Adamax,
          {"learning_rate": 0.05, "betas": [0.7, 0.6], "eps": 1e-2, "weight_decay": 0.1})
    plain("nadam", "nadam", o.NAdam, {"learning_rate": 0.1})
    plain("nadam_decay", "nadam", o.NAdam,
          {"learning_rate": 0.05, "betas": [0.8, 0.9], "momentum_decay": 0.5, "weight_decay": 0.1,
           "decoupled_weight_decay": True})
    plain("rmsprop", "rmsprop", o.RMSprop, {"learning_rate": 0.05})
    plain("rmsprop_momentum", "rmsprop", o.RMSprop,
          {"learning_rate": 0.02, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.1})
    plain("rmsprop_centered", "rmsprop", o.RMSprop,
          {"learning_rate": 0.02, "alpha": 0.8, "centered": True, "eps": 1e-2})
    plain("rmsprop_centered_momentum", "rmsprop", o.RMSprop,
          {"learning_rate": 0.01, "centered": True, "momentum": 0.5, "eps": 1e-3})
    plain("adagrad", "adagrad", o.Adagrad, {"learning_rate": 0.1})
    plain("adagrad_decay", "adagrad", o.Adagrad,
          {"learning_rate": 0.2, "lr_decay": 0.1, "initial_accumulator_value": 0.3,
           "weight_decay": 0.1, "eps": 1e-3})
    plain("adadelta", "adadelta", o.Adadelta, {})
    plain("adadelta_decay", "adadelta", o.Adadelta,
          {"learning_rate": 0.7, "rho": 0.6, "eps": 1e-3, "weight_decay": 0.1})
    for case, name, step, options in [
            ("lamb", "lamb", lamb, {"learning_rate": 0.05, "eps": 1e-6, "betas": [0.9, 0.999]}),
            ("lamb_decay", "lamb", lamb,
             {"learning_rate": 0.1, "betas": [0.8, 0.9], "eps": 1e-3, "weight_decay": 0.2}),
            ("lion", "lion", lion, {"learning_rate": 0.02, "betas": [0.9, 0.99]}),
            ("lion_decay", "lion", lion,
             {"learning_rate": 0.05, "betas": [0.6, 0.8], "weight_decay": 0.3})]:
        theirs = {"weight_decay": 0.0} | options
        theirs["lr"] = theirs.pop("learning_rate")
        optimizer(case, name, options,
                  lambda p, step=step, theirs=theirs: Formula(p.values(), step, **theirs))
    variants()


def variants():
    adamw = {"learning_rate": 0.1, "weight_decay": 0.2}

    def grouped(p):
        return torch.optim.AdamW(
            [{"params": [p["conv.weight"]], "lr": 0.02, "betas": (0.5, 0.9)},
             {"params": [p["layer.bias"], p["scale"]], "weight_decay": 0},
             {"params": [p["layer.weight"]]}], lr=0.1, weight_decay=0.2)

    groups = [{"parameters": "conv.*", "learning_rate": 0.02, "betas": [0.5, 0.9]},
              {"parameters": ["*.bias", "sc?le"], "weight_decay": 0}]
    optimizer("groups", "adamw", adamw | {"groups": groups}, grouped)

    def sgd(p):
        return torch.optim.SGD(p.values(), lr=0.1)

    def clip_norm(p):
        torch.nn.utils.clip_grad_norm_(p.values(), 0.7)

    def clip_value(p):
        for x in p.values():
            x.grad *= 0.5
        torch.nn.utils.clip_grad_value_(p.values(), 0.2)

    def penalty(p):
        value = sum(0.03 * x.abs().sum() + 0.2 * (x * x).sum() for x in p.values())
        for x, g in zip(p.values(), torch.autograd.grad(value, list(p.values()))):
            x.grad += g

    def max_norm(p):
        for x in p.values():
            if x.dim() > 1:
                x.data = torch.renorm(x.data, 2, 0, 1.1)

    one = {"learning_rate": 0.1}
    optimizer("clip_norm", "sgd", one, sgd, before=clip_norm, clip_norm=0.7)
    optimizer("clip_value", "sgd", one, sgd, before=clip_value, scale=0.5, limit=0.2)
    optimizer("elastic", "sgd", one | {"l1": 0.03, "l2": 0.4}, sgd, before=penalty)
    optimizer("max_norm", "sgd", one | {"max_norm": 1.1}, sgd, after=max_norm)
    everything = torch.cat([GRADIENTS[0][n].flatten() for n in SHAPES])
    TENSORS["optimizer/norm"] = everything.norm().reshape(1)
    TENSORS["optimizer/penalty"] = sum(
        0.03 * x.abs().sum() + 0.2 * (x * x).sum() for x in START.values()).reshape(1)
    average = {n: x.clone() for n, x in START.items()}
    for gradients in GRADIENTS:
        for n in SHAPES:
            average[n].lerp_(gradients[n], 1 - 0.9)
    for n in SHAPES:
        TENSORS[f"optimizer/average/{n}"] = average[n]
    for n in SHAPES:
        TENSORS[f"optimizer/start/{n}"] = START[n]
        for step, gradients in enumerate(GRADIENTS):
            TENSORS[f"optimizer/gradient{step}/{n}"] = gradients[n]


# Losses ------------------------------------------------------------------------------------------


def loss(case, name, options, outputs, targets, function):
    outputs = [x.requires_grad_() for x in outputs]
    value = function(*outputs, *targets)
    value.backward()
    for index, x in enumerate(outputs):
        TENSORS[f"loss/{case}/o{index}"] = x.detach()
        TENSORS[f"loss/{case}/g{index}"] = torch.zeros_like(x) if x.grad is None else x.grad
    for index, t in enumerate(targets):
        TENSORS[f"loss/{case}/t{index}"] = t
    TENSORS[f"loss/{case}/v"] = value.detach().reshape(())
    CASES["losses"].append({"case": case, "name": name, "options": options})


def reduced(losses, reduction="mean"):
    return losses.sum() if reduction == "sum" else losses.mean()


def labels(*shape, below, above=0):
    return torch.randint(above, below, shape)


def class_losses():
    weights = uniform(5, low=0.5, high=2).tolist()
    w = torch.tensor(weights, dtype=torch.float64)
    hidden = labels(7, below=5)
    hidden[[1, 4]] = -100
    loss("ce", "cross_entropy", {}, [uniform(7, 5, low=-4, high=4)], [hidden], F.cross_entropy)
    loss("ce_sum", "cross_entropy", {"reduction": "sum"}, [uniform(7, 5)], [hidden],
         lambda x, t: F.cross_entropy(x, t, reduction="sum"))
    places = labels(2, 3, 4, below=5)
    loss("ce_weights", "cross_entropy", {"weight": weights, "ignore_index": 2, "label_smoothing": 0.2},
         [uniform(2, 5, 3, 4)], [places],
         lambda x, t: F.cross_entropy(x, t, w, ignore_index=2, label_smoothing=0.2))
    loss("ce_smooth", "cross_entropy", {"label_smoothing": 0.1, "reduction": "sum"},
         [uniform(7, 5)], [hidden],
         lambda x, t: F.cross_entropy(x, t, reduction="sum", label_smoothing=0.1))
    loss("ce_last", "cross_entropy", {"axis": -1, "weight": weights},
         [uniform(2, 6, 5)], [labels(2, 6, below=5).int()],
         lambda x, t: F.cross_entropy(x.transpose(1, 2), t.long(), w))
    shares = torch.softmax(uniform(2, 5, 3), 1).float().double()
    loss("ce_soft", "cross_entropy", {"weight": weights, "label_smoothing": 0.15},
         [uniform(2, 5, 3)], [shares], lambda x, t: F.cross_entropy(x, t, w, label_smoothing=0.15))
    loss("ce_soft_last", "cross_entropy", {"axis": -1, "reduction": "sum"}, [uniform(4, 5)],
         [torch.softmax(uniform(4, 5), 1).float().double()],
         lambda x, t: F.cross_entropy(x, t, reduction="sum"))
    loss("nll", "nll", {"weight": weights}, [F.log_softmax(uniform(6, 5, 2), 1).float().double()],
         [labels(6, 2, below=5)], lambda x, t: F.nll_loss(x, t, w))

    def focal(x, t, gamma, reduction="mean"):
        known = t != -100
        p = F.log_softmax(x, 1).exp().gather(1, t.clamp(min=0)[:, None])[:, 0]
        losses = -w[t.clamp(min=0)] * (1 - p) ** gamma * p.log()
        return losses[known].sum() / (known.sum() if reduction == "mean" else 1)

    loss("focal", "focal", {"weight": weights}, [uniform(7, 5, low=-2, high=2)], [hidden],
         lambda x, t: focal(x, t, 2))
    loss("focal_sum", "focal", {"weight": weights, "gamma": 0.5, "reduction": "sum"},
         [uniform(7, 5, low=-2, high=2)], [hidden], lambda x, t: focal(x, t, 0.5, "sum"))
    loss("multi_margin", "multi_margin", {}, [uniform(6, 5)], [labels(6, below=5)],
         F.multi_margin_loss)
    loss("multi_margin_squared", "multi_margin",
         {"p": 2, "margin": 0.6, "weight": weights, "reduction": "sum"}, [uniform(6, 5)],
         [labels(6, below=5)],
         lambda x, t: F.multi_margin_loss(x, t, 2, 0.6, w, reduction="sum"))


def binary_losses():
    positive = uniform(5, low=0.5, high=3).tolist()
    w = torch.tensor(positive, dtype=torch.float64)
    loss("bce", "bce_with_logits", {}, [uniform(4, 5, low=-20, high=20)],
         [uniform(4, 5, low=0, high=1)], F.binary_cross_entropy_with_logits)
    loss("bce_weights", "bce_with_logits", {"pos_weight": positive, "reduction": "sum"},
         [uniform(3, 4, 5, low=-3, high=3)], [labels(3, 4, 5, below=2)],
         lambda x, t: F.binary_cross_entropy_with_logits(
             x, t.double(), pos_weight=w, reduction="sum"))
    hidden = labels(6, 1, below=2)
    hidden[[0, 3]] = -100
    loss("bce_ignore", "bce_with_logits", {"ignore_index": -100}, [uniform(6, 1)], [hidden[:, 0]],
         lambda x, t: F.binary_cross_entropy_with_logits(x[t >= 0, 0], t[t >= 0].double()))

    def focal(x, t, alpha=0.25, gamma=2.0, reduction="mean"):
        t = t.double()
        p = torch.sigmoid(x)
        p_t = p * t + (1 - p) * (1 - t)
        losses = F.binary_cross_entropy_with_logits(x, t, reduction="none") * (1 - p_t) ** gamma
        if alpha >= 0:
            losses = losses * (alpha * t + (1 - alpha) * (1 - t))
        return reduced(losses, reduction)

    loss("binary_focal", "binary_focal", {}, [uniform(4, 5, low=-5, high=5)],
         [labels(4, 5, below=2)], focal)
    loss("binary_focal_plain", "binary_focal", {"alpha": -1, "gamma": 1.5, "reduction": "sum"},
         [uniform(7, low=-5, high=5)], [labels(7, below=2)],
         lambda x, t: focal(x, t, -1, 1.5, "sum"))
    signs = labels(4, 5, below=2).double() * 2 - 1
    loss("hinge", "hinge", {}, [uniform(4, 5, low=-2, high=2)], [signs],
         lambda x, t: (1 - t * x).clamp(min=0).mean())
    loss("hinge_squared", "hinge", {"margin": 0.5, "squared": True, "reduction": "sum"},
         [uniform(4, 5, low=-2, high=2)], [signs],
         lambda x, t: ((0.5 - t * x).clamp(min=0) ** 2).sum())
    loss("hinge_embedding", "hinge_embedding", {"margin": 0.8}, [uniform(4, 5, low=0, high=2)],
         [signs], lambda x, t: F.hinge_embedding_loss(x, t, margin=0.8))


def regression_losses():
    for case, name, options, function in [
            ("mse", "mse", {}, F.mse_loss), ("mae", "mae", {}, F.l1_loss),
            ("huber", "huber", {"delta": 0.7}, lambda x, t: F.huber_loss(x, t, delta=0.7)),
            ("smooth_l1", "smooth_l1", {"beta": 0.4},
             lambda x, t: F.smooth_l1_loss(x, t, beta=0.4)),
            ("smooth_l1_sharp", "smooth_l1", {"beta": 0},
             lambda x, t: F.smooth_l1_loss(x, t, beta=0.0))]:
        loss(case, name, options, [uniform(3, 7, 2)], [uniform(3, 7, 2)], function)
    for case, name, function in [("mse_sum", "mse", F.mse_loss), ("mae_sum", "mae", F.l1_loss),
                                 ("huber_sum", "huber", F.huber_loss),
                                 ("smooth_l1_sum", "smooth_l1", F.smooth_l1_loss)]:
        loss(case, name, {"reduction": "sum"}, [uniform(11, 1)], [uniform(11, low=-3, high=3)],
             lambda x, t, function=function: function(x, t[:, None], reduction="sum"))


def distribution_losses():
    q = torch.softmax(uniform(4, 6), 1)
    q[0] = torch.tensor([0, 0.5, 0, 0.5, 0, 0])
    q = q.float().double()
    log_p = F.log_softmax(uniform(4, 6), 1).float().double()
    for reduction in ["mean", "sum", "batchmean"]:
        loss(f"kl_{reduction}", "kl_div", {"reduction": reduction}, [log_p.clone()], [q],
             lambda x, t, reduction=reduction: F.kl_div(x, t, reduction=reduction))
    loss("kl_log", "kl_div", {"log_target": True, "from_logits": True, "reduction": "batchmean"},
         [uniform(3, 5)], [F.log_softmax(uniform(3, 5), 1).float().double()],
         lambda x, t: F.kl_div(F.log_softmax(x, 1), t, reduction="batchmean", log_target=True))

    def bound(x, mean, log_variance, t, beta=1.0, binary=False, reduction="mean"):
        if binary:
            cost = F.binary_cross_entropy_with_logits(x, t, reduction="none").sum(1)
        else:
            cost = 0.5 * ((x - t) ** 2).sum(1)
        kl = -0.5 * (1 + log_variance - mean ** 2 - log_variance.exp()).sum(1)
        return reduced(cost + beta * kl, reduction)

    def shapes():
        return [uniform(5, 8), uniform(5, 3), uniform(5, 3)]

    loss("elbo", "elbo", {}, shapes(), [uniform(5, 8)], bound)
    loss("elbo_binary", "elbo", {"reconstruction": "bce", "beta": 0.3, "reduction": "sum"}, shapes(),
         [uniform(5, 8, low=0, high=1)], lambda *x: bound(*x, 0.3, True, "sum"))
    loss("elbo_rising", "elbo", {}, shapes(), [uniform(5, 8), torch.tensor([0.25]).double()],
         lambda x, m, v, t, beta: bound(x, m, v, t, beta))


def similarity_losses():
    signs = torch.tensor([1, -1, -1, 1, -1, 1])
    loss("cosine", "cosine_embedding", {"margin": 0.1}, [uniform(6, 4), uniform(6, 4)], [signs],
         lambda a, b, t: F.cosine_embedding_loss(a, b, t, margin=0.1))
    loss("cosine_sum", "cosine_embedding", {"reduction": "sum"}, [uniform(6, 4), uniform(6, 4)],
         [signs], lambda a, b, t: F.cosine_embedding_loss(a, b, t, reduction="sum"))

    def three():
        return [uniform(6, 4), uniform(6, 4), uniform(6, 4)]

    loss("triplet", "triplet", {}, three(), [], F.triplet_margin_loss)
    loss("triplet_swap", "triplet", {"swap": True, "p": 1, "margin": 0.4, "reduction": "sum"},
         three(), [],
         lambda a, p, n: F.triplet_margin_loss(a, p, n, 0.4, 1, swap=True, reduction="sum"))
    alike = (signs + 1) // 2

    def contrastive(d, t, margin, reduction="mean"):
        t = t.double()
        return reduced(0.5 * (t * d ** 2 + (1 - t) * (margin - d).clamp(min=0) ** 2), reduction)

    loss("contrastive", "contrastive", {"margin": 1.5}, [uniform(6, 4), uniform(6, 4)], [alike],
         lambda a, b, t: contrastive(F.pairwise_distance(a, b), t, 1.5))
    loss("contrastive_cosine", "contrastive",
         {"margin": 0.5, "distance": "cosine", "reduction": "sum"}, [uniform(6, 4), uniform(6, 4)],
         [alike], lambda a, b, t: contrastive(1 - F.cosine_similarity(a, b), t, 0.5, "sum"))

    def ranking(a, p, n=None, scale=20.0, cosine=True, symmetric=False):
        others = p if n is None else torch.cat([p, n])
        if cosine:
            a, others = F.normalize(a), F.normalize(others)
        own = torch.arange(len(a))
        value = F.cross_entropy(a @ others.T * scale, own)
        if symmetric:
            value = (value + F.cross_entropy(others[: len(a)] @ a.T * scale, own)) / 2
        return value

    name = "multiple_negatives_ranking"
    loss("ranking", name, {}, [uniform(5, 7), uniform(5, 7)], [], ranking)
    loss("ranking_negatives", name, {"temperature": 0.5, "similarity": "dot"},
         three()[:2] + [uniform(3, 4)], [], lambda a, p, n: ranking(a, p, n, 2.0, False))
    loss("ranking_symmetric", name, {"symmetric": True, "temperature": 0.1}, [uniform(5, 7), uniform(5, 7)],
         [], lambda a, p: ranking(a, p, None, 10.0, True, True))


def sequence_losses():
    text = torch.tensor([[1, 2, 2, 4], [3, 3, -100, -100], [4, 1, 2, -100]])
    counts, steps = torch.tensor([4, 2, 3]), torch.tensor([9, 5, 7])

    def ctc(x, t, steps=None, counts=counts, **options):
        steps = torch.full((len(t),), x.shape[1]) if steps is None else steps
        return F.ctc_loss(F.log_softmax(x, -1).transpose(0, 1), t, steps, counts, **options)

    loss("ctc", "ctc", {}, [uniform(3, 9, 5, low=-2, high=2)], [text], ctc)
    loss("ctc_lengths", "ctc", {"reduction": "sum"}, [uniform(3, 9, 5, low=-2, high=2)],
         [text, steps, counts], lambda x, t, s, c: ctc(x, t, s, c, reduction="sum"))
    loss("ctc_infinite", "ctc", {"zero_infinity": True, "blank": 0}, [uniform(3, 4, 5)], [text],
         lambda x, t: ctc(x, t, zero_infinity=True))
    log_p = F.log_softmax(uniform(9, 3, 5), -1)
    loss("ctc_time_first", "ctc", {"batch_first": False, "blank": 4}, [log_p.clone()],
         [labels(3, 2, below=4)],
         lambda x, t: F.ctc_loss(F.log_softmax(x, -1), t, torch.full((3,), 9),
                                 torch.full((3,), 2), blank=4))

    def score(e, transitions, starts, ends, tags):
        total = starts[tags[0]] + ends[tags[-1]] + sum(e[i, k] for i, k in enumerate(tags))
        return total + sum(transitions[a, b] for a, b in zip(tags, tags[1:]))

    def chains(e, transitions, starts, ends, tags, kept):
        for item in range(len(e)):
            places = [i for i in range(e.shape[1]) if kept[item, i]]
            if places:
                own = e[item, places]
                every = list(itertools.product(range(e.shape[2]), repeat=len(places)))
                scores = torch.stack([score(own, transitions, starts, ends, s) for s in every])
                yield item, places, every, scores, [int(tags[item, i]) for i in places], own

    def crf(e, transitions, starts, ends, tags, mask=None, reduction="mean"):
        kept = (tags != -100) & (torch.ones_like(tags) if mask is None else mask).bool()
        total = e.sum() * 0
        for _, _, _, scores, own_tags, own in chains(e, transitions, starts, ends, tags, kept):
            total = total + torch.logsumexp(scores, 0) - score(
                own, transitions, starts, ends, own_tags)
        count = {"mean": len(e), "sum": 1, "token_mean": int(kept.sum())}[reduction]
        return total / count

    def parts(items, steps, tags):
        return [uniform(items, steps, tags, low=-2, high=2), uniform(tags, tags), uniform(tags),
                uniform(tags)]

    tags = labels(3, 4, below=3)
    tags[1, 3] = tags[2, 1] = -100
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 1, 1]])
    loss("crf", "crf", {}, parts(3, 4, 3), [tags], crf)
    loss("crf_mask", "crf", {"reduction": "token_mean"}, parts(3, 4, 3), [tags, mask],
         lambda *x: crf(*x, reduction="token_mean"))
    loss("crf_bare", "crf", {"reduction": "sum"}, parts(2, 5, 3)[:2], [labels(2, 5, below=3)],
         lambda e, a, t: crf(e, a, torch.zeros(3), torch.zeros(3), t, reduction="sum"))
    e, a, s, f = parts(3, 4, 3)
    best, marginals = torch.full((3, 4), -100), torch.zeros(3, 4, 3)
    top = torch.zeros(3, dtype=torch.float64)
    for item, places, every, scores, _, _ in chains(e, a, s, f, tags.clamp(min=0), mask):
        top[item] = scores.max()
        best[item, places] = torch.tensor(every[int(scores.argmax())])
        for share, sequence in zip(torch.softmax(scores, 0), every):
            for place, tag in zip(places, sequence):
                marginals[item, place, tag] += share
    for key, value in {"e": e, "a": a, "s": s, "f": f, "mask": mask, "best": best, "top": top,
                       "marginals": marginals}.items():
        TENSORS[f"chain/{key}"] = value


# Schedules ---------------------------------------------------------------------------------------


def schedule(case, name, options, make, metrics=None):
    method = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(method)
    rates = []
    for step in range(50):
        rates.append(method.param_groups[0]["lr"])
        method.step()
        if metrics is None:
            if step < 49:
                scheduler.step()
        else:
            scheduler.step(metrics[step])
    TENSORS[f"schedule/{case}"] = torch.tensor(rates, dtype=torch.float64)
    if metrics is not None:
        TENSORS[f"schedule/{case}/metrics"] = torch.tensor(metrics, dtype=torch.float64)
    CASES["schedules"].append(
        {"case": case, "name": name, "options": options, "observes": metrics is not None})


def schedules():
    s = lr_scheduler
    schedule("constant", "constant", {}, lambda o: s.LambdaLR(o, lambda t: 1.0))
    schedule("step", "step", {"step_size": 7, "gamma": 0.5}, lambda o: s.StepLR(o, 7, 0.5))
    schedule("multi_step", "multi_step", {"milestones": [5, 11, 11, 40], "gamma": 0.3},
             lambda o: s.MultiStepLR(o, [5, 11, 11, 40], 0.3))
    schedule("exponential", "exponential", {"gamma": 0.93}, lambda o: s.ExponentialLR(o, 0.93))
    schedule("polynomial", "polynomial", {"total_steps": 40, "power": 2.5},
             lambda o: s.PolynomialLR(o, 40, 2.5))
    schedule("linear", "linear", {"total_steps": 33, "min_factor": 0.2},
             lambda o: s.LinearLR(o, 1.0, 0.2, 33))
    schedule("cosine", "cosine", {"total_steps": 49, "min_factor": 0.1},
             lambda o: s.CosineAnnealingLR(o, 49, 0.1))
    schedule("restarts", "cosine_restarts", {"period": 6, "period_factor": 2, "min_factor": 0.05},
             lambda o: s.CosineAnnealingWarmRestarts(o, 6, 2, 0.05))
    schedule("restarts_even", "cosine_restarts", {"period": 9, "unit": "epoch"},
             lambda o: s.CosineAnnealingWarmRestarts(o, 9))

    def warm(start, steps, make):
        def both(o):
            first = s.LinearLR(o, start, 1.0, steps)
            return s.SequentialLR(o, [first, make(o)], [steps])
        return both

    schedule("warm_constant", "constant", {"warmup_steps": 8, "warmup_start": 0.1},
             warm(0.1, 8, lambda o: s.ConstantLR(o, 1.0, 1)))
    schedule("warm_cosine", "cosine", {"warmup_steps": 9, "warmup_start": 0.25, "total_steps": 58},
             warm(0.25, 9, lambda o: s.CosineAnnealingLR(o, 49)))

    def usual(t):
        return t / 10 if t < 10 else max(0.0, 0.5 * (1 + math.cos(math.pi * (t - 10) / 40)))

    schedule("warm_usual", "cosine", {"warmup_steps": 10, "total_steps": 50},
             lambda o: s.LambdaLR(o, usual))
    schedule("warm_step", "step",
             {"warmup_steps": 5, "warmup_start": 0.5, "step_size": 6, "unit": "step"},
             warm(0.5, 5, lambda o: s.StepLR(o, 6, 0.1)))
    schedule("one_cycle", "one_cycle", {"total_steps": 50},
             lambda o: s.OneCycleLR(o, 1.0, 50, cycle_momentum=False))
    schedule("one_cycle_lines", "one_cycle",
             {"total_steps": 50, "pct_start": 0.41, "anneal_strategy": "linear", "div_factor": 10,
              "final_div_factor": 100},
             lambda o: s.OneCycleLR(o, 1.0, 50, pct_start=0.41, anneal_strategy="linear",
                                    div_factor=10, final_div_factor=100, cycle_momentum=False))
    schedule("one_cycle_three", "one_cycle", {"total_steps": 50, "three_phase": True},
             lambda o: s.OneCycleLR(o, 1.0, 50, three_phase=True, cycle_momentum=False))
    metrics = [1 / (1 + t) if t < 9 else 0.1 + 0.01 * math.sin(t) for t in range(50)]
    schedule("plateau", "reduce_on_plateau", {"patience": 3, "factor": 0.5, "cooldown": 2},
             lambda o: s.ReduceLROnPlateau(o, factor=0.5, patience=3, cooldown=2), metrics)
    rising = [round(min(t, 12) * 0.05 + 0.004 * (t % 5), 6) for t in range(50)]
    schedule("plateau_max", "reduce_on_plateau",
             {"mode": "max", "threshold_mode": "abs", "threshold": 0.01, "patience": 4,
              "min_factor": 0.02},
             lambda o: s.ReduceLROnPlateau(o, mode="max", threshold_mode="abs", threshold=0.01,
                                           patience=4, min_lr=0.02), rising)


# File --------------------------------------------------------------------------------------------


def write():
    arrays = {}
    for name, tensor in TENSORS.items():
        stored = tensor.contiguous()
        if stored.is_floating_point() and not name.startswith("schedule/"):
            stored = stored.float()
        arrays[name] = stored.numpy()
    write_safetensors(
        OUT, arrays,
        {"torch": torch.__version__.split("+")[0], "seed": str(SEED)}
        | {key: json.dumps(value) for key, value in CASES.items()})
    print(f"{OUT}: {OUT.stat().st_size} bytes")


def main():
    optimizers()
    class_losses()
    binary_losses()
    regression_losses()
    distribution_losses()
    similarity_losses()
    sequence_losses()
    schedules()
    write()


if __name__ == "__main__":
    main()
