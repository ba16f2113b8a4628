import Base
import Graphs
import Tensors

extension LayerDefinition {
  static let embedding = LayerDefinition(
    "embedding", "The row of a table for each id. Parameter: weight [rows, width].",
    inputs: [Port("ids", "int64 or int32, of any shape.")],
    outputs: [Port("y", "One axis more than the ids.")],
    options: [
      .size("num_embeddings", "Rows of the table.", isRequired: true),
      .size("embedding_dim", "Width of a row.", isRequired: true),
      .integer("padding_idx", default: nil, "The id that gives zeros and is never trained."),
      .initializer("weight_initializer", "Of the table; normal otherwise."),
    ]
  ) { (network, name, inputs, options) throws(StackLensError) in
    [
      try network.embedding(
        name, inputs.required(0), count: options.integer("num_embeddings"),
        width: options.integer("embedding_dim"), padding: options.integerIfAny("padding_idx"),
        weight: options.initializer("weight_initializer"))
    ]
  }
}

extension Network {
  /// The row of a table for each id.
  /// - Parameter padding: the id that gives zeros, whatever its row; nothing flows back to that row.
  public func embedding(
    _ name: String, _ ids: Edge, count: Int, width: Int, padding: Int? = nil,
    weight: WeightInitializer? = nil
  ) throws(StackLensError) -> Edge {
    if let padding, padding >= count {
      throw .invalidArgument("'padding_idx' is \(padding), the table has \(count) rows")
    }
    var start = weight ?? .normal(mean: 0, std: 1)
    if let padding { start = .withZeroRows(padding..<padding + 1, start) }
    return try scope(name) { () throws(StackLensError) in
      let table = try parameter("weight", [count, width], start)
      let rows = graph.add("Gather", [table, ids])
      guard let padding else { return rows }
      let isPadding = graph.add("Equal", [ids, try integer(padding, like: ids)])
      return graph.add("Where", [try unsqueezed(isPadding, -1), try scalar(0), rows])
    }
  }

  /// An integer scalar of the type that `edge` has.
  func integer(_ value: Int, like edge: Edge) throws(StackLensError) -> Edge {
    elementType(of: edge) == .int32
      ? constant(try Tensor(scalar: Int32(clamping: value)))
      : constant(try Tensor(scalar: Int64(value)))
  }
}
