import Base
import Graphs

/// A · Wᵀ where W [N, K] lies in blocks of few bits. The codes have no slope; A, the scales of the
/// blocks, their zero points and the bias have.
extension GradientRule {
  /// W = scale (code - zero), a block of a row each.
  static let matMulNBits = GradientRule { (scope) throws(StackLensError) in
    let product = try BlockProduct(scope)
    var gradients: [Edge?] = scope.inputs.map { _ in nil }
    if scope.wants(0) { gradients[0] = try product.left(scales: scope.input(2)) }
    if scope.wants(5) { gradients[5] = scope.sum(try scope.arriving(), like: try scope.input(5)) }
    let wantsZeros = scope.wants(3)
    guard scope.wants(2) || wantsZeros else { return gradients }
    guard !scope.hasInput(4) else {
      throw .unsupported(
        "scales and zero points of blocks that an input assigns have no gradient: "
          + GradientRule.detour)
    }
    let slopes = try product.weightGradient()
    let scales = try scope.input(2)
    if scope.wants(2) {
      let sums = try product.sumsOverBlocks(slopes * product.weights(scales: product.ones(scales)))
      gradients[2] = product.shaped(sums, scales)
    }
    if wantsZeros {
      let zeros = try scope.input(3)
      let sums = product.shaped(try product.sumsOverBlocks(slopes), zeros)
      let same = scope.apply("CastLike", scope.apply("Neg", sums), zeros)
      gradients[3] = same * scope.apply("CastLike", product.shaped(scales, zeros), zeros)
    }
    return gradients
  }

  /// W = magnitude table[code], blocks run through the rows.
  static let matMulBnb4 = GradientRule { (scope) throws(StackLensError) in
    let product = try BlockProduct(scope)
    let scales = try scope.input(2)
    return [
      scope.wants(0) ? try product.left(scales: scales) : nil, nil,
      scope.wants(2)
        ? product.shaped(
          try product.sumsThroughRows(
            try product.weightGradient() * product.weights(scales: product.ones(scales))), scales)
        : nil,
    ]
  }
}

/// The nodes that gradients of one such product are made of; weights stand transposed in them, [K, N].
private struct BlockProduct {
  let scope: GradientScope
  private let (n, k, block): (Int, Int, Int)

  init(_ scope: GradientScope) throws(StackLensError) {
    self.scope = scope
    (n, k) = (try scope.int("N"), try scope.int("K"))
    block = try scope.int("block_size")
  }

  /// The weights as numbers: the product of the identity with them.
  func weights(scales: Edge) throws(StackLensError) -> Edge {
    let square = scope.apply(
      "ConstantOfShape", try scope.ints([Int64(k), Int64(k)]))
    let identity = scope.apply("CastLike", scope.apply("EyeLike", square), try scope.input(0))
    var inputs = scope.inputs
    inputs.replaceSubrange(0..<1, with: [identity])
    inputs.replaceSubrange(2..<3, with: [scales])
    var attributes = scope.node.attributes
    if scope.node.opType == "MatMulNBits" { attributes["accuracy_level"] = .int(0) }
    return scope.graph.add(
      scope.node.opType, Array(inputs.prefix(5)), attributes, domain: scope.node.domain)
  }

  func ones(_ scales: Edge) throws(StackLensError) -> Edge {
    scope.apply("Expand", try scope.scalar(1, like: scales), scope.shape(of: scales))
  }

  /// g W.
  func left(scales: Edge) throws(StackLensError) -> Edge {
    GradientRule.multiply(
      try scope.arriving(), false, try weights(scales: scales), true, scope: scope)
  }

  /// Aᵀ g, summed over all rows.
  func weightGradient() throws(StackLensError) -> Edge {
    func rows(_ edge: Edge) -> Edge {
      scope.apply("Flatten", edge, attributes: ["axis": .int(-1)])
    }
    return GradientRule.multiply(
      rows(try scope.input(0)), true, rows(try scope.arriving()), false, scope: scope)
  }

  /// Sums of [K, N] over the blocks of K: [N, blocks].
  func sumsOverBlocks(_ values: Edge) throws(StackLensError) -> Edge {
    let blocks = (k + block - 1) / block
    let filled = scope.apply("Pad", values, try scope.ints([0, 0, Int64(blocks * block - k), 0]))
    let parted = scope.apply(
      "Reshape", filled, try scope.ints([Int64(blocks), Int64(block), Int64(n)]))
    let sums = scope.apply(
      "ReduceSum", parted, try scope.ints([1]), attributes: ["keepdims": .int(0)])
    return scope.apply("Transpose", sums, attributes: ["perm": .ints([1, 0])])
  }

  /// Sums of [K, N] over the blocks of its transpose, row by row.
  func sumsThroughRows(_ values: Edge) throws(StackLensError) -> Edge {
    let blocks = (n * k + block - 1) / block
    let turned = scope.apply("Transpose", values, attributes: ["perm": .ints([1, 0])])
    let line = scope.apply("Reshape", turned, try scope.ints([-1]))
    let filled = scope.apply("Pad", line, try scope.ints([0, Int64(blocks * block - n * k)]))
    let parted = scope.apply("Reshape", filled, try scope.ints([Int64(blocks), Int64(block)]))
    return scope.apply("ReduceSum", parted, try scope.ints([1]), attributes: ["keepdims": .int(0)])
  }

  func shaped(_ values: Edge, _ edge: Edge) -> Edge {
    scope.apply("Reshape", values, scope.shape(of: edge))
  }
}
