import Base
import CKernels
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// x to the power y, of x's type; y has any numeric type. Integer powers of integers wrap
  /// around, negative ones give 0 unless x is 1 or -1. ONNX Pow-15.
  static let pow = OperatorDefinition(
    "Pow", versions: [1, 7, 12, 13, 15], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals + [.int32, .int64])
      let exponent = try context.input(1, oneOf: ElementType.numbers)
      return [TensorType(type.elementType, try type.shape.broadcast(with: exponent.shape))]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        let (base, exponent) = (try preparation.input(0), try preparation.input(1))
        guard base.elementType == .float32, exponent.elementType == .float32 else { return nil }
        return try binaryKernel(preparation, isCheap: exponent.shape.count == 1) { row in
          slk_binary_f32(
            Int32(SLK_BINARY_POW.rawValue), row.a.assumingMemoryBound(to: Float.self), row.aStep,
            row.b.assumingMemoryBound(to: Float.self), row.bStep,
            row.y.assumingMemoryBound(to: Float.self), row.count)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let (base, exponent) = (try preparation.input(0), try preparation.input(1))
        let (x, y) = (base.elementType, exponent.elementType)
        return try binaryKernel(preparation, isCheap: false) { powRow(x, y, $0) }
      },
    ]),
    lift: liftBroadcast,
    gradient: .pow,
    samples: [
      Sample([.random(.float32, [2, 3], low: 0.1, high: 4), .floats(3)]),
      Sample([.floats(4, 5), .tensor { () throws(StackLensError) in try Tensor(scalar: Float(2)) }]
      ),
      Sample([
        .random(.int64, [2, 3], low: -9, high: 9), .random(.int32, [3], low: 0, high: 9),
      ]),
      Sample([
        .random(.float16, [2, 3], low: 0.1, high: 3), .random(.int8, [], low: -3, high: 3),
      ]),
      Sample([.random(.int32, [0], low: 0, high: 9), .floats()]),
    ])

  private static func powRow(_ x: ElementType, _ y: ElementType, _ row: BinaryRow) {
    withUnsafeTemporaryAllocation(byteCount: chunkLength * 24, alignment: 64) { buffer in
      guard let room = buffer.baseAddress else { return }
      let (left, right) = (room, room + 8 * chunkLength)
      let result = room + 16 * chunkLength
      let isWhole = x.isInteger && y.isInteger
      let wide: ElementType = isWhole ? .int64 : .float64
      forEachChunk(row.count) { (start, length) in
        let aCount = row.aStep == 0 ? 1 : length
        let bCount = row.bStep == 0 ? 1 : length
        convertElements(row.a + start * row.aStep * x.byteSize, x, left, wide, aCount)
        convertElements(row.b + start * row.bStep * y.byteSize, y, right, wide, bCount)
        let chunk = BinaryRow(
          a: left, aStep: row.aStep, b: right, bStep: row.bStep, y: result, count: length)
        if isWhole {
          chunk.map(Int64.self, Int64.self, wholePower)
        } else {
          chunk.map(Double.self, Double.self, Glibc.pow)
        }
        convertElements(result, wide, row.y + start * x.byteSize, x, length)
      }
    }
  }

  private static func wholePower(_ base: Int64, _ exponent: Int64) -> Int64 {
    if exponent < 0 {
      return base == 1 ? 1 : base == -1 ? (exponent & 1 == 0 ? 1 : -1) : 0
    }
    var (result, square, rest) = (Int64(1), base, exponent)
    while rest > 0 {
      if rest & 1 == 1 { result = result &* square }
      square = square &* square
      rest >>= 1
    }
    return result
  }
}
