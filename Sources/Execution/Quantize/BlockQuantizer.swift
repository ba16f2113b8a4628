import Base
import Graphs
import Tensors

/// Weights [K, N] in 4 bits with a scale for each block of a column: codes -8 to 7, of which -8 is the
/// largest magnitude of the block.
private struct QuantizedBlocks {
  let (inner, columns, block): (Int, Int, Int)
  /// [K, N].
  let codes: [Int8]
  /// [blocks, N].
  let scales: [Float]

  var blockCount: Int { (inner + block - 1) / block }

  init(_ values: [Float], inner: Int, columns: Int, block: Int) throws(StackLensError) {
    (self.inner, self.columns, self.block) = (inner, columns, block)
    guard values.allSatisfy({ $0.isFinite }) else {
      throw .invalidArgument("a weight is not finite; only finite weights can be quantised")
    }
    let blocks = (inner + block - 1) / block
    var codes = [Int8](repeating: 0, count: values.count)
    var scales = [Float](repeating: 0, count: blocks * columns)
    for start in 0..<blocks {
      let rows = start * block..<min(inner, (start + 1) * block)
      for column in 0..<columns {
        var most: Float = 0
        for row in rows where abs(values[row * columns + column]) > abs(most) {
          most = values[row * columns + column]
        }
        let scale = abs(most) < 1e-30 ? 1 : most / -8
        scales[start * columns + column] = scale
        for row in rows {
          let step = (values[row * columns + column] / scale).rounded(.toNearestOrEven)
          codes[row * columns + column] = Int8(max(-8, min(7, step)))
        }
      }
    }
    self.codes = codes
    self.scales = scales
  }

  /// The bytes of MatMulNBits, [N, blocks, block / 2]: code + 8, the first of two in the low bits.
  func packed() -> [UInt8] {
    let rowBytes = blockCount * block / 2
    var bytes = [UInt8](repeating: 0x88, count: columns * rowBytes)
    for column in 0..<columns {
      for row in 0..<inner {
        let code = UInt8(codes[row * columns + column] + 8)
        let place = column * rowBytes + row / 2
        bytes[place] =
          row % 2 == 0 ? bytes[place] & 0xf0 | code : bytes[place] & 0x0f | code << 4
      }
    }
    return bytes
  }

  /// [N, blocks].
  func scalesByColumn() -> [Float] {
    (0..<columns * blockCount).map { index in
      let (column, start) = index.quotientAndRemainder(dividingBy: blockCount)
      return scales[start * columns + column]
    }
  }
}

extension GraphEditor {
  /// The weights of products become 4-bit codes in blocks along K.
  mutating func quantizeWeightsInBlocks() throws(StackLensError) {
    let block = options.blockSize
    guard block >= 16, block <= 1 << 20, block & (block - 1) == 0 else {
      throw .invalidArgument("the block size is \(block), expected a power of two from 16")
    }
    for node in source.nodes {
      guard let product = ConstantProduct(node, self), product.inner >= 16 else {
        nodes.append(node)
        continue
      }
      do throws(StackLensError) {
        let blocks = try QuantizedBlocks(
          product.byRows(), inner: product.inner, columns: product.columns, block: block)
        try options.usesContribOperators
          ? multiplyNBits(product, blocks) : multiplyDequantized(product, blocks)
      } catch { throw error.within(node.label) }
    }
  }

  private mutating func multiplyNBits(
    _ product: ConstantProduct, _ blocks: QuantizedBlocks
  ) throws(StackLensError) {
    let (name, key) = (product.weightName, "\(product.weightName) \(product.isTransposed)")
    let (n, count) = (blocks.columns, blocks.blockCount)
    let inputs = [
      product.x,
      sharedConstant(
        "\(key) blocks", name: "\(name)_int4",
        try Tensor(blocks.packed(), shape: Shape([n, count, blocks.block / 2]))),
      sharedConstant(
        "\(key) block scales", name: "\(name)_scale",
        try Tensor(blocks.scalesByColumn(), shape: Shape([n, count]))),
    ]
    let attributes: [String: Attribute] = [
      "K": .int(Int64(blocks.inner)), "N": .int(Int64(n)), "bits": .int(4),
      "block_size": .int(Int64(blocks.block)),
    ]
    finish(product) { editor, output in
      editor.add(
        "MatMulNBits", inputs, attributes, hint: "\(product.output)_product", output: output,
        domain: "com.microsoft")
    }
  }

  private mutating func multiplyDequantized(
    _ product: ConstantProduct, _ blocks: QuantizedBlocks
  ) throws(StackLensError) {
    let (name, key) = (product.weightName, "\(product.weightName) \(product.isTransposed)")
    let weight: String
    if let known = shared["\(key) dequantized"] {
      weight = known
    } else {
      let codes = try Tensor(
        codes: blocks.codes.map { UInt8(bitPattern: $0) & 15 }, as: .int4,
        shape: Shape([blocks.inner, blocks.columns]))
      let scales = try Tensor(
        blocks.scales, shape: Shape([blocks.blockCount, blocks.columns]))
      weight = add(
        "DequantizeLinear", [constant(codes, "\(name)_int4"), constant(scales, "\(name)_scale")],
        ["axis": .int(0), "block_size": .int(Int64(blocks.block))], hint: "\(name)_dequantized")
      shared["\(key) dequantized"] = weight
    }
    finish(product) { editor, output in
      editor.add(
        "MatMul", [product.x, weight], hint: "\(product.output)_product", output: output)
    }
  }

  /// The product that `make` appends, with the bias added where there is one.
  private mutating func finish(
    _ product: ConstantProduct, _ make: (inout GraphEditor, _ output: String?) -> String
  ) {
    guard !product.bias.isEmpty else {
      _ = make(&self, product.output)
      return
    }
    let result = make(&self, nil)
    add("Add", [result, product.bias], hint: product.output, output: product.output)
  }
}
