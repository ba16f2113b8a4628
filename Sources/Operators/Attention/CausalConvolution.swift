import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// A convolution of each channel over its own past, with the last inputs as a state for the next
  /// call. ONNX CausalConvWithState-27.
  static let causalConvWithState = OperatorDefinition(
    "CausalConvWithState", versions: [27], inputs: 2...4, outputs: 1...2,
    attributes: [.string("activation", default: "none")],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1, 2, 3)
      let work = try CausalConvolution(context, context.inputs)
      return [x, TensorType(x.elementType, work.stateShape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let work = try CausalConvolution(preparation, preparation.inputs)
        return try preparation.input(0).elementType == .float64
          ? try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
            try work.run(wide)
          }
          : try wideKernel(Float.self, preparation) { (wide) throws(StackLensError) in
            try work.run(wide)
          }
      }
    ]),
    gradient: .causalConvolution,
    samples: [
      Sample(
        [.floats(2, 3, 7), .floats(3, 1, 4), .floats(3), .floats(2, 3, 3)],
        ["activation": .string("silu")], outputs: 2),
      Sample([.floats(1, 2, 2), .floats(2, 1, 4)], outputs: 2),
      Sample([.floats(1, 2, 0), .floats(2, 1, 1)], outputs: 2),
    ])

  /// a · sigmoid(alpha · a) · b. ONNX SwiGLU-28.
  static let swiGLU = OperatorDefinition.composed(
    "SwiGLU", versions: [28], inputs: 2...2, attributes: [.float("alpha", default: 1)],
    samples: [
      Sample([.floats(2, 9), .floats(2, 9)], ["alpha": .float(1.5)]),
      Sample([.floats(0, 3), .floats(0, 3)]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    var made = Decomposition(node.node, newestOpset)
    let gate = made.apply(
      "Swish", [try node.required(0, "A")], ["alpha": .float(try node.float("alpha"))], &rewriter)
    return made.finish("Mul", [gate, try node.required(1, "B")])
  }
}

private struct CausalConvolution: Sendable {
  let stateShape: Shape
  private let channels: Int
  private let lineCount: Int
  private let length: Int
  private let tapCount: Int
  private let hasSilu: Bool

  init(_ view: some NodeView, _ inputs: [TensorType?]) throws(StackLensError) {
    func shape(_ index: Int) -> Shape? { index < inputs.count ? inputs[index]?.shape : nil }
    guard let x = shape(0), let weight = shape(1) else {
      throw .invalidArgument("input 0 or 1 is missing")
    }
    guard x.rank == 3, weight.rank == 3, weight[0] == x[1], weight[1] == 1, weight[2] > 0 else {
      throw .shapeMismatch(
        "input \(x) and weight \(weight), expected [batch, channels, length] and [channels, 1, k]")
    }
    (channels, length, tapCount) = (x[1], x[2], weight[2])
    lineCount = try extentProduct(x[0], x[1])
    try requireWalkable(lineCount, x)
    stateShape = try Shape([x[0], x[1], weight[2] - 1])
    if let bias = shape(2), bias.dims != [channels] {
      throw .shapeMismatch("bias has shape \(bias), expected [\(channels)]")
    }
    if let past = shape(3), past != stateShape {
      throw .shapeMismatch("past_state has shape \(past), expected \(stateShape)")
    }
    switch try view.string("activation") {
    case "none": hasSilu = false
    case "silu", "swish": hasSilu = true
    case let name:
      throw .invalidArgument("attribute 'activation' is '\(name)', expected none, silu or swish")
    }
  }

  func run<T: RecurrentElement>(_ wide: WideRun<T>) throws(StackLensError) {
    let (x, weight) = (try wide.input(0), try wide.input(1))
    let bias = wide.inputs.count > 2 ? wide.inputs[2] : nil
    let past = wide.inputs.count > 3 ? wide.inputs[3] : nil
    let (y, state) = (wide.outputs[0], wide.outputs[1])
    let before = tapCount - 1
    wide.run.parallel.ranges(lineCount, grain: max(1, costlyGrain / max(1, length))) { range in
      // The line with what came before it.
      var line = [T](repeating: 0, count: before + length)
      for index in range {
        for i in 0..<before { line[i] = past?[index * before + i] ?? 0 }
        for i in 0..<length { line[before + i] = x[index * length + i] }
        let channel = index % channels
        let taps = weight + channel * tapCount
        for i in 0..<length {
          var sum = bias?[channel] ?? 0
          for tap in 0..<tapCount { sum += taps[tap] * line[i + tap] }
          y[index * length + i] = hasSilu ? sum / (1 + (-sum).exponential) : sum
        }
        for i in 0..<before { state[index * before + i] = line[length + i] }
      }
    }
  }
}
