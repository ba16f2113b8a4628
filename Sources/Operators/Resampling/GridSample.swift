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
      let x = try context.input(0, oneOf: ElementType.ordinary)
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
        let type = try preparation.input(0).elementType
        switch type {
        case .float32: return sampler.kernel(Float.self)
        case .float64: return sampler.kernel(Double.self)
        case .float16: return sampler.kernel(Float16.self)
        case .bfloat16: return sampler.kernel(BFloat16.self)
        case _ where sampler.mode == .nearest: return try sampler.choosingKernel(type)
        case .complex64: return sampler.kernel(Float.self, parts: 2)
        case .complex128: return sampler.kernel(Double.self, parts: 2)
        case .string: throw .typeMismatch("strings can only be sampled with mode 'nearest'")
        default: return try sampler.convertingKernel(preparation)
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
      Sample([.random(.int32, [1, 2, 4, 5], low: -99, high: 99), .floats(1, 2, 3, 2)]),
      Sample([.random(.complex64, [1, 2, 4, 5], low: -9, high: 9), .floats(1, 2, 3, 2)]),
      Sample(
        [
          .random(.string, [1, 2, 4, 5], low: 0, high: 99),
          .random(.float32, [1, 2, 3, 2], low: -2, high: 2),
        ], ["mode": .string("nearest")]),
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

  /// Interpolates elements of `parts` independent components.
  func kernel<T: RealElement>(
    _: T.Type, parts: Int = 1
  ) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      sample(
        try run.input(0).base.assumingMemoryBound(to: T.self), try run.input(1),
        run.outputs[0].base.assumingMemoryBound(to: T.self), run.outputs[0].shape, run.parallel,
        parts: parts)
    }
  }

  /// Interpolates integers and truth values in double precision; fractions are cut.
  func convertingKernel(_ preparation: Preparation) throws(StackLensError) -> PreparedKernel {
    var plan = ScratchPlan()
    let source = try plan.reserve(preparation.input(0).shape.count, of: Double.self)
    let target = try plan.reserve(preparation.outputs[0].shape.count, of: Double.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (x, y) = (try run.input(0), run.outputs[0])
      convertElements(x.base, x.elementType, run.scratch + source, .float64, x.count)
      sample(
        (run.scratch + source).assumingMemoryBound(to: Double.self), try run.input(1),
        (run.scratch + target).assumingMemoryBound(to: Double.self), y.shape, run.parallel)
      convertElements(run.scratch + target, .float64, y.base, y.elementType, y.count)
    }
  }

  /// Takes the nearest element of any type.
  func choosingKernel(
    _ type: ElementType
  ) throws(StackLensError) -> PreparedKernel {
    let zero = try Tensor(zeros: type, .scalar)
    return PreparedKernel { (run) throws(StackLensError) in
      let (x, grid, y) = (try run.input(0), try run.input(1), run.outputs[0])
      let points = y.shape.count(2..<y.rank)
      var places: [Int?] = []
      var taps: [(offset: Int, weight: Double)] = []
      for index in 0..<images * points {
        gather(grid, at: index * extents.count, &taps)
        places.append(taps.first?.offset)
      }
      let choice = Choice(
        x: x.base, y: y.base, zero: zero.base, places: places, points: points,
        pixels: extents.reduce(1, *), channels: channels)
      type.byWidth(choice)
    }
  }

  private struct Choice: WidthWork {
    let x: UnsafeRawPointer
    let y: UnsafeMutableRawPointer
    let zero: UnsafeRawPointer
    let places: [Int?]
    let points: Int
    let pixels: Int
    let channels: Int

    func callAsFunction<Element>(_: Element.Type) {
      let (x, y) = (
        x.assumingMemoryBound(to: Element.self), y.assumingMemoryBound(to: Element.self)
      )
      let zero = zero.assumingMemoryBound(to: Element.self)
      for (index, place) in places.enumerated() {
        let (image, point) = index.quotientAndRemainder(dividingBy: points)
        for map in image * channels..<(image + 1) * channels {
          y[map * points + point] = place.map { x[map * pixels + $0] } ?? zero.pointee
        }
      }
    }
  }

  private func sample<T: RealElement>(
    _ x: UnsafePointer<T>, _ grid: Tensor, _ y: UnsafeMutablePointer<T>, _ output: Shape,
    _ parallel: Parallel, parts: Int = 1
  ) {
    let points = output.count(2..<output.rank)
    let pixels = extents.reduce(1, *)
    parallel.ranges(images * points, grain: 256) { range in
      var taps: [(offset: Int, weight: Double)] = []
      for index in range {
        let (image, point) = index.quotientAndRemainder(dividingBy: points)
        gather(grid, at: index * extents.count, &taps)
        for channel in 0..<channels {
          let map = image * channels + channel
          for part in 0..<parts {
            var sum = 0.0
            for tap in taps {
              sum += tap.weight * x[(map * pixels + tap.offset) * parts + part].double
            }
            y[(map * points + point) * parts + part] = T(rounding: sum)
          }
        }
      }
    }
  }

  /// The pixels that the position at an element of the grid is made of.
  private func gather(
    _ grid: Tensor, at start: Int, _ taps: inout [(offset: Int, weight: Double)]
  ) {
    switch grid.elementType {
    case .float64: gather(grid.base.assumingMemoryBound(to: Double.self) + start, &taps)
    case .float16: gather(grid.base.assumingMemoryBound(to: Float16.self) + start, &taps)
    case .bfloat16: gather(grid.base.assumingMemoryBound(to: BFloat16.self) + start, &taps)
    default: gather(grid.base.assumingMemoryBound(to: Float.self) + start, &taps)
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
