import Base
import Execution
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Training

/// Values and gradients against PyTorch's.
struct LossGoldenTests {
  static let cases = TrainingGolden.cases("losses")
  /// float32 against float64: sums of up to some tens of terms.
  static let tolerance = 1e-6

  @Test func everyLossHasACase() {
    #expect(Set(Self.cases.map { $0.text("name") }) == Set(Loss.names))
  }

  @Test(arguments: cases, [true, false])
  func agreesWithPyTorch(_ test: TrainingGolden.Case, knowsTypes: Bool) throws {
    let prefix = "loss/\(test.text("case"))/"
    let outputs = try TrainingGolden.tensors(prefix + "o")
    let targets = try TrainingGolden.tensors(prefix + "t")
    // What the targets are decides what is computed; it is always known.
    if !knowsTypes, targets.contains(where: { $0.elementType == .float32 }) { return }
    let loss = try Loss(named: test.text("name"), options: test.options)
    let found = try LossRun(loss, outputs, targets, knowsTypes: knowsTypes).run()
    let expected =
      [try TrainingGolden.tensor(prefix + "v")] + (try TrainingGolden.tensors(prefix + "g"))
    #expect(found.count == expected.count)
    for (index, (value, wanted)) in zip(found, expected).enumerated() {
      #expect(value.difference(from: wanted, tolerance: Self.tolerance) == nil, "result \(index)")
    }
  }
}

/// A loss over tensors that are fed, with the gradients of all outputs.
struct LossRun {
  private let session: Session
  private let values: [String: Value]

  init(_ loss: Loss, _ outputs: [Tensor], _ targets: [Tensor], knowsTypes: Bool = true) throws {
    let builder = GraphBuilder("loss")
    var (types, values) = ([String: ValueType](), [String: Value]())
    func inputs(_ tensors: [Tensor], _ prefix: String) -> [Edge] {
      tensors.enumerated().map { index, tensor in
        let name = "\(prefix)\(index)"
        types[name] = .tensor(tensor.elementType, tensor.shape.dims.map { .fixed($0) })
        values[name] = .tensor(tensor)
        return builder.input(name, tensor.elementType, tensor.shape.dims.map { .fixed($0) })
      }
    }
    let (outputEdges, targetEdges) = (inputs(outputs, "o"), inputs(targets, "t"))
    let known = knowsTypes ? types : [:]
    let total = try loss.build(
      builder, outputs: outputEdges, targets: targetEdges, types: { known[$0] })
    var graph = builder.graph
    #expect(
      graph.initializers.allSatisfy {
        $0.tensor.elementType != .float32 || $0.tensor.count < 2
      }, "what could be taken for a parameter")
    let back = GraphBuilder("back", prefix: "back")
    let all = GraphTypes(of: graph)
    let gradients = try Differentiation(graph.nodes, into: back, types: { all.values[$0] })
      .gradients(of: total.name, with: outputEdges.map(\.name))
    graph.nodes += back.graph.nodes
    graph.initializers += back.graph.initializers
    graph.outputs = [ValueInfo(total.name, .unknown)]
    graph.outputs += try gradients.map { ValueInfo(try #require($0).name, .unknown) }
    try graph.verify()
    self.values = values
    session = try Session(Model(graph: graph))
  }

  /// The loss and the gradients of the outputs.
  func run() throws -> [Tensor] { try session.run(values).map { try $0.tensor() } }
}
