import Base
import Graphs
import Tensors

extension Transform {
  /// A product with constant weights that are dequantised in blocks along K becomes MatMulNBits, which
  /// leaves them in their 4 or 8 bits.
  static func fuseBlockWeights(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let product = graph.nodes[place]
      guard product.domain.isEmpty, product.outputs.count == 1, product.inputs.count >= 2,
        product.opType == "MatMul" || product.isPlainGemm
      else { return nil }
      var isTransposed = false
      if product.opType == "Gemm", case .int(let flag)? = product.attributes["transB"] {
        isTransposed = flag != 0
      }
      var name = product.inputs[1]
      if let turn = index.producer(of: name, "Transpose"),
        turn.node.attributes["perm"] == nil || turn.node.isPermutation([1, 0])
      {
        (name, isTransposed) = (turn.node.inputs[0], !isTransposed)
      }
      guard let made = index.producer(of: name, "DequantizeLinear"),
        let weights = BlockConstants(made.node, isTransposed, index)
      else { return nil }
      var last = (index: place, name: product.outputs[0])
      var removed = [place]
      var bias = ""
      if product.opType == "Gemm", product.inputs.count > 2 {
        bias = product.inputs[2]
        guard bias.isEmpty || index.constant(bias)?.shape.dims == [weights.n] else { return nil }
      } else if let add = index.onlyReader(of: last.name, "Add"),
        let other = add.node.inputs.first(where: { $0 != last.name }),
        let vector = index.constant(other), vector.shape.dims == [weights.n],
        vector.elementType == weights.scales.elementType
      {
        bias = other
        last = (add.index, add.node.outputs[0])
        removed.append(add.index)
      }
      let stem = last.name
      var constants = [
        Initializer("\(stem)__codes", weights.codes),
        Initializer("\(stem)__scales", weights.scales),
      ]
      var inputs = [product.inputs[0], "\(stem)__codes", "\(stem)__scales", "", "", bias]
      if let zeros = weights.zeros {
        inputs[3] = "\(stem)__zeros"
        constants.append(Initializer("\(stem)__zeros", zeros))
      }
      while inputs.last?.isEmpty == true { inputs.removeLast() }
      let node = Node(
        "MatMulNBits", inputs: inputs, outputs: [stem],
        attributes: [
          "K": .int(Int64(weights.k)), "N": .int(Int64(weights.n)),
          "bits": .int(Int64(weights.bits)), "block_size": .int(Int64(weights.block)),
        ], name: product.name, domain: "com.microsoft")
      return Replacement(at: last.index, removed: removed, nodes: [node], initializers: constants)
    }
  }
}

extension Node {
  /// A Gemm that only multiplies and adds, with rows of A as they are.
  fileprivate var isPlainGemm: Bool {
    guard opType == "Gemm" else { return false }
    for key in ["alpha", "beta"] {
      if case .float(let value)? = attributes[key], value != 1 { return false }
    }
    if case .int(let flag)? = attributes["transA"], flag != 0 { return false }
    return true
  }
}

/// Weights of a DequantizeLinear over blocks, laid out for MatMulNBits.
private struct BlockConstants {
  let (n, k, block, bits): (Int, Int, Int, Int)
  let codes: Tensor
  let scales: Tensor
  let zeros: Tensor?

  init?(_ node: Node, _ isTransposed: Bool, _ index: GraphIndex) {
    guard case .int(let size)? = node.attributes["block_size"], size >= 16, size <= 1 << 20,
      size & (size - 1) == 0, let tensor = index.constant(node.inputs[0]), tensor.rank == 2,
      tensor.count > 0, let scale = index.constant(node.inputs[1]), scale.rank == 2,
      scale.elementType == .float32
    else { return nil }
    var axis: Int64 = 1
    if case .int(let given)? = node.attributes["axis"] { axis = given < 0 ? given + 2 : given }
    if case .int(let type)? = node.attributes["output_dtype"], type != 0 { return nil }
    guard axis == (isTransposed ? 1 : 0) else { return nil }
    let (width, isSigned): (Int, Bool)
    switch tensor.elementType {
    case .int4: (width, isSigned) = (4, true)
    case .uint4: (width, isSigned) = (4, false)
    case .int8: (width, isSigned) = (8, true)
    case .uint8: (width, isSigned) = (8, false)
    default: return nil
    }
    let length = Int(size)
    let (columns, inner) =
      isTransposed ? (tensor.shape[0], tensor.shape[1]) : (tensor.shape[1], tensor.shape[0])
    let blocks = (inner + length - 1) / length
    let extents = isTransposed ? [columns, blocks] : [blocks, columns]
    guard scale.shape.dims == extents else { return nil }
    var zero: Tensor?
    if node.inputs.count > 2, !node.inputs[2].isEmpty {
      zero = index.constant(node.inputs[2])
      guard zero?.shape == scale.shape, zero?.elementType == tensor.elementType else { return nil }
    }
    // Codes of signed types move up by half their range, and so do the zero points.
    let (flip, mask) = (isSigned ? UInt8(1 << (width - 1)) : 0, UInt8((1 << width) - 1))
    func code(_ tensor: Tensor, _ column: Int, _ row: Int, _ rows: Int) -> UInt8 {
      let place = isTransposed ? column * rows + row : row * columns + column
      return (tensor.bytes[place] ^ flip) & mask
    }
    let perByte = 8 / width
    let rowBytes = blocks * length / perByte
    var packed = [UInt8](repeating: 0, count: columns * rowBytes)
    var ordered = [Float](repeating: 0, count: columns * blocks)
    var points: [Float] = []
    let values = scale.base.assumingMemoryBound(to: Float.self)
    for column in 0..<columns {
      for row in 0..<inner {
        packed[column * rowBytes + row / perByte] |=
          code(tensor, column, row, inner) << UInt8(row % perByte * width)
      }
      for start in 0..<blocks {
        ordered[column * blocks + start] =
          values[isTransposed ? column * blocks + start : start * columns + column]
        if let zero { points.append(Float(code(zero, column, start, blocks))) }
      }
    }
    if zero == nil, !isSigned { points = [Float](repeating: 0, count: columns * blocks) }
    guard let shape = try? Shape([columns, blocks, length / perByte]),
      let matrix = try? Shape([columns, blocks]), let codes = try? Tensor(packed, shape: shape),
      let scales = try? Tensor(ordered, shape: matrix)
    else { return nil }
    (n, k, block, bits) = (columns, inner, length, width)
    self.codes = codes
    self.scales = scales
    zeros = points.isEmpty ? nil : try? Tensor(points, shape: matrix)
  }
}
