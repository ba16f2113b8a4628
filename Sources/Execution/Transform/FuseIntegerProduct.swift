import Graphs
import Tensors

extension Transform {
  /// Rows quantised symmetrically by standard operators, x / (max |x| / 127) + 128, become one
  /// operator.
  static func fuseRowQuantization(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let quantize = graph.nodes[place]
      guard quantize.opType == "QuantizeLinear", quantize.domain.isEmpty,
        quantize.inputs.count == 3, index.scalar(quantize.inputs[1], rank: 0) == 1,
        index.byte(quantize.inputs[2]) == 128,
        let quotient = index.producer(of: quantize.inputs[0], "Div"),
        let scale = index.producer(of: quotient.node.inputs[1], "Div"),
        index.scalar(scale.node.inputs[1], rank: 0) == 127,
        let raised = index.producer(of: scale.node.inputs[0], "Max"),
        let least = index.scalarOperand(raised.node, rank: 0), least.scalar > 0,
        least.scalar < 1e-20,
        let largest = index.producer(of: least.other, "ReduceMax"),
        isOverLastAxis(largest.node, index),
        let size = index.producer(of: largest.node.inputs[0], "Abs"),
        size.node.inputs[0] == quotient.node.inputs[0],
        index.onlyReader(of: quotient.node.outputs[0]) != nil
      else { return nil }
      let node = Node(
        "QuantizeRows", inputs: [size.node.inputs[0]],
        outputs: [quantize.outputs[0], scale.node.outputs[0]], name: quantize.name,
        domain: "ai.stacklens")
      return Replacement(
        at: scale.index, removed: [place, quotient.index, scale.index], nodes: [node])
    }
  }

  /// A product of bytes with constant weights takes in the scales that make it a product of numbers,
  /// the bias, the activation, and the quantisation before and after it.
  static func fuseIntegerProduct(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      guard var match = IntegerProductMatch(index, place), match.takeScales() else { return nil }
      match.takeBias()
      match.takeActivation()
      match.takeQuantization()
      return match.replacement()
    }
  }

  /// Whether a constant zero point is the middle of its type, where the fused product is fast.
  static func isCentred(_ weight: Tensor, _ zero: Tensor?) -> Bool {
    guard let zero else { return weight.elementType == .int8 }
    switch zero.elementType {
    case .int8: return zero.bytes.allSatisfy { $0 == 0 }
    case .uint8: return zero.bytes.allSatisfy { $0 == 128 }
    default: return false
    }
  }
}

extension GraphIndex {
  /// A constant of one unsigned byte.
  func byte(_ name: String) -> UInt8? {
    guard let tensor = constant(name), tensor.elementType == .uint8, tensor.count == 1 else {
      return nil
    }
    return tensor.bytes[0]
  }

  /// The elements of a float32 constant with one element or a vector of `count`.
  func scales(_ name: String, orVectorOf count: Int) -> [Float]? {
    guard let tensor = constant(name), tensor.elementType == .float32,
      tensor.count == 1 || tensor.shape.dims == [count]
    else { return nil }
    return try? tensor.elements(as: Float.self)
  }
}

/// A MatMulInteger and what belongs to it.
private struct IntegerProductMatch {
  let index: GraphIndex
  let product: Node
  let columns: Int
  var last: (index: Int, name: String)
  var removed: [Int]
  /// The quantised A, where it came from and how.
  var aScale = ""
  var bScales: [Float] = [1]
  var integerBias: [Int32]?
  var bias = ""
  var activation = "none"
  var ending: [String] = []
  var initializers: [Initializer] = []

  init?(_ index: GraphIndex, _ place: Int) {
    let node = index.graph.nodes[place]
    guard node.opType == "MatMulInteger", node.domain.isEmpty,
      let weight = index.constant(node.inputs[1]), weight.rank == 2, weight.shape[0] < 1 << 16
    else { return nil }
    let zeroName = node.inputs.count > 3 ? node.inputs[3] : ""
    let zero = index.constant(zeroName)
    guard zeroName.isEmpty || zero != nil, Transform.isCentred(weight, zero) else { return nil }
    self.index = index
    product = node
    columns = weight.shape[1]
    last = (place, node.outputs[0])
    removed = [place]
  }

  private mutating func take(_ next: (index: Int, node: Node)) {
    last = (next.index, next.node.outputs[0])
    removed.append(next.index)
  }

  private func operand(_ node: Node) -> String? {
    node.inputs.count == 2 ? node.inputs.first { $0 != last.name } : nil
  }

  /// Follows an integer bias, the cast and the products with scales.
  mutating func takeScales() -> Bool {
    if let add = index.onlyReader(of: last.name, "Add"), let other = operand(add.node),
      let values = index.constant(other), values.shape.dims == [columns]
    {
      integerBias = try? values.elements(as: Int32.self)
      guard integerBias != nil else { return false }
      take(add)
    }
    guard let cast = index.onlyReader(of: last.name, "Cast"),
      case .int(1)? = cast.node.attributes["to"]
    else { return false }
    take(cast)
    var isScaled = false
    while let next = index.onlyReader(of: last.name, "Mul"), let other = operand(next.node) {
      var factors = [other]
      if let pair = index.producer(of: other, "Mul"), index.constant(other) == nil {
        factors = pair.node.inputs
      }
      guard factors.allSatisfy({ takeFactor($0) }) else { break }
      take(next)
      isScaled = true
    }
    guard isScaled else { return false }
    return integerBias == nil || aScale.isEmpty
  }

  private mutating func takeFactor(_ name: String) -> Bool {
    if let values = index.scales(name, orVectorOf: columns) {
      if values.count == 1 || bScales.count == 1 {
        let (one, many) = values.count == 1 ? (values[0], bScales) : (bScales[0], values)
        bScales = many.map { $0 * one }
      } else {
        bScales = zip(bScales, values).map { $0 * $1 }
      }
      return true
    }
    guard aScale.isEmpty, let maker = index.producer(of: product.inputs[0]),
      maker.outputs.count > 1, maker.outputs[1] == name,
      maker.opType == "DynamicQuantizeLinear" || maker.opType == "QuantizeRows"
    else { return false }
    aScale = name
    return true
  }

  mutating func takeBias() {
    guard let add = index.onlyReader(of: last.name, "Add"), let other = operand(add.node),
      let vector = index.constant(other), vector.elementType == .float32,
      vector.shape.dims == [columns]
    else { return }
    bias = other
    take(add)
  }

  mutating func takeActivation() {
    guard let next = index.onlyReader(of: last.name), next.node.domain.isEmpty,
      let name = Transform.activationName(next.node, index)
    else { return }
    activation = name
    take(next)
  }

  mutating func takeQuantization() {
    guard let next = index.onlyReader(of: last.name, "QuantizeLinear"),
      let parameters = next.node.scalarQuantization(index)
    else { return }
    ending = parameters
    take(next)
  }

  mutating func replacement() -> Replacement? {
    let name = last.name
    var rows: Int64 = 0
    var source = product.inputs[0]
    var zero = product.inputs.count > 2 ? product.inputs[2] : ""
    if let maker = index.producer(of: source), !aScale.isEmpty {
      let isRows = maker.opType == "QuantizeRows"
      if index.onlyReader(of: source) != nil, index.onlyReader(of: aScale) != nil,
        isRows || index.onlyReader(of: zero) != nil
      {
        (source, zero, aScale, rows) = (maker.inputs[0], "", "", isRows ? 1 : 0)
      }
    } else {
      aScale = add(try? Tensor(scalar: Float(1)), "\(name)__one")
    }
    if let integerBias {
      guard bias.isEmpty else { return nil }
      let values = integerBias.enumerated().map {
        Float($1) * bScales[bScales.count == 1 ? 0 : $0]
      }
      bias = add(try? Tensor(values), "\(name)__bias")
    }
    let scales = add(
      bScales.count == 1 ? try? Tensor(scalar: bScales[0]) : try? Tensor(bScales),
      "\(name)__scales")
    guard initializers.count >= 1 else { return nil }
    let bZero = product.inputs.count > 3 ? product.inputs[3] : ""
    let node = Node(
      "QuantizedMatMul",
      inputs: [source, product.inputs[1], scales, aScale, zero, bZero, bias, ""] + ending,
      outputs: [name],
      attributes: ["activation": .string(activation), "rows": .int(rows)], name: product.name,
      domain: "ai.stacklens")
    return Replacement(at: last.index, removed: removed, nodes: [node], initializers: initializers)
  }

  private mutating func add(_ tensor: Tensor?, _ name: String) -> String {
    guard let tensor else { return "" }
    initializers.append(Initializer(name, tensor))
    return name
  }
}

extension Node {
  /// Scale and zero point ("" for none) of a QuantizeLinear or DequantizeLinear that has one of each for
  /// the whole tensor, both constant, and bytes.
  func scalarQuantization(_ index: GraphIndex) -> [String]? {
    guard inputs.count >= 2, let scale = index.constant(inputs[1]), scale.count == 1,
      scale.rank <= 1, scale.elementType == .float32
    else { return nil }
    for (name, value) in [("block_size", Int64(0)), ("output_dtype", 0), ("precision", 0)] {
      if case .int(let found)? = attributes[name], found != value { return nil }
    }
    guard inputs.count > 2, !inputs[2].isEmpty else { return [inputs[1], ""] }
    guard let zero = index.constant(inputs[2]), zero.count == 1,
      zero.elementType == .int8 || zero.elementType == .uint8
    else { return nil }
    return [inputs[1], inputs[2]]
  }
}
