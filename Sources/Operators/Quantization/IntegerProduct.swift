import Base
import CKernels
import Graphs
import Tensors

/// An integer matrix product with zero points: int32 sums of (a - a0)(b - b0).
struct IntegerProduct: Sendable {
  let product: MatrixProduct
  let aZero: LineParameter
  let bZero: LineParameter
  private let aShape: Shape
  private let bShape: Shape
  private let isPacked: Bool
  private let constantB: Tensor?
  /// Integers less their zero points for the plain form, bytes in the kernels' layout when packed.
  private let aRoom: Int
  private let bRoom: Int
  private let sumRoom: Int

  /// Nil where there is nothing to pack.
  init?(
    _ preparation: Preparation, a aIndex: Int, b bIndex: Int, aZero: Shape?, bZero: Shape?,
    isPacked: Bool, plan: inout ScratchPlan
  ) throws(StackLensError) {
    let (a, b) = (try preparation.input(aIndex).shape, try preparation.input(bIndex).shape)
    product = try MatrixProduct.make(a, b).product
    self.isPacked = isPacked
    self.aZero = try LineParameter(aZero ?? .scalar, factor: a, isRight: false)
    self.bZero = try LineParameter(bZero ?? .scalar, factor: b, isRight: true)
    (aShape, bShape) = (a, b)
    guard isPacked else {
      aRoom = try plan.reserve(a.count, of: Int32.self)
      bRoom = try plan.reserve(b.count, of: Int32.self)
      sumRoom = 0
      constantB = nil
      return
    }
    let (m, n, k) = (product.m, product.n, product.k)
    guard !product.isEmpty, k > 0, k < 1 << 31, n < 1 << 31 else { return nil }
    let bytes = slk_gemm_i8_packed_bytes(k, n, 1)
    if b.count == k * n {
      let isSigned = try preparation.input(bIndex).elementType == .int8
      constantB = try preparation.packed(bIndex, layout: "integer product \(k) \(n)") {
        (source) throws(StackLensError) in
        let packed = try Tensor(uninitialized: .uint8, Shape([bytes]))
        slk_gemm_integer_pack(
          source.base, isSigned, k, n, n, 1, packed.base, 0, slk_gemm_i8_panel_count(n))
        return packed
      }
    } else {
      constantB = nil
    }
    aRoom = try plan.reserve(try Shape([m, slk_gemm_i8_row_bytes(k)]).count, of: UInt8.self)
    sumRoom = try plan.reserve(m, of: Int32.self)
    bRoom = try plan.reserve(constantB == nil ? bytes : 0, of: UInt8.self)
  }

  func compute(
    a: Tensor, b: Tensor, aZero: [Int32], bZero: [Int32], into c: UnsafeMutablePointer<Int32>,
    scratch: UnsafeMutableRawPointer, parallel: Parallel
  ) {
    if isPacked {
      for batch in 0..<product.batchCount {
        computePacked(batch, a, b, aZero, bZero, c, scratch, parallel)
      }
      return
    }
    let left = (scratch + aRoom).bindMemory(to: Int32.self, capacity: aShape.count)
    let right = (scratch + bRoom).bindMemory(to: Int32.self, capacity: bShape.count)
    widenIntegers(a.base, a.elementType, a.count, to: left)
    widenIntegers(b.base, b.elementType, b.count, to: right)
    let (m, n, k) = (product.m, product.n, product.k)
    if k > 0, m > 0 {
      for row in 0..<aShape.count / k {
        let zero = aZero[self.aZero.index(batch: row / m, line: row % m, lineCount: m)]
        if zero != 0 { for p in 0..<k { left[row * k + p] &-= zero } }
      }
    }
    if k > 0, n > 0 {
      for row in 0..<bShape.count / n {
        for j in 0..<n {
          right[row * n + j] &-=
            bZero[self.bZero.index(batch: row / k, line: j, lineCount: n)]
        }
      }
    }
    product.computeReference(UnsafePointer(left), UnsafePointer(right), c, parallel)
  }

  private func computePacked(
    _ batch: Int, _ a: Tensor, _ b: Tensor, _ aZero: [Int32], _ bZero: [Int32],
    _ c: UnsafeMutablePointer<Int32>, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let (m, n, k) = (product.m, product.n, product.k)
    let offset = product.offsets(batch)
    let panels = slk_gemm_i8_panel_count(n)
    let packed = constantB?.base ?? scratch + bRoom
    if constantB == nil {
      slk_gemm_integer_pack(
        b.base + offset.b, b.elementType == .int8, k, n, n, 1, packed, 0, panels)
    }
    let rows = scratch + aRoom
    let sums = (scratch + sumRoom).bindMemory(to: Int32.self, capacity: m)
    slk_integer_rows(a.base + offset.a, a.elementType == .int8, m, k, k, rows, sums)
    let target = c + batch * m * n
    aZero.withUnsafeBufferPointer { aZeros in
      bZero.withUnsafeBufferPointer { bZeros in
        var native = slk_integer_product(
          a_signed: a.elementType == .int8, b_signed: b.elementType == .int8,
          a_zero_points: aZeros.baseAddress.map {
            $0 + self.aZero.index(batch: offset.a / (m * k), line: 0, lineCount: m)
          }, a_zero_point_stride: aZeros.count > 1 ? 1 : 0,
          b_zero_points: bZeros.baseAddress.map {
            $0 + self.bZero.index(batch: offset.b / (n * k), line: 0, lineCount: n)
          }, b_zero_point_stride: bZeros.count > 1 ? 1 : 0)
        withUnsafePointer(to: &native) { native in
          let isSmall = Double(m) * Double(n) * Double(k) < 131_072
          (isSmall ? .serial : parallel).ranges(panels, grain: 1) { range in
            slk_gemm_integer(
              k, n, rows, sums, packed, native, target, n, 0, m, range.lowerBound,
              range.upperBound)
          }
        }
      }
    }
  }
}
