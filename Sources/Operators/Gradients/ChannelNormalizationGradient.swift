import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through BatchNormalization: from g, x and scale, and in inference mode the running mean
  /// and variance, the gradients of x, scale and bias.
  static let batchNormalizationGradient = OperatorDefinition(
    "BatchNormalizationGradient", domain: "ai.stacklens", versions: [1], inputs: 3...5,
    outputs: 1...3, attributes: [.float("epsilon", default: 1e-5)],
    infer: { (context) throws(StackLensError) in
      let channels = try channelCount(context)
      for index in [2] + (context.inputs.count > 3 ? [3, 4] : []) {
        let parameter = try context.input(index).shape
        guard parameter.dims == [channels] else {
          throw .shapeMismatch("input \(index) has shape \(parameter), expected [\(channels)]")
        }
      }
      return [try context.input(1), try context.input(2), try context.input(2)]
    },
    execution: .kernels([
      Kernel("rows") { (preparation) throws(StackLensError) in
        try BatchNormalizationRows(preparation, data: 1)?.backward
      },
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard preparation.inputs.allSatisfy({ $0?.elementType == .float32 }) else { return nil }
        return try batchGradient(Float.self, preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        try batchGradient(Double.self, preparation)
      },
    ]),
    lower: lowered(batchFlow), gradient: .composed(batchFlow),
    samples: [
      Sample([.floats(2, 3, 4, 5), .floats(2, 3, 4, 5), .floats(3)], outputs: 3),
      Sample([.floats(9, 3), .floats(9, 3), .floats(3)], outputs: 3),
      Sample([.floats(300, 35), .floats(300, 35), .floats(35)], outputs: 3),
      Sample(
        [
          .floats(2, 3, 37), .floats(2, 3, 37), .floats(3), .floats(3),
          .random(.float32, [3], low: 0.5, high: 2),
        ], ["epsilon": .float(0.1)], outputs: 3),
      Sample([.floats(0, 3, 2), .floats(0, 3, 2), .floats(3)], outputs: 3),
    ])

  /// Back through GroupNormalization, or InstanceNormalization where `num_groups` is 0: from g, x
  /// and scale, the gradients of x, scale and bias.
  static let groupNormalizationGradient = OperatorDefinition(
    "GroupNormalizationGradient", domain: "ai.stacklens", versions: [1], inputs: 3...3,
    outputs: 1...3,
    attributes: [.float("epsilon", default: 1e-5), .int("num_groups", default: 0)],
    infer: { (context) throws(StackLensError) in
      let channels = try channelCount(context)
      let (groups, scale) = (try context.int("num_groups"), try context.input(2))
      guard try context.input(1).rank >= 2, scale.shape.dims == [channels], groups >= 0,
        groups == 0 || channels % groups == 0
      else {
        throw .shapeMismatch("scale \(scale) for \(channels) channels in \(groups) groups")
      }
      return [try context.input(1), scale, scale]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard preparation.inputs.allSatisfy({ $0?.elementType == .float32 }) else { return nil }
        return try groupGradient(Float.self, preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        try groupGradient(Double.self, preparation)
      },
    ]),
    lower: lowered(groupFlow), gradient: .composed(groupFlow),
    samples: [
      Sample([.floats(2, 3, 4, 5), .floats(2, 3, 4, 5), .floats(3)], outputs: 3),
      Sample(
        [.floats(2, 4, 37), .floats(2, 4, 37), .floats(4)], ["num_groups": .int(2)], outputs: 3),
      Sample([.floats(0, 4, 3), .floats(0, 4, 3), .floats(4)], outputs: 3),
    ])

  private static func channelCount(_ context: Inference) throws(StackLensError) -> Int {
    let (g, x) = (try context.input(0, oneOf: ElementType.reals), try context.input(1))
    guard g.shape == x.shape else { throw .shapeMismatch("gradient \(g) of a value \(x)") }
    return x.rank < 2 ? 1 : x.shape[1]
  }

  private static func batchGradient<T: PlaneElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let planes = ChannelPlanes(try preparation.input(1).shape)
    let epsilon = Double(try preparation.float("epsilon"))
    return try wideKernel(T.self, preparation) { (wide) throws(StackLensError) in
      let (g, x, scale) = (try wide.input(0), try wide.input(1), try wide.input(2))
      let (means, variances) = (
        wide.inputs.count > 4 ? wide.inputs[3] : nil, wide.inputs.count > 4 ? wide.inputs[4] : nil
      )
      let (channels, size) = (planes.channels, planes.size)
      let count = Double(channels == 0 ? 0 : planes.count / channels * size)
      let grain = max(1, costlyGrain / max(1, Int(count)))
      wide.run.parallel.ranges(channels, grain: grain) { range in
        for channel in range {
          func total(_ part: (Int) -> Double) -> Double {
            var sum = 0.0
            for plane in stride(from: channel, to: planes.count, by: channels) {
              sum += part(plane * size)
            }
            return sum
          }
          let mean = means?[channel].double ?? total { T.sum(x + $0, size) } / count
          let variance =
            variances?[channel].double
            ?? total { T.dot(x + $0, mean, x + $0, mean, size) } / count
          let inverse = 1 / (variance + epsilon).squareRoot()
          let whole = total { T.sum(g + $0, size) }
          let along = total { T.dot(g + $0, 0, x + $0, mean, size) } * inverse
          wide.outputs[1][channel] = T(rounding: along)
          wide.outputs[2][channel] = T(rounding: whole)
          let factor = scale[channel].double * inverse
          // In inference mode the statistics do not move with x.
          let slope = means == nil ? -factor * along * inverse / count : 0
          let shift = means == nil ? -factor * whole / count - slope * mean : 0
          for plane in stride(from: channel, to: planes.count, by: channels) {
            let start = plane * size
            T.combine(
              factor, g + start, slope, x + start, shift, wide.outputs[0] + start, size)
          }
        }
      }
    }
  }

  private static func groupGradient<T: PlaneElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let shape = try preparation.input(1).shape
    let groups = try preparation.int("num_groups")
    let layout = GroupLayout(shape, groups: groups == 0 ? shape[1] : groups)
    let epsilon = Double(try preparation.float("epsilon"))
    let (items, channels) = (shape[0], shape[1])
    var room = ScratchPlan()
    _ = try room.reserve(2 * items * channels, of: Double.self)
    return try wideKernel(T.self, preparation, scratch: room.byteCount) {
      (wide) throws(StackLensError) in
      let (g, x, scale) = (try wide.input(0), try wide.input(1), try wide.input(2))
      // For each channel of each item, what it adds to the gradients of scale and bias.
      let sums = wide.scratch.assumingMemoryBound(to: Double.self)
      sums.update(repeating: 0, count: 2 * items * channels)
      let (size, count) = (layout.planeSize, Double(layout.groupSize))
      layout.forEachGroup(wide.run.parallel) { (start, firstChannel) in
        let mean = T.sum(x + start, layout.groupSize) / count
        let variance = T.dot(x + start, mean, x + start, mean, layout.groupSize) / count
        let inverse = 1 / (variance + epsilon).squareRoot()
        let own = sums + 2 * (start / size)
        var (whole, along) = (0.0, 0.0)
        for index in 0..<layout.channelsPerGroup {
          let place = start + index * size
          let factor = scale[firstChannel + index].double
          own[2 * index] = T.dot(g + place, 0, x + place, mean, size) * inverse
          own[2 * index + 1] = T.sum(g + place, size)
          along += factor * own[2 * index]
          whole += factor * own[2 * index + 1]
        }
        let slope = -inverse * inverse * along / count
        let shift = -inverse * whole / count - slope * mean
        for index in 0..<layout.channelsPerGroup {
          let place = start + index * size
          T.combine(
            scale[firstChannel + index].double * inverse, g + place, slope, x + place, shift,
            wide.outputs[0] + place, size)
        }
      }
      for channel in 0..<channels {
        for output in 0..<2 {
          var sum = 0.0
          for item in 0..<items { sum += sums[2 * (item * channels + channel) + output] }
          wide.outputs[output + 1][channel] = T(rounding: sum)
        }
      }
    }
  }
}

/// What normalisations of planes are computed with: vector kernels, or plain loops.
protocol PlaneElement: RealElement, TensorElement {
  static func sum(_ x: UnsafePointer<Self>, _ count: Int) -> Double
  /// Σ (a - aMean) (b - bMean).
  static func dot(
    _ a: UnsafePointer<Self>, _ aMean: Double, _ b: UnsafePointer<Self>, _ bMean: Double,
    _ count: Int
  ) -> Double
  /// y = a g + b x + c.
  static func combine(
    _ a: Double, _ g: UnsafePointer<Self>, _ b: Double, _ x: UnsafePointer<Self>, _ c: Double,
    _ y: UnsafeMutablePointer<Self>, _ count: Int)
}

extension Float: PlaneElement {
  /// Longer sums are made of parts, which are added in double precision.
  private static let part = 1 << 14

  static func sum(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
    if count == 1 { return Double(x[0]) }
    var total = 0.0
    for start in stride(from: 0, to: count, by: part) {
      total += Double(slk_sum(x + start, min(part, count - start)))
    }
    return total
  }

  static func dot(
    _ a: UnsafePointer<Float>, _ aMean: Double, _ b: UnsafePointer<Float>, _ bMean: Double,
    _ count: Int
  ) -> Double {
    if count == 1 { return (Double(a[0]) - aMean) * (Double(b[0]) - bMean) }
    var total = 0.0
    for start in stride(from: 0, to: count, by: part) {
      total += Double(
        slk_dot_about(
          a + start, Float(aMean), b + start, Float(bMean), min(part, count - start)))
    }
    return total
  }

  static func combine(
    _ a: Double, _ g: UnsafePointer<Float>, _ b: Double, _ x: UnsafePointer<Float>, _ c: Double,
    _ y: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    slk_combine(Float(a), g, Float(b), x, Float(c), y, count)
  }
}

extension Double: PlaneElement {
  static func sum(_ x: UnsafePointer<Double>, _ count: Int) -> Double {
    (0..<count).reduce(0.0) { $0 + x[$1] }
  }

  static func dot(
    _ a: UnsafePointer<Double>, _ aMean: Double, _ b: UnsafePointer<Double>, _ bMean: Double,
    _ count: Int
  ) -> Double {
    (0..<count).reduce(0.0) { $0 + (a[$1] - aMean) * (b[$1] - bMean) }
  }

  static func combine(
    _ a: Double, _ g: UnsafePointer<Double>, _ b: Double, _ x: UnsafePointer<Double>, _ c: Double,
    _ y: UnsafeMutablePointer<Double>, _ count: Int
  ) {
    for i in 0..<count { y[i] = a * g[i] + b * x[i] + c }
  }
}
