import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Samples an image of two or three axes at positions in units in which it spans [-1, 1]; the
  /// last component of a position belongs to the first axis. ONNX GridSample-22.
  static let gridSample = OperatorDefinition(
    "GridSample", versions: [16, 20, 22], inputs: 2...2,
    attributes: [
      .int("align_corners", default: 0), .string("mode", default: "linear"),
      .string("padding_mode", default: "zeros"),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals)
      let grid = try context.input(1, oneOf: ElementType.reals)
      let rank = x.rank - 2
      guard rank >= 1, rank <= 3, grid.rank == x.rank, grid.shape[0] == x.shape[0],
        grid.shape[rank + 1] == rank
      else { throw .shapeMismatch("a grid of shape \(grid.shape) does not fit \(x.shape)") }
      let output = try Shape(Array(x.shape.dims.prefix(2)) + grid.shape.dims[1...rank])
      guard output.count == 0 || x.shape.count > 0 else {
        throw .shapeMismatch("there is nothing to sample in \(x.shape)")
      }
      return [TensorType(x.elementType, output)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let sampler = try GridSampler(preparation, x: preparation.input(0).shape)
        let grid = try preparation.input(1).elementType
        switch try preparation.input(0).elementType {
        case .float64: return sampler.kernel(Double.self, grid)
        case .float16: return sampler.kernel(Float16.self, grid)
        case .bfloat16: return sampler.kernel(BFloat16.self, grid)
        default: return sampler.kernel(Float.self, grid)
        }
      }
    ]),
    lift: { (node, opset, _) throws(StackLensError) in
      var node = node
      if opset < 20, case .string(let mode)? = node.attributes["mode"] {
        let names = ["bilinear": "linear", "bicubic": "cubic"]
        node.attributes["mode"] = .string(names[mode] ?? mode)
      }
      return [node]
    },
    lower: { (node, opset, _) throws(StackLensError) in
      var node = node
      if opset < 20 {
        let names = ["linear": "bilinear", "cubic": "bicubic"]
        var mode = "linear"
        if case .string(let found)? = node.attributes["mode"] { mode = found }
        node.attributes["mode"] = .string(names[mode] ?? mode)
      }
      return [node]
    },
    samples: [
      Sample([.floats(2, 3, 4, 5), .floats(2, 3, 2, 2)]),
      Sample(
        [.floats(1, 2, 4, 5), .random(.float32, [1, 3, 3, 2], low: -2, high: 2)],
        ["mode": .string("cubic"), "padding_mode": .string("reflection")]),
      Sample(
        [.floats(1, 2, 3, 4, 2), .random(.float32, [1, 2, 3, 2, 3], low: -2, high: 2)],
        ["padding_mode": .string("border"), "align_corners": .int(1), "mode": .string("nearest")]),
      Sample([.floats(1, 2, 4, 5), .floats(1, 0, 3, 2)]),
    ])
}

/// The options of GridSample over a given image.
private struct GridSampler: Sendable {
  enum Mode: String { case nearest, linear, cubic }
  enum Padding: String { case zeros, border, reflection }
  let mode: Mode
  let padding: Padding
  let alignsCorners: Bool
  let images: Int
  let channels: Int
  let extents: [Int]
  let strides: [Int]

  init(_ view: some NodeView, x: Shape) throws(StackLensError) {
    let (modeName, paddingName) = (try view.string("mode"), try view.string("padding_mode"))
    guard let mode = Mode(rawValue: modeName), let padding = Padding(rawValue: paddingName) else {
      throw .invalidArgument("mode '\(modeName)' or padding_mode '\(paddingName)' is unknown")
    }
    self.mode = mode
    self.padding = padding
    alignsCorners = try view.flag("align_corners")
    images = x[0]
    channels = x[1]
    extents = Array(x.dims.dropFirst(2))
    strides = Array(x.strides.dropFirst(2))
  }

  func kernel<T: RealElement>(_: T.Type, _ gridType: ElementType) -> PreparedKernel {
    switch gridType {
    case .float64: kernel(T.self, Double.self)
    case .float16: kernel(T.self, Float16.self)
    case .bfloat16: kernel(T.self, BFloat16.self)
    default: kernel(T.self, Float.self)
    }
  }

  private func kernel<T: RealElement, G: RealElement>(_: T.Type, _: G.Type) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let grid = try run.input(1).base.assumingMemoryBound(to: G.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      let output = run.outputs[0].shape
      let points = output.count(2..<output.rank)
      let pixels = extents.reduce(1, *)
      run.parallel.ranges(images * points, grain: 256) { range in
        var taps: [(offset: Int, weight: Double)] = []
        for index in range {
          let (image, point) = index.quotientAndRemainder(dividingBy: points)
          gather(grid + index * extents.count, &taps)
          for channel in 0..<channels {
            let map = image * channels + channel
            var sum = 0.0
            for tap in taps { sum += tap.weight * x[map * pixels + tap.offset].double }
            y[map * points + point] = T(rounding: sum)
          }
        }
      }
    }
  }

  /// The pixels that a position is made of.
  private func gather<G: RealElement>(
    _ position: UnsafePointer<G>, _ taps: inout [(offset: Int, weight: Double)]
  ) {
    taps.removeAll(keepingCapacity: true)
    taps.append((0, 1))
    for axis in extents.indices {
      let place = place(position[extents.count - 1 - axis].double, extents[axis])
      var own: [(Int, Double)] = []
      let base = place.rounded(.down)
      let ratio = place - base
      let first = Int(base)
      switch mode {
      case .nearest: own = [(first, 1)]
      case .linear: own = [(first, 1 - ratio), (first + 1, ratio)]
      case .cubic:
        own = (-1...2).map { (first + $0, Self.cubic(abs(Double($0) - ratio))) }
      }
      let before = taps
      taps.removeAll(keepingCapacity: true)
      for tap in before {
        for (index, weight) in own {
          guard let inside = inside(index, extents[axis]) else { continue }
          taps.append((tap.offset + inside * strides[axis], tap.weight * weight))
        }
      }
    }
  }

  /// A coordinate in pixels, brought back to the image as the padding says.
  private func place(_ position: Double, _ extent: Int) -> Double {
    let last = Double(extent - 1)
    var place =
      alignsCorners
      ? (position + 1) / 2 * last : ((position + 1) * Double(extent) - 1) / 2
    if mode == .nearest { place.round(.toNearestOrEven) }
    let (low, high) = alignsCorners ? (0, last) : (-0.5, last + 0.5)
    if place >= low, place <= high { return place }
    switch padding {
    case .zeros: return place.isNaN ? -8 : min(max(place, -8), last + 8)
    case .border: return place.isNaN ? 0 : min(max(place, 0), last)
    case .reflection: return reflected(place, low, high)
    }
  }

  private func reflected(_ place: Double, _ low: Double, _ high: Double) -> Double {
    let range = high - low
    guard range > 0, place.isFinite else { return max(low, 0) }
    let beyond = place < low ? low - place : place - high
    let turns = (beyond / range).rounded(.down)
    let rest = min(max(beyond - turns * range, 0), range)
    let isEven = turns.truncatingRemainder(dividingBy: 2) == 0
    return (place < low) == isEven ? low + rest : high - rest
  }

  /// The pixel that stands for index, nil for a zero.
  private func inside(_ index: Int, _ extent: Int) -> Int? {
    if index >= 0, index < extent { return index }
    switch padding {
    case .zeros: return nil
    case .border: return min(max(index, 0), extent - 1)
    case .reflection:
      let (low, high) = alignsCorners ? (0, Double(extent - 1)) : (-0.5, Double(extent) - 0.5)
      return min(max(Int(reflected(Double(index), low, high)), 0), extent - 1)
    }
  }

  private static func cubic(_ t: Double) -> Double {
    let a = -0.75
    if t <= 1 { return ((a + 2) * t - (a + 3)) * t * t + 1 }
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0
  }
}
