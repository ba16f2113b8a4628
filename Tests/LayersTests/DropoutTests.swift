import Base
import Execution
import Graphs
import Tensors
import Testing

@testable import Layers

struct DropoutTests {
  /// What a model makes of ones while it drops, of shape [8, 6, 10].
  private func dropped(_ mode: DropoutMode) throws -> [Float] {
    let network = Network("drops")
    let dims: [Dimension] = [.named("batch"), .named("middle"), .fixed(10)]
    let x = network.input("x", .float32, dims)
    network.output(try network.dropout(x, 0.25, mode), "y")
    var model = try network.model()
    let training = Initializer("training", try Tensor(scalar: true))
    model.graph.initializers.append(training)
    for index in model.graph.nodes.indices where model.graph.nodes[index].opType == "Dropout" {
      model.graph.nodes[index].inputs.append("training")
      model.graph.nodes[index].attributes["seed"] = .int(3)
    }
    let ones = try Tensor([Float](repeating: 1, count: 480), shape: Shape([8, 6, 10]))
    return try Session(model).run(["x": .tensor(ones)])[0].tensor().elements(as: Float.self)
  }

  /// What is dropped together has one number; the others differ.
  @Test(arguments: DropoutMode.allCases) func dropsTogether(_ mode: DropoutMode) throws {
    let y = try dropped(mode)
    #expect(y.allSatisfy { $0 == 0 || abs($0 - 4.0 / 3) < 1e-6 })
    func isShared(_ key: (Int, Int, Int) -> Int) -> Bool {
      var seen: [Int: Float] = [:]
      return (0..<480).allSatisfy { i in
        let place = key(i / 60, i / 10 % 6, i % 10)
        if let other = seen[place] { return other == y[i] }
        seen[place] = y[i]
        return true
      }
    }
    #expect(isShared { a, b, _ in a * 6 + b } == (mode == .channels))
    #expect(isShared { a, _, c in a * 10 + c } == (mode == .variational))
    // A quarter of 48, 80 or 480.
    let zeros = y.filter { $0 == 0 }.count
    #expect(zeros > 40 && zeros < 200)
  }
}
