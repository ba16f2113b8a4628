import Base
import Graphs
import TestSupport
import Testing

@testable import Layers

struct LayerTableTests {
  private func build(
    _ layer: String, _ options: String, inputs: [[Int]?] = [[3, 4]]
  ) throws -> [Edge] {
    let network = Network("test")
    let edges = inputs.enumerated().map { index, dims in
      dims.map { network.input("x\(index)", .float32, $0.map { .fixed($0) }) }
    }
    return try LayerTable.find(layer).build(
      in: network, "layer", edges, options: JSON.parse(Array(options.utf8)))
  }

  @Test func namesAreUnique() {
    #expect(Set(LayerTable.all.map(\.name)).count == LayerTable.all.count)
    for layer in LayerTable.all {
      #expect(Set(layer.options.map(\.name)).count == layer.options.count, "\(layer.name)")
      for option in layer.options where !option.fallback.isNull {
        #expect(option.kind.accepts(option.fallback), "\(layer.name).\(option.name)")
      }
    }
  }

  struct Refusal: CustomTestStringConvertible, Sendable {
    let layer: String
    let options: String
    var inputs: [[Int]?] = [[3, 4]]
    var status = Status.invalidArgument
    /// What the message must name.
    let names: String
    var testDescription: String { "\(layer) \(options)" }
  }

  private static let refusals = [
    Refusal(layer: "linear", options: #"{"out": 3}"#, names: "in_features, out_features, bias"),
    Refusal(layer: "linear", options: "{}", names: "out_features"),
    Refusal(layer: "linear", options: "null", names: "out_features"),
    Refusal(layer: "linear", options: "[3]", names: "an object"),
    Refusal(layer: "linear", options: #"{"out_features": 2.5}"#, names: "2.5"),
    Refusal(layer: "linear", options: #"{"out_features": 0}"#, names: "at least 1"),
    Refusal(layer: "linear", options: #"{"out_features": -9223372036854775808}"#, names: "-92"),
    Refusal(layer: "linear", options: #"{"out_features": "3"}"#, names: "an integer"),
    Refusal(layer: "linear", options: #"{"out_features": 3, "bias": 1}"#, names: "true or false"),
    Refusal(
      layer: "linear", options: #"{"out_features": 3, "weight_initializer": "xavier"}"#,
      names: "xavier_uniform"),
    Refusal(
      layer: "linear", options: #"{"out_features": 3, "in_features": 5}"#, status: .shapeMismatch,
      names: "in_features"),
    Refusal(layer: "linear", options: #"{"out_features": 3}"#, inputs: [], names: "'x'"),
    Refusal(
      layer: "linear", options: #"{"out_features": 3}"#, inputs: [[1, 2], [1, 2]], names: "1 inputs"
    ),
    Refusal(layer: "dropout", options: #"{"p": 1}"#, names: "[0, 1)"),
    Refusal(layer: "dropout", options: #"{"mode": "rows"}"#, names: "variational"),
    Refusal(layer: "concat", options: "{}", inputs: [[1], nil], names: "'x'"),
    Refusal(
      layer: "conv2d", options: #"{"out_channels": 4, "kernel_size": [3, 3, 3]}"#,
      inputs: [[1, 2, 8, 8]], names: "expected 2"),
    Refusal(
      layer: "conv2d", options: #"{"out_channels": 4, "kernel_size": 3}"#, status: .shapeMismatch,
      names: "height"),
    Refusal(
      layer: "conv1d", options: #"{"out_channels": 4, "kernel_size": 3, "groups": 3}"#,
      inputs: [[1, 2, 8]], names: "groups"),
    Refusal(
      layer: "conv1d", options: #"{"out_channels": 4, "kernel_size": 3, "padding": "full"}"#,
      inputs: [[1, 2, 8]], names: "same"),
    Refusal(
      layer: "conv1d",
      options: #"{"out_channels": 4, "kernel_size": 3, "padding": "same", "stride": 2}"#,
      inputs: [[1, 2, 8]], names: "stride"),
    Refusal(
      layer: "max_pool1d", options: #"{"kernel_size": 2, "padding": 2}"#, inputs: [[1, 2, 8]],
      names: "padding"),
    Refusal(
      layer: "multihead_attention", options: #"{"num_heads": 3}"#, inputs: [[2, 5, 4]],
      names: "3 heads"),
    Refusal(
      layer: "lstm", options: #"{"hidden_size": 4, "num_layers": 0}"#, inputs: [[2, 5, 4]],
      names: "num_layers"),
    Refusal(layer: "lstm", options: #"{"hidden_size": 4}"#, status: .shapeMismatch, names: "steps"),
    Refusal(
      layer: "embedding", options: #"{"num_embeddings": 4, "embedding_dim": 2, "padding_idx": 4}"#,
      names: "padding_idx"),
    Refusal(layer: "heads", options: #"{"heads": {}}"#, names: "width of each head"),
    Refusal(layer: "heads", options: #"{"heads": {"a": 0}}"#, names: "width of each head"),
    Refusal(layer: "permute", options: #"{"dims": [0, 0]}"#, names: "once"),
    Refusal(
      layer: "linear", options: #"{"out_features": 2147483648, "in_features": 2147483648}"#,
      inputs: [nil], names: "'x'"),
  ]

  @Test(arguments: refusals) func refuses(_ test: Refusal) {
    let error = failure { _ = try build(test.layer, test.options, inputs: test.inputs) }
    #expect(error?.status == test.status)
    #expect(error?.message.contains(test.names) ?? false, "\(error?.message ?? "no error")")
  }

  @Test func absurdSizesAreErrors() throws {
    let network = Network("large")
    let x = network.input("x", .float32, nil)
    for options in [
      #"{"out_features": 2147483648, "in_features": 2147483648}"#,
      #"{"out_features": 1048576, "in_features": 1048576}"#,
    ] {
      #expect(throws: StackLensError.self) {
        _ = try LayerTable.find("linear").build(
          in: network, "layer", [x], options: JSON.parse(Array(options.utf8)))
      }
    }
  }

  @Test func unknownLayersAreNamed() {
    let error = failure { _ = try LayerTable.find("dense") }
    #expect(error?.message.contains("linear") ?? false)
  }

  @Test func describesItself() throws {
    for layer in LayerTable.all {
      let again = try JSON.parse(layer.described().encoded())
      #expect(again["name"]?.stringValue == layer.name)
      #expect(again["options"]?.arrayValue?.count == layer.options.count)
      #expect(!layer.documentation.isEmpty)
    }
  }
}
