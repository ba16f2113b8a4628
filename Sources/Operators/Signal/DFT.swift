import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The discrete Fourier transform along one axis; the last axis holds the parts of a complex
  /// number (2) or a real one (1). One-sided transforms keep the half that determines the rest,
  /// one-sided inverses make real numbers from it. ONNX DFT-20.
  static let dft = OperatorDefinition(
    "DFT", versions: [17, 20], inputs: 1...3,
    attributes: [.int("inverse", default: 0), .int("onesided", default: 0)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0, oneOf: ElementType.reals)
      let layout = try FourierLayout(
        context, input.shape, length: try context.optionalValue(1),
        axis: try context.optionalValue(2))
      return [TensorType(input.elementType, try Shape(layout.outputDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .float32: return try dftKernel(Float.self, preparation)
        case .float64: return try dftKernel(Double.self, preparation)
        case .float16: return try dftKernel(Float16.self, preparation)
        default: return try dftKernel(BFloat16.self, preparation)
        }
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 20 else { return [node] }
      var node = node
      var axis: Int64 = 1
      if case .int(let given)? = node.attributes.removeValue(forKey: "axis") { axis = given }
      while node.inputs.count < 2 { node.inputs.append("") }
      node.inputs.append(rewriter.constant(try Tensor(scalar: axis), "axis"))
      return [node]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 20 else { return [node] }
      var node = node
      let axis = try constantInts(node, 2, "axis", opset, rewriter) ?? [-2]
      guard let axis = axis.first else { throw .invalidArgument("input 2 (axis) is empty") }
      node.attributes["axis"] = .int(axis)
      node.inputs = Array(node.inputs.prefix(2))
      while node.inputs.last == "" { node.inputs.removeLast() }
      return [node]
    },
    gradient: .dft,
    samples: [
      Sample([.floats(2, 10, 1)]), Sample([.floats(2, 12, 2)], ["inverse": .int(1)]),
      Sample([.floats(3, 10, 4, 1), .ints([16]), .ints([1])], ["onesided": .int(1)]),
      Sample([.floats(2, 7, 2)], ["onesided": .int(1), "inverse": .int(1)]),
      Sample([.random(.float64, [37, 2, 2], low: -1, high: 1), .absent, .ints([0])]),
      Sample([.random(.float16, [1, 74, 1], low: -1, high: 1), .ints([53])]),
      Sample([.floats(2, 0, 1), .ints([4])]), Sample([.floats(0, 4, 2)]),
    ])

  private static func dftKernel<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (input, output) = (try preparation.input(0).shape, preparation.outputs[0].shape)
    let options = NodeOptions(preparation)
    return PreparedKernel { (run) throws(StackLensError) in
      func given(_ index: Int) -> Tensor? { index < run.inputs.count ? run.inputs[index] : nil }
      let layout = try FourierLayout(options, input, length: given(1), axis: given(2))
      guard layout.outputDims == output.dims else {
        throw .shapeMismatch("DFT gives \(layout.outputDims), planned \(output)")
      }
      guard output.count > 0 else { return }
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      if T.self == Float.self, isSmoothLength(layout.length) {
        try layout.run(x, y, Float.self, run.parallel)
      } else {
        try layout.run(x, y, Double.self, run.parallel)
      }
    }
  }
}

/// What a DFT node does to an input of one shape.
private struct FourierLayout {
  let length: Int
  private let isInverse: Bool
  private let isOneSided: Bool
  private let parts: Int
  private let lines: AxisLayout
  let outputDims: [Int]
  private let outputExtent: Int
  private let outputParts: Int

  init(
    _ view: some NodeView, _ input: Shape, length given: Tensor?, axis: Tensor?
  ) throws(StackLensError) {
    isInverse = try view.flag("inverse")
    isOneSided = try view.flag("onesided")
    guard input.rank >= 2, let last = input.dims.last, last == 1 || last == 2 else {
      throw .shapeMismatch("input 0 has shape \(input), expected [signal…, 1 or 2]")
    }
    parts = last
    let axis = try input.axis(try axis?.integer("axis") ?? -2)
    guard axis < input.rank - 1 else {
      throw .invalidArgument("axis \(axis) of \(input) holds the parts of complex numbers")
    }
    guard !isOneSided || isInverse || parts == 1 else {
      throw .invalidArgument("a one-sided transform needs a real input, found \(input)")
    }
    let extent = input[axis]
    let standard = isOneSided && isInverse ? max(0, 2 * (extent - 1)) : extent
    length = try given?.integer("dft_length") ?? standard
    guard length > 0 else { throw .invalidArgument("dft_length is \(length), expected 1 or more") }
    outputParts = isOneSided && isInverse ? 1 : 2
    outputExtent = isOneSided && !isInverse ? length / 2 + 1 : length
    var dims = input.dims
    dims[axis] = outputExtent
    dims[input.rank - 1] = outputParts
    outputDims = dims
    lines = AxisLayout(
      outer: input.count(0..<axis), length: extent, inner: input.count(axis + 1..<input.rank - 1))
  }

  func run<T: RealElement, N: FourierNumber>(
    _ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>, _: N.Type, _ parallel: Parallel
  ) throws(StackLensError) {
    let plan = try FourierPlan<N>(length)
    let count = lines.outer * lines.inner
    let grain = max(1, (1 << 12) / length)
    parallel.ranges(count, grain: grain) { range in
      withUnsafeTemporaryAllocation(
        of: N.self, capacity: 2 * length + plan.workCount
      ) { buffer in
        guard let data = buffer.baseAddress else { return }
        for line in range {
          let (block, column) = line.quotientAndRemainder(dividingBy: lines.inner)
          load(x + (block * lines.length * lines.inner + column) * parts, data)
          if parts == 1 {
            plan.transformReal(data, data + 2 * length, inverse: isInverse)
          } else {
            plan.transform(data, data + 2 * length, inverse: isInverse)
          }
          store(data, y + (block * outputExtent * lines.inner + column) * outputParts)
        }
      }
    }
  }

  /// One line as complex numbers, cut or filled up with zeros.
  private func load<T: RealElement, N: FourierNumber>(
    _ x: UnsafePointer<T>, _ data: UnsafeMutablePointer<N>
  ) {
    let step = lines.inner * parts
    let known = isOneSided && isInverse ? length / 2 + 1 : length
    let count = min(lines.length, known)
    for i in 0..<count {
      data[2 * i] = N.read(x[i * step])
      data[2 * i + 1] = parts == 2 ? N.read(x[i * step + 1]) : 0
    }
    for i in 2 * count..<max(2 * count, 2 * length) { data[i] = 0 }
    guard isOneSided && isInverse else { return }
    // The other half is the mirror image; what the mirror maps to itself is real.
    data[1] = 0
    for i in 1..<max(1, known) {
      if 2 * i == length {
        data[2 * i + 1] = 0
      } else {
        data[2 * (length - i)] = data[2 * i]
        data[2 * (length - i) + 1] = -data[2 * i + 1]
      }
    }
  }

  private func store<T: RealElement, N: FourierNumber>(
    _ data: UnsafePointer<N>, _ y: UnsafeMutablePointer<T>
  ) {
    let step = lines.inner * outputParts
    let scale: N = isInverse ? 1 / N(length) : 1
    for i in 0..<outputExtent {
      y[i * step] = (data[2 * i] * scale).element(T.self)
      if outputParts == 2 { y[i * step + 1] = (data[2 * i + 1] * scale).element(T.self) }
    }
  }
}
