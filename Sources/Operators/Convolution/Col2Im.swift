import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Puts columns of sliding blocks back into an image, adding where blocks overlap: `[N, C · block,
  /// positions]` becomes `[N, C, image…]`. ONNX Col2Im-18.
  static let col2Im = OperatorDefinition(
    "Col2Im", versions: [18], inputs: 3...3,
    attributes: [
      .optional("dilations", .ints), .optional("pads", .ints), .optional("strides", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      guard (ElementType.numbers + ElementType.complexes + [.bool]).contains(input.elementType)
      else { throw .typeMismatch("\(input.elementType.name) has no sums") }
      let blocks = try BlockLayout(
        context, input.shape, image: try context.value(1), block: try context.value(2))
      return [TensorType(input.elementType, try Shape(blocks.outputDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .complex64: try complexKernel(Complex64(0, 0), preparation)
        case .complex128: try complexKernel(Complex128(0, 0), preparation)
        case let type where type.isFloat: try realKernel(Double.self, preparation)
        default: try realKernel(Int64.self, preparation)
        }
      }
    ]),
    samples: [
      Sample([.floats(1, 5, 5), .ints([5, 5]), .ints([1, 5])]),
      Sample(
        [.floats(2, 8, 6), .ints([4, 4]), .ints([2, 2])],
        ["pads": .ints([1, 0, 1, 1]), "strides": .ints([2, 1]), "dilations": .ints([3, 2])]),
      Sample(
        [.random(.int32, [1, 6, 4], low: -9, high: 9), .ints([6]), .ints([3])]),
      Sample([.floats(0, 5, 5), .ints([5, 5]), .ints([1, 5])]),
    ])

  private static func realKernel<T: ComputeElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (input, options) = (try preparation.input(0).shape, NodeOptions(preparation))
    return try wideKernel(T.self, preparation, inputs: 1) { (wide) throws(StackLensError) in
      let blocks = try BlockLayout(options, input, wide.run)
      blocks.sum(
        try wide.input(0), wide.outputs[0], wide.run.parallel, zero: T.zero
      ) { T.add($0, $1) }
    }
  }

  private static func complexKernel<Part>(
    _ zero: Complex<Part>, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (input, options) = (try preparation.input(0).shape, NodeOptions(preparation))
    return PreparedKernel { (run) throws(StackLensError) in
      let blocks = try BlockLayout(options, input, run)
      blocks.sum(
        try run.input(0).base.assumingMemoryBound(to: Complex<Part>.self),
        run.outputs[0].base.assumingMemoryBound(to: Complex<Part>.self), run.parallel, zero: zero
      ) { $0 + $1 }
    }
  }
}

/// Blocks that slide over an image.
private struct BlockLayout {
  private struct Axis {
    var image: Int
    var block: Int
    var positions: Int
    var stride: Int
    var dilation: Int
    var padding: Int
  }
  private let batch: Int
  private let channels: Int
  private var axes: [Axis] = []
  var outputDims: [Int] { [batch, channels] + axes.map(\.image) }
  private static let limit = 1 << 31

  init(
    _ view: some NodeView, _ input: Shape, image: Tensor, block: Tensor
  ) throws(StackLensError) {
    let (image, block) = (try image.integers(), try block.integers())
    let rank = image.count
    guard input.rank == 3, rank > 0, block.count == rank,
      (image + block).allSatisfy({ $0 > 0 && $0 < Self.limit })
    else {
      throw .shapeMismatch("columns \(input), image \(image) and blocks \(block) do not fit")
    }
    func list(_ name: String, _ count: Int, _ least: Int) throws(StackLensError) -> [Int] {
      guard let values = try view.ints(name) else {
        return [Int](repeating: least, count: count)
      }
      guard values.count == count, values.allSatisfy({ $0 >= least && $0 < Self.limit }) else {
        throw .invalidArgument(
          "attribute '\(name)' is \(values), expected \(count) values of \(least) or more")
      }
      return values
    }
    let (strides, dilations) = (try list("strides", rank, 1), try list("dilations", rank, 1))
    let pads = try list("pads", 2 * rank, 0)
    var count = 1
    for axis in 0..<rank {
      let room = image[axis] + pads[axis] + pads[axis + rank] - dilations[axis] * (block[axis] - 1)
      guard room > 0 else {
        throw .shapeMismatch("a block of \(block) does not fit an image of \(image)")
      }
      let positions = (room - 1) / strides[axis] + 1
      axes.append(
        Axis(
          image: image[axis], block: block[axis], positions: positions, stride: strides[axis],
          dilation: dilations[axis], padding: pads[axis]))
      let (product, overflow) = count.multipliedReportingOverflow(by: positions)
      guard !overflow else { throw .shapeMismatch("blocks \(block) in \(image) overflow") }
      count = product
    }
    let blockCount = try Shape(block).count
    batch = input[0]
    channels = input[1] / blockCount
    guard input[1] % blockCount == 0, input[2] == count else {
      throw .shapeMismatch(
        "columns \(input) do not hold blocks \(block) at \(count) positions of \(image)")
    }
  }

  /// What a run does with the values that it gets.
  init(_ view: some NodeView, _ input: Shape, _ run: Invocation) throws(StackLensError) {
    try self.init(view, input, image: run.input(1), block: run.input(2))
    guard outputDims == run.outputs[0].shape.dims else {
      throw .shapeMismatch("Col2Im gives \(outputDims), planned \(run.outputs[0].shape)")
    }
  }

  /// Adds every element of `x` to its pixel of `y`.
  @inline(__always)
  func sum<T>(
    _ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>, _ parallel: Parallel, zero: T,
    _ add: (T, T) -> T
  ) {
    let pixels = axes.reduce(1) { $0 * $1.image }
    let places = axes.reduce(1) { $0 * $1.positions }
    let blockCount = axes.reduce(1) { $0 * $1.block }
    let last = axes[axes.count - 1]
    parallel.ranges(batch * channels, grain: 1) { maps in
      for map in maps {
        let target = y + map * pixels
        target.update(repeating: zero, count: pixels)
        for offset in 0..<blockCount {
          let row = x + (map * blockCount + offset) * places
          var line = 0
          // Every line of positions along the last axis that lies inside the image.
          while line < places {
            let (start, isInside) = place(of: line, in: offset)
            if isInside {
              for position in 0..<last.positions {
                let column =
                  position * last.stride + offset % last.block * last.dilation - last.padding
                if column >= 0 && column < last.image {
                  target[start + column] = add(target[start + column], row[line + position])
                }
              }
            }
            line += last.positions
          }
        }
      }
    }
  }

  /// Where the line of the image begins that element `offset` of the blocks from `position` on
  /// goes to.
  private func place(of position: Int, in offset: Int) -> (start: Int, isInside: Bool) {
    let last = axes[axes.count - 1]
    var (position, offset) = (position / last.positions, offset / last.block)
    var (start, step) = (0, last.image)
    for axis in axes.dropLast().reversed() {
      let index =
        position % axis.positions * axis.stride + offset % axis.block * axis.dilation
        - axis.padding
      guard index >= 0, index < axis.image else { return (0, false) }
      start += index * step
      step *= axis.image
      position /= axis.positions
      offset /= axis.block
    }
    return (start, true)
  }
}
