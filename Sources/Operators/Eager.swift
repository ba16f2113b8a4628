import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Runs one node at once: the eager call, and what the executor does with nodes whose shapes
  /// only appear while running.
  /// - Parameters:
  ///   - kernel: the kernel to use by name; nil takes the first that accepts.
  ///   - memoryLimit: bytes that the outputs may take together.
  /// - Throws: what the shape rule or the kernel says, `.unsupported` for a missing kernel.
  public func evaluate(
    _ node: Node, inputs: [Value?], parallel: Parallel = .serial, kernel: String? = nil,
    memoryLimit: Int = usableMemoryByteCount, packs: PackCache = PackCache(),
    subgraphs: [String: Evaluation.Subgraph] = [:]
  ) throws(StackLensError) -> [Value] {
    if case .evaluate(let body) = execution {
      return try body(
        Evaluation(
          node: node, definition: self, inputs: inputs, parallel: parallel,
          memoryLimit: memoryLimit, subgraphs: subgraphs))
    }
    if isComposition {
      return try evaluateComposition(
        node, inputs, parallel: parallel, memoryLimit: memoryLimit, subgraphs: subgraphs)
    }
    if case .pass = execution {
      guard let value = inputs.first ?? nil else { throw .invalidArgument("input 0 is missing") }
      return [value]
    }
    var tensors: [Tensor?] = []
    for (index, value) in inputs.enumerated() {
      do throws(StackLensError) { tensors.append(try value?.tensor()) } catch {
        throw error.within("input \(index)")
      }
    }
    let types = tensors.map { $0.map { TensorType($0) } }
    let outputTypes = try infer(
      Inference(node: node, definition: self, inputs: types, values: tensors))
    if case .view = execution {
      guard let source = tensors.first ?? nil else { throw .invalidArgument("input 0 is missing") }
      return [.tensor(try source.reshaped(to: outputTypes[0].shape))]
    }
    if let valueOfTypes {
      return try valueOfTypes(
        Inference(node: node, definition: self, inputs: types, values: tensors)
      ).map { .tensor($0) }
    }
    var byteCount = 0
    for type in outputTypes {
      let (sum, overflow) = byteCount.addingReportingOverflow(
        type.shape.count * type.elementType.byteSize)
      guard !overflow, sum <= memoryLimit else {
        throw .limitExceeded("output \(type) needs more than the limit of \(memoryLimit) bytes")
      }
      byteCount = sum
    }
    let preparation = Preparation(
      node: node, definition: self, inputs: types, outputs: outputTypes,
      constants: tensors.map { _ in nil }, parallel: parallel, packs: packs)
    let prepared = try prepare(preparation, kernel: kernel)
    var outputs: [Tensor] = []
    for type in outputTypes {
      outputs.append(try Tensor(uninitialized: type.elementType, type.shape))
    }
    let scratch = try Storage(elementType: .uint8, count: prepared.scratchByteCount)
    try prepared.body(
      Invocation(inputs: tensors, outputs: outputs, scratch: scratch.base, parallel: parallel))
    return outputs.map { .tensor($0) }
  }

  /// Runs the nodes that a composition stands for, one after the other.
  private func evaluateComposition(
    _ node: Node, _ inputs: [Value?], parallel: Parallel, memoryLimit: Int,
    subgraphs: [String: Evaluation.Subgraph]
  ) throws(StackLensError) -> [Value] {
    var values: [String: Value] = [:]
    for (name, value) in zip(node.inputs, inputs) where !name.isEmpty { values[name] = value }
    let given = values
    var rewriter = Rewriter(
      prefix: node.outputs.first { !$0.isEmpty } ?? name,
      constants: { if case .tensor(let tensor)? = given[$0] { tensor } else { nil } },
      isTaken: { [outputs = node.outputs] in given[$0] != nil || outputs.contains($0) })
    let nodes = try lift?(node, newestVersion, &rewriter) ?? []
    for constant in rewriter.added { values[constant.name] = .tensor(constant.tensor) }
    for part in nodes {
      guard let definition = OperatorTable.find(part.opType, domain: part.domain) else {
        throw .internalError("\(name) stands for \(part.opType), which the table lacks")
      }
      try definition.verify(part)
      let results = try definition.evaluate(
        part, inputs: part.inputs.map { values[$0] }, parallel: parallel,
        memoryLimit: memoryLimit, subgraphs: subgraphs)
      for (name, value) in zip(part.outputs, results) { values[name] = value }
    }
    var results: [Value] = []
    for output in node.outputs { results.append(values[output] ?? .none) }
    return results
  }

  /// The first kernel that accepts (or the named one), prepared. Outputs without elements need none:
  /// an empty tensor may have extents that no kernel could walk along or make room for.
  public func prepare(
    _ preparation: Preparation, kernel name: String? = nil
  ) throws(StackLensError) -> PreparedKernel {
    guard case .kernels(let kernels) = execution else {
      throw .internalError("\(self.name) has no kernels to prepare")
    }
    guard preparation.outputs.contains(where: { $0.shape.count > 0 }) else {
      return PreparedKernel { (_) throws(StackLensError) in }
    }
    for kernel in kernels where name == nil || kernel.name == name {
      if let prepared = try kernel.prepare(preparation) { return prepared }
    }
    let types = preparation.inputs.map { $0?.description ?? "nothing" }.joined(separator: ", ")
    throw .unsupported("\(self.name) has no kernel for \(types)")
  }

  /// Checks arity and attributes of a node against this definition.
  public func verify(_ node: Node) throws(StackLensError) {
    guard inputCount.contains(node.inputs.count) else {
      throw .invalidArgument("\(node.inputs.count) inputs, expected \(Self.words(inputCount))")
    }
    guard outputCount.contains(node.outputs.count) else {
      throw .invalidArgument("\(node.outputs.count) outputs, expected \(Self.words(outputCount))")
    }
    for spec in attributes {
      switch node.attributes[spec.name] {
      case nil where spec.isRequired:
        throw .invalidArgument("required attribute '\(spec.name)' is missing")
      case let found? where found.kindName != spec.kind.rawValue && found.kindName != "reference":
        throw .invalidArgument(
          "attribute '\(spec.name)' must be \(spec.kind.rawValue), found \(found.kindName)")
      default: break
      }
    }
  }

  /// Attributes that a caller gave, as the operator takes them: an integer is as good as a float
  /// where a float is meant.
  /// - Throws: `.invalidArgument` for one that the operator does not have.
  package func settings(
    _ given: [String: Attribute]
  ) throws(StackLensError) -> [String: Attribute] {
    var settings = given
    for spec in attributes {
      switch (spec.kind, settings[spec.name]) {
      case (.float, .int(let value)?): settings[spec.name] = .float(Float(value))
      case (.floats, .ints(let values)?): settings[spec.name] = .floats(values.map { Float($0) })
      default: break
      }
    }
    for name in given.keys.sorted() where !attributes.contains(where: { $0.name == name }) {
      throw .invalidArgument("operator '\(self.name)' has no attribute '\(name)'")
    }
    return settings
  }

  private static func words(_ range: ClosedRange<Int>) -> String {
    if range.lowerBound == range.upperBound { return "\(range.lowerBound)" }
    return range.upperBound > 1 << 20
      ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
  }
}
