import Base
import Graphs
import Tensors

/// Which nodes of a graph work on bytes, and which values therefore are quantised.
private struct StaticPlan {
  private(set) var nodes: Set<Int> = []
  /// Values between QuantizeLinear and DequantizeLinear.
  private(set) var values: Set<String> = []
  /// Values that share their scale with another one, by name.
  private var twins: [String: String] = [:]

  /// Operators behind convolutions that bytes pass through.
  private static let moving: Set<String> = [
    "Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze",
  ]
  private static let following: Set<String> = [
    "AveragePool", "Clip", "Elu", "GlobalAveragePool", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Relu", "Sigmoid", "Tanh",
  ]

  init(_ editor: GraphEditor) {
    var isMap: Set<String> = []
    for (index, node) in editor.source.nodes.enumerated()
    where node.domain.isEmpty && !editor.isExcluded(node) && !node.inputs.isEmpty {
      let isData = isMap.contains(node.inputs[0])
      switch node.opType {
      case "Conv" where editor.isFloatConstant(node.inputs[1]):
        quantise(index, [node.inputs[0]], node.outputs)
        isMap.insert(node.outputs[0])
      case "MatMul", "Gemm":
        guard ConstantProduct(node, editor) != nil else { continue }
        quantise(index, [node.inputs[0]], [])
      case _ where Self.moving.contains(node.opType) && isData && node.outputs.count == 1:
        quantise(index, [node.inputs[0]], node.outputs)
        join(node.inputs[0], node.outputs[0])
        isMap.insert(node.outputs[0])
      case _ where Self.following.contains(node.opType) && isData && node.outputs.count == 1:
        quantise(index, [node.inputs[0]], node.outputs)
        isMap.insert(node.outputs[0])
      case "Add" where node.inputs.allSatisfy(isMap.contains),
        "Mul" where node.inputs.allSatisfy(isMap.contains):
        quantise(index, node.inputs, node.outputs)
        isMap.insert(node.outputs[0])
      case "Concat" where node.inputs.allSatisfy(isMap.contains):
        quantise(index, node.inputs, node.outputs)
        for input in node.inputs { join(input, node.outputs[0]) }
        isMap.insert(node.outputs[0])
      default: break
      }
    }
    leaveOutRectified(editor)
  }

  private mutating func quantise(_ index: Int, _ inputs: [String], _ outputs: [String]) {
    nodes.insert(index)
    values.formUnion(inputs)
    values.formUnion(outputs)
  }

  /// The result of a convolution that only a rectifier reads is not rounded in between.
  private mutating func leaveOutRectified(_ editor: GraphEditor) {
    let index = GraphIndex(editor.source)
    for place in nodes {
      let node = editor.source.nodes[place]
      if node.opType == "Conv", index.onlyReader(of: node.outputs[0], "Relu") != nil {
        values.remove(node.outputs[0])
      }
    }
  }

  /// The value whose scale `name` has.
  func root(of name: String) -> String {
    var name = name
    while let next = twins[name] { name = next }
    return name
  }

  private mutating func join(_ a: String, _ b: String) {
    let (left, right) = (root(of: a), root(of: b))
    if left != right { twins[left] = right }
  }
}

/// Scale and zero point of an unsigned byte over a range that includes 0.
private struct ByteScale {
  let scale: Float
  let zero: UInt8

  init(_ range: (low: Float, high: Float)) {
    let width = range.high - range.low
    scale = width > 1e-30 ? width / 255 : 1
    zero = UInt8(max(0, min(255, (-range.low / scale).rounded(.toNearestOrEven))))
  }
}

extension GraphEditor {
  fileprivate func isFloatConstant(_ name: String) -> Bool {
    guard let tensor = constants[name] else { return false }
    return tensor.elementType == .float32 && tensor.rank >= 2 && tensor.count > 0
  }

  /// Convolutions, products with constant weights and what lies between convolutions work on bytes:
  /// their data passes through QuantizeLinear and DequantizeLinear with ranges that samples have
  /// shown.
  mutating func quantizeStatically(
    _ model: Model, _ samples: [[String: Value]]
  ) throws(StackLensError) {
    let plan = StaticPlan(self)
    var observed = model
    observed.graph = source
    let calibrator = try Calibrator(observed, values: plan.values.sorted(), samples: samples)
    var ranges: [String: (low: Float, high: Float)] = [:]
    for name in plan.values.sorted() {
      guard let histogram = calibrator.histograms[name] else { continue }
      let (range, root) = (histogram.range(options.calibration), plan.root(of: name))
      let other = ranges[root] ?? (0, 0)
      ranges[root] = (min(range.low, other.low), max(range.high, other.high))
    }
    let scales = ranges.mapValues { ByteScale($0) }
    func scale(_ name: String) -> ByteScale? {
      plan.values.contains(name) ? scales[plan.root(of: name)] : nil
    }
    var names: [String: String] = [:]
    for input in source.inputs {
      if let scale = scale(input.name) { names[input.name] = try rounded(input.name, scale, plan) }
    }
    for (index, node) in source.nodes.enumerated() {
      var node = node
      if plan.nodes.contains(index) {
        do throws(StackLensError) {
          if let x = scale(node.inputs[0]) { try quantiseOperands(&node, x) }
        } catch { throw error.within(node.label) }
      }
      node.inputs = node.inputs.map { names[$0] ?? $0 }
      node.renameCaptures(names)
      nodes.append(node)
      for output in node.outputs {
        if let scale = scale(output) { names[output] = try rounded(output, scale, plan) }
      }
    }
  }

  /// Appends the two nodes that round a value, and returns the name of the result.
  private mutating func rounded(
    _ name: String, _ scale: ByteScale, _ plan: StaticPlan
  ) throws(StackLensError) -> String {
    let root = plan.root(of: name)
    let parameters = [
      sharedConstant("\(root) scale", name: "\(root)_scale", try Tensor(scalar: scale.scale)),
      sharedConstant("\(root) zero", name: "\(root)_zero_point", try Tensor(scalar: scale.zero)),
    ]
    let bytes = add("QuantizeLinear", [name] + parameters, hint: "\(name)_quantized")
    return add("DequantizeLinear", [bytes] + parameters, hint: "\(name)_dequantized")
  }

  /// Replaces the weights and the bias of a product or convolution by quantised ones.
  private mutating func quantiseOperands(
    _ node: inout Node, _ x: ByteScale
  ) throws(StackLensError) {
    guard ["Conv", "Gemm", "MatMul"].contains(node.opType), node.inputs.count > 1,
      let weight = constants[node.inputs[1]]
    else { return }
    var axis = node.opType == "MatMul" ? 1 : 0
    if node.opType == "Gemm" {
      axis = 1
      if case .int(let flag)? = node.attributes["transB"], flag != 0 { axis = 0 }
    }
    let scales: [Float]
    (node.inputs[1], scales) = try quantisedWeight(node.inputs[1], weight, axis: axis)
    guard node.inputs.count > 2, let bias = constants[node.inputs[2]], bias.rank == 1,
      bias.elementType == .float32, bias.count == weight.shape[axis]
    else { return }
    let steps = scales.map { $0 * x.scale }
    let values = try bias.elements(as: Float.self).enumerated().map { index, value in
      (Double(value) / Double(steps[steps.count == 1 ? 0 : index])).rounded(.toNearestOrEven)
    }
    // A bias that is too large for its steps stays as it is.
    guard values.allSatisfy({ abs($0) < 2_147_483_647 }) else { return }
    let name = node.inputs[2]
    let bytes = constant(try Tensor(values.map { Int32($0) }), "\(name)_quantized")
    let scale = constant(
      steps.count == 1 ? try Tensor(scalar: steps[0]) : try Tensor(steps), "\(name)_scale")
    node.inputs[2] = add(
      "DequantizeLinear", [bytes, scale], steps.count == 1 ? [:] : ["axis": .int(0)],
      hint: "\(name)_dequantized")
  }

  private mutating func quantisedWeight(
    _ name: String, _ weight: Tensor, axis: Int
  ) throws(StackLensError) -> (name: String, scales: [Float]) {
    let columns = weight.shape[axis]
    let inner = weight.shape.count(axis + 1..<weight.rank)
    let values = try weight.elements(as: Float.self)
    // Channels last, as columns; and back.
    func place(_ index: Int) -> Int {
      let (row, column) = index.quotientAndRemainder(dividingBy: columns)
      return ((row / inner) * columns + column) * inner + row % inner
    }
    let turned = (0..<values.count).map { values[place($0)] }
    let quantised = try QuantizedColumns(
      turned, columns: columns, isPerChannel: options.isPerChannel)
    if let known = shared["\(name) \(axis) weight"] { return (known, quantised.scales) }
    var bytes = [Int8](repeating: 0, count: values.count)
    for index in 0..<values.count { bytes[place(index)] = quantised.bytes[index] }
    let scale = constant(try quantised.scaleTensor, "\(name)_scale")
    let stored = constant(try Tensor(bytes, shape: weight.shape), "\(name)_quantized")
    var zeroShape = Shape.scalar
    if quantised.scales.count > 1 { zeroShape = try Shape([columns]) }
    let zero = constant(try Tensor(zeros: .int8, zeroShape), "\(name)_zero_point")
    let result = add(
      "DequantizeLinear", [stored, scale, zero],
      quantised.scales.count == 1 ? [:] : ["axis": .int(Int64(axis))],
      hint: "\(name)_dequantized")
    shared["\(name) \(axis) weight"] = result
    return (result, quantised.scales)
  }
}
