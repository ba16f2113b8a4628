import Base
import Exchange
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Runs every sample of every operator as a graph of one node: in memory, and written to a file's
/// bytes and read back.
struct SampleRoundTripTests {
  /// Which inputs of a sample are constants of the graph.
  enum Constants: CaseIterable, Sendable { case shapes, allButFirst }

  struct Case: CustomTestStringConvertible, Sendable {
    let definition: OperatorDefinition
    let sample: Sample
    let index: Int
    let constants: Constants
    var testDescription: String { "\(definition.title) #\(index), constants \(constants)" }
  }

  static let cases = OperatorTable.all.flatMap { definition in
    definition.samples.enumerated().flatMap { index, sample in
      Constants.allCases.map {
        Case(definition: definition, sample: sample, index: index, constants: $0)
      }
    }
  }

  /// The oldest of the opsets that users write most.
  static let olderOpset = 17

  @Test(arguments: cases) func runsTheSameFromAFile(_ test: Case) throws {
    let (graph, inputs) = try graph(test)
    let direct =
      try test.definition.isRunnableAlone
      ? evaluate(test, kernel: nil) : session(graph, level: 0).run(tensors: inputs)
    func check(_ found: [Value], _ place: Comment) throws {
      guard test.definition.isDeterministic else {
        #expect(found.count == direct.count, place)
        return
      }
      #expect(difference(found, direct) == nil, place)
    }
    for level in 0...2 {
      try check(session(graph, level: level).run(tensors: inputs), "level \(level)")
    }
    guard !test.definition.domain.hasPrefix("com.microsoft") else { return }
    var model = Model(graph: graph)
    for index in direct.indices { model.graph.outputs[index].type = type(of: direct[index]) }
    let isOwn = test.definition.domain == "ai.stacklens"
    for opset in [28, Self.olderOpset, 12, 7] {
      let bytes: [UInt8]
      do throws(StackLensError) {
        bytes = try ONNX.encode(model, opset: opset, allowsOwnOperators: isOwn)
      } catch {
        // Some integers have been taken out of the standard again.
        let isPossible = opset < 28 || error.message.contains("no longer in the standard")
        #expect(error.status == .unsupported && isPossible, "\(error)")
        continue
      }
      let read = try ONNX.load(bytes: bytes)
      try check(session(read.graph).run(tensors: inputs), "opset \(opset)")
    }
  }

  @Test func operatorsOfOlderOpsetsCanBeWrittenForThem() throws {
    var unwritable: [String: String] = [:]
    for test in Self.cases where test.definition.domain.isEmpty {
      guard let first = test.definition.versions.first, first <= Self.olderOpset,
        unwritable[test.definition.title] != ""
      else { continue }
      let (graph, inputs) = try graph(test)
      let direct = try session(graph, level: 0).run(tensors: inputs)
      var model = Model(graph: graph)
      for index in direct.indices { model.graph.outputs[index].type = type(of: direct[index]) }
      do throws(StackLensError) {
        _ = try ONNX.encode(model, opset: Self.olderOpset)
        unwritable[test.definition.title] = ""
      } catch {
        unwritable[test.definition.title] = error.message
      }
    }
    #expect(unwritable.filter { $0.value != "" } == [:])
  }

  private func graph(_ test: Case) throws -> (Graph, [String: Tensor]) {
    let node = test.sample.node(test.definition)
    var graph = Graph(name: test.definition.name, nodes: [node])
    var inputs: [String: Tensor] = [:]
    for (index, tensor) in try test.sample.tensors().enumerated() {
      guard let tensor else { continue }
      let isShape = if case .ints = test.sample.inputs[index] { true } else { false }
      if isShape || test.constants == .allButFirst && index > 0 {
        graph.initializers.append(Initializer(node.inputs[index], tensor))
      } else {
        inputs[node.inputs[index]] = tensor
        graph.inputs.append(
          ValueInfo(
            node.inputs[index], .tensor(tensor.elementType, tensor.shape.dims.map { .fixed($0) })))
      }
    }
    graph.outputs = node.outputs.map { ValueInfo($0, .unknown) }
    return (graph, inputs)
  }

  private func evaluate(_ test: Case, kernel: String?) throws(StackLensError) -> [Value] {
    let values = try test.definition.evaluate(
      test.sample.node(test.definition),
      inputs: test.sample.tensors().map { $0.map { .tensor($0) } }, kernel: kernel)
    return Array(values.prefix(test.sample.outputCount))
  }

  private func type(of value: Value) -> ValueType {
    switch value {
    case .tensor(let tensor): .tensor(tensor.elementType, tensor.shape.dims.map { .fixed($0) })
    case .sequence(let elements):
      .sequence(elements.first.map(type(of:)).map(withoutDims) ?? .tensor(.float32, nil))
    case .map(let keys, let values):
      .map(key: keys.elementType, value: .tensor(values.elementType, nil))
    case .none: .optional(.tensor(.float32, nil))
    }
  }

  private func withoutDims(_ type: ValueType) -> ValueType {
    if case .tensor(let element, _) = type { return .tensor(element, nil) }
    return type
  }
}

extension OperatorDefinition {
  /// Whether a node needs no executor around it.
  fileprivate var isRunnableAlone: Bool {
    !attributes.contains { $0.kind == .graph || $0.kind == .graphs }
  }
}
