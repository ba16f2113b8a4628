import Base
import Exchange
import Execution
import Graphs
import Tensors
import TestSupport
import Testing

/// ONNX's node tests as files: folders of model.onnx and test_data_set_N/{input,output}_I.pb, as
/// `scripts/onnx-node-tests` writes them. `STACKLENS_NODE_TESTS` names the folder that holds them.
@Suite struct NodeSuiteTests {
  static let folder = environment("STACKLENS_NODE_TESTS")
  static let names = folder.map { ScratchFolder.names(in: $0) } ?? []

  /// What a test of the suite allows that says nothing else; two units in the last place of
  /// bfloat16, as its runner does.
  private static let (relative, absolute, relativeOfBFloat16) = (1e-3, 1e-7, 1.0 / 64)

  /// Their numbers depend on the generator; only types and shapes are compared.
  private static let drawing: Set<String> = [
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
  ]

  @Test(.enabled(if: folder != nil)) func findsTests() {
    #expect(!Self.names.isEmpty)
  }

  @Test(.enabled(if: folder != nil), arguments: names) func givesTheOutputsOfTheFile(
    _ name: String
  ) throws {
    let path = "\(Self.folder ?? "")/\(name)"
    let model = try ONNX.load(path: "\(path)/model.onnx")
    let draws = model.graph.nodes.contains { Self.drawing.contains($0.opType) }
    let session = try Session(model)
    let sets = ScratchFolder.names(in: path).filter { $0.hasPrefix("test_data_set_") }
    #expect(!sets.isEmpty)
    for set in sets {
      var inputs: [String: Value] = [:]
      let given = try values("\(path)/\(set)", "input", session.inputs)
      for (info, value) in zip(session.inputs, given) { inputs[info.name] = value }
      let expected = try values("\(path)/\(set)", "output", session.outputs)
      let found = try session.run(inputs)
      #expect(found.count == expected.count)
      for (info, (value, wanted)) in zip(session.outputs, zip(found, expected)) {
        #expect(Self.difference(value, wanted, onlyTypes: draws) == nil, "\(set), '\(info.name)'")
      }
    }
  }

  /// The values of one data set, as many as there are files.
  private func values(_ set: String, _ kind: String, _ infos: [ValueInfo]) throws -> [Value] {
    let count = ScratchFolder.names(in: set).count { $0.hasPrefix("\(kind)_") }
    #expect(count <= infos.count)
    return try infos.prefix(count).enumerated().map { index, info in
      try ValueFile.read("\(set)/\(kind)_\(index).pb", as: info.type)
    }
  }

  /// The first difference beyond |found - wanted| <= absolute + relative * |wanted|.
  private static func difference(
    _ found: Value, _ wanted: Value, onlyTypes: Bool
  ) -> String? {
    guard case (.tensor(let a), .tensor(let b)) = (found, wanted) else {
      guard case (.sequence(let a), .sequence(let b)) = (found, wanted), a.count == b.count else {
        return found.difference(from: wanted)
      }
      return zip(a, b).lazy.compactMap { difference($0, $1, onlyTypes: onlyTypes) }.first
    }
    if a.elementType == b.elementType, a.shape == b.shape, onlyTypes || a.isIdentical(to: b) {
      return nil
    }
    guard a.elementType == b.elementType, a.shape == b.shape, let x = a.numbers, let y = b.numbers
    else { return a.difference(from: b) ?? "other strings" }
    let relative = a.elementType == .bfloat16 ? relativeOfBFloat16 : relative
    for (index, (x, y)) in zip(x, y).enumerated() where x != y && !(x.isNaN && y.isNaN) {
      guard abs(x - y) <= absolute + relative * abs(y) else {
        return "element \(index) of \(a.elementType.name)\(a.shape) is \(x) instead of \(y)"
      }
    }
    return nil
  }
}
