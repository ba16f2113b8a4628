import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Rows of a table of 2, 4 or 8 bits, as numbers: (code - zero point) · scale with one of both for
  /// each block along `quantize_axis`. Codes are int4 or uint4, or lie in uint8, packed along the last axis
  /// from the low bits up. An index outside the table gives zeros.
  static let gatherBlockQuantized = OperatorDefinition(
    "GatherBlockQuantized", domain: runtimeDomain, versions: [1], inputs: 3...4,
    attributes: [
      .int("bits", default: 4), .int("block_size", default: 128), .int("gather_axis", default: 0),
      .int("quantize_axis", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let table = try BlockTable(
        context, data: context.input(0, oneOf: [.uint8, .int4, .uint4]),
        scales: context.input(2).shape, zeros: context.hasInput(3) ? context.input(3).shape : nil)
      _ = try context.sameElementType(0, 3)
      try requireIndices(context.input(1), 1)
      let type = try context.input(2, oneOf: [.float32, .float16, .bfloat16]).elementType
      let dims = try context.input(1).shape.dims + table.dims.dropFirst()
      return [TensorType(type, try Shape(dims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let hasZeros = preparation.hasInput(3)
        let table = try BlockTable(
          preparation, data: preparation.input(0), scales: preparation.input(2).shape,
          zeros: hasZeros ? preparation.input(3).shape : nil)
        let output = preparation.outputs[0]
        var plan = ScratchPlan()
        let scaleRoom = try plan.reserve(preparation.input(2), as: Float.self)
        let yRoom = try plan.reserve(output, as: Float.self)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let indices = try run.input(1)
          let wanted = try indices.integers()
          let y = Float.target(run.outputs[0], run.scratch + yRoom)
          let scales = Float.load(try run.input(2), run.scratch + scaleRoom)
          let codes = UnsafePointer(try run.input(0).base.assumingMemoryBound(to: UInt8.self))
          let zeros = try hasZeros ? run.input(3).base.assumingMemoryBound(to: UInt8.self) : nil
          let length = table.rowLength
          run.parallel.ranges(wanted.count, grain: max(1, (1 << 13) / max(1, length))) { range in
            for place in range {
              let row = wanted[place] < 0 ? wanted[place] + table.dims[0] : wanted[place]
              if row >= 0, row < table.dims[0] {
                table.write(
                  row, codes, scales, zeros.map { UnsafePointer($0) }, to: y + place * length)
              } else {
                (y + place * length).update(repeating: 0, count: length)
              }
            }
          }
          Float.store(y, run.outputs[0])
        }
      }
    ]),
    samples: [
      Sample(
        [.bytes(5, 16), .ints([0, -1, 7]), .scale(5, 2), .bytes(5, 1)], ["block_size": .int(16)]),
      Sample(
        [.bytes(3, 2, 16), .ints([2]), .scale(3, 2, 1)],
        ["block_size": .int(16), "quantize_axis": .int(-1), "bits": .int(8)]),
      Sample(
        [
          .random(.int4, [3, 16], low: -8, high: 8), .ints([2, 0]), .scale(3, 1),
          .random(.int4, [3, 1], low: -2, high: 2),
        ], ["block_size": .int(16)]),
    ])
}

/// A table of packed codes that rows are taken from.
private struct BlockTable: Sendable {
  /// Extents in codes.
  let dims: [Int]
  /// Bits of a code in its byte; whether the byte holds one code of 4 bits with a sign.
  private let bits: Int
  private let isSigned: Bool
  /// The zero point where none is given.
  private let middle: Int
  private let block: Int
  private let (outer, extent, inner): (Int, Int, Int)
  private let blockCount: Int
  private let rowBytes: Int
  private let zeroExtent: Int

  init(
    _ view: some NodeView, data type: TensorType, scales: Shape, zeros: Shape?
  ) throws(StackLensError) {
    let data = type.shape
    let given = try view.int("bits")
    block = try view.int("block_size")
    guard given == 2 || given == 4 || given == 8 else {
      throw .unsupported("codes of \(given) bits; 2, 4 and 8 are read")
    }
    isSigned = type.elementType == .int4
    (bits, middle) = type.elementType == .uint8 ? (given, 1 << (given - 1)) : (8, 0)
    guard block >= 16, block & (block - 1) == 0 else {
      throw .invalidArgument("attribute 'block_size' is \(block), expected a power of two from 16")
    }
    guard data.rank >= 2, try view.axis("gather_axis", rank: data.rank) == 0 else {
      throw .unsupported("GatherBlockQuantized of \(data) along another axis than the first")
    }
    let axis = try view.axis("quantize_axis", rank: data.rank)
    guard axis > 0 else { throw .invalidArgument("gather_axis and quantize_axis are both 0") }
    var dims = data.dims
    let perByte = 8 / bits
    dims[data.rank - 1] = try Shape([data[data.rank - 1], perByte]).count
    let all = try Shape(dims)
    var expected = dims
    expected[axis] = (dims[axis] + block - 1) / block
    guard scales.dims == expected else {
      throw .shapeMismatch("scales have shape \(scales), expected \(expected)")
    }
    zeroExtent = (expected[data.rank - 1] + perByte - 1) / perByte
    if let zeros {
      expected[data.rank - 1] = zeroExtent
      guard zeros.dims == expected else {
        throw .shapeMismatch("zero points have shape \(zeros), expected \(expected)")
      }
    }
    self.dims = dims
    outer = all.count(1..<axis)
    extent = dims[axis]
    inner = all.count(axis + 1..<all.rank)
    blockCount = (dims[axis] + block - 1) / block
    rowBytes = data.count(1..<data.rank)
  }

  var rowLength: Int { outer * extent * inner }

  func write(
    _ row: Int, _ codes: UnsafePointer<UInt8>, _ scales: UnsafePointer<Float>,
    _ zeros: UnsafePointer<UInt8>?, to y: UnsafeMutablePointer<Float>
  ) {
    let line = codes + row * rowBytes
    let lastScale = inner == 1 ? blockCount : inner
    for o in 0..<outer {
      for position in 0..<extent * inner {
        let (q, i) = position.quotientAndRemainder(dividingBy: inner)
        let at = ((row * outer + o) * blockCount + q / block) * inner + i
        var zero = Float(middle)
        if let zeros {
          let (group, last) = at.quotientAndRemainder(dividingBy: lastScale)
          zero = Float(code(zeros + group * zeroExtent, last))
        }
        let index = o * extent * inner + position
        y[index] = (Float(code(line, index)) - zero) * scales[at]
      }
    }
  }

  @inline(__always) private func code(_ bytes: UnsafePointer<UInt8>, _ index: Int) -> Int {
    let bit = index * bits
    let code = Int(bytes[bit >> 3] >> UInt8(bit & 7)) & ((1 << bits) - 1)
    return isSigned && code > 7 ? code - 16 : code
  }
}
