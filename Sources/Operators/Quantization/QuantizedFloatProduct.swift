import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// QLinearMatMul with 8-bit floats among its types: factors times their scales are summed in
  /// float32, in the order of K.
  static func qLinearMatMulOfFloats(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (a, b) = (try preparation.input(0).shape, try preparation.input(3).shape)
    let output = preparation.outputs[0]
    let (product, _) = try MatrixProduct.make(a, b)
    let left = try FactorLines(preparation, first: 0, isRight: false, lineCount: product.m)
    let right = try FactorLines(preparation, first: 3, isRight: true, lineCount: product.n)
    let yScale = try LineParameter(
      preparation.input(6).shape, factor: output.shape, isRight: false)
    let yZero = try LineParameter(preparation.input(7).shape, factor: output.shape, isRight: false)
    return PreparedKernel { (run) throws(StackLensError) in
      let factors = (try left.values(run, product.k), try right.values(run, product.k))
      let yScales = floatParameters(try run.input(6))
      let yZeros = floatParameters(try run.input(7))
      let (m, n, k) = (product.m, product.n, product.k)
      run.parallel.ranges(product.isEmpty ? 0 : product.batchCount * m, grain: 1) { rows in
        var line = [Double](repeating: 0, count: n)
        for row in rows {
          let (batch, i) = row.quotientAndRemainder(dividingBy: m)
          let offset = product.offsets(batch)
          let scale = yScales[yScale.index(batch: batch, line: i, lineCount: m)]
          let zero = yZeros[yZero.index(batch: batch, line: i, lineCount: m)]
          for j in 0..<n {
            var (sum, from, to) = (
              Float(0), offset.a + i * product.aRow, offset.b + j * product.bColumn
            )
            for _ in 0..<k {
              sum += factors.0[from] * factors.1[to]
              from += product.aColumn
              to += product.bRow
            }
            line[j] = Double(sum / scale)
          }
          storeQuantized(line, zero: zero, output, run.outputs[0].base + row * n)
        }
      }
    }
  }

  private static func storeQuantized(
    _ line: [Double], zero: Float, _ type: TensorType, _ target: UnsafeMutableRawPointer
  ) {
    if type.elementType.isSmallFloat {
      let shifted = line.map { $0 + Double(zero) }
      type.elementType.storeSmallFloats(shifted, to: target, line.count, SmallFloatRounding())
    } else if type.elementType == .int8 {
      let codes = target.assumingMemoryBound(to: Int8.self)
      for (j, value) in line.enumerated() {
        codes[j] = quantized(Float(value), zeroPoint: zero, as: Int8.self)
      }
    } else {
      let codes = target.assumingMemoryBound(to: UInt8.self)
      for (j, value) in line.enumerated() {
        codes[j] = quantized(Float(value), zeroPoint: zero, as: UInt8.self)
      }
    }
  }
}

/// A quantised factor with its scale and zero point, at inputs `first`, `first + 1`, `first + 2`.
private struct FactorLines: Sendable {
  let first: Int
  let isRight: Bool
  let lineCount: Int
  let scale: LineParameter
  let zero: LineParameter

  init(
    _ preparation: Preparation, first: Int, isRight: Bool, lineCount: Int
  ) throws(StackLensError) {
    let shape = try preparation.input(first).shape
    self.first = first
    self.isRight = isRight
    self.lineCount = lineCount
    scale = try LineParameter(
      preparation.input(first + 1).shape, factor: shape, isRight: isRight)
    zero = try LineParameter(preparation.input(first + 2).shape, factor: shape, isRight: isRight)
  }

  /// The values that the elements stand for.
  func values(_ run: Invocation, _ k: Int) throws(StackLensError) -> [Float] {
    var values = floatParameters(try run.input(first))
    let scales = floatParameters(try run.input(first + 1))
    let zeros = floatParameters(try run.input(first + 2))
    for index in values.indices {
      let batch = index / (lineCount * k)
      let line = isRight ? index % lineCount : index / k % lineCount
      let place = (
        scale.index(batch: batch, line: line, lineCount: lineCount),
        zero.index(batch: batch, line: line, lineCount: lineCount)
      )
      values[index] = (values[index] - zeros[place.1]) * scales[place.0]
    }
    return values
  }
}
