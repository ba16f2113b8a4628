import Base
import CKernels
import Tensors

/// What the fast kernels of a convolution with its channels last have in common: the extents, and
/// what becomes of the sums.
struct ChannelsLastForm: Sendable {
  let geometry: ConvolutionGeometry
  let activation: FusedActivation
  /// Makes the gradient of the data of a convolution from that of its result: kernels are read from
  /// their end, inputs and outputs of the weights change places, and nothing becomes of the sums.
  let isGradient: Bool
  /// Whether each channel of each image is multiplied by a number of its own first.
  let isGated: Bool

  /// Nil where there is nothing to compute, or the residual is no image of the result's shape.
  init?(_ preparation: Preparation) throws(StackLensError) {
    geometry = try OperatorDefinition.channelsLastGeometry(
      preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
    guard !geometry.isEmpty, preparation.outputs[0].shape.dims == geometry.channelsLastDims,
      preparation.inputs.count < 4 || preparation.inputs[3] == nil
        || preparation.inputs[3] == preparation.outputs[0]
    else { return nil }
    activation = try FusedActivation(preparation)
    isGradient = false
    isGated = preparation.hasInput(4)
  }

  /// The convolution that makes the gradient of the data of another one; nil where strides leave gaps
  /// or there is nothing to compute.
  init?(gradientOf forward: ConvolutionGeometry) {
    guard let turned = forward.turned, !turned.isEmpty else { return nil }
    (geometry, activation, isGradient, isGated) = (turned, .none, true, false)
  }

  /// What the gradient of the data of a convolution reads its weights by, whatever its strides are.
  init(weightsOf forward: ConvolutionGeometry) {
    (geometry, activation, isGradient, isGated) = (forward.swapped, .none, true, false)
  }

  /// Bias, residual and activation of the output channels of one group.
  func epilogue(_ run: Invocation, group: Int = 0) -> slk_epilogue {
    var epilogue = slk_epilogue_none()
    guard !isGradient else { return epilogue }
    let start = group * geometry.outputChannels
    if run.inputs.count > 2, let bias = run.inputs[2] {
      epilogue.bias = UnsafePointer(bias.floats + start)
    }
    epilogue.activate(activation)
    if run.inputs.count > 3, let residual = run.inputs[3] {
      epilogue.residual = UnsafePointer(residual.floats + start)
      epilogue.residual_row_stride = geometry.groupCount * geometry.outputChannels
      epilogue.residual_column_stride = 1
      epilogue.residual_first = true
    }
    return epilogue
  }
}
