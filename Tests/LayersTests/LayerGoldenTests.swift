import Base
import Exchange
import Execution
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Layers

/// Every layer against PyTorch: Golden/layers.safetensors, which scripts/generate-layers-golden.py
/// writes and whose head says what the entries are.
struct LayerGoldenTests {
  /// float32 against float64: a few layers, sums of up to some hundred terms.
  static let tolerance = 2e-6

  @Test func everyLayerHasACase() {
    let seen = Set(LayerGolden.cases.map(\.layer))
    #expect(LayerGolden.cases.count > 100)
    #expect(Set(LayerTable.all.map(\.name)).subtracting(seen).isEmpty)
  }

  @Test(arguments: LayerGolden.cases) func agreesWithPyTorch(_ test: LayerGolden) throws {
    let (network, outputs) = try test.network()
    let expected = test.outputs.indices.map { test["y\($0)"] }.compactMap { $0 }
    let weights = test.outputs.indices.map { test["w\($0)"] }.compactMap { $0 }
    #expect(expected.count == outputs.count && weights.count == outputs.count)
    var model = try test.filled(network.model())
    let gradients = try model.graph.addGradients(
      of: outputs, weights: weights, with: test.gradients.map { test.variable($0) })
    model.graph.outputs += gradients.map { ValueInfo($0.name, .unknown) }
    try model.graph.verify()
    let wanted = try expected + test.gradients.map { try #require(test["g/\($0)"]) }
    let names = model.graph.outputs.map(\.name)
    for (level, threads) in [(0, 1), (2, 1), (2, 2)] {
      var options = SessionOptions()
      options.optimizationLevel = level
      options.threadCount = threads
      let found = try Session(model, options: options).run(test.inputs)
      for (index, (value, wanted)) in zip(found, wanted).enumerated() {
        let text = difference([value], [.tensor(wanted)], tolerance: Self.tolerance)
        let name =
          index < expected.count
          ? names[index] : "gradient of \(test.gradients[index - expected.count])"
        #expect(text == nil, "\(name) at level \(level)")
      }
    }
  }

  /// At opset 17, with open extents of batch and time.
  @Test(arguments: LayerGolden.cases) func isTheSameFromAFile(_ test: LayerGolden) throws {
    let model = try test.filled(test.network().network.model())
    let again = try ONNX.load(bytes: ONNX.encode(model, opset: 17))
    #expect(Set(again.opsetImports.keys) == [""])
    #expect(again.graph.inputs.map(\.type) == model.graph.inputs.map(\.type))
    let expected = try Session(model).run(test.inputs)
    let found = try Session(again).run(test.inputs)
    #expect(difference(found, expected, tolerance: Self.tolerance) == nil)
  }
}

/// One case of the golden file.
struct LayerGolden: CustomTestStringConvertible, Sendable {
  let key: String
  let name: String
  let layer: String
  let options: JSON
  /// Declared extents of the inputs, nil for one that is left out.
  let dims: [[Dimension]?]
  /// Which outputs of the layer are compared.
  let outputs: [Int]
  /// Inputs ("x0") and parameters whose gradients are compared.
  let gradients: [String]
  var testDescription: String { name }

  private static let file: SafetensorsFile? = {
    var folder = "\(#filePath)"
    while folder.last != "/" { folder.removeLast() }
    return try? SafetensorsFile.load(path: folder + "Golden/layers.safetensors")
  }()

  static let cases: [LayerGolden] = {
    guard let text = file?.metadata.first(where: { $0.key == "cases" })?.value,
      let list = try? JSON.parse(Array(text.utf8)).arrayValue
    else { return [] }
    return list.enumerated().compactMap { LayerGolden("\($0)", $1) }
  }()

  private init?(_ key: String, _ json: JSON) {
    guard let name = json["name"]?.stringValue, let layer = json["layer"]?.stringValue,
      let options = json["options"], let dims = json["dims"]?.arrayValue,
      let outputs = json["outputs"]?.arrayValue, let gradients = json["gradients"]?.arrayValue
    else { return nil }
    (self.key, self.name, self.layer, self.options) = (key, name, layer, options)
    self.dims = dims.map { list in
      list.arrayValue?.map { dim in
        dim.stringValue.map { .named($0) } ?? .fixed(Int(dim.integerValue ?? 0))
      }
    }
    self.outputs = outputs.compactMap { $0.integerValue.map { Int($0) } }
    self.gradients = gradients.compactMap(\.stringValue)
  }

  subscript(_ name: String) -> Tensor? { Self.file?["\(key)/\(name)"] }

  /// What the graph calls an input or a parameter.
  func variable(_ name: String) -> String {
    self["x" + name.dropFirst()] != nil ? name : "layer.\(name)"
  }

  var inputs: [String: Value] {
    var values: [String: Value] = [:]
    for index in dims.indices {
      if let tensor = self["x\(index)"] { values["x\(index)"] = .tensor(tensor) }
    }
    return values
  }

  /// The layer alone, built through the table, with the outputs that are compared.
  func network() throws -> (network: Network, outputs: [Edge]) {
    let network = Network(name)
    let inputs = dims.enumerated().map { index, dims -> Edge? in
      guard let dims, let tensor = self["x\(index)"] else { return nil }
      return network.input("x\(index)", tensor.elementType, dims)
    }
    let edges = try LayerTable.find(layer).build(in: network, "layer", inputs, options: options)
    let wanted = outputs.map { edges[$0] }
    for (index, edge) in wanted.enumerated() { network.output(edge, "y\(index)") }
    return (network, wanted)
  }

  /// The model with the file's parameters in place of its own.
  func filled(_ model: Model) throws -> Model {
    var model = model
    let prefix = "\(key)/p/"
    var expected = Set((Self.file?.names ?? []).filter { $0.hasPrefix(prefix) })
    for index in model.graph.initializers.indices {
      let name = model.graph.initializers[index].name
      guard name.hasPrefix("layer.") else { continue }
      let tensor = try #require(self["p/\(name.dropFirst(6))"], "no parameter \(name)")
      #expect(tensor.shape == model.graph.initializers[index].tensor.shape)
      model.graph.initializers[index].tensor = tensor
      expected.remove(prefix + name.dropFirst(6))
    }
    #expect(expected.isEmpty, "not built: \(expected.sorted())")
    return model
  }
}
