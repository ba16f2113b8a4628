"""The layers of the library as classes. scripts/generate-nn-layers writes this file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ._module import Extents, Initializer, Layer
from ._value import Value

__all__ = [
    "ALiBiBias",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "Aggregate",
    "AttentionPooling",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BasicBlock",
    "BatchNorm",
    "Bottleneck",
    "CELU",
    "Concat",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DenseGraphConvolution",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "GELU",
    "GLU",
    "GRU",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GraphConvolution",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Heads",
    "Identity",
    "InstanceNorm",
    "LSTM",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MaskedMean",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "Permute",
    "RMSNorm",
    "RNN",
    "ReLU",
    "ReLU6",
    "RelativePositionBias",
    "Reshape",
    "RotaryPositions",
    "SELU",
    "SequenceAttention",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Sum",
    "Tanh",
    "Tanhshrink",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


class ALiBiBias(Layer):
    """-slope · |query - key| for each head, a mask for attentions.

    Parameters
    ----------
    num_heads : an integer of 1 to 65536, optional
        Heads.

    Inputs
    ------
    query
        [batch, queries, …].
    key : optional
        [batch, keys, …]; the query if left out.

    Outputs
    -------
    bias
        [1, heads, queries, keys].
    """

    def __init__(self, num_heads: int = 8) -> None:
        super().__init__("alibi_bias", num_heads=num_heads)

    def forward(self, query: Any, key: Any = None) -> Value:
        return self._applied([query, key])


class AdaptiveAvgPool1d(Layer):
    """Windows of [batch, channels, length] that give an output of a certain size, whatever the
    input's.

    Parameters
    ----------
    output_size : an integer of 1 to 1048576 or a list of them
        Extents of the output.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, output_size: Optional[Extents] = None) -> None:
        super().__init__("adaptive_avg_pool1d", output_size=output_size)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class AdaptiveAvgPool2d(Layer):
    """Windows of [batch, channels, height, width] that give an output of a certain size, whatever the
    input's.

    Parameters
    ----------
    output_size : an integer of 1 to 1048576 or a list of them
        Extents of the output.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, output_size: Optional[Extents] = None) -> None:
        super().__init__("adaptive_avg_pool2d", output_size=output_size)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class AdaptiveAvgPool3d(Layer):
    """Windows of [batch, channels, depth, height, width] that give an output of a certain size,
    whatever the input's.

    Parameters
    ----------
    output_size : an integer of 1 to 1048576 or a list of them
        Extents of the output.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, output_size: Optional[Extents] = None) -> None:
        super().__init__("adaptive_avg_pool3d", output_size=output_size)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class AdaptiveMaxPool1d(Layer):
    """Windows of [batch, channels, length] that give an output of a certain size, whatever the
    input's.

    Parameters
    ----------
    output_size : an integer of 1 to 1048576 or a list of them
        Extents of the output.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, output_size: Optional[Extents] = None) -> None:
        super().__init__("adaptive_max_pool1d", output_size=output_size)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class AdaptiveMaxPool2d(Layer):
    """Windows of [batch, channels, height, width] that give an output of a certain size, whatever the
    input's.

    Parameters
    ----------
    output_size : an integer of 1 to 1048576 or a list of them
        Extents of the output.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, output_size: Optional[Extents] = None) -> None:
        super().__init__("adaptive_max_pool2d", output_size=output_size)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class AdaptiveMaxPool3d(Layer):
    """Windows of [batch, channels, depth, height, width] that give an output of a certain size,
    whatever the input's.

    Parameters
    ----------
    output_size : an integer of 1 to 1048576 or a list of them
        Extents of the output.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, output_size: Optional[Extents] = None) -> None:
        super().__init__("adaptive_max_pool3d", output_size=output_size)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Aggregate(Layer):
    """Sums or means of messages by the node they go to; zeros for a node without any.

    Parameters
    ----------
    reduction : one of "sum", "mean", optional
        What is made of the messages.

    Inputs
    ------
    messages
        [edges, width].
    index
        int64 [edges]: where each goes to.
    nodes
        [nodes, …]; only their number matters.
    weights : optional
        [edges], not negative; 1 if left out.

    Outputs
    -------
    y
        [nodes, width].
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__("aggregate", reduction=reduction)

    def forward(self, messages: Any, index: Any, nodes: Any, weights: Any = None) -> Value:
        return self._applied([messages, index, nodes, weights])


class AttentionPooling(Layer):
    """The mean over the steps weighted by softmax(v tanh(W x + b) + c). Parameters: proj, score.

    Parameters
    ----------
    hidden_size : an integer of at least 1, optional
        Width inside; half of the input's if not given.
    in_features : an integer of at least 1, optional
        Width of the input; found out where it is known.

    Inputs
    ------
    x
        [batch, steps, width].
    mask : optional
        [batch, steps], 1 for real steps.

    Outputs
    -------
    y
        [batch, width].
    weights
        [batch, steps].
    """

    def __init__(
        self, hidden_size: Optional[int] = None, in_features: Optional[int] = None,
    ) -> None:
        super().__init__("attention_pooling", hidden_size=hidden_size, in_features=in_features)

    def forward(self, x: Any, mask: Any = None) -> tuple[Value, ...]:
        return self._applied([x, mask])


class AvgPool1d(Layer):
    """The mean of each window of [batch, channels, length].

    Parameters
    ----------
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step; the window if not given.
    padding : an integer of at least 0 or a list of them, optional
        Added on both sides of each axis; half a window at most.
    ceil_mode : true or false, optional
        Whether a last window may reach over the end.
    count_include_pad : true or false, optional
        Whether the padding counts as zeros.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, kernel_size: Optional[Extents] = None, stride: Optional[Extents] = None,
        padding: Extents = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> None:
        super().__init__(
            "avg_pool1d", kernel_size=kernel_size, stride=stride, padding=padding,
            ceil_mode=ceil_mode, count_include_pad=count_include_pad,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class AvgPool2d(Layer):
    """The mean of each window of [batch, channels, height, width].

    Parameters
    ----------
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step; the window if not given.
    padding : an integer of at least 0 or a list of them, optional
        Added on both sides of each axis; half a window at most.
    ceil_mode : true or false, optional
        Whether a last window may reach over the end.
    count_include_pad : true or false, optional
        Whether the padding counts as zeros.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, kernel_size: Optional[Extents] = None, stride: Optional[Extents] = None,
        padding: Extents = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> None:
        super().__init__(
            "avg_pool2d", kernel_size=kernel_size, stride=stride, padding=padding,
            ceil_mode=ceil_mode, count_include_pad=count_include_pad,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class AvgPool3d(Layer):
    """The mean of each window of [batch, channels, depth, height, width].

    Parameters
    ----------
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step; the window if not given.
    padding : an integer of at least 0 or a list of them, optional
        Added on both sides of each axis; half a window at most.
    ceil_mode : true or false, optional
        Whether a last window may reach over the end.
    count_include_pad : true or false, optional
        Whether the padding counts as zeros.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, kernel_size: Optional[Extents] = None, stride: Optional[Extents] = None,
        padding: Extents = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> None:
        super().__init__(
            "avg_pool3d", kernel_size=kernel_size, stride=stride, padding=padding,
            ceil_mode=ceil_mode, count_include_pad=count_include_pad,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class BasicBlock(Layer):
    """Convolutions with batch normalisation, added to their input, which a 1×1 convolution fits where
    it must. Parameters: conv1, bn1, conv2, bn2, downsample.0, downsample.1.

    Parameters
    ----------
    inplanes : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    planes : an integer of at least 1
        Channels inside; the output has as many.
    stride : an integer of 1 to 65536, optional
        Step of the 3×3 convolution (of the first).
    activation : one of "identity", "relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu",
            "selu", "softshrink", "hardshrink", "sigmoid", "tanh", "gelu", "silu", "mish",
            "hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid",
            "softmax", "log_softmax", "glu", optional
        The activation, with its default options.

    Inputs
    ------
    x
        [batch, channels, height, width].

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, inplanes: Optional[int] = None, planes: Optional[int] = None, stride: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__(
            "basic_block", inplanes=inplanes, planes=planes, stride=stride, activation=activation,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class BatchNorm(Layer):
    """Each channel (axis 1) by mean and variance of the batch in training, by running ones otherwise.
    Parameters: weight, bias; running_mean, running_var.

    Parameters
    ----------
    num_features : an integer of at least 1, optional
        Channels; found out where they are known.
    eps : a number of 0.0 to 1e+30, optional
        Added to the variance.
    momentum : a number of 0.0 to 1.0, optional
        Share of the newest batch.
    affine : true or false, optional
        Whether scale and shift are parameters.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, num_features: Optional[int] = None, eps: float = 1e-05, momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(
            "batch_norm", num_features=num_features, eps=eps, momentum=momentum, affine=affine,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Bottleneck(Layer):
    """Convolutions with batch normalisation, added to their input, which a 1×1 convolution fits where
    it must. Parameters: conv1, bn1, conv2, bn2, conv3, bn3, downsample.0, downsample.1.

    Parameters
    ----------
    inplanes : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    planes : an integer of at least 1
        Channels inside; the output has four times as many.
    stride : an integer of 1 to 65536, optional
        Step of the 3×3 convolution (of the first).
    activation : one of "identity", "relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu",
            "selu", "softshrink", "hardshrink", "sigmoid", "tanh", "gelu", "silu", "mish",
            "hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid",
            "softmax", "log_softmax", "glu", optional
        The activation, with its default options.

    Inputs
    ------
    x
        [batch, channels, height, width].

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, inplanes: Optional[int] = None, planes: Optional[int] = None, stride: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__(
            "bottleneck", inplanes=inplanes, planes=planes, stride=stride, activation=activation,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class CELU(Layer):
    """x, or alpha (exp(x / alpha) - 1) where it is negative.

    Parameters
    ----------
    alpha : a number, optional
        Factor.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__("celu", alpha=alpha)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Concat(Layer):
    """Inputs one behind the other along an axis.

    Parameters
    ----------
    dim : an integer of -64 to 64, optional
        The axis.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__("concat", dim=dim)

    def forward(self, *x: Any) -> Value:
        return self._applied([*x])


class Conv1d(Layer):
    """Convolution of [batch, channels, length]. Parameters: weight [out, in / groups, kernel…], bias
    [out].

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    out_channels : an integer of at least 1
        Channels of the output.
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step of the window.
    padding : an integer of at least 0 or a list of them, or "same", or "valid", optional
        Added on both sides of each axis; "same" keeps the extents.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.
    groups : an integer of at least 1, optional
        Groups of channels.
    bias : true or false, optional
        Whether a bias is added.
    padding_mode : one of "zeros", "reflect", "replicate", "circular", optional
        What the padding holds.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weight; uniform within ± 1/√fan_in otherwise.
    bias_initializer : the name of an initialiser or an object with its name and options, optional
        Of the bias; uniform within ± 1/√fan_in otherwise.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        kernel_size: Optional[Extents] = None, stride: Extents = 1, padding: Extents = 0,
        dilation: Extents = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
        weight_initializer: Optional[Initializer] = None,
        bias_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "conv1d", in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size,
            stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias,
            padding_mode=padding_mode, weight_initializer=weight_initializer,
            bias_initializer=bias_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Conv2d(Layer):
    """Convolution of [batch, channels, height, width]. Parameters: weight [out, in / groups, kernel…],
    bias [out].

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    out_channels : an integer of at least 1
        Channels of the output.
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step of the window.
    padding : an integer of at least 0 or a list of them, or "same", or "valid", optional
        Added on both sides of each axis; "same" keeps the extents.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.
    groups : an integer of at least 1, optional
        Groups of channels.
    bias : true or false, optional
        Whether a bias is added.
    padding_mode : one of "zeros", "reflect", "replicate", "circular", optional
        What the padding holds.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weight; uniform within ± 1/√fan_in otherwise.
    bias_initializer : the name of an initialiser or an object with its name and options, optional
        Of the bias; uniform within ± 1/√fan_in otherwise.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        kernel_size: Optional[Extents] = None, stride: Extents = 1, padding: Extents = 0,
        dilation: Extents = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
        weight_initializer: Optional[Initializer] = None,
        bias_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "conv2d", in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size,
            stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias,
            padding_mode=padding_mode, weight_initializer=weight_initializer,
            bias_initializer=bias_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Conv3d(Layer):
    """Convolution of [batch, channels, depth, height, width]. Parameters: weight [out, in / groups,
    kernel…], bias [out].

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    out_channels : an integer of at least 1
        Channels of the output.
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step of the window.
    padding : an integer of at least 0 or a list of them, or "same", or "valid", optional
        Added on both sides of each axis; "same" keeps the extents.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.
    groups : an integer of at least 1, optional
        Groups of channels.
    bias : true or false, optional
        Whether a bias is added.
    padding_mode : one of "zeros", "reflect", "replicate", "circular", optional
        What the padding holds.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weight; uniform within ± 1/√fan_in otherwise.
    bias_initializer : the name of an initialiser or an object with its name and options, optional
        Of the bias; uniform within ± 1/√fan_in otherwise.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        kernel_size: Optional[Extents] = None, stride: Extents = 1, padding: Extents = 0,
        dilation: Extents = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
        weight_initializer: Optional[Initializer] = None,
        bias_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "conv3d", in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size,
            stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias,
            padding_mode=padding_mode, weight_initializer=weight_initializer,
            bias_initializer=bias_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class ConvTranspose1d(Layer):
    """The transpose of a convolution, over [batch, channels, length]. Parameters: weight [in, out /
    groups, kernel…], bias [out].

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    out_channels : an integer of at least 1
        Channels of the output.
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step of the window.
    padding : an integer of at least 0 or a list of them, optional
        Taken away on both sides of each axis.
    output_padding : an integer of at least 0 or a list of them, optional
        Added at the end of each axis of the output.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.
    groups : an integer of at least 1, optional
        Groups of channels.
    bias : true or false, optional
        Whether a bias is added.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weight; uniform within ± 1/√fan_in otherwise.
    bias_initializer : the name of an initialiser or an object with its name and options, optional
        Of the bias; uniform within ± 1/√fan_in otherwise.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        kernel_size: Optional[Extents] = None, stride: Extents = 1, padding: Extents = 0,
        output_padding: Extents = 0, dilation: Extents = 1, groups: int = 1, bias: bool = True,
        weight_initializer: Optional[Initializer] = None,
        bias_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "conv_transpose1d", in_channels=in_channels, out_channels=out_channels,
            kernel_size=kernel_size, stride=stride, padding=padding, output_padding=output_padding,
            dilation=dilation, groups=groups, bias=bias, weight_initializer=weight_initializer,
            bias_initializer=bias_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class ConvTranspose2d(Layer):
    """The transpose of a convolution, over [batch, channels, height, width]. Parameters: weight [in,
    out / groups, kernel…], bias [out].

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    out_channels : an integer of at least 1
        Channels of the output.
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step of the window.
    padding : an integer of at least 0 or a list of them, optional
        Taken away on both sides of each axis.
    output_padding : an integer of at least 0 or a list of them, optional
        Added at the end of each axis of the output.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.
    groups : an integer of at least 1, optional
        Groups of channels.
    bias : true or false, optional
        Whether a bias is added.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weight; uniform within ± 1/√fan_in otherwise.
    bias_initializer : the name of an initialiser or an object with its name and options, optional
        Of the bias; uniform within ± 1/√fan_in otherwise.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        kernel_size: Optional[Extents] = None, stride: Extents = 1, padding: Extents = 0,
        output_padding: Extents = 0, dilation: Extents = 1, groups: int = 1, bias: bool = True,
        weight_initializer: Optional[Initializer] = None,
        bias_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "conv_transpose2d", in_channels=in_channels, out_channels=out_channels,
            kernel_size=kernel_size, stride=stride, padding=padding, output_padding=output_padding,
            dilation=dilation, groups=groups, bias=bias, weight_initializer=weight_initializer,
            bias_initializer=bias_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class ConvTranspose3d(Layer):
    """The transpose of a convolution, over [batch, channels, depth, height, width]. Parameters: weight
    [in, out / groups, kernel…], bias [out].

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Channels of the input; found out where they are known.
    out_channels : an integer of at least 1
        Channels of the output.
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step of the window.
    padding : an integer of at least 0 or a list of them, optional
        Taken away on both sides of each axis.
    output_padding : an integer of at least 0 or a list of them, optional
        Added at the end of each axis of the output.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.
    groups : an integer of at least 1, optional
        Groups of channels.
    bias : true or false, optional
        Whether a bias is added.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weight; uniform within ± 1/√fan_in otherwise.
    bias_initializer : the name of an initialiser or an object with its name and options, optional
        Of the bias; uniform within ± 1/√fan_in otherwise.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        kernel_size: Optional[Extents] = None, stride: Extents = 1, padding: Extents = 0,
        output_padding: Extents = 0, dilation: Extents = 1, groups: int = 1, bias: bool = True,
        weight_initializer: Optional[Initializer] = None,
        bias_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "conv_transpose3d", in_channels=in_channels, out_channels=out_channels,
            kernel_size=kernel_size, stride=stride, padding=padding, output_padding=output_padding,
            dilation=dilation, groups=groups, bias=bias, weight_initializer=weight_initializer,
            bias_initializer=bias_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class DenseGraphConvolution(Layer):
    """The same with a matrix: row i holds the weights with which node i hears the others.

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Width of a node; found out where it is known.
    out_channels : an integer of at least 1
        Width of the output.
    add_self_loops : true or false, optional
        Whether each node also hears itself.
    normalize : true or false, optional
        Whether weights are divided by the roots of both degrees.
    bias : true or false, optional
        Whether a bias is added.

    Inputs
    ------
    x
        […, nodes, width].
    adjacency
        […, nodes, nodes], not negative.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        add_self_loops: bool = True, normalize: bool = True, bias: bool = True,
    ) -> None:
        super().__init__(
            "dense_graph_convolution", in_channels=in_channels, out_channels=out_channels,
            add_self_loops=add_self_loops, normalize=normalize, bias=bias,
        )

    def forward(self, x: Any, adjacency: Any) -> Value:
        return self._applied([x, adjacency])


class Dropout(Layer):
    """Drops values in training and scales the others by 1 / (1 - p); x itself otherwise.

    Parameters
    ----------
    p : a number of 0.0 to 1.0, optional
        Share of what is dropped, below 1.
    mode : one of "elements", "channels", "variational", optional
        Single elements, whole channels (axis 1), or the same features in every step.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, p: float = 0.5, mode: str = "elements") -> None:
        super().__init__("dropout", p=p, mode=mode)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class ELU(Layer):
    """x, or alpha (exp(x) - 1) where it is negative.

    Parameters
    ----------
    alpha : a number, optional
        Factor.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__("elu", alpha=alpha)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Embedding(Layer):
    """The row of a table for each id. Parameter: weight [rows, width].

    Parameters
    ----------
    num_embeddings : an integer of at least 1
        Rows of the table.
    embedding_dim : an integer of at least 1
        Width of a row.
    padding_idx : an integer of at least 0, optional
        The id that gives zeros and is never trained.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the table; normal otherwise.

    Inputs
    ------
    ids
        int64 or int32, of any shape.

    Outputs
    -------
    y
        One axis more than the ids.
    """

    def __init__(
        self, num_embeddings: Optional[int] = None, embedding_dim: Optional[int] = None,
        padding_idx: Optional[int] = None, weight_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim,
            padding_idx=padding_idx, weight_initializer=weight_initializer,
        )

    def forward(self, ids: Any) -> Value:
        return self._applied([ids])


class Flatten(Layer):
    """Makes one axis of several.

    Parameters
    ----------
    start_dim : an integer of -64 to 64, optional
        First axis.
    end_dim : an integer of -64 to 64, optional
        Last axis.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__("flatten", start_dim=start_dim, end_dim=end_dim)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class GELU(Layer):
    """x Φ(x), Φ the normal distribution.

    Parameters
    ----------
    approximate : one of "none", "tanh", optional
        By erf, or by tanh.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__("gelu", approximate=approximate)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class GLU(Layer):
    """The first half of an axis times the sigmoid of the second.

    Parameters
    ----------
    dim : an integer of -64 to 64, optional
        The axis, from the end where it is negative.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__("glu", dim=dim)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class GRU(Layer):
    """Gated recurrent units. Parameters in ONNX's layout, for each layer k: W_lk, R_lk, B_lk.

    Parameters
    ----------
    input_size : an integer of at least 1, optional
        Width of the input; found out where it is known.
    hidden_size : an integer of at least 1
        Width of the states.
    num_layers : an integer of 1 to 1024, optional
        Layers, one on the other.
    bidirectional : true or false, optional
        Whether each layer also reads from the end.
    bias : true or false, optional
        Whether there are biases, two for each gate.
    batch_first : true or false, optional
        [batch, steps, features], or steps first.
    dropout : a number of 0.0 to 1.0, optional
        Between layers, below 1.
    dropout_mode : one of "elements", "variational", optional
        Single elements, or the same features in every step.
    recurrent_dropout : a number of 0.0 to 1.0, optional
        Of the recurrent weights, the same in every step; below 1.
    initialization : one of "uniform", "orthogonal", optional
        All uniform within ± 1/√hidden_size; or orthogonal and Xavier weights, forget biases of 1.
    reset_after : true or false, optional
        Whether the reset gate works on the product with the state, or on the state.

    Inputs
    ------
    x
        [batch, steps, features], or [steps, batch, features].
    lengths : optional
        Valid steps of each item, int64 [batch].
    h0 : optional
        First states, [layers · directions, batch, hidden].

    Outputs
    -------
    y
        States of the last layer, directions side by side; zero behind the lengths.
    h
        States after the last valid step, [layers · directions, batch, hidden].
    """

    def __init__(
        self, input_size: Optional[int] = None, hidden_size: Optional[int] = None,
        num_layers: int = 1, bidirectional: bool = False, bias: bool = True,
        batch_first: bool = True, dropout: float = 0.0, dropout_mode: str = "elements",
        recurrent_dropout: float = 0.0, initialization: str = "uniform", reset_after: bool = True,
    ) -> None:
        super().__init__(
            "gru", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
            bidirectional=bidirectional, bias=bias, batch_first=batch_first, dropout=dropout,
            dropout_mode=dropout_mode, recurrent_dropout=recurrent_dropout,
            initialization=initialization, reset_after=reset_after,
        )

    def forward(self, x: Any, lengths: Any = None, h0: Any = None) -> tuple[Value, ...]:
        return self._applied([x, lengths, h0])


class GlobalAvgPool(Layer):
    """One number for each channel; the axes behind the channels become 1, or go.

    Parameters
    ----------
    keep_dims : true or false, optional
        Whether axes of 1 stay.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, keep_dims: bool = False) -> None:
        super().__init__("global_avg_pool", keep_dims=keep_dims)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class GlobalMaxPool(Layer):
    """One number for each channel; the axes behind the channels become 1, or go.

    Parameters
    ----------
    keep_dims : true or false, optional
        Whether axes of 1 stay.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, keep_dims: bool = False) -> None:
        super().__init__("global_max_pool", keep_dims=keep_dims)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class GraphConvolution(Layer):
    """Sums W x of the neighbours over edges that end at a node, weighted by the degrees (Kipf and
    Welling, 2017). Parameters: lin.weight, bias.

    Parameters
    ----------
    in_channels : an integer of at least 1, optional
        Width of a node; found out where it is known.
    out_channels : an integer of at least 1
        Width of the output.
    add_self_loops : true or false, optional
        Whether each node also hears itself.
    normalize : true or false, optional
        Whether weights are divided by the roots of both degrees.
    bias : true or false, optional
        Whether a bias is added.

    Inputs
    ------
    x
        [nodes, width].
    edge_index
        int64 [2, edges]: where each edge starts and where it ends.
    edge_weight : optional
        [edges]; 1 if left out.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_channels: Optional[int] = None, out_channels: Optional[int] = None,
        add_self_loops: bool = True, normalize: bool = True, bias: bool = True,
    ) -> None:
        super().__init__(
            "graph_convolution", in_channels=in_channels, out_channels=out_channels,
            add_self_loops=add_self_loops, normalize=normalize, bias=bias,
        )

    def forward(self, x: Any, edge_index: Any, edge_weight: Any = None) -> Value:
        return self._applied([x, edge_index, edge_weight])


class GroupNorm(Layer):
    """Groups of channels (axis 1) of each item. Parameters: weight, bias.

    Parameters
    ----------
    num_groups : an integer of at least 1
        Groups.
    num_channels : an integer of at least 1, optional
        Channels; found out where they are known.
    eps : a number of 0.0 to 1e+30, optional
        Added to the variance.
    affine : true or false, optional
        Whether scale and shift are parameters.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, num_groups: Optional[int] = None, num_channels: Optional[int] = None,
        eps: float = 1e-05, affine: bool = True,
    ) -> None:
        super().__init__(
            "group_norm", num_groups=num_groups, num_channels=num_channels, eps=eps, affine=affine,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Hardshrink(Layer):
    """x, 0 within lambd.

    Parameters
    ----------
    lambd : a number of at least 0.0, optional
        How far.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__("hardshrink", lambd=lambd)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Hardsigmoid(Layer):
    """relu6(x + 3) / 6.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("hardsigmoid")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Hardswish(Layer):
    """x relu6(x + 3) / 6.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("hardswish")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Hardtanh(Layer):
    """x within two bounds.

    Parameters
    ----------
    min_val : a number, optional
        Lower bound.
    max_val : a number, optional
        Upper bound.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__("hardtanh", min_val=min_val, max_val=max_val)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Heads(Layer):
    """Several linear layers over one input, each with its own name and width: {"severity": 4,
    "category": 10}. One output for each, in that order.

    Parameters
    ----------
    heads : an object with the width of each head
        Width of each head, by name.
    in_features : an integer of at least 1, optional
        Width of the input; found out where it is known.
    bias : true or false, optional
        Whether the heads have biases.
    dropout : a number of 0.0 to 1.0, optional
        Before the heads, once for all.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weights; uniform within ± 1/√in otherwise.

    Inputs
    ------
    x
        What the layer works on.
    """

    def __init__(
        self, heads: Optional[Mapping[str, Any]] = None, in_features: Optional[int] = None,
        bias: bool = True, dropout: float = 0.0, weight_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "heads", heads=heads, in_features=in_features, bias=bias, dropout=dropout,
            weight_initializer=weight_initializer,
        )

    def forward(self, x: Any) -> Any:
        return self._applied([x])


class Identity(Layer):
    """x itself.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("identity")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class InstanceNorm(Layer):
    """Each channel (axis 1) of each item. Parameters, if any: weight, bias.

    Parameters
    ----------
    num_features : an integer of at least 1, optional
        Channels; found out where they are known.
    eps : a number of 0.0 to 1e+30, optional
        Added to the variance.
    affine : true or false, optional
        Whether scale and shift are parameters.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, num_features: Optional[int] = None, eps: float = 1e-05, affine: bool = False,
    ) -> None:
        super().__init__("instance_norm", num_features=num_features, eps=eps, affine=affine)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class LSTM(Layer):
    """Long short-term memory. Parameters in ONNX's layout, for each layer k: W_lk, R_lk, B_lk.

    Parameters
    ----------
    input_size : an integer of at least 1, optional
        Width of the input; found out where it is known.
    hidden_size : an integer of at least 1
        Width of the states.
    num_layers : an integer of 1 to 1024, optional
        Layers, one on the other.
    bidirectional : true or false, optional
        Whether each layer also reads from the end.
    bias : true or false, optional
        Whether there are biases, two for each gate.
    batch_first : true or false, optional
        [batch, steps, features], or steps first.
    dropout : a number of 0.0 to 1.0, optional
        Between layers, below 1.
    dropout_mode : one of "elements", "variational", optional
        Single elements, or the same features in every step.
    recurrent_dropout : a number of 0.0 to 1.0, optional
        Of the recurrent weights, the same in every step; below 1.
    initialization : one of "uniform", "orthogonal", optional
        All uniform within ± 1/√hidden_size; or orthogonal and Xavier weights, forget biases of 1.

    Inputs
    ------
    x
        [batch, steps, features], or [steps, batch, features].
    lengths : optional
        Valid steps of each item, int64 [batch].
    h0 : optional
        First states, [layers · directions, batch, hidden].
    c0 : optional
        First cell states.

    Outputs
    -------
    y
        States of the last layer, directions side by side; zero behind the lengths.
    h
        States after the last valid step, [layers · directions, batch, hidden].
    c
        Cell states after the last valid step.
    """

    def __init__(
        self, input_size: Optional[int] = None, hidden_size: Optional[int] = None,
        num_layers: int = 1, bidirectional: bool = False, bias: bool = True,
        batch_first: bool = True, dropout: float = 0.0, dropout_mode: str = "elements",
        recurrent_dropout: float = 0.0, initialization: str = "uniform",
    ) -> None:
        super().__init__(
            "lstm", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
            bidirectional=bidirectional, bias=bias, batch_first=batch_first, dropout=dropout,
            dropout_mode=dropout_mode, recurrent_dropout=recurrent_dropout,
            initialization=initialization,
        )

    def forward(
        self, x: Any, lengths: Any = None, h0: Any = None, c0: Any = None,
    ) -> tuple[Value, ...]:
        return self._applied([x, lengths, h0, c0])


class LayerNorm(Layer):
    """Each row over its last axes. Parameters: weight, bias.

    Parameters
    ----------
    normalized_shape : an integer of at least 1 or a list of them, optional
        Extents of the last axes; the last one if not given.
    eps : a number of 0.0 to 1e+30, optional
        Added to the variance.
    elementwise_affine : true or false, optional
        Whether there are parameters.
    bias : true or false, optional
        Whether there is a bias.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, normalized_shape: Optional[Extents] = None, eps: float = 1e-05,
        elementwise_affine: bool = True, bias: bool = True,
    ) -> None:
        super().__init__(
            "layer_norm", normalized_shape=normalized_shape, eps=eps,
            elementwise_affine=elementwise_affine, bias=bias,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class LeakyReLU(Layer):
    """x, times a small slope where it is negative.

    Parameters
    ----------
    negative_slope : a number, optional
        The slope.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__("leaky_relu", negative_slope=negative_slope)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class LearnedPositions(Layer):
    """Adds a learned vector for each position. Parameter: weight.

    Parameters
    ----------
    max_length : an integer of at least 1
        The longest input.
    embedding_dim : an integer of at least 1, optional
        Width; found out where it is known.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the table; normal(0, 0.02) otherwise.

    Inputs
    ------
    x
        [batch, steps, width].

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, max_length: Optional[int] = None, embedding_dim: Optional[int] = None,
        weight_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "learned_positions", max_length=max_length, embedding_dim=embedding_dim,
            weight_initializer=weight_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Linear(Layer):
    """x Wᵀ + b along the last axis. Parameters: weight [out, in], bias [out].

    Parameters
    ----------
    in_features : an integer of at least 1, optional
        Width of the input; found out where it is known.
    out_features : an integer of at least 1
        Width of the output.
    bias : true or false, optional
        Whether b is added.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the weight; uniform within ± 1/√in otherwise.
    bias_initializer : the name of an initialiser or an object with its name and options, optional
        Of the bias; uniform within ± 1/√in otherwise.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, in_features: Optional[int] = None, out_features: Optional[int] = None,
        bias: bool = True, weight_initializer: Optional[Initializer] = None,
        bias_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "linear", in_features=in_features, out_features=out_features, bias=bias,
            weight_initializer=weight_initializer, bias_initializer=bias_initializer,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class LogSigmoid(Layer):
    """log(sigmoid(x)).

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("logsigmoid")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class LogSoftmax(Layer):
    """The logarithm of softmax.

    Parameters
    ----------
    dim : an integer of -64 to 64, optional
        The axis, from the end where it is negative.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__("log_softmax", dim=dim)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class MaskedMean(Layer):
    """The mean over the steps that a mask leaves, zeros where it leaves none.

    Inputs
    ------
    x
        [batch, steps, width].
    mask
        [batch, steps], 1 for real steps.

    Outputs
    -------
    y
        [batch, width].
    """

    def __init__(self) -> None:
        super().__init__("masked_mean")

    def forward(self, x: Any, mask: Any) -> Value:
        return self._applied([x, mask])


class MaxPool1d(Layer):
    """The largest of each window of [batch, channels, length].

    Parameters
    ----------
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step; the window if not given.
    padding : an integer of at least 0 or a list of them, optional
        Added on both sides of each axis; half a window at most.
    ceil_mode : true or false, optional
        Whether a last window may reach over the end.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, kernel_size: Optional[Extents] = None, stride: Optional[Extents] = None,
        padding: Extents = 0, ceil_mode: bool = False, dilation: Extents = 1,
    ) -> None:
        super().__init__(
            "max_pool1d", kernel_size=kernel_size, stride=stride, padding=padding,
            ceil_mode=ceil_mode, dilation=dilation,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class MaxPool2d(Layer):
    """The largest of each window of [batch, channels, height, width].

    Parameters
    ----------
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step; the window if not given.
    padding : an integer of at least 0 or a list of them, optional
        Added on both sides of each axis; half a window at most.
    ceil_mode : true or false, optional
        Whether a last window may reach over the end.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, kernel_size: Optional[Extents] = None, stride: Optional[Extents] = None,
        padding: Extents = 0, ceil_mode: bool = False, dilation: Extents = 1,
    ) -> None:
        super().__init__(
            "max_pool2d", kernel_size=kernel_size, stride=stride, padding=padding,
            ceil_mode=ceil_mode, dilation=dilation,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class MaxPool3d(Layer):
    """The largest of each window of [batch, channels, depth, height, width].

    Parameters
    ----------
    kernel_size : an integer of at least 1 or a list of them
        Window.
    stride : an integer of at least 1 or a list of them, optional
        Step; the window if not given.
    padding : an integer of at least 0 or a list of them, optional
        Added on both sides of each axis; half a window at most.
    ceil_mode : true or false, optional
        Whether a last window may reach over the end.
    dilation : an integer of at least 1 or a list of them, optional
        Step within the window.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, kernel_size: Optional[Extents] = None, stride: Optional[Extents] = None,
        padding: Extents = 0, ceil_mode: bool = False, dilation: Extents = 1,
    ) -> None:
        super().__init__(
            "max_pool3d", kernel_size=kernel_size, stride=stride, padding=padding,
            ceil_mode=ceil_mode, dilation=dilation,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Mish(Layer):
    """x tanh(softplus(x)).

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("mish")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class MultiheadAttention(Layer):
    """softmax(Q Kᵀ / √d + masks) V in each head; a query that may see nothing gets zeros. Parameters:
    in_proj_weight [3 width, width], in_proj_bias, out_proj.weight, out_proj.bias.

    Parameters
    ----------
    embed_dim : an integer of at least 1, optional
        Width of the query; found out where it is known.
    num_heads : an integer of at least 1
        Heads.
    bias : true or false, optional
        Whether projections have biases.
    dropout : a number of 0.0 to 1.0, optional
        Of the weights, below 1.
    is_causal : true or false, optional
        Whether a query sees keys up to its position only.
    positions : one of "none", "rotary", "alibi", optional
        Positions inside the attention.
    separate_projections : true or false, optional
        Parameters q_proj, k_proj and v_proj, each with weight and bias, as keys and values of
        another width need them.

    Inputs
    ------
    query
        [batch, queries, width].
    key : optional
        [batch, keys, width]; the query if left out.
    value : optional
        [batch, keys, width]; the key if left out.
    key_mask : optional
        [batch, keys], 1 for real keys, 0 for padding.
    mask : optional
        [queries, keys], [batch, queries, keys] or [batch, heads, queries, keys]; floats are added
        to the scores, of other types what is 0 is not seen.

    Outputs
    -------
    y
        [batch, queries, width].
    weights
        [batch, queries, keys], the mean over the heads.
    """

    def __init__(
        self, embed_dim: Optional[int] = None, num_heads: Optional[int] = None, bias: bool = True,
        dropout: float = 0.0, is_causal: bool = False, positions: str = "none",
        separate_projections: bool = False,
    ) -> None:
        super().__init__(
            "multihead_attention", embed_dim=embed_dim, num_heads=num_heads, bias=bias,
            dropout=dropout, is_causal=is_causal, positions=positions,
            separate_projections=separate_projections,
        )

    def forward(
        self, query: Any, key: Any = None, value: Any = None, key_mask: Any = None,
        mask: Any = None,
    ) -> tuple[Value, ...]:
        return self._applied([query, key, value, key_mask, mask])


class PReLU(Layer):
    """x, times a learned slope where it is negative. Parameter: weight [channels] or [1].

    Parameters
    ----------
    num_parameters : an integer of at least 1, optional
        1, or as many as there are channels (axis 1).
    init : a number, optional
        What the slopes start with.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__("prelu", num_parameters=num_parameters, init=init)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Permute(Layer):
    """The axes in another order.

    Parameters
    ----------
    dims : an integer of 0 to 63 or a list of them
        The order.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, dims: Optional[Extents] = None) -> None:
        super().__init__("permute", dims=dims)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class RMSNorm(Layer):
    """Each row by its root mean square. Parameter: weight.

    Parameters
    ----------
    normalized_shape : an integer of at least 1 or a list of them, optional
        Extents of the last axes; the last one if not given.
    eps : a number of 0.0 to 1e+30, optional
        Added to the variance.
    elementwise_affine : true or false, optional
        Whether there is a parameter.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, normalized_shape: Optional[Extents] = None, eps: float = 1e-05,
        elementwise_affine: bool = True,
    ) -> None:
        super().__init__(
            "rms_norm", normalized_shape=normalized_shape, eps=eps,
            elementwise_affine=elementwise_affine,
        )

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class RNN(Layer):
    """An Elman network. Parameters in ONNX's layout, for each layer k: W_lk, R_lk, B_lk.

    Parameters
    ----------
    input_size : an integer of at least 1, optional
        Width of the input; found out where it is known.
    hidden_size : an integer of at least 1
        Width of the states.
    num_layers : an integer of 1 to 1024, optional
        Layers, one on the other.
    bidirectional : true or false, optional
        Whether each layer also reads from the end.
    bias : true or false, optional
        Whether there are biases, two for each gate.
    batch_first : true or false, optional
        [batch, steps, features], or steps first.
    dropout : a number of 0.0 to 1.0, optional
        Between layers, below 1.
    dropout_mode : one of "elements", "variational", optional
        Single elements, or the same features in every step.
    recurrent_dropout : a number of 0.0 to 1.0, optional
        Of the recurrent weights, the same in every step; below 1.
    initialization : one of "uniform", "orthogonal", optional
        All uniform within ± 1/√hidden_size; or orthogonal and Xavier weights, forget biases of 1.
    nonlinearity : one of "tanh", "relu", optional
        What is applied to the sums.

    Inputs
    ------
    x
        [batch, steps, features], or [steps, batch, features].
    lengths : optional
        Valid steps of each item, int64 [batch].
    h0 : optional
        First states, [layers · directions, batch, hidden].

    Outputs
    -------
    y
        States of the last layer, directions side by side; zero behind the lengths.
    h
        States after the last valid step, [layers · directions, batch, hidden].
    """

    def __init__(
        self, input_size: Optional[int] = None, hidden_size: Optional[int] = None,
        num_layers: int = 1, bidirectional: bool = False, bias: bool = True,
        batch_first: bool = True, dropout: float = 0.0, dropout_mode: str = "elements",
        recurrent_dropout: float = 0.0, initialization: str = "uniform", nonlinearity: str = "tanh",
    ) -> None:
        super().__init__(
            "rnn", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
            bidirectional=bidirectional, bias=bias, batch_first=batch_first, dropout=dropout,
            dropout_mode=dropout_mode, recurrent_dropout=recurrent_dropout,
            initialization=initialization, nonlinearity=nonlinearity,
        )

    def forward(self, x: Any, lengths: Any = None, h0: Any = None) -> tuple[Value, ...]:
        return self._applied([x, lengths, h0])


class ReLU(Layer):
    """max(0, x).

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("relu")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class ReLU6(Layer):
    """x within 0 and 6.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("relu6")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class RelativePositionBias(Layer):
    """A learned number for each head and bucket of distances, a mask for attentions. Parameter: weight
    [buckets, heads].

    Parameters
    ----------
    num_heads : an integer of at least 1
        Heads.
    num_buckets : an integer of 2 to 1048576, optional
        Buckets, an even number.
    max_distance : an integer of 2 to 1048576, optional
        From here on all are one bucket.
    bidirectional : true or false, optional
        Whether keys behind the query have their own.
    weight_initializer : the name of an initialiser or an object with its name and options, optional
        Of the table; normal otherwise.

    Inputs
    ------
    query
        [batch, queries, …].
    key : optional
        [batch, keys, …]; the query if left out.

    Outputs
    -------
    bias
        [1, heads, queries, keys].
    """

    def __init__(
        self, num_heads: Optional[int] = None, num_buckets: int = 32, max_distance: int = 128,
        bidirectional: bool = True, weight_initializer: Optional[Initializer] = None,
    ) -> None:
        super().__init__(
            "relative_position_bias", num_heads=num_heads, num_buckets=num_buckets,
            max_distance=max_distance, bidirectional=bidirectional,
            weight_initializer=weight_initializer,
        )

    def forward(self, query: Any, key: Any = None) -> Value:
        return self._applied([query, key])


class Reshape(Layer):
    """The same elements in another shape; 0 keeps an extent, one may be -1.

    Parameters
    ----------
    shape : an integer of at least -1 or a list of them
        Shape.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, shape: Optional[Extents] = None) -> None:
        super().__init__("reshape", shape=shape)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class RotaryPositions(Layer):
    """Turns feature i together with feature i + width / 2 by an angle that grows with the position.

    Parameters
    ----------
    base : a number of 1.0 to 1000000000000.0, optional
        The slowest rate is about 1 / base.

    Inputs
    ------
    x
        [batch, steps, heads, width].

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, base: float = 10000.0) -> None:
        super().__init__("rotary_positions", base=base)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class SELU(Layer):
    """A scaled elu that keeps mean and variance.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("selu")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class SequenceAttention(Layer):
    """For each query the mean of the keys weighted by their scores, as in models that translate.
    Parameters: query_proj, key_proj and score (additive), query_proj (bilinear).

    Parameters
    ----------
    score : one of "additive", "dot", "bilinear", optional
        How queries and keys give scores.
    hidden_size : an integer of at least 1, optional
        Width inside additive scores; the query's if not given.

    Inputs
    ------
    query
        [batch, queries, width].
    keys
        [batch, keys, width].
    mask : optional
        [batch, keys], 1 for real keys.

    Outputs
    -------
    context
        [batch, queries, width of the keys].
    weights
        [batch, queries, keys].
    """

    def __init__(self, score: str = "additive", hidden_size: Optional[int] = None) -> None:
        super().__init__("sequence_attention", score=score, hidden_size=hidden_size)

    def forward(self, query: Any, keys: Any, mask: Any = None) -> tuple[Value, ...]:
        return self._applied([query, keys, mask])


class SiLU(Layer):
    """x sigmoid(x), also called swish.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("silu")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Sigmoid(Layer):
    """1 / (1 + exp(-x)).

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("sigmoid")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class SinusoidalPositions(Layer):
    """Adds sines and cosines of the position.

    Parameters
    ----------
    max_length : an integer of 1 to 1048576, optional
        The longest input.
    embedding_dim : an integer of at least 1, optional
        Width; found out where it is known.

    Inputs
    ------
    x
        [batch, steps, width].

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, max_length: int = 512, embedding_dim: Optional[int] = None) -> None:
        super().__init__("sinusoidal_positions", max_length=max_length, embedding_dim=embedding_dim)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Softmax(Layer):
    """exp(x) over its sum along an axis.

    Parameters
    ----------
    dim : an integer of -64 to 64, optional
        The axis, from the end where it is negative.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__("softmax", dim=dim)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Softplus(Layer):
    """log(1 + exp(beta x)) / beta.

    Parameters
    ----------
    beta : a number of 1e-06 to 1000000.0, optional
        How sharp.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__("softplus", beta=beta)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Softshrink(Layer):
    """x moved towards 0 by lambd, 0 within it.

    Parameters
    ----------
    lambd : a number of at least 0.0, optional
        How far.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__("softshrink", lambd=lambd)

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Softsign(Layer):
    """x / (1 + |x|).

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("softsign")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Sum(Layer):
    """The sum of the inputs, for residuals.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("sum")

    def forward(self, *x: Any) -> Value:
        return self._applied([*x])


class Tanh(Layer):
    """The hyperbolic tangent.

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("tanh")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class Tanhshrink(Layer):
    """x - tanh(x).

    Inputs
    ------
    x
        What the layer works on.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(self) -> None:
        super().__init__("tanhshrink")

    def forward(self, x: Any) -> Value:
        return self._applied([x])


class TransformerDecoder(Layer):
    """Decoder layers one on the other: layers.0, layers.1 …, norm.

    Parameters
    ----------
    d_model : an integer of at least 1, optional
        Width of the input; found out where it is known.
    nhead : an integer of at least 1
        Heads.
    dim_feedforward : an integer of at least 1, optional
        Width inside.
    dropout : a number of 0.0 to 1.0, optional
        Below 1.
    activation : one of "identity", "relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu",
            "selu", "softshrink", "hardshrink", "sigmoid", "tanh", "gelu", "silu", "mish",
            "hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid",
            "softmax", "log_softmax", "glu", optional
        The activation, with its default options.
    layer_norm_eps : a number of 0.0 to 1e+30, optional
        Added to variances.
    norm_first : true or false, optional
        Whether parts normalise their input (pre-norm).
    bias : true or false, optional
        Whether projections and norms have biases.
    norm : one of "layer_norm", "rms_norm", optional
        The normalisation.
    is_causal : true or false, optional
        Whether positions see earlier ones only.
    positions : one of "none", "rotary", "alibi", optional
        Positions inside self-attention.
    separate_projections : true or false, optional
        Parameters q_proj, k_proj and v_proj.
    num_layers : an integer of 1 to 4096, optional
        Layers.
    final_norm : true or false, optional
        Whether the last layer is normalised once more.

    Inputs
    ------
    x
        [batch, steps, width].
    memory
        [batch, keys, width], what an encoder made.
    key_mask : optional
        [batch, keys], 1 for real keys, 0 for padding.
    mask : optional
        [queries, keys], [batch, queries, keys] or [batch, heads, queries, keys]; floats are added
        to the scores, of other types what is 0 is not seen.
    memory_key_mask : optional
        [batch, keys], 1 for real keys of the memory.
    memory_mask : optional
        As mask, for the memory.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, d_model: Optional[int] = None, nhead: Optional[int] = None,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: str = "relu",
        layer_norm_eps: float = 1e-05, norm_first: bool = False, bias: bool = True,
        norm: str = "layer_norm", is_causal: bool = True, positions: str = "none",
        separate_projections: bool = False, num_layers: int = 6, final_norm: bool = False,
    ) -> None:
        super().__init__(
            "transformer_decoder", d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward,
            dropout=dropout, activation=activation, layer_norm_eps=layer_norm_eps,
            norm_first=norm_first, bias=bias, norm=norm, is_causal=is_causal, positions=positions,
            separate_projections=separate_projections, num_layers=num_layers, final_norm=final_norm,
        )

    def forward(
        self, x: Any, memory: Any, key_mask: Any = None, mask: Any = None,
        memory_key_mask: Any = None, memory_mask: Any = None,
    ) -> Value:
        return self._applied([x, memory, key_mask, mask, memory_key_mask, memory_mask])


class TransformerDecoderLayer(Layer):
    """Self-attention, attention to a memory and a feed-forward part. Parameters: self_attn,
    multihead_attn, linear1, linear2, norm1, norm2, norm3.

    Parameters
    ----------
    d_model : an integer of at least 1, optional
        Width of the input; found out where it is known.
    nhead : an integer of at least 1
        Heads.
    dim_feedforward : an integer of at least 1, optional
        Width inside.
    dropout : a number of 0.0 to 1.0, optional
        Below 1.
    activation : one of "identity", "relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu",
            "selu", "softshrink", "hardshrink", "sigmoid", "tanh", "gelu", "silu", "mish",
            "hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid",
            "softmax", "log_softmax", "glu", optional
        The activation, with its default options.
    layer_norm_eps : a number of 0.0 to 1e+30, optional
        Added to variances.
    norm_first : true or false, optional
        Whether parts normalise their input (pre-norm).
    bias : true or false, optional
        Whether projections and norms have biases.
    norm : one of "layer_norm", "rms_norm", optional
        The normalisation.
    is_causal : true or false, optional
        Whether positions see earlier ones only.
    positions : one of "none", "rotary", "alibi", optional
        Positions inside self-attention.
    separate_projections : true or false, optional
        Parameters q_proj, k_proj and v_proj.

    Inputs
    ------
    x
        [batch, steps, width].
    memory
        [batch, keys, width], what an encoder made.
    key_mask : optional
        [batch, keys], 1 for real keys, 0 for padding.
    mask : optional
        [queries, keys], [batch, queries, keys] or [batch, heads, queries, keys]; floats are added
        to the scores, of other types what is 0 is not seen.
    memory_key_mask : optional
        [batch, keys], 1 for real keys of the memory.
    memory_mask : optional
        As mask, for the memory.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, d_model: Optional[int] = None, nhead: Optional[int] = None,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: str = "relu",
        layer_norm_eps: float = 1e-05, norm_first: bool = False, bias: bool = True,
        norm: str = "layer_norm", is_causal: bool = True, positions: str = "none",
        separate_projections: bool = False,
    ) -> None:
        super().__init__(
            "transformer_decoder_layer", d_model=d_model, nhead=nhead,
            dim_feedforward=dim_feedforward, dropout=dropout, activation=activation,
            layer_norm_eps=layer_norm_eps, norm_first=norm_first, bias=bias, norm=norm,
            is_causal=is_causal, positions=positions, separate_projections=separate_projections,
        )

    def forward(
        self, x: Any, memory: Any, key_mask: Any = None, mask: Any = None,
        memory_key_mask: Any = None, memory_mask: Any = None,
    ) -> Value:
        return self._applied([x, memory, key_mask, mask, memory_key_mask, memory_mask])


class TransformerEncoder(Layer):
    """Encoder layers one on the other: layers.0, layers.1 …, norm.

    Parameters
    ----------
    d_model : an integer of at least 1, optional
        Width of the input; found out where it is known.
    nhead : an integer of at least 1
        Heads.
    dim_feedforward : an integer of at least 1, optional
        Width inside.
    dropout : a number of 0.0 to 1.0, optional
        Below 1.
    activation : one of "identity", "relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu",
            "selu", "softshrink", "hardshrink", "sigmoid", "tanh", "gelu", "silu", "mish",
            "hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid",
            "softmax", "log_softmax", "glu", optional
        The activation, with its default options.
    layer_norm_eps : a number of 0.0 to 1e+30, optional
        Added to variances.
    norm_first : true or false, optional
        Whether parts normalise their input (pre-norm).
    bias : true or false, optional
        Whether projections and norms have biases.
    norm : one of "layer_norm", "rms_norm", optional
        The normalisation.
    is_causal : true or false, optional
        Whether positions see earlier ones only.
    positions : one of "none", "rotary", "alibi", optional
        Positions inside self-attention.
    separate_projections : true or false, optional
        Parameters q_proj, k_proj and v_proj.
    num_layers : an integer of 1 to 4096, optional
        Layers.
    final_norm : true or false, optional
        Whether the last layer is normalised once more.

    Inputs
    ------
    x
        [batch, steps, width].
    key_mask : optional
        [batch, keys], 1 for real keys, 0 for padding.
    mask : optional
        [queries, keys], [batch, queries, keys] or [batch, heads, queries, keys]; floats are added
        to the scores, of other types what is 0 is not seen.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, d_model: Optional[int] = None, nhead: Optional[int] = None,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: str = "relu",
        layer_norm_eps: float = 1e-05, norm_first: bool = False, bias: bool = True,
        norm: str = "layer_norm", is_causal: bool = False, positions: str = "none",
        separate_projections: bool = False, num_layers: int = 6, final_norm: bool = False,
    ) -> None:
        super().__init__(
            "transformer_encoder", d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward,
            dropout=dropout, activation=activation, layer_norm_eps=layer_norm_eps,
            norm_first=norm_first, bias=bias, norm=norm, is_causal=is_causal, positions=positions,
            separate_projections=separate_projections, num_layers=num_layers, final_norm=final_norm,
        )

    def forward(self, x: Any, key_mask: Any = None, mask: Any = None) -> Value:
        return self._applied([x, key_mask, mask])


class TransformerEncoderLayer(Layer):
    """Self-attention and a feed-forward part. Parameters: self_attn, linear1, linear2, norm1, norm2.

    Parameters
    ----------
    d_model : an integer of at least 1, optional
        Width of the input; found out where it is known.
    nhead : an integer of at least 1
        Heads.
    dim_feedforward : an integer of at least 1, optional
        Width inside.
    dropout : a number of 0.0 to 1.0, optional
        Below 1.
    activation : one of "identity", "relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu",
            "selu", "softshrink", "hardshrink", "sigmoid", "tanh", "gelu", "silu", "mish",
            "hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid",
            "softmax", "log_softmax", "glu", optional
        The activation, with its default options.
    layer_norm_eps : a number of 0.0 to 1e+30, optional
        Added to variances.
    norm_first : true or false, optional
        Whether parts normalise their input (pre-norm).
    bias : true or false, optional
        Whether projections and norms have biases.
    norm : one of "layer_norm", "rms_norm", optional
        The normalisation.
    is_causal : true or false, optional
        Whether positions see earlier ones only.
    positions : one of "none", "rotary", "alibi", optional
        Positions inside self-attention.
    separate_projections : true or false, optional
        Parameters q_proj, k_proj and v_proj.

    Inputs
    ------
    x
        [batch, steps, width].
    key_mask : optional
        [batch, keys], 1 for real keys, 0 for padding.
    mask : optional
        [queries, keys], [batch, queries, keys] or [batch, heads, queries, keys]; floats are added
        to the scores, of other types what is 0 is not seen.

    Outputs
    -------
    y
        What the layer makes of it.
    """

    def __init__(
        self, d_model: Optional[int] = None, nhead: Optional[int] = None,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: str = "relu",
        layer_norm_eps: float = 1e-05, norm_first: bool = False, bias: bool = True,
        norm: str = "layer_norm", is_causal: bool = False, positions: str = "none",
        separate_projections: bool = False,
    ) -> None:
        super().__init__(
            "transformer_encoder_layer", d_model=d_model, nhead=nhead,
            dim_feedforward=dim_feedforward, dropout=dropout, activation=activation,
            layer_norm_eps=layer_norm_eps, norm_first=norm_first, bias=bias, norm=norm,
            is_causal=is_causal, positions=positions, separate_projections=separate_projections,
        )

    def forward(self, x: Any, key_mask: Any = None, mask: Any = None) -> Value:
        return self._applied([x, key_mask, mask])
