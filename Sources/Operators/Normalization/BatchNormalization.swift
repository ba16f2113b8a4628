import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// (x - mean) / sqrt(variance + epsilon) * scale + bias for every channel (axis 1). In training
  /// mode the mean and variance are the batch's, and the running ones are updated.
  /// ONNX BatchNormalization-15.
  static let batchNormalization = OperatorDefinition(
    "BatchNormalization", versions: [1, 6, 7, 9, 14, 15], inputs: 5...5, outputs: 1...3,
    attributes: [
      .float("epsilon", default: 1e-5), .float("momentum", default: 0.9),
      .int("training_mode", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals)
      let channels = type.rank < 2 ? 1 : type.shape[1]
      for index in 1...4 {
        let parameter = try context.input(index, oneOf: ElementType.reals)
        guard parameter.shape.dims == [channels] else {
          throw .shapeMismatch(
            "input \(index) is \(parameter), expected [\(channels)] for data \(type)")
        }
      }
      let statistics = try context.input(3)
      return [type, statistics, statistics]
    },
    execution: .kernels([
      Kernel("rows") { (preparation) throws(StackLensError) in
        guard try preparation.flag("training_mode") else { return nil }
        return try BatchNormalizationRows(preparation, data: 0)?.forward(
          momentum: preparation.float("momentum"))
      },
      Kernel("planes", prepare: trainPlanes),
      Kernel("vector") { (preparation) throws(StackLensError) in
        let isFloat = preparation.inputs.allSatisfy { $0?.elementType == .float32 }
        guard isFloat, try !preparation.flag("training_mode") else { return nil }
        let planes = ChannelPlanes(try preparation.input(0).shape)
        let epsilon = try preparation.float("epsilon")
        return PreparedKernel { (run) throws(StackLensError) in
          let pointers = try (0..<5).map { (index) throws(StackLensError) in
            try run.input(index).base.assumingMemoryBound(to: Float.self)
          }
          let (x, scale, bias) = (pointers[0], pointers[1], pointers[2])
          let (mean, variance) = (pointers[3], pointers[4])
          let y = run.outputs[0].base.assumingMemoryBound(to: Float.self)
          let size = planes.size
          let affine = Int32(SLK_UNARY_AFFINE.rawValue)
          run.parallel.ranges(planes.count, grain: max(1, cheapGrain / max(1, size))) { range in
            for plane in range {
              let channel = plane % planes.channels
              let factor =
                Double(scale[channel]) / (Double(variance[channel]) + Double(epsilon)).squareRoot()
              let shift = Double(bias[channel]) - Double(mean[channel]) * factor
              slk_unary_f32(
                affine, x + plane * size, y + plane * size, size, Float(factor), Float(shift))
            }
          }
          copyStatistics(run)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let planes = ChannelPlanes(try preparation.input(0).shape)
        let epsilon = Double(try preparation.float("epsilon"))
        let momentum = Double(try preparation.float("momentum"))
        let isTraining = try preparation.flag("training_mode")
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          let (x, scale, bias) = (try wide.input(0), try wide.input(1), try wide.input(2))
          let (means, variances, y) = (try wide.input(3), try wide.input(4), wide.outputs[0])
          for channel in 0..<planes.channels {
            var (mean, variance) = (means[channel], variances[channel])
            wide.outputs[1][channel] = mean
            wide.outputs[2][channel] = variance
            if isTraining {
              (mean, variance) = planes.moments(x, channel)
              wide.outputs[1][channel] = means[channel] * momentum + mean * (1 - momentum)
              wide.outputs[2][channel] = variances[channel] * momentum + variance * (1 - momentum)
            }
            let factor = scale[channel] / (variance + epsilon).squareRoot()
            planes.forEach(channel) { place in
              y[place] = (x[place] - mean) * factor + bias[channel]
            }
          }
        }
      },
    ]),
    lift: liftBatchNormalization,
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 14 else { return [node] }
      var node = node
      if node.attributes.removeValue(forKey: "training_mode")?.isTrue ?? false {
        // Naming the other outputs is what made it train.
        while node.outputs.count < 5 { node.outputs.append("") }
        for index in 1..<5 where node.outputs[index].isEmpty {
          node.outputs[index] = rewriter.fresh("statistic")
        }
      } else if node.outputs.count > 1 {
        var steps = Decomposition(node, opset)
        for (output, input) in zip(node.outputs.dropFirst(), node.inputs.dropFirst(3))
        where !output.isEmpty {
          steps.add(Node("Identity", inputs: [input], outputs: [output]))
        }
        node.outputs = [node.outputs[0]]
        return [node] + steps.nodes
      }
      return [node]
    },
    gradient: .batchNormalization,
    samples: [
      Sample([
        .floats(2, 3, 4, 5), .floats(3), .floats(3), .floats(3),
        .random(.float32, [3], low: 0.5, high: 2),
      ]),
      Sample(
        [
          .floats(2, 3, 4), .floats(3), .floats(3), .floats(3),
          .random(.float32, [3], low: 0.5, high: 2),
        ], ["training_mode": .int(1)], outputs: 3),
      Sample(
        [
          .floats(5, 3), .floats(3), .floats(3), .floats(3),
          .random(.float32, [3], low: 0.5, high: 2),
        ], ["training_mode": .int(1), "epsilon": .float(0.01)]),
      Sample(
        [
          .floats(300, 35), .floats(35), .floats(35), .floats(35),
          .random(.float32, [35], low: 0.5, high: 2),
        ], ["training_mode": .int(1)], outputs: 3),
      Sample([
        .floats(0, 3), .floats(3), .floats(3), .floats(3),
        .random(.float32, [3], low: 0.5, high: 2),
      ]),
    ])

  /// In training mode: the statistics of one channel after the other, float32 by vector kernels.
  private static func trainPlanes(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let isFloat = preparation.inputs.allSatisfy { $0?.elementType == .float32 }
    guard isFloat, try preparation.flag("training_mode") else { return nil }
    let planes = ChannelPlanes(try preparation.input(0).shape)
    let (channels, size) = (planes.channels, planes.size)
    guard planes.count > 0, size > 1 else { return nil }
    let epsilon = Double(try preparation.float("epsilon"))
    let momentum = Double(try preparation.float("momentum"))
    let count = planes.count / channels * size
    return PreparedKernel { (run) throws(StackLensError) in
      let (x, y) = (try run.input(0).floats, run.outputs[0].floats)
      let (scale, bias) = (try run.input(1).floats, try run.input(2).floats)
      let (means, variances) = (try run.input(3).floats, try run.input(4).floats)
      let running = (run.outputs[1].floats, run.outputs[2].floats)
      let affine = Int32(SLK_UNARY_AFFINE.rawValue)
      run.parallel.ranges(channels, grain: max(1, cheapGrain / count)) { range in
        for channel in range {
          func mean(_ part: (Int) -> Double) -> Double {
            stride(from: channel, to: planes.count, by: channels).reduce(0.0) {
              $0 + part($1 * size)
            } / Double(count)
          }
          let centre = mean { Float.sum(x + $0, size) }
          let variance = mean { Float.dot(x + $0, centre, x + $0, centre, size) }
          running.0[channel] = Float(Double(means[channel]) * momentum + centre * (1 - momentum))
          running.1[channel] = Float(
            Double(variances[channel]) * momentum + variance * (1 - momentum))
          let factor = Double(scale[channel]) / (variance + epsilon).squareRoot()
          let shift = Double(bias[channel]) - centre * factor
          for plane in stride(from: channel, to: planes.count, by: channels) {
            slk_unary_f32(
              affine, x + plane * size, y + plane * size, size, Float(factor), Float(shift))
          }
        }
      }
    }
  }

  /// In inference mode the running statistics stay what they were.
  private static func copyStatistics(_ run: Invocation) {
    for index in 1...2 {
      if let source = run.inputs[index + 2] {
        run.outputs[index].fillElements(from: source, .serial)
      }
    }
  }
}

/// A batch seen as planes of `size` neighbouring elements, plane p belonging to channel
/// p % `channels`.
struct ChannelPlanes: Sendable {
  let channels: Int
  let count: Int
  let size: Int

  init(_ shape: Shape) {
    channels = shape.rank < 2 ? 1 : shape[1]
    // Without elements there may be more planes than anyone can walk along: none counts.
    count = shape.count == 0 ? 0 : shape.rank == 0 ? 1 : shape[0] * channels
    size = shape.rank < 2 ? 1 : shape.count(2..<shape.rank)
  }

  /// Calls `body` with the place of every element of a channel.
  @inline(__always)
  func forEach(_ channel: Int, _ body: (Int) -> Void) {
    for plane in stride(from: channel, to: count, by: max(1, channels)) {
      for place in plane * size..<(plane + 1) * size { body(place) }
    }
  }

  func moments(_ x: UnsafePointer<Double>, _ channel: Int) -> (mean: Double, variance: Double) {
    var (sum, squares, number) = (0.0, 0.0, 0.0)
    forEach(channel) { place in
      sum += x[place]
      number += 1
    }
    let mean = sum / number
    forEach(channel) { place in squares += (x[place] - mean) * (x[place] - mean) }
    return (mean, squares / number)
  }
}
