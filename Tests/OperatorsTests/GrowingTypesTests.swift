import Base
import Graphs
import Tensors
import Testing

@testable import Operators

/// Types of a graph that is looked at while it grows.
struct GrowingTypesTests {
  private let batch: Dimension = .named("batch")

  @Test func followShapesThatWereComputedBefore() throws {
    let builder = GraphBuilder("g")
    var types = GrowingTypes()
    let x = builder.input("x", .float32, [batch, .fixed(6)])
    let shape = builder.add("Shape", [x], ["start": .int(0), "end": .int(1)])
    types.take(builder.graph)
    let rest = try builder.ints("rest", [2, 3])
    let wanted = builder.add("Concat", [shape, rest], ["axis": .int(0)])
    try types.verify(builder.graph)
    let y = builder.add("Reshape", [x, wanted])
    try types.verify(builder.graph)
    #expect(types.values[y.name] == .tensor(.float32, [batch, .fixed(2), .fixed(3)]))
  }

  @Test func formulasStaySymbols() throws {
    let builder = GraphBuilder("g")
    var types = GrowingTypes()
    let x = builder.input("x", .float32, [batch])
    let one = builder.constant("one", try Tensor([Float(1)]))
    let longer = builder.add("Concat", [x, one], ["axis": .int(0)])
    try types.verify(builder.graph)
    #expect(types.values[longer.name] == .tensor(.float32, [.named("batch + 1")]))
    let relu = builder.add("Relu", [longer])
    try types.verify(builder.graph)
    #expect(types.values[relu.name] == .tensor(.float32, [.named("batch + 1")]))
    let twice = builder.add("Concat", [relu, relu], ["axis": .int(0)])
    try types.verify(builder.graph)
    #expect(types.values[twice.name] == .tensor(.float32, [.named("2*(batch + 1)")]))
  }

  @Test func forgetWhatIsTakenBack() throws {
    let builder = GraphBuilder("g")
    var types = GrowingTypes()
    let x = builder.input("x", .float32, [.fixed(2)])
    try types.verify(builder.graph)
    let extent = types.extent
    func fail() throws(StackLensError) {
      try builder.attempt { () throws(StackLensError) in
        do throws(StackLensError) {
          let w = builder.constant("w", try Tensor([Float(1), 2, 3]))
          _ = x + w
          try types.verify(builder.graph)
        } catch {
          types.forget(builder.graph, since: extent)
          throw error
        }
      }
    }
    #expect(throws: StackLensError.self) { try fail() }
    #expect(types.values.keys.sorted() == ["x"])
    #expect(builder.graph.nodes.isEmpty && builder.graph.initializers.isEmpty)
    let sum = x + x
    try types.verify(builder.graph)
    #expect(types.values[sum.name] == .tensor(.float32, [.fixed(2)]))
  }
}
