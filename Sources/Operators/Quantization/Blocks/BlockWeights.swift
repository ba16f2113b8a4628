import Base
import CKernels
import Tensors

/// The layout of a weight matrix [n, k] in 2, 4 or 8 bits whose rows are cut into blocks, each with
/// a scale and a zero point.
struct BlockWeights: Sendable {
  let n: Int
  let k: Int
  let block: Int
  let bits: Int

  /// Reads the attributes N, K, block_size and `bits`.
  /// - Throws: `.invalidArgument` for extents below 1 or a block size that is no power of two from
  ///   16, `.unsupported` for other numbers of bits.
  init(_ view: some NodeView, bits: Int) throws(StackLensError) {
    (n, k) = (try view.int("N"), try view.int("K"))
    block = try view.int("block_size")
    self.bits = bits
    guard n >= 1, k >= 1, n < 1 << 31, k < 1 << 31 else {
      throw .invalidArgument("N is \(n) and K is \(k), expected 1 or more and below 2^31")
    }
    guard block >= 16, block <= 1 << 20, block & (block - 1) == 0 else {
      throw .invalidArgument(
        "attribute 'block_size' is \(block), expected a power of two from 16 to 1048576")
    }
    guard bits == 2 || bits == 4 || bits == 8 else {
      throw .unsupported("weights of \(bits) bits; 2, 4 and 8 are read")
    }
    // What is multiplied below stays within Int.
    _ = try Shape([n, blockCount, block, 4])
  }

  var blockCount: Int { (k + block - 1) / block }
  var rowByteCount: Int { blockCount * block * bits / 8 }
  /// Extent of a row of A, filled up.
  var paddedK: Int { blockCount * block }
  /// Bytes of packed zero points for a row.
  var zeroByteCount: Int { (blockCount * bits + 7) / 8 }

  var stripCount: Int { slk_nbits_strip_count(n) }
  var paddedN: Int { stripCount * slk_nbits_strip_columns() }
  var wordByteCount: Int { slk_nbits_word_count(n, k, block, Int32(bits)) * 4 }
  var spreadByteCount: Int { paddedN * blockCount * 4 }

  /// Code `index` of those packed from the low bits up at `bytes`.
  @inline(__always) func code(_ bytes: UnsafePointer<UInt8>, _ index: Int) -> Int {
    let bit = index * bits
    return Int(bytes[bit >> 3] >> UInt8(bit & 7)) & ((1 << bits) - 1)
  }

  /// Zero points [n, blocks] less the middle of the codes, from packed bytes or from numbers.
  func zeroPoints(_ tensor: Tensor) -> [Float] {
    let middle = Float(1 << (bits - 1))
    if tensor.elementType != .uint8 { return floatParameters(tensor).map { $0 - middle } }
    let bytes = UnsafePointer(tensor.base.assumingMemoryBound(to: UInt8.self))
    var result: [Float] = []
    result.reserveCapacity(n * blockCount)
    for row in 0..<n {
      let line = bytes + row * zeroByteCount
      for index in 0..<blockCount { result.append(Float(code(line, index)) - middle) }
    }
    return result
  }

  /// The weights as numbers, [n, k].
  /// - Parameters:
  ///   - groups: the block of each index along k, where they do not follow one another.
  func numbers(
    _ codes: Tensor, scales: [Float], zeros: [Float]?, groups: [Int]?
  ) -> [Float] {
    let middle = Float(1 << (bits - 1))
    let bytes = UnsafePointer(codes.base.assumingMemoryBound(to: UInt8.self))
    return [Float](unsafeUninitializedCapacity: n * k) { target, count in
      for row in 0..<n {
        let line = bytes + row * rowByteCount
        for index in 0..<k {
          let at = row * blockCount + (groups.map { $0[index] } ?? index / block)
          let value = Float(code(line, index)) - middle - (zeros.map { $0[at] } ?? 0)
          target[row * k + index] = value * scales[at]
        }
      }
      count = n * k
    }
  }
}

/// A product with block weights on the packed kernels: words, scales and zero points in strips, made
/// once where they are constant.
struct PackedBlockProduct: Sendable {
  let weights: BlockWeights
  /// The 16 values that codes of 4 bits stand for, where those are no integers.
  let codebook: [Float]?
  /// Whether A is rounded to 8 bits, block by block.
  let isInteger: Bool
  let rows: Int
  private let words: Tensor?
  private let scales: Tensor?
  private let zeros: Tensor?
  private let hasZeros: Bool
  private let (wordRoom, scaleRoom, zeroRoom): (Int, Int, Int)
  private let (aRoom, sumRoom, byteRoom, rowScaleRoom): (Int, Int, Int, Int)

  /// - Parameters:
  ///   - b, scale, zero: indices of the inputs; a zero of nil means that there is none.
  ///   - swapsNibbles: the first of two codes lies in the high bits.
  init(
    _ preparation: Preparation, _ weights: BlockWeights, b: Int, scale: Int, zero: Int?,
    codebook: [Float]? = nil, swapsNibbles: Bool = false, isInteger: Bool = false,
    plan: inout ScratchPlan
  ) throws(StackLensError) {
    self.weights = weights
    self.codebook = codebook
    self.isInteger = isInteger && weights.bits == 4 && codebook == nil
    let a = try preparation.input(0)
    rows = a.shape.count / weights.k
    hasZeros = zero != nil
    let isConstant =
      preparation.constant(b) != nil && preparation.constant(scale) != nil
      && (zero.map { preparation.constant($0) != nil } ?? true)
    let layout = "blocks \(weights.n) \(weights.k) \(weights.block) \(weights.bits)"
    if isConstant {
      words = try preparation.packed(
        b, layout: layout + " words \(swapsNibbles)", byteCount: weights.wordByteCount
      ) { Self.pack($0, weights, swapsNibbles, to: $1) }
      scales = try preparation.packed(
        scale, layout: layout + " scales", byteCount: weights.spreadByteCount
      ) { Self.spread(floatParameters($0), weights, to: $1) }
      zeros =
        try zero.map { (zero) throws(StackLensError) in
          try preparation.packed(
            zero, layout: layout + " zeros", byteCount: weights.spreadByteCount
          ) { Self.spread(weights.zeroPoints($0), weights, to: $1) }
        } ?? nil
    } else {
      (words, scales, zeros) = (nil, nil, nil)
    }
    wordRoom = try plan.reserve(isConstant ? 0 : weights.wordByteCount, of: UInt8.self)
    scaleRoom = try plan.reserve(isConstant ? 0 : weights.spreadByteCount, of: UInt8.self)
    zeroRoom = try plan.reserve(
      isConstant || !hasZeros ? 0 : weights.spreadByteCount, of: UInt8.self)
    let isInPlace = a.elementType == .float32 && weights.paddedK == weights.k
    let padded = try Shape([rows, weights.paddedK])
    aRoom = try plan.reserve(isInPlace ? 0 : padded.count, of: Float.self)
    let blocks = try Shape([rows, weights.blockCount])
    sumRoom = try plan.reserve(hasZeros || self.isInteger ? blocks.count : 0, of: Float.self)
    byteRoom = try plan.reserve(self.isInteger ? padded.count : 0, of: Int8.self)
    rowScaleRoom = try plan.reserve(self.isInteger ? blocks.count : 0, of: Float.self)
    self.swapsNibbles = swapsNibbles
  }
  private let swapsNibbles: Bool

  private static func pack(
    _ codes: Tensor, _ weights: BlockWeights, _ swapsNibbles: Bool,
    to target: UnsafeMutableRawPointer
  ) {
    let words = target.assumingMemoryBound(to: UInt32.self)
    let rowWords = weights.rowByteCount / 4
    guard swapsNibbles else {
      return slk_nbits_pack(codes.base, weights.n, rowWords, words)
    }
    let bytes = codes.base.assumingMemoryBound(to: UInt8.self)
    let swapped = (0..<weights.n * weights.rowByteCount).map { bytes[$0] >> 4 | bytes[$0] << 4 }
    slk_nbits_pack(swapped, weights.n, rowWords, words)
  }

  private static func spread(
    _ values: [Float], _ weights: BlockWeights, to target: UnsafeMutableRawPointer
  ) {
    slk_nbits_spread(
      values, weights.n, weights.blockCount, target.assumingMemoryBound(to: Float.self))
  }

  /// y [rows, n] = a W^T + bias, all as Float.
  func compute(
    _ a: Tensor, codes: Tensor, scales scaleTensor: Tensor, zeros zeroTensor: Tensor?,
    bias: UnsafePointer<Float>?, y: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutableRawPointer, parallel: Parallel
  ) {
    guard rows > 0 else { return }
    if words == nil {
      Self.pack(codes, weights, swapsNibbles, to: scratch + wordRoom)
      Self.spread(floatParameters(scaleTensor), weights, to: scratch + scaleRoom)
      if let zeroTensor {
        Self.spread(weights.zeroPoints(zeroTensor), weights, to: scratch + zeroRoom)
      }
    }
    func floats(_ room: Int) -> UnsafeMutablePointer<Float> {
      (scratch + room).assumingMemoryBound(to: Float.self)
    }
    let source = padded(a, floats(aRoom))
    let (block, blocks, stride) = (weights.block, weights.blockCount, weights.paddedK)
    let sums = floats(sumRoom)
    let bytes = (scratch + byteRoom).assumingMemoryBound(to: Int8.self)
    let rowScales = floats(rowScaleRoom)
    let bits = Int32(weights.bits)
    if isInteger || hasZeros {
      parallel.ranges(rows, grain: max(1, (1 << 15) / stride)) { range in
        let first = range.lowerBound
        if isInteger {
          slk_nbits_quantise_rows(
            source + first * stride, stride, range.count, block, blocks, bits,
            bytes + first * stride, rowScales + first * blocks, sums + first * blocks)
        } else {
          slk_nbits_sums(
            source + first * stride, stride, range.count, block, blocks, sums + first * blocks)
        }
      }
    }
    let work = Double(rows) * Double(weights.n) * Double(weights.k)
    let strips = weights.stripCount
    let threads = work < 65_536 ? 1 : parallel.threadCount
    let parts = min(strips, threads == 1 ? 1 : rows == 1 ? threads : threads * 4)
    let hold = codebook ?? []
    hold.withUnsafeBufferPointer { codebook in
      let native = slk_nbits_weights(
        n: weights.n, k: weights.k, block: block, bits: bits,
        words: UnsafePointer(
          (words?.base ?? scratch + wordRoom).assumingMemoryBound(to: UInt32.self)),
        scales: UnsafePointer(
          (scales?.base ?? scratch + scaleRoom).assumingMemoryBound(to: Float.self)),
        zero_points: hasZeros
          ? UnsafePointer((zeros?.base ?? scratch + zeroRoom).assumingMemoryBound(to: Float.self))
          : nil,
        codebook: self.codebook == nil ? nil : codebook.baseAddress)
      withUnsafePointer(to: native) { native in
        (threads == 1 ? .serial : parallel).forEach(parts) { part in
          let (first, last) = (strips * part / parts, strips * (part + 1) / parts)
          if isInteger {
            slk_gemm_nbits_i8(
              native, bytes, rowScales, sums, bias, y, weights.n, rows, first, last)
          } else {
            slk_gemm_nbits_f32(
              native, source, stride, sums, bias, y, weights.n, rows, first, last)
          }
        }
      }
    }
  }

  /// A in float32, its rows filled up with zeros to whole blocks.
  private func padded(
    _ a: Tensor, _ room: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    let (k, stride) = (weights.k, weights.paddedK)
    if a.elementType == .float32, k == stride { return UnsafePointer(a.floats) }
    for row in 0..<rows {
      let target = room + row * stride
      Float.widen(a.base + row * k * a.elementType.byteSize, a.elementType, k, to: target)
      for index in k..<stride { target[index] = 0 }
    }
    return UnsafePointer(room)
  }
}
