import Base
import Graphs
import Tensors
import Testing
@testable import Operators
struct ZZSamples {
  @Test func samples() throws {
    for d in OperatorTable.shape + OperatorTable.indexing + OperatorTable.controlFlow + OperatorTable.sequence {
      if d.samples.isEmpty { print("NOSAMPLES \(d.name)") }
      for (k, s) in d.samples.enumerated() {
        do {
          let inputs: [Value?] = try s.inputs.map { i in
            switch i {
            case .random(let t, let dims, _, _): return .tensor(try Tensor(zeros: t, Shape(dims)))
            case .tensor(let f): return .tensor(try f())
            case .ints(let v): return .tensor(try Tensor(v))
            case .absent: return nil
            }
          }
          let node = Node(d.name, inputs: inputs.indices.map { inputs[$0] == nil ? "" : "x\($0)" }, outputs: (0..<s.outputCount).map { "y\($0)" }, attributes: s.attributes)
          try d.verify(node)
          if !node.subgraphs.isEmpty { continue }
          _ = try d.evaluate(node, inputs: inputs)
        } catch { print("SAMPLE \(d.name) \(k) \(error)") }
      }
    }
  }
}
