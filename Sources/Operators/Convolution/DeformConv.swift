import Base
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// A convolution whose kernel positions are moved by `offset` and weighted by `mask`; between
  /// pixels it interpolates linearly, outside it reads zeros. ONNX DeformConv-22.
  static let deformConv = OperatorDefinition(
    "DeformConv", versions: [19, 22], inputs: 3...5,
    attributes: [
      .optional("dilations", .ints), .int("group", default: 1), .optional("kernel_shape", .ints),
      .int("offset_group", default: 1), .optional("pads", .ints), .optional("strides", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: convolutionTypes).elementType
      _ = try context.sameElementType(0, 1, 2, 3, 4)
      let deformation = try Deformation(
        context, x: context.input(0).shape, w: context.input(1).shape)
      let geometry = deformation.geometry
      try deformation.check(try context.input(2).shape, perPosition: geometry.rank, "offset")
      if context.hasInput(3) {
        let bias = try context.input(3).shape
        guard bias.dims == [geometry.outputDims[1]] else {
          throw .shapeMismatch("bias has shape \(bias), expected [\(geometry.outputDims[1])]")
        }
      }
      if context.hasInput(4) {
        try deformation.check(try context.input(4).shape, perPosition: 1, "mask")
      }
      return [TensorType(type, try Shape(geometry.outputDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let deformation = try Deformation(
          preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          deformation.run(
            DeformOperands(
              x: try wide.input(0), w: try wide.input(1), offset: try wide.input(2),
              bias: wide.inputs.count > 3 ? wide.inputs[3] : nil,
              mask: wide.inputs.count > 4 ? wide.inputs[4] : nil, y: wide.outputs[0]),
            wide.run.parallel)
        }
      }
    ]),
    gradient: .deformConv,
    samples: [
      Sample(
        [.floats(1, 2, 5, 5), .floats(3, 2, 2, 2), .floats(1, 8, 4, 4), .floats(3)]),
      Sample(
        [
          .floats(2, 4, 5, 4), .floats(2, 2, 3, 2), .floats(2, 24, 3, 3), .absent,
          .floats(2, 12, 3, 3),
        ],
        [
          "group": .int(2), "offset_group": .int(2), "pads": .ints([1, 1, 1, 1]),
          "strides": .ints([2, 2]), "dilations": .ints([1, 1]),
        ]),
      Sample([.floats(1, 1, 6), .floats(1, 1, 3), .floats(1, 3, 4)]),
      Sample([.floats(0, 1, 3, 3), .floats(1, 1, 2, 2), .floats(0, 8, 2, 2)]),
    ])
}

private struct DeformOperands {
  let x: UnsafePointer<Double>
  let w: UnsafePointer<Double>
  let offset: UnsafePointer<Double>
  let bias: UnsafePointer<Double>?
  let mask: UnsafePointer<Double>?
  let y: UnsafeMutablePointer<Double>
}

struct Deformation: Sendable {
  let geometry: ConvolutionGeometry
  let offsetGroups: Int

  init(_ view: some NodeView, x: Shape, w: Shape) throws(StackLensError) {
    geometry = try .convolution(view, x: x, w: w)
    offsetGroups = try view.int("offset_group")
    guard offsetGroups > 0, x[1] % offsetGroups == 0 else {
      throw .invalidArgument(
        "attribute 'offset_group' is \(offsetGroups), expected a divisor of \(x[1]) channels")
    }
  }

  func check(_ shape: Shape, perPosition: Int, _ name: String) throws(StackLensError) {
    let (channels, overflow) = offsetGroups.multipliedReportingOverflow(
      by: geometry.kernelCount * perPosition)
    let output = geometry.outputDims
    guard !overflow, shape.dims == [output[0], channels] + output.dropFirst(2) else {
      throw .shapeMismatch(
        "\(name) has shape \(shape), expected \([output[0], channels] + output.dropFirst(2))")
    }
  }

  /// For every output position: all values that its kernels read, then one product for each
  /// output channel.
  fileprivate func run(_ operands: DeformOperands, _ parallel: Parallel) {
    let pixels = geometry.outputPixels
    let terms = geometry.groupCount * geometry.termCount
    let outputs = geometry.outputChannels
    guard pixels > 0 else { return }
    parallel.ranges(geometry.batch * pixels, grain: max(1, (1 << 12) / max(1, terms))) { range in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: max(1, terms)) { buffer in
        guard let column = buffer.baseAddress else { return }
        for place in range {
          let (image, pixel) = place.quotientAndRemainder(dividingBy: pixels)
          gather(operands, image, pixel, column)
          for channel in 0..<geometry.groupCount * outputs {
            let values = column + channel / outputs * geometry.termCount
            let weights = operands.w + channel * geometry.termCount
            var sum = operands.bias?[channel] ?? 0
            for i in 0..<geometry.termCount { sum += values[i] * weights[i] }
            operands.y[(image * geometry.groupCount * outputs + channel) * pixels + pixel] = sum
          }
        }
      }
    }
  }

  private func gather(
    _ operands: DeformOperands, _ image: Int, _ pixel: Int, _ column: UnsafeMutablePointer<Double>
  ) {
    let (axes, rank, kernels) = (geometry.axes, geometry.rank, geometry.kernelCount)
    let pixels = geometry.outputPixels
    let channels = geometry.groupCount * geometry.inputChannels
    let perGroup = channels / offsetGroups
    let output = [
      pixel / (axes[2].output * axes[1].output), pixel / axes[2].output % axes[1].output,
      pixel % axes[2].output,
    ]
    for group in 0..<offsetGroups {
      for kernel in 0..<kernels {
        let tap = [
          kernel / (axes[2].kernel * axes[1].kernel), kernel / axes[2].kernel % axes[1].kernel,
          kernel % axes[2].kernel,
        ]
        let shift = (image * offsetGroups + group) * kernels + kernel
        var position = [0.0, 0.0, 0.0]
        for axis in 0..<3 {
          let start = output[axis] * axes[axis].stride - axes[axis].padBegin
          position[axis] = Double(start + tap[axis] * axes[axis].dilation)
          if axis >= 3 - rank {
            let line = shift * rank + axis - (3 - rank)
            position[axis] += operands.offset[line * pixels + pixel]
          }
        }
        let factor = operands.mask?[shift * pixels + pixel] ?? 1
        let corners = corners(position)
        for channel in group * perGroup..<(group + 1) * perGroup {
          let plane = operands.x + (image * channels + channel) * geometry.inputPixels
          var sum = 0.0
          for corner in corners { sum += plane[corner.place] * corner.weight }
          column[channel * kernels + kernel] = sum * factor
        }
      }
    }
  }

  /// The pixels around a position that lie inside the image, with their shares.
  private func corners(_ position: [Double]) -> [(place: Int, weight: Double)] {
    var corners = [(place: 0, weight: 1.0)]
    for (axis, position) in zip(geometry.axes, position) {
      let floor = position.rounded(.down)
      guard let low = Int(exactly: floor), low >= -1, low < axis.input else { return [] }
      let part = position - floor
      var next: [(place: Int, weight: Double)] = []
      for corner in corners {
        if low >= 0 { next.append((corner.place * axis.input + low, corner.weight * (1 - part))) }
        if low + 1 < axis.input, part > 0 {
          next.append((corner.place * axis.input + low + 1, corner.weight * part))
        }
      }
      corners = next
    }
    return corners
  }
}
