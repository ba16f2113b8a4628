import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Exchange
@testable import Execution

/// Nodes in the forms of the first opsets, as a file has them.
struct OldOpsetTests {
  /// Runs a file of one node over its inputs.
  private func run(
    _ opType: String, opset: Int, _ inputs: [Tensor], _ attributes: [String: Attribute] = [:],
    outputs: Int = 1, ranksAreKnown: Bool = true
  ) throws -> [Tensor] {
    var node = Node(
      opType, inputs: inputs.indices.map { "x\($0)" }, outputs: (0..<outputs).map { "y\($0)" },
      attributes: attributes)
    if node.outputs.count > 2 { node.outputs[2] = "" }
    var graph = Graph(name: "old", nodes: [node])
    graph.inputs = inputs.enumerated().map { index, tensor in
      ValueInfo(
        "x\(index)",
        .tensor(
          tensor.elementType,
          ranksAreKnown ? tensor.shape.dims.map { .fixed($0) } : nil))
    }
    graph.outputs = node.outputs.filter { !$0.isEmpty }.map { ValueInfo($0, .unknown) }
    var encoder = ModelEncoder()
    let file = Model(graph: graph, irVersion: 3, opsetImports: ["": opset])
    let read = try ONNX.load(bytes: encoder.model(file).joined())
    var given: [String: Tensor] = [:]
    for (index, tensor) in inputs.enumerated() { given["x\(index)"] = tensor }
    return try session(read.graph).run(tensors: given).map { try $0.tensor() }
  }

  private func tensor(_ values: [Float], _ dims: [Int]) throws -> Tensor {
    try Tensor(values, shape: Shape(dims))
  }

  private func floats(_ tensors: [Tensor]) throws -> [Float] {
    try #require(tensors.first).elements(as: Float.self)
  }

  @Test(arguments: [true, false]) func broadcastsFromAnAxisOn(_ ranksAreKnown: Bool) throws {
    let a = try tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2])
    let b = try tensor([10, 20], [2])
    let middle = try run(
      "Add", opset: 6, [a, b], ["broadcast": .int(1), "axis": .int(1)],
      ranksAreKnown: ranksAreKnown)
    #expect(try floats(middle) == [11, 12, 23, 24, 15, 16, 27, 28])
    let first = try run(
      "Sub", opset: 1, [a, b], ["broadcast": .int(1), "axis": .int(0)],
      ranksAreKnown: ranksAreKnown)
    #expect(try floats(first) == [-9, -8, -7, -6, -15, -14, -13, -12])
    let last = try run("Mul", opset: 6, [a, b], ["broadcast": .int(1)])
    #expect(try floats(last) == [10, 40, 30, 80, 50, 120, 70, 160])
    let slopes = try run(
      "PRelu", opset: 6, [try tensor([-1, 1, -1, -2], [1, 2, 2]), b], ranksAreKnown: ranksAreKnown)
    #expect(try floats(slopes) == [-10, 1, -20, -40])
  }

  @Test func castsToWrittenTypes() throws {
    let y = try run("Cast", opset: 1, [try tensor([1.5, -2.5], [2])], ["to": .string("INT32")])
    #expect(try y[0].elements(as: Int32.self) == [1, -2])
    let doubles = try run("Cast", opset: 5, [try tensor([1.5], [1])], ["to": .string("DOUBLE")])
    #expect(try doubles[0].elements(as: Double.self) == [1.5])
  }

  @Test func takesWhatBecameInputsFromAttributes() throws {
    let x = try tensor([1, 2, 3, 4], [2, 2])
    #expect(try run("Reshape", opset: 1, [x], ["shape": .ints([4, -1])])[0].shape.dims == [4, 1])
    let padded = try run(
      "Pad", opset: 1, [x], ["paddings": .ints([1, 0, 0, 0]), "value": .float(9)])
    #expect(try floats(padded) == [9, 9, 1, 2, 3, 4])
    let best = try run("TopK", opset: 1, [x], ["k": .int(1)], outputs: 2)
    #expect(try floats(best) == [2, 4])
    let joined = try run("Concat", opset: 1, [x, x])
    #expect(joined[0].shape.dims == [2, 4])
    let sized = try run(
      "Split", opset: 1, [x, try tensor([2, 0], [2])], outputs: 2)
    #expect(sized.map(\.shape.dims) == [[2, 2], [0, 2]])
    let tiled = try run("Tile", opset: 1, [x, try tensor([2], []), try tensor([1], [])])
    #expect(try floats(tiled) == [1, 2, 1, 2, 3, 4, 3, 4])
    let image = try tensor([1, 2], [1, 1, 1, 2])
    let larger = try run(
      "Upsample", opset: 1, [image], ["height_scale": .float(2), "width_scale": .float(2)])
    #expect(try floats(larger) == [1, 1, 2, 2, 1, 1, 2, 2])
  }

  @Test func keepsOldDefaults() throws {
    let x = try tensor([-1, 2], [2])
    let y = try floats(run("Selu", opset: 1, [x]))
    #expect(abs(y[0] - 1.0507 * 1.6732 * (-0.63212055)) < 1e-6 && abs(y[1] - 2.1014) < 1e-6)
    let kept = try run("Dropout", opset: 6, [x], ["is_test": .int(1)])
    #expect(try floats(kept) == [-1, 2])
    let many = try tensor([Float](repeating: 1, count: 400), [400])
    let dropped = try floats(run("Dropout", opset: 6, [many]))
    #expect(Set(dropped) == [0, 2])
    #expect(Set(try floats(run("Dropout", opset: 7, [many]))) == [1])
  }

  @Test func normalizesBatchesAsItUsedTo() throws {
    let x = try tensor([1, 3, 5, 7], [2, 2])
    let one = try tensor([1, 1], [2])
    let zero = try tensor([0, 0], [2])
    let test = try run(
      "BatchNormalization", opset: 6, [x, one, zero, zero, one],
      ["is_test": .int(1), "epsilon": .float(0)])
    #expect(try floats(test) == [1, 3, 5, 7])
    let training: [String: Attribute] = ["epsilon": .float(0), "momentum": .float(0.5)]
    let all = try run(
      "BatchNormalization", opset: 7, [x, one, zero, zero, one], training, outputs: 5)
    // y, running mean, batch mean, batch variance; the third output is left out.
    #expect(
      try all.map { try $0.elements(as: Float.self) } == [
        [-1, -1, 1, 1], [1.5, 2.5], [3, 5], [4, 4],
      ])
    let items = try run(
      "BatchNormalization", opset: 7, [x, one, zero, one, try tensor([4, 4], [2])],
      ["epsilon": .float(0), "spatial": .int(0)])
    #expect(try floats(items) == [0, 1, 2, 3])
  }

  @Test func groupsHadTheirOwnParameters() throws {
    let x = try tensor([1, -1, 1, -1], [1, 4, 1])
    let y = try run(
      "GroupNormalization", opset: 18, [x, try tensor([1, 2], [2]), try tensor([0, 10], [2])],
      ["num_groups": .int(2), "epsilon": .float(0)])
    #expect(try floats(y) == [1, -1, 12, 8])
  }

  @Test func readsExperimentsOfTheFirstOpsets() throws {
    let x = try tensor([1, 2, 3, 4], [1, 1, 2, 2])
    #expect(
      try floats(run("Affine", opset: 1, [x], ["alpha": .float(2), "beta": .float(1)]))
        == [3, 5, 7, 9])
    #expect(try floats(run("Scale", opset: 1, [x], ["scale": .float(3)])) == [3, 6, 9, 12])
    #expect(
      try floats(
        run("ImageScaler", opset: 1, [x], ["scale": .float(2), "bias": .floats([1])]))
        == [3, 5, 7, 9])
    #expect(try floats(run("Crop", opset: 1, [x], ["border": .ints([1, 0, 0, 1])])) == [2])
    let filled = try run(
      "ConstantFill", opset: 1, [try Tensor([Int64(2)])],
      ["input_as_shape": .int(1), "value": .float(7), "extra_shape": .ints([1])])
    #expect(try floats(filled) == [7, 7] && filled[0].shape.dims == [2, 1])
    let curve = try floats(
      run("ScaledTanh", opset: 1, [x], ["alpha": .float(2), "beta": .float(0)]))
    #expect(curve == [0, 0, 0, 0])
  }
}
