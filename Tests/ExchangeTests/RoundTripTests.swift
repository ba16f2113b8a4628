import Base
import Graphs
import Tensors
import Testing

@testable import Exchange

/// What is written reads back the same, and equal models give equal bytes.
struct RoundTripTests {
  private func decode(_ bytes: [UInt8]) throws(StackLensError) -> Model {
    try ONNX.decode(ByteSource(copying: bytes), folder: nil)
  }

  @Test func keepsEveryField() throws {
    let model = try SmallModels.reluThenReshape()
    let back = try decode(SmallModels.bytes(model))
    #expect(SmallModels.bytes(back) == SmallModels.bytes(model))
    #expect(back.producerVersion == "1" && back.domain == "org.example" && back.modelVersion == 7)
    #expect(back.documentation == "small model" && back.metadata == model.metadata)
    #expect(back.graph.documentation == "two nodes" && back.graph.metadata == model.graph.metadata)
    #expect(back.graph.inputs == model.graph.inputs && back.graph.outputs == model.graph.outputs)
    #expect(back.graph.valueInfo == model.graph.valueInfo)
    #expect(back.graph.quantization == model.graph.quantization)
    #expect(back.graph.nodes.map(\.documentation) == ["cut", ""])
    #expect(back.graph.nodes.map(\.name) == ["relu", "flat"])
  }

  @Test func keepsWhatOthersReadInAFile() throws {
    var model = try SmallModels.reluThenReshape()
    model.graph.inputs[0].denotations = ["IMAGE", "DATA_BATCH", "DATA_FEATURE"]
    model.graph.valueInfo.append(
      ValueInfo("z", .sequence(.optional(.tensor(.float32, [.unknown])))))
    model.graph.valueInfo[1].denotations = ["", "OUTER", "INNER", "DATA_FEATURE"]
    model.graph.initializers.append(
      Initializer(
        "few", try Tensor([Float(0), 0, 3, 0, -1, 0], shape: Shape([2, 3])), documentation: "thin",
        isSparse: true))
    model.graph.nodes[0].deviceConfigurations = [OpaqueMessage(bytes: [0x0a, 1, 0x61])]
    model.deviceConfigurations = [OpaqueMessage(bytes: [0x0a, 1, 0x61, 0x10, 2])]
    let step = Graph(
      name: "step", outputs: [ValueInfo("next", SmallModels.floats)],
      nodes: [Node("Neg", inputs: ["few"], outputs: ["next"])])
    model.training = [
      TrainingInfo(algorithm: step, updateBinding: [KeyValue("few", "next")])
    ]
    let bytes = SmallModels.bytes(model)
    let back = try decode(bytes)
    #expect(SmallModels.bytes(back) == bytes)
    #expect(back.graph.inputs == model.graph.inputs)
    #expect(back.graph.valueInfo == model.graph.valueInfo)
    let few = try #require(back.graph.initializers.last)
    #expect(few.isSparse && few.documentation == "thin")
    #expect(try few.tensor.elements(as: Float.self) == [0, 0, 3, 0, -1, 0])
    #expect(back.graph.nodes[0].deviceConfigurations == model.graph.nodes[0].deviceConfigurations)
    #expect(back.deviceConfigurations == model.deviceConfigurations)
    #expect(back.training[0].updateBinding == model.training[0].updateBinding)
    let written = try decode(ONNX.encode(ONNX.load(bytes: bytes), opset: 7))
    #expect(written.training[0].algorithm?.nodes.map(\.opType) == ["Neg"])
    #expect(written.graph.initializers.map(\.name) == ["shape", "few"])
    #expect(written.irVersion >= 11 && written.deviceConfigurations.count == 1)
    #expect(written.graph.inputs == model.graph.inputs)
  }

  @Test func findsAnOpsetThatHoldsTheModel() throws {
    var wide = try SmallModels.reluThenReshape()
    wide.opsetImports = ["": 20]
    #expect(try ONNX.fittingOpset(wide) == 20)
    wide.graph.nodes[0] = Node(
      "Pad", inputs: ["x", "pads"], outputs: ["h"], attributes: ["mode": .string("wrap")])
    wide.graph.initializers.append(Initializer("pads", try Tensor([Int64(0), 0, 1, 1])))
    wide.opsetImports = ["": 12]
    #expect(try ONNX.fittingOpset(wide) == 19)
    let refused = failure { () throws(StackLensError) in _ = try ONNX.encode(wide) }
    #expect(refused.status == .unsupported && refused.message.contains("opset 19 can hold"))
  }

  @Test func keepsEveryKindOfAttribute() throws {
    let inner = SmallModels.graph(
      [Node("Relu", inputs: ["x"], outputs: ["z"])], inputs: [], outputs: ["z"])
    let type = ValueType.optional(.sequence(.map(key: .int64, value: .tensor(.float16, nil))))
    let attributes: [String: Attribute] = [
      "int": .int(.min), "float": .float(-0.5), "string": .string("é"), "graph": .graph(inner),
      "tensor": .tensor(try Tensor([1.5, 2.5])), "type": .type(type), "ints": .ints([-1, .max]),
      "floats": .floats([.infinity, 0]), "strings": .strings(["", "b"]), "graphs": .graphs([inner]),
      "tensors": .tensors([try Tensor(scalar: "text")]), "types": .types([type, .unknown]),
      "empty": .ints([]),
    ]
    let node = Node("Any", inputs: ["x", "", "x"], outputs: ["", "y"], attributes: attributes)
    let bytes = SmallModels.bytes(SmallModels.graph([node]))
    let back = try decode(bytes)
    #expect(SmallModels.bytes(back) == bytes)
    let read = try #require(back.graph.nodes.first)
    #expect(read.inputs == node.inputs && read.outputs == node.outputs)
    for (name, value) in attributes {
      #expect(read.attributes[name]?.kindName == value.kindName, "\(name)")
    }
  }

  @Test func keepsEveryElementType() throws {
    for type in ElementType.allCases {
      let tensor = try Tensor(zeros: type, Shape([7]))
      let valueBits: UInt8 = 255 >> UInt8(max(8 - type.bitWidth, 0))
      if type == .string {
        tensor.base.assumingMemoryBound(to: String.self)[4] = "text"
      } else {
        for index in 0..<tensor.byteCount {
          tensor.base.storeBytes(
            of: UInt8(truncatingIfNeeded: index * 7) & (type == .bool ? 1 : valueBits),
            toByteOffset: index, as: UInt8.self)
        }
      }
      let graph = SmallModels.graph(
        [Node("Any", inputs: ["w"], outputs: ["y"])], initializers: [Initializer("w", tensor)])
      let back = try #require(try decode(SmallModels.bytes(graph)).graph.initializers.first).tensor
      #expect(back.elementType == type && back.shape == tensor.shape)
      #expect(Array(back.bytes) == Array(tensor.bytes))
      if type == .string {
        #expect(try back.elements(as: String.self) == tensor.elements(as: String.self))
      }
    }
  }

  @Test func alignsLargeTensors() throws {
    for nameLength in 1...9 {
      let name = String(repeating: "w", count: nameLength)
      let graph = SmallModels.graph(
        [Node("Any", inputs: [name], outputs: ["y"])],
        initializers: [
          Initializer(name, try Tensor(zeros: .float64, Shape([4000]))),
          Initializer("v", try Tensor(zeros: .float32, Shape([70]))),
        ])
      for tensor in try decode(SmallModels.bytes(graph)).graph.initializers.map(\.tensor) {
        #expect(tensor.storage.isReadOnly, "the tensor was copied, name length \(nameLength)")
      }
    }
  }

  @Test func writesTheSameBytesEachTime() throws {
    let model = try ONNX.load(bytes: SmallModels.bytes(try SmallModels.reluThenReshape()))
    let bytes = try ONNX.encode(model)
    #expect(try ONNX.encode(model) == bytes)
    #expect(try ONNX.encode(ONNX.load(bytes: bytes)) == bytes)
    let back = try decode(bytes)
    #expect(back.opsetImports == ["": 17] && back.irVersion == 8)
  }

  @Test func writesTheAskedOpset() throws {
    let model = try SmallModels.reluThenReshape()
    for opset in [7, 13, 17, 21, 28] {
      let back = try decode(ONNX.encode(model, opset: opset))
      #expect(back.opsetImports[""] == opset)
    }
    for opset in [0, 6, 29, Int.max, -1] {
      let error = failure { () throws(StackLensError) in
        _ = try ONNX.encode(model, opset: opset)
      }
      #expect(error.status == .unsupported)
    }
  }

  @Test func refusesToWriteBrokenGraphs() throws {
    var model = try SmallModels.reluThenReshape()
    model.graph.nodes.removeFirst()
    #expect(
      failure { () throws(StackLensError) in _ = try ONNX.encode(model) }.status == .formatError)
    model.graph.nodes = [Node("Nonsense", inputs: ["x"], outputs: ["y"], name: "bad")]
    let error = failure { () throws(StackLensError) in _ = try ONNX.encode(model) }
    #expect(error.status == .unsupported && error.message.contains("'bad'"), "\(error)")
  }

  @Test func passesTheOfficialChecker() throws {
    switch try SmallModels.reluThenReshape().check() {
    case .official: break
    case .ownOnly(let reason): #expect(reason.contains("libstacklens-onnx"), "\(reason)")
    }
    guard case .ownOnly = try SmallModels.reluThenReshape().check(opset: 21) else {
      Issue.record("the official checker cannot know opset 21")
      return
    }
  }

  @Test(.enabled(if: ModelFiles.arePresent), arguments: ModelFiles.names)
  func keepsPublishedModels(name: String) throws {
    let model = try ONNX.load(path: ModelFiles.path(name))
    let bytes = try ONNX.encode(model)
    let back = try ONNX.load(bytes: bytes)
    #expect(try ONNX.encode(back) == bytes)
    #expect(back.graph.inputs.map(\.name) == model.graph.inputs.map(\.name))
    #expect(back.graph.outputs.map(\.name) == model.graph.outputs.map(\.name))
    if case .ownOnly(let reason) = try model.check() {
      #expect(reason.contains("libstacklens-onnx"), "\(reason)")
    }
  }
}
