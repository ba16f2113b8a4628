import Base
import Exchange
import Graphs
import Tensors

/// BERT encoders in ONNX files. Exporters keep the names of embeddings, norms and biases; the weight of
/// a linear layer is found as the factor of the product that its bias is added to, because they fold its
/// transposition and rename it.
extension BertWeights {
  /// The tensors of an encoder in an ONNX file, by their names in Hugging Face `transformers`.
  /// - Throws: `.formatError` naming a layer whose numbers are not found.
  static func tensors(
    onnx path: String, _ config: EncoderConfiguration
  ) throws(StackLensError) -> [String: Tensor] {
    let model = try ONNX.load(path: path)
    do throws(StackLensError) { return try tensors(model.graph, config) } catch {
      throw error.within(path)
    }
  }

  private static func tensors(
    _ graph: Graph, _ config: EncoderConfiguration
  ) throws(StackLensError) -> [String: Tensor] {
    let search = try Search(graph)
    var tensors: [String: Tensor] = [:]
    for name in plainNames(config) { tensors[name] = try search.plain(name) }
    for name in linearNames(config) {
      tensors[name + ".bias"] = try search.plain(name + ".bias")
      tensors[name + ".weight"] = try search.weight(of: name)
    }
    return tensors
  }

  private static func plainNames(_ config: EncoderConfiguration) -> [String] {
    let tables = ["word", "position", "token_type"].map { "embeddings.\($0)_embeddings.weight" }
    let layers = (0..<config.layerCount).flatMap { layer in
      ["attention.output", "output"].map { "encoder.layer.\(layer).\($0).LayerNorm" }
    }
    let norms = ["embeddings.LayerNorm"] + layers
    return tables + norms.flatMap { [$0 + ".weight", $0 + ".bias"] }
  }

  private static func linearNames(_ config: EncoderConfiguration) -> [String] {
    (0..<config.layerCount).flatMap { layer in
      [
        "attention.self.query", "attention.self.key", "attention.self.value",
        "attention.output.dense", "intermediate.dense", "output.dense",
      ].map { "encoder.layer.\(layer).\($0)" }
    }
  }

  /// Finds numbers in a graph.
  private struct Search {
    private let graph: Graph
    private let constants: [String: Tensor]
    /// The node that makes a value, and those that read it.
    private var makers: [String: Int] = [:]
    private var readers: [String: [Int]] = [:]
    private let prefix: String

    init(_ graph: Graph) throws(StackLensError) {
      self.graph = graph
      constants = Dictionary(
        graph.initializers.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
      for (index, node) in graph.nodes.enumerated() {
        for output in node.outputs { makers[output] = index }
        for input in node.inputs { readers[input, default: []].append(index) }
      }
      let mark = "embeddings.word_embeddings.weight"
      guard
        let name = constants.keys.filter({ $0.hasSuffix(mark) }).min(by: { $0.count < $1.count })
      else {
        throw .formatError("it has no '\(mark)': it is no BERT encoder that kept its names")
      }
      prefix = String(name.dropLast(mark.count))
    }

    func plain(_ name: String) throws(StackLensError) -> Tensor {
      guard let tensor = constants[prefix + name] else {
        throw .formatError("tensor '\(prefix + name)' is missing")
      }
      return try tensor.copied()
    }

    /// The weight [out, in] of the linear layer with this bias.
    func weight(of name: String) throws(StackLensError) -> Tensor {
      if let found = try direct(name) { return found }
      for index in readers[prefix + name + ".bias"] ?? [] {
        let node = graph.nodes[index]
        if node.opType == "Gemm", node.inputs.count == 3, let tensor = constants[node.inputs[1]] {
          if case .int(1)? = node.attributes["transB"] { return try tensor.copied() }
          return try turned(tensor, name)
        }
        guard node.opType == "Add" else { continue }
        for input in node.inputs {
          guard let maker = makers[input], graph.nodes[maker].opType == "MatMul" else { continue }
          let factor = graph.nodes[maker].inputs[1]
          if let tensor = constants[factor] { return try turned(tensor, name) }
          // [out, in] behind a transposition.
          if let turn = makers[factor], graph.nodes[turn].opType == "Transpose",
            let tensor = constants[graph.nodes[turn].inputs[0]]
          {
            return try tensor.copied()
          }
        }
      }
      throw .formatError("the weight of '\(prefix + name)' is not found")
    }

    /// A weight under its own name that a transposition reads.
    private func direct(_ name: String) throws(StackLensError) -> Tensor? {
      guard let tensor = constants[prefix + name + ".weight"],
        let reader = readers[prefix + name + ".weight"]?.first,
        graph.nodes[reader].opType == "Transpose"
      else { return nil }
      return try tensor.copied()
    }

    private func turned(_ tensor: Tensor, _ name: String) throws(StackLensError) -> Tensor {
      guard tensor.rank == 2, tensor.elementType == .float32 else {
        throw .formatError(
          "the weight of '\(name)' is \(tensor.elementType.name)\(tensor.shape), expected a float32 matrix"
        )
      }
      return try BertGraph.transposed(tensor)
    }
  }
}
