import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The input itself; in training mode, elements dropped with probability `ratio` and the rest
  /// scaled by 1 / (1 - ratio). The second output tells which were kept. ONNX Dropout-22.
  static let dropout = OperatorDefinition(
    "Dropout", versions: [1, 6, 7, 10, 12, 13, 22], inputs: 1...3, outputs: 1...2,
    attributes: [.optional("seed", .int)],
    infer: { (context) throws(StackLensError) in
      let types = ElementType.reals + ElementType.eightBitFloats
      let type = try context.input(0, oneOf: types)
      if context.hasInput(1), try context.input(1, oneOf: types).shape.count != 1 {
        throw .shapeMismatch("ratio is \(try context.input(1)), expected a scalar")
      }
      if context.hasInput(2), try context.input(2, oneOf: [.bool]).shape.count != 1 {
        throw .shapeMismatch("training_mode is \(try context.input(2)), expected a scalar")
      }
      return [type, TensorType(.bool, type.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let type = try preparation.input(0).elementType
        let seed = try preparation.has("seed") ? preparation.int("seed") : nil
        return PreparedKernel { (run) throws(StackLensError) in
          let input = try run.input(0)
          let mask = run.outputs[1].base.assumingMemoryBound(to: Bool.self)
          let isTraining = run.inputs.count > 2 && (run.inputs[2]?.boolean ?? false)
          let ratio = (run.inputs.count > 1 ? run.inputs[1]?.real : nil) ?? 0.5
          guard isTraining, ratio != 0 else {
            run.outputs[0].fillElements(from: input, run.parallel)
            mask.update(repeating: true, count: input.count)
            return
          }
          guard ratio > 0, ratio < 1 else {
            throw .invalidArgument("ratio is \(ratio), expected it in [0, 1)")
          }
          var generator = RandomStream(seed: seed.map(Int64.init))
          for i in 0..<input.count { mask[i] = generator.uniform() >= ratio }
          dropElements(type, input.base, mask, run.outputs[0].base, input.count, 1 / (1 - ratio))
        }
      }
    ]),
    isDeterministic: false,
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 12 else { return [node] }
      var node = node
      var ratio: Float = 0.5
      if case .float(let value)? = node.attributes.removeValue(forKey: "ratio") { ratio = value }
      node.inputs.append(rewriter.constant(try Tensor(scalar: ratio), "ratio"))
      let mode = node.attributes.removeValue(forKey: "is_test")
      if opset < 7, !(mode?.isTrue ?? false) {
        node.inputs.append(rewriter.constant(try Tensor(scalar: true), "training"))
      }
      return [node]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 12 else { return [node] }
      var node = node
      if node.inputs.count > 2, !node.inputs[2].isEmpty,
        rewriter.value(of: node.inputs[2])?.boolean != false
      {
        throw .unsupported("Dropout in training mode needs opset 12, not \(opset)")
      }
      if node.inputs.count > 1, !node.inputs[1].isEmpty {
        guard let ratio = rewriter.value(of: node.inputs[1])?.real else {
          throw .unsupported("Dropout with a computed ratio needs opset 12, not \(opset)")
        }
        node.attributes["ratio"] = .float(Float(ratio))
      }
      node.attributes["seed"] = nil
      node.inputs = [node.inputs[0]]
      guard opset < 10, node.outputs.count > 1, !node.outputs[1].isEmpty else { return [node] }
      // The mask had the type of the data, and nobody filled it; everything is kept.
      var steps = Decomposition(node, opset)
      let mask = node.outputs[1]
      node.outputs = [node.outputs[0]]
      let flags = steps.apply(
        "Cast", node.inputs, ["to": .int(Int64(ElementType.bool.rawValue))], &rewriter)
      let others = steps.apply("Not", [flags], &rewriter)
      steps.add(Node("Or", inputs: [flags, others], outputs: [mask]))
      return [node] + steps.nodes
    },
    gradient: .dropout,
    samples: [
      Sample([.floats(2, 3, 4)], outputs: 2),
      Sample([.floats(6, 7), .tensor(quarter), .flag(true)], ["seed": .int(5)], outputs: 2),
      Sample([.floats(0, 5)]), Sample([.floats()]),
      Sample([.random(.float16, [7], low: -1, high: 1)]),
    ])

  private static func dropElements(
    _ type: ElementType, _ x: UnsafeRawPointer, _ mask: UnsafePointer<Bool>,
    _ y: UnsafeMutableRawPointer, _ count: Int, _ scale: Double
  ) {
    func each<T: RealElement>(_: T.Type) {
      let (x, y) = (x.assumingMemoryBound(to: T.self), y.assumingMemoryBound(to: T.self))
      for i in 0..<count { y[i] = T(rounding: mask[i] ? x[i].double * scale : 0) }
    }
    switch type {
    case .float32: each(Float.self)
    case .float64: each(Double.self)
    case .float16: each(Float16.self)
    case .bfloat16: each(BFloat16.self)
    default:
      let values = type.smallFloatValues
      let codes = x.assumingMemoryBound(to: UInt8.self)
      forEachChunk(count) { start, count in
        let kept = (start..<start + count).map {
          mask[$0] ? Double(values[Int(codes[$0])]) * scale : 0
        }
        convertElements(kept, .float64, y + start, type, count)
      }
    }
  }
}

extension Tensor {
  /// The only element of a bool tensor; nil for anything else.
  var boolean: Bool? {
    elementType == .bool && count == 1 ? base.load(as: Bool.self) : nil
  }

  /// The only element of a numeric tensor as Double; nil for anything else.
  var real: Double? {
    guard elementType.isNumeric || elementType.isSmallFloat, count == 1 else { return nil }
    var value = 0.0
    withUnsafeMutableBytes(of: &value) { target in
      guard let target = target.baseAddress else { return }
      convertElements(base, elementType, target, .float64, 1)
    }
    return value
  }
}
