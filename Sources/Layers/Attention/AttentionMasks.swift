import Base
import Graphs
import Tensors

/// What is added to the scores of an attention before its softmax.
struct AttentionBias {
  /// 0 where a key may be seen, -1e9 where not; broadcasts to [batch, heads, queries, keys].
  var masked: Edge?
  /// Numbers that shift scores.
  var added: Edge?
  /// Whether there may be rows without any key to see.
  var mayBeEmpty = false
}

extension Network {
  /// Large enough that its exponential is zero beside any score, and finite: a row without any key
  /// must not become NaN.
  private static let minusInfinity: Float = -1e9

  /// 0 where a mask is not zero, -1e9 where it is.
  func maskBias(_ mask: Edge) throws(StackLensError) -> Edge {
    let isSeen = elementType(of: mask) == .bool ? mask : cast(mask, .bool)
    return graph.add("Where", [isSeen, try scalar(0), try scalar(Self.minusInfinity)])
  }

  /// What masks and causality add to scores.
  /// - Parameters:
  ///   - keyMask: [batch, keys], not 0 where a key is real.
  ///   - mask: [queries, keys], [batch, queries, keys] or [batch, heads, queries, keys]; floats are
  ///     added to the scores, of other types what is 0 is not seen.
  ///   - lengths: how many queries and keys there are, each as a list of one.
  func attentionBias(
    keyMask: Edge?, mask: Edge?, isCausal: Bool, _ lengths: (query: Edge, key: Edge)
  ) throws(StackLensError) -> AttentionBias {
    var bias = AttentionBias()
    var parts: [Edge] = []
    if let keyMask {
      try check(keyMask, rank: 2...2, "[batch, keys]")
      parts.append(try unsqueezed(maskBias(keyMask), 1, 2))
      bias.mayBeEmpty = true
    }
    if let mask {
      try check(mask, rank: 2...4, "[queries, keys] with batch and heads before it, or not")
      guard let type = elementType(of: mask), let rank = dims(of: mask)?.count else {
        throw .invalidArgument("the type of the mask '\(mask.name)' is not known")
      }
      let shaped = rank == 3 ? try unsqueezed(mask, 1) : mask
      if type.isFloat {
        bias.added = shaped
      } else {
        parts.append(try maskBias(shaped))
        bias.mayBeEmpty = true
      }
    }
    if isCausal {
      let all = try graph.add(
        "ConstantOfShape", [joined([lengths.query, lengths.key])],
        ["value": .tensor(Tensor([Self.minusInfinity]))])
      parts.append(
        graph.add("Trilu", [all, constant(try Tensor(scalar: Int64(1)))], ["upper": .int(1)]))
    }
    bias.masked = parts.isEmpty ? nil : parts.dropFirst().reduce(parts[0]) { $0 + $1 }
    return bias
  }

  /// 1 for each row in which a key may be seen, 0 for the others; the last axis is 1.
  func hasKeys(_ masked: Edge) throws(StackLensError) -> Edge {
    let best = graph.add("ReduceMax", [masked, try ints([-1])])
    return cast(graph.add("Greater", [best, try scalar(Self.minusInfinity / 2)]), .float32)
  }

  /// Softmax over the last axis with what a mask of the same shape leaves; zeros where it leaves
  /// nothing.
  package func maskedSoftmax(_ scores: Edge, _ mask: Edge?) throws(StackLensError) -> Edge {
    guard let mask else { return graph.add("Softmax", [scores], ["axis": .int(-1)]) }
    let weights = graph.add("Softmax", [scores + (try maskBias(mask))], ["axis": .int(-1)])
    let isSeen = elementType(of: mask) == .bool ? mask : cast(mask, .bool)
    return weights * cast(isSeen, .float32)
  }
}
