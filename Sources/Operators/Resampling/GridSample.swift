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
      let output = try GridGeometry.output(x: x.shape, grid: grid.shape)
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
        case _ where sampler.geometry.mode == .nearest: return try sampler.choosingKernel(type)
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
    gradient: .gridSample,
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

/// GridSample over images of one shape.
private struct GridSampler: Sendable {
  let geometry: GridGeometry
  private var images: Int { geometry.images }
  private var channels: Int { geometry.channels }

  init(_ view: some NodeView, x: Shape) throws(StackLensError) {
    geometry = try GridGeometry(view, x: x)
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
        gather(grid, at: index * geometry.rank, &taps)
        places.append(taps.first?.offset)
      }
      let choice = Choice(
        x: x.base, y: y.base, zero: zero.base, places: places, points: points,
        pixels: geometry.pixels, channels: channels)
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
    let pixels = geometry.pixels
    parallel.ranges(images * points, grain: 256) { range in
      var taps: [(offset: Int, weight: Double)] = []
      for index in range {
        let (image, point) = index.quotientAndRemainder(dividingBy: points)
        gather(grid, at: index * geometry.rank, &taps)
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

  private func gather<G: RealElement>(
    _ position: UnsafePointer<G>, _ taps: inout [(offset: Int, weight: Double)]
  ) {
    taps.removeAll(keepingCapacity: true)
    geometry.taps(position).forEach { offset, weight, _ in taps.append((offset, weight)) }
  }
}
