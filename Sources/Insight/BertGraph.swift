import Base
import Graphs
import Operators
import Tensors

/// A BERT encoder as a graph, in two forms that give the same numbers.
enum BertGraph {
  /// The form that runs: all tokens of a batch in one matrix, no padding, attention for each text.
  ///
  /// Inputs: ids int32 [tokens], offsets int64 [texts + 1]. Output: vectors float32 [texts, width].
  static func packed(
    _ weights: BertWeights, _ config: EncoderConfiguration, _ precision: Precision
  ) throws(StackLensError) -> Graph {
    let packed = PackedBuilder("encoder", precision)
    let states = try packed.bert(weights, config)
    let vectors = packed.pooled(states, config.pooling)
    packed.graph.output(vectors, "vectors", .float32, [.named("texts"), .fixed(config.width)])
    return packed.graph.graph
  }

  /// The form for files: standard operators, padded batches with a mask.
  ///
  /// Inputs: input_ids, attention_mask, token_type_ids, all int64 [batch, sequence]. Outputs:
  /// last_hidden_state [batch, sequence, width], sentence_embedding [batch, width] (pooled, not
  /// normalised). Parameters are called as in Hugging Face `transformers`; weights of linear layers are
  /// [in, out].
  static func standard(
    _ weights: BertWeights, _ config: EncoderConfiguration
  ) throws(StackLensError) -> Graph {
    let graph = GraphBuilder("encoder")
    let dims: [Dimension] = [.named("batch"), .named("sequence")]
    let ids = graph.input("input_ids", .int64, dims)
    let mask = graph.input("attention_mask", .int64, dims)
    let types = graph.input("token_type_ids", .int64, dims)
    let (heads, width) = (Int64(config.headCount), Int64(config.width))

    func normalized(_ x: Edge, _ norm: BertWeights.Normalization, _ name: String) -> Edge {
      graph.add(
        "LayerNormalization",
        [
          x, graph.constant(name + ".weight", norm.scale),
          graph.constant(name + ".bias", norm.bias),
        ], ["axis": .int(-1), "epsilon": .float(config.epsilon)])
    }
    func linear(
      _ x: Edge, _ linear: BertWeights.Linear, _ name: String
    ) throws(StackLensError) -> Edge {
      graph.matMul(x, graph.constant(name + ".weight", try transposed(linear.weight)))
        + graph.constant(name + ".bias", linear.bias)
    }
    func split(_ x: Edge, _ permutation: [Int64]) throws(StackLensError) -> Edge {
      graph.transpose(try graph.reshape(x, [0, 0, heads, width / heads]), permutation)
    }

    let length = graph.add("Gather", [graph.add("Shape", [ids]), try graph.scalarIndex(1)])
    let places = graph.add(
      "Range", [try graph.scalarIndex(0), length, try graph.scalarIndex(1)])
    let word = graph.add(
      "Gather", [graph.constant("embeddings.word_embeddings.weight", weights.words), ids])
    let position = graph.add(
      "Gather",
      [graph.constant("embeddings.position_embeddings.weight", weights.positions), places])
    let type = graph.add(
      "Gather", [graph.constant("embeddings.token_type_embeddings.weight", weights.types), types])
    var x = normalized(word + position + type, weights.normalization, "embeddings.LayerNorm")
    let floatMask = graph.add("Cast", [mask], ["to": .int(Int64(ElementType.float32.rawValue))])
    let keyMask = graph.add("Unsqueeze", [floatMask, try graph.ints("axes", [1, 2])])
    let bias =
      (try graph.scalar("one", 1) - keyMask)
      * (try graph.scalar("lowest", -Float.greatestFiniteMagnitude))
    let scale = try graph.scalar("scale", Float(config.headWidth).squareRoot())
    for (index, layer) in weights.layers.enumerated() {
      x = try graph.scope("layer\(index)") { () throws(StackLensError) in
        let name = "encoder.layer.\(index)"
        let query = try split(linear(x, layer.query, name + ".attention.self.query"), [0, 2, 1, 3])
        let key = try split(linear(x, layer.key, name + ".attention.self.key"), [0, 2, 3, 1])
        let value = try split(linear(x, layer.value, name + ".attention.self.value"), [0, 2, 1, 3])
        let scores = graph.add(
          "Softmax", [graph.matMul(query, key) / scale + bias], ["axis": .int(-1)])
        let merged = try graph.reshape(
          graph.transpose(graph.matMul(scores, value), [0, 2, 1, 3]), [0, 0, width])
        let a = normalized(
          try linear(merged, layer.attentionOutput, name + ".attention.output.dense") + x,
          layer.attentionNormalization, name + ".attention.output.LayerNorm")
        let up = try linear(a, layer.up, name + ".intermediate.dense")
        let bell = graph.add("Erf", [up / (try graph.scalar("root2", Float(2).squareRoot()))])
        let hidden =
          up * (bell + (try graph.scalar("one", 1))) * (try graph.scalar("half", 0.5))
        return normalized(
          try linear(hidden, layer.down, name + ".output.dense") + a, layer.outputNormalization,
          name + ".output.LayerNorm")
      }
    }
    graph.output(
      x, "last_hidden_state", .float32, dims + [.fixed(config.width)])
    graph.output(
      try pooled(x, floatMask, config.pooling, graph), "sentence_embedding", .float32,
      [.named("batch"), .fixed(config.width)])
    return graph.graph
  }

  private static func pooled(
    _ x: Edge, _ mask: Edge, _ pooling: EncoderConfiguration.Pooling, _ graph: GraphBuilder
  ) throws(StackLensError) -> Edge {
    switch pooling {
    case .cls: return graph.add("Gather", [x, try graph.scalarIndex(0)], ["axis": .int(1)])
    case .mean:
      let column = graph.add("Unsqueeze", [mask, try graph.ints("axes", [2])])
      let axes = try graph.ints("axes", [1])
      let keep: [String: Attribute] = ["keepdims": .int(0)]
      let count = graph.add("ReduceSum", [column, axes], keep)
      return graph.add("ReduceSum", [x * column, axes], keep)
        / graph.add("Max", [count, try graph.scalar("least", 1e-9)])
    case .max:
      let column = graph.add("Unsqueeze", [mask, try graph.ints("axes", [2])])
      let lowest = try graph.scalar("lowest", -Float.greatestFiniteMagnitude)
      let kept = graph.add("Greater", [column, try graph.scalar("zero", 0)])
      return graph.add(
        "ReduceMax",
        [graph.add("Where", [kept, x, lowest]), try graph.ints("axes", [1])],
        ["keepdims": .int(0)])
    }
  }

  /// A float32 matrix with rows and columns changed about.
  static func transposed(_ tensor: Tensor) throws(StackLensError) -> Tensor {
    let (rows, columns) = (tensor.shape[0], tensor.shape[1])
    let result = try Tensor(uninitialized: .float32, Shape([columns, rows]))
    let source = tensor.base.assumingMemoryBound(to: Float.self)
    let target = result.base.assumingMemoryBound(to: Float.self)
    for row in 0..<rows {
      for column in 0..<columns { target[column * rows + row] = source[row * columns + column] }
    }
    return result
  }
}

extension GraphBuilder {
  fileprivate func scalarIndex(_ value: Int64) throws(StackLensError) -> Edge {
    constant("index\(value)_\(graph.initializers.count)", try Tensor(scalar: value))
  }
}
