"""Image models of torchvision, small for agreement and whole for speed."""

from __future__ import annotations

from functools import partial

import torch
import torchvision.models as zoo
from torchvision.models import efficientnet, regnet, resnet, vision_transformer

from .recipe import Input, Recipe

PIXELS = ("batch", "height", "width")


def settle(model: torch.nn.Module) -> torch.nn.Module:
    """Statistics of batch normalisation as after training: neither 0 nor 1, activations in range."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return model


def image(side: int, fixed: bool = False) -> Input:
    axes = {0: "batch"} if fixed else {0: "batch", 2: "height", 3: "width"}
    return Input("image", ("batch", 3, "height", "width"), axes, {"height": side, "width": side})


def small_efficientnet() -> torch.nn.Module:
    setting, last = efficientnet._efficientnet_conf(
        "efficientnet_b0", width_mult=0.25, depth_mult=0.4
    )
    return efficientnet.EfficientNet(setting, 0.2, num_classes=10, last_channel=last)


def small_regnet() -> torch.nn.Module:
    block = regnet.BlockParams.from_init_params(
        depth=6, w_0=16, w_a=8.0, w_m=2.0, group_width=8, se_ratio=0.25
    )
    return regnet.RegNet(block, num_classes=10, norm_layer=torch.nn.BatchNorm2d)


def small_vit() -> torch.nn.Module:
    return vision_transformer.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128,
        num_classes=10,
    )


def small_resnet() -> torch.nn.Module:
    return resnet.ResNet(resnet.Bottleneck, [1, 2, 1, 1], num_classes=10, width_per_group=32)


def small_mobilenet() -> torch.nn.Module:
    return zoo.mobilenet_v3_small(width_mult=0.5, num_classes=10)


def heads_alive(make) -> torch.nn.Module:
    """torchvision starts the last layer of ViT with zeros; then every answer is zero."""
    model = make()
    torch.nn.init.normal_(model.heads.head.weight, std=0.05)
    return model


RECIPES = [
    Recipe("resnet50", small_resnet, [image(64)], ["logits"], finish=settle),
    Recipe("mobilenetv3", small_mobilenet, [image(64)], ["logits"], finish=settle),
    Recipe("efficientnet_b0", small_efficientnet, [image(64)], ["logits"], finish=settle),
    Recipe("regnet", small_regnet, [image(64)], ["logits"], finish=settle),
    Recipe("vit_b_16", partial(heads_alive, small_vit), [image(32, fixed=True)], ["logits"]),
]

WHOLE = [
    Recipe("resnet50", zoo.resnet50, [image(224)], ["logits"], finish=settle),
    Recipe("mobilenetv3", zoo.mobilenet_v3_large, [image(224)], ["logits"], finish=settle),
    Recipe("efficientnet_b0", zoo.efficientnet_b0, [image(224)], ["logits"], finish=settle),
    Recipe("vit_b_16", partial(heads_alive, zoo.vit_b_16), [image(224, fixed=True)], ["logits"]),
]
