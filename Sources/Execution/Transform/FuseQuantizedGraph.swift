import Base
import Graphs
import Operators
import Tensors

extension Transform {
  /// Operators between DequantizeLinear and QuantizeLinear become operators on bytes: products and
  /// convolutions with exact sums, sums and means, moves of data, and a table for everything that
  /// looks at one value alone.
  static func fuseQuantized(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let node = graph.nodes[place]
      guard node.domain.isEmpty, node.outputs.count == 1 else { return nil }
      let match = QuantizedMatch(index: index, place: place, node: node)
      switch node.opType {
      case "Conv": return match.convolution()
      case "MatMul": return match.product()
      case "Gemm": return match.gemm()
      case "Add", "Mul": return match.pair() ?? match.table()
      case "GlobalAveragePool", "AveragePool": return match.pooling()
      case "Concat": return match.joined()
      case "MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze":
        return match.moved()
      case "QuantizeLinear": return match.requantized()
      default: return match.table()
      }
    }
  }

  /// Whether constant folding leaves a node to the fusions above, which want its bytes.
  static func isWeightDequantization(_ node: Node, _ source: Tensor?) -> Bool {
    guard node.domain.isEmpty else { return false }
    return node.opType == "DequantizeLinear"
      || node.opType == "Cast" && source?.elementType == .bfloat16
  }
}

/// An operator with the quantisation around it.
private struct QuantizedMatch {
  let index: GraphIndex
  let place: Int
  let node: Node

  /// A value that a DequantizeLinear makes out of bytes with one scale.
  struct Source {
    let bytes: String
    let scale: String
    let zero: String
    var parameters: [String] { [scale, zero] }
    var all: [String] { [bytes, scale, zero] }
  }

  func source(_ name: String) -> Source? {
    guard let made = index.producer(of: name, "DequantizeLinear"),
      let parameters = made.node.scalarQuantization(index), !parameters[1].isEmpty
    else { return nil }
    return Source(bytes: made.node.inputs[0], scale: parameters[0], zero: parameters[1])
  }

  /// The QuantizeLinear with one scale that alone reads `name`.
  func ending(_ name: String) -> (index: Int, node: Node, parameters: [String])? {
    guard let next = index.onlyReader(of: name, "QuantizeLinear"), next.node.inputs[0] == name,
      let parameters = next.node.scalarQuantization(index)
    else { return nil }
    return (next.index, next.node, parameters)
  }

  private func isSame(_ left: [String], _ right: [String]) -> Bool {
    guard let a = index.constant(left[0]), let b = index.constant(right[0]),
      a.bytes.elementsEqual(b.bytes)
    else { return false }
    if left[1] == right[1] { return true }
    guard let zeroA = index.constant(left[1]), let zeroB = index.constant(right[1]) else {
      return false
    }
    return zeroA.elementType == zeroB.elementType && zeroA.bytes.elementsEqual(zeroB.bytes)
  }

  private func type(_ zero: String) -> ElementType {
    index.constant(zero)?.elementType ?? .uint8
  }

  // Products ---------------------------------------------------------------------------------

  /// Constant weights in bytes with a scale for all or for each column: as [K, N].
  private struct Weights {
    var tensor: Tensor
    var scales: [Float]
    var zero: Tensor?
  }

  /// - Parameter isTransposed: the weights are [N, K].
  private func weights(_ name: String, isTransposed: Bool) -> Weights? {
    var (name, isTransposed) = (name, isTransposed)
    if let turn = index.producer(of: name, "Transpose"),
      turn.node.attributes["perm"] == nil
        || turn.node.isPermutation([1, 0])
    {
      (name, isTransposed) = (turn.node.inputs[0], !isTransposed)
    }
    guard let made = index.producer(of: name, "DequantizeLinear"),
      let tensor = index.constant(made.node.inputs[0]), tensor.rank == 2,
      tensor.elementType == .int8 || tensor.elementType == .uint8, tensor.shape[0] < 1 << 16
    else { return nil }
    let columnAxis: Int64 = isTransposed ? 0 : 1
    let columns = tensor.shape[Int(columnAxis)]
    guard let scales = index.scales(made.node.inputs[1], orVectorOf: columns) else { return nil }
    var axis: Int64 = 1
    if case .int(let given)? = made.node.attributes["axis"] { axis = given < 0 ? given + 2 : given }
    for key in ["block_size", "output_dtype"] {
      if case .int(let value)? = made.node.attributes[key], value != 0 { return nil }
    }
    guard scales.count == 1 || axis == columnAxis else { return nil }
    var zero: Tensor?
    if made.node.inputs.count > 2, !made.node.inputs[2].isEmpty {
      zero = index.constant(made.node.inputs[2])
      guard zero != nil else { return nil }
    }
    guard Transform.isCentred(tensor, zero) else { return nil }
    guard isTransposed else { return Weights(tensor: tensor, scales: scales, zero: zero) }
    guard let turned = try? tensor.transposedBytes() else { return nil }
    return Weights(tensor: turned, scales: scales, zero: zero)
  }

  func product() -> Replacement? {
    guard let a = source(node.inputs[0]) else { return nil }
    if let weights = weights(node.inputs[1], isTransposed: false) {
      return product(a, weights, bias: nil)
    }
    guard let b = source(node.inputs[1]), index.constant(b.bytes) == nil,
      let end = ending(node.outputs[0]), !end.parameters[1].isEmpty
    else { return nil }
    let product = Node(
      "QLinearMatMul", inputs: a.all + b.all + end.parameters, outputs: end.node.outputs,
      name: node.name)
    return Replacement(at: end.index, removed: [place, end.index], nodes: [product])
  }

  func gemm() -> Replacement? {
    for (key, wanted) in [("alpha", Float(1)), ("beta", 1)] {
      if case .float(let value)? = node.attributes[key], value != wanted { return nil }
    }
    if case .int(let flag)? = node.attributes["transA"], flag != 0 { return nil }
    var isTransposed = false
    if case .int(let flag)? = node.attributes["transB"] { isTransposed = flag != 0 }
    guard let a = source(node.inputs[0]),
      let weights = weights(node.inputs[1], isTransposed: isTransposed)
    else { return nil }
    guard node.inputs.count > 2, !node.inputs[2].isEmpty else {
      return product(a, weights, bias: nil)
    }
    guard let bias = numbers(node.inputs[2]), bias.count == weights.tensor.shape[1] else {
      return nil
    }
    return product(a, weights, bias: bias)
  }

  /// A float32 vector, constant or dequantised from a constant.
  private func numbers(_ name: String) -> [Float]? {
    if let tensor = index.constant(name) {
      return tensor.rank == 1 ? try? tensor.elements(as: Float.self) : nil
    }
    guard let made = index.producer(of: name, "DequantizeLinear"),
      made.node.inputs.allSatisfy({ $0.isEmpty || index.constant($0) != nil }),
      let definition = OperatorTable.find("DequantizeLinear", domain: ""),
      let results = try? definition.evaluate(
        made.node, inputs: made.node.inputs.map { index.constant($0).map { .tensor($0) } }),
      let tensor = try? results[0].tensor(), tensor.rank == 1
    else { return nil }
    return try? tensor.elements(as: Float.self)
  }

  private func product(_ a: Source, _ weights: Weights, bias: [Float]?) -> Replacement? {
    let columns = weights.tensor.shape[1]
    var last = (index: place, name: node.outputs[0])
    var removed = [place]
    var biasName = ""
    if bias == nil, let add = index.onlyReader(of: last.name, "Add"),
      let other = add.node.inputs.first(where: { $0 != last.name }),
      let vector = index.constant(other), vector.elementType == .float32,
      vector.shape.dims == [columns]
    {
      biasName = other
      last = (add.index, add.node.outputs[0])
      removed.append(add.index)
    }
    var activation = "none"
    if let next = index.onlyReader(of: last.name), next.node.domain.isEmpty,
      let name = Transform.activationName(next.node, index)
    {
      activation = name
      last = (next.index, next.node.outputs[0])
      removed.append(next.index)
    }
    var parameters: [String] = []
    if let end = ending(last.name) {
      parameters = end.parameters
      last = (end.index, end.node.outputs[0])
      removed.append(end.index)
    }
    let stem = last.name
    var made: [Initializer] = []
    func add(_ tensor: Tensor?, _ hint: String) -> String {
      guard let tensor else { return "" }
      made.append(Initializer("\(stem)__\(hint)", tensor))
      return "\(stem)__\(hint)"
    }
    if let bias { biasName = add(try? Tensor(bias), "bias") }
    let scales = weights.scales
    let inputs = [
      a.bytes, add(weights.tensor, "weights"),
      add(scales.count == 1 ? try? Tensor(scalar: scales[0]) : try? Tensor(scales), "scales"),
      a.scale, a.zero, add(weights.zero, "zero"), biasName, "",
    ]
    let product = Node(
      "QuantizedMatMul", inputs: inputs + parameters, outputs: [stem],
      attributes: ["activation": .string(activation)], name: node.name, domain: "ai.stacklens")
    return Replacement(at: last.index, removed: removed, nodes: [product], initializers: made)
  }

  // Convolutions -----------------------------------------------------------------------------

  func convolution() -> Replacement? {
    guard let x = source(node.inputs[0]),
      let made = index.producer(of: node.inputs[1], "DequantizeLinear"),
      let weight = index.constant(made.node.inputs[0]), weight.rank >= 3,
      weight.elementType == .int8 || weight.elementType == .uint8
    else { return nil }
    let channels = weight.shape[0]
    guard let scales = index.scales(made.node.inputs[1], orVectorOf: channels) else { return nil }
    if scales.count > 1 {
      guard case .int(0)? = made.node.attributes["axis"] else { return nil }
    }
    guard let xScale = index.scales(x.scale, orVectorOf: 1)?[0] else { return nil }
    var last = (index: place, name: node.outputs[0])
    var removed = [place]
    // The lowest byte stands for 0 behind a rectifier, so that saturation does the same.
    var isRectified = false
    if let relu = index.onlyReader(of: last.name, "Relu") {
      isRectified = true
      last = (relu.index, relu.node.outputs[0])
      removed.append(relu.index)
    }
    guard let end = ending(last.name), !end.parameters[1].isEmpty,
      let yZero = index.constant(end.parameters[1]),
      !isRectified || yZero.bytes[0] == (yZero.elementType == .int8 ? 0x80 : 0)
    else { return nil }
    var initializers: [Initializer] = []
    var wZero = made.node.inputs.count > 2 ? made.node.inputs[2] : ""
    if wZero.isEmpty {
      wZero = end.node.outputs[0] + "__wzero"
      guard let zero = try? Tensor(zeros: weight.elementType, .scalar) else { return nil }
      initializers.append(Initializer(wZero, zero))
    }
    var inputs = x.all + [made.node.inputs[0], made.node.inputs[1], wZero] + end.parameters
    if node.inputs.count > 2, !node.inputs[2].isEmpty {
      guard let bias = numbers(node.inputs[2]), bias.count == channels else { return nil }
      var steps: [Int32] = []
      for (channel, value) in bias.enumerated() {
        let step = Double(value) / Double(xScale * scales[scales.count == 1 ? 0 : channel])
        guard let whole = Int32(exactly: step.rounded(.toNearestOrEven)) else { return nil }
        steps.append(whole)
      }
      guard let tensor = try? Tensor(steps) else { return nil }
      inputs.append(end.node.outputs[0] + "__bias")
      initializers.append(Initializer(end.node.outputs[0] + "__bias", tensor))
    }
    let convolution = Node(
      "QLinearConv", inputs: inputs, outputs: end.node.outputs, attributes: node.attributes,
      name: node.name)
    return Replacement(
      at: end.index, removed: removed + [end.index], nodes: [convolution],
      initializers: initializers)
  }

  // Sums, means, moves -----------------------------------------------------------------------

  func pair() -> Replacement? {
    guard let a = source(node.inputs[0]), let b = source(node.inputs[1]),
      let end = ending(node.outputs[0]), type(a.zero) == type(b.zero),
      type(a.zero) == type(end.parameters[1])
    else { return nil }
    let pair = Node(
      "QLinear\(node.opType)", inputs: a.all + b.all + end.parameters, outputs: end.node.outputs,
      name: node.name, domain: "com.microsoft")
    return Replacement(at: end.index, removed: [place, end.index], nodes: [pair])
  }

  func pooling() -> Replacement? {
    guard let x = source(node.inputs[0]), let end = ending(node.outputs[0]),
      !end.parameters[1].isEmpty, type(x.zero) == type(end.parameters[1]),
      node.attributes["dilations"] == nil
    else { return nil }
    let pool = Node(
      "QLinear\(node.opType)", inputs: x.all + end.parameters, outputs: end.node.outputs,
      attributes: node.attributes, name: node.name, domain: "com.microsoft")
    return Replacement(at: end.index, removed: [place, end.index], nodes: [pool])
  }

  /// An operator that only moves data, on the bytes.
  func moved() -> Replacement? {
    guard let x = source(node.inputs[0]), let end = ending(node.outputs[0]),
      isSame(x.parameters, end.parameters)
    else { return nil }
    var move = node
    move.inputs[0] = x.bytes
    move.outputs = end.node.outputs
    return Replacement(at: end.index, removed: [place, end.index], nodes: [move])
  }

  func joined() -> Replacement? {
    guard let end = ending(node.outputs[0]) else { return nil }
    var joined = node
    joined.outputs = end.node.outputs
    for position in node.inputs.indices {
      guard let x = source(node.inputs[position]), isSame(x.parameters, end.parameters) else {
        return nil
      }
      joined.inputs[position] = x.bytes
    }
    return Replacement(at: end.index, removed: [place, end.index], nodes: [joined])
  }

  // Tables -----------------------------------------------------------------------------------

  private static let elementwise: Set<String> = [
    "Abs", "Add", "Celu", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Selu",
    "Sigmoid", "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh", "ThresholdedRelu",
  ]

  /// f(x) of one quantised x, all other operands single constants.
  func table() -> Replacement? {
    guard Self.elementwise.contains(node.opType), let end = ending(node.outputs[0]) else {
      return nil
    }
    var x: Source?
    for name in node.inputs where !name.isEmpty {
      if let constant = index.constant(name) {
        guard constant.count == 1, constant.rank == 0 else { return nil }
      } else if let found = source(name), x == nil {
        x = found
      } else {
        return nil
      }
    }
    guard let x else { return nil }
    return look(up: x, [node], end, removed: [place, end.index])
  }

  /// Bytes that only change their scale.
  func requantized() -> Replacement? {
    guard let x = source(node.inputs[0]), let parameters = node.scalarQuantization(index) else {
      return nil
    }
    if isSame(x.parameters, parameters) {
      let same = Node("Identity", inputs: [x.bytes], outputs: node.outputs, name: node.name)
      return Replacement(at: place, removed: [place], nodes: [same])
    }
    return look(up: x, [], (place, node, parameters), removed: [place])
  }

  private func look(
    up x: Source, _ between: [Node], _ end: (index: Int, node: Node, parameters: [String]),
    removed: [Int]
  ) -> Replacement? {
    let type = type(x.zero)
    guard let dequantize = index.producer(of: firstDequantized(between, end.node)),
      let bytes = try? Tensor((0...255).map { UInt8($0) })
    else { return nil }
    let all = Tensor(
      elementType: type, shape: bytes.shape, storage: bytes.storage, base: bytes.base)
    var values: [String: Tensor] = [x.bytes: all]
    for step in [dequantize] + between + [end.node] {
      guard let definition = OperatorTable.find(step.opType, domain: step.domain),
        let results = try? definition.evaluate(
          step,
          inputs: step.inputs.map { name in
            (values[name] ?? index.constant(name)).map { .tensor($0) }
          }), let tensor = try? results[0].tensor()
      else { return nil }
      values[step.outputs[0]] = tensor
    }
    guard let table = values[end.node.outputs[0]], table.count == 256,
      table.elementType.byteSize == 1
    else { return nil }
    let name = end.node.outputs[0] + "__table"
    let lookup = Node(
      "ByteTable", inputs: [x.bytes, name], outputs: end.node.outputs, name: end.node.name,
      domain: "ai.stacklens")
    return Replacement(
      at: end.index, removed: removed, nodes: [lookup], initializers: [Initializer(name, table)])
  }

  /// The dequantised value that the first step reads.
  private func firstDequantized(_ between: [Node], _ end: Node) -> String {
    let first = between.first ?? end
    return first.inputs.first { source($0) != nil } ?? ""
  }
}

extension Node {
  func isPermutation(_ wanted: [Int64]) -> Bool {
    if case .ints(wanted)? = attributes["perm"] { return true }
    return false
  }
}

extension Tensor {
  /// The transpose of a matrix of bytes.
  func transposedBytes() throws(StackLensError) -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    let result = try Tensor(uninitialized: elementType, Shape([columns, rows]))
    let source = base.assumingMemoryBound(to: UInt8.self)
    let target = result.base.assumingMemoryBound(to: UInt8.self)
    for row in 0..<rows {
      for column in 0..<columns { target[column * rows + row] = source[row * columns + column] }
    }
    return result
  }
}
