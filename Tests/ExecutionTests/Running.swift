import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// A session over a bare graph.
func session(
  _ graph: Graph, level: Int = 2, threads: Int = 1,
  _ change: (inout SessionOptions) -> Void = { _ in }
) throws(StackLensError) -> Session {
  var options = SessionOptions()
  options.optimizationLevel = level
  options.threadCount = threads
  change(&options)
  return try Session(Model(graph: graph), options: options)
}

extension Session {
  func run(tensors: [String: Tensor]) throws(StackLensError) -> [Value] {
    try run(tensors.mapValues { .tensor($0) })
  }

  /// The operators that run, in order.
  var operators: [String] { graph.nodes.map(\.opType) }
}

extension GraphBuilder {
  /// A float32 input of fixed extents.
  func floats(_ name: String, _ dims: Int...) -> Edge {
    input(name, .float32, dims.map { .fixed($0) })
  }

  func output(_ edge: Edge, _ name: String) { output(edge, name, .float32, nil) }
}

/// Runs a graph at every optimisation level with one and two threads and expects what level 0 gives.
/// - Returns: the operators that level 2 runs.
@discardableResult
func expectSameAtAllLevels(
  _ graph: Graph, _ inputs: [String: Tensor], tolerance: Double = 4e-6,
  _ comment: Comment? = nil, location: SourceLocation = #_sourceLocation
) throws -> [String] {
  try graph.verify()
  let expected = try session(graph, level: 0).run(tensors: inputs)
  var operators: [String] = []
  for level in 0...2 {
    for threads in 1...2 {
      let session = try session(graph, level: level, threads: threads)
      try session.graph.verify()
      let found = try session.run(tensors: inputs)
      let text = difference(found, expected, tolerance: tolerance)
      #expect(text == nil, "level \(level): \(comment ?? "")", sourceLocation: location)
      operators = session.operators
    }
  }
  return operators
}

/// The elements of the only output.
func floats(_ values: [Value]) throws -> [Float] {
  try #require(values.first).tensor().elements(as: Float.self)
}
