import Base
import Graphs
import Tensors

@testable import Exchange

/// Models of a few nodes, and their bytes as a file would have them, checked by nobody.
enum SmallModels {
  static let floats = ValueType.tensor(.float32, [.named("n"), .fixed(4)])

  /// y = Reshape(Relu(x), [-1])
  static func reluThenReshape() throws(StackLensError) -> Model {
    Model(
      graph: Graph(
        name: "small", inputs: [ValueInfo("x", floats, documentation: "rows")],
        outputs: [ValueInfo("y", .tensor(.float32, [.unknown]))],
        initializers: [Initializer("shape", try Tensor([Int64(-1)]))],
        nodes: [
          Node("Relu", inputs: ["x"], outputs: ["h"], name: "relu", documentation: "cut"),
          Node("Reshape", inputs: ["h", "shape"], outputs: ["y"], name: "flat"),
        ],
        valueInfo: [ValueInfo("h", floats)],
        quantization: [QuantizationAnnotation("h", [KeyValue("SCALE_TENSOR", "shape")])],
        documentation: "two nodes", metadata: [KeyValue("b", "2"), KeyValue("a", "1")]),
      producerVersion: "1", domain: "org.example", modelVersion: 7, documentation: "small model",
      metadata: [KeyValue("author", "nobody")])
  }

  static func graph(
    _ nodes: [Node], inputs: [String] = ["x"], outputs: [String] = ["y"],
    initializers: [Initializer] = []
  ) -> Graph {
    Graph(
      inputs: inputs.map { ValueInfo($0, floats) }, outputs: outputs.map { ValueInfo($0, floats) },
      initializers: initializers, nodes: nodes)
  }

  /// The bytes of a model as it is.
  static func bytes(_ model: Model) -> [UInt8] {
    var encoder = ModelEncoder()
    return encoder.model(model).joined()
  }

  static func bytes(_ graph: Graph, functions: [Function] = []) -> [UInt8] {
    bytes(
      Model(
        graph: graph, functions: functions, irVersion: 10, opsetImports: ["": 17, "local": 1]))
  }

  /// A file whose graph holds one initialiser with the given fields after its name.
  static func bytes(tensor fields: (inout WireWriter) -> Void) -> [UInt8] {
    var tensor = WireWriter()
    tensor.string(8, "w")
    fields(&tensor)
    var graph = WireWriter()
    graph.message(5, tensor)
    var opset = WireWriter()
    opset.integer(2, 17)
    var model = WireWriter()
    model.integer(1, 8)
    model.message(8, opset)
    model.message(7, graph)
    return model.joined()
  }

  /// The tensor of a file made by `bytes(tensor:)`.
  static func tensor(_ fields: (inout WireWriter) -> Void) throws(StackLensError) -> Tensor {
    let source = try ByteSource(copying: bytes(tensor: fields))
    let model = try ONNX.decode(source, folder: nil)
    guard let first = model.graph.initializers.first else {
      throw .internalError("no initialiser was read")
    }
    return first.tensor
  }
}

/// The error of a call that must fail.
func failure(_ body: () throws(StackLensError) -> Void) -> StackLensError {
  do throws(StackLensError) {
    try body()
    return .internalError("nothing was thrown")
  } catch {
    return error
  }
}
