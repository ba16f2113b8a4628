import Base
import Exchange
import Tensors

/// Matrices of a byte a number, with a factor for each row: "x" int8 [rows, columns] beside "x_scale"
/// float32 [rows, 1], as compressed-tensors lays out "naive-quantized" weights.
extension SafetensorsFile {
  private static let mark = "_scale"

  /// The tensors, matrices of bytes multiplied out.
  /// - Throws: `.formatError` naming a matrix whose factors are missing or of another shape.
  func expanded() throws(StackLensError) -> [String: Tensor] {
    var expanded = tensors
    for name in names {
      guard let bytes = tensors[name], bytes.elementType == .int8 else { continue }
      guard bytes.rank == 2, let scales = tensors[name + Self.mark],
        scales.elementType == .float32, scales.shape.dims == [bytes.shape[0], 1]
      else {
        throw .formatError(
          "tensor '\(name)' is int8\(bytes.shape), expected a matrix and '\(name)\(Self.mark)' as "
            + "float32 [rows, 1] beside it, found "
            + (tensors[name + Self.mark].map { "\($0.elementType.name)\($0.shape)" } ?? "none"))
      }
      expanded[name] = try Self.product(bytes, scales)
      expanded[name + Self.mark] = nil
    }
    return expanded
  }

  private static func product(_ bytes: Tensor, _ scales: Tensor) throws(StackLensError) -> Tensor {
    let result = try Tensor(uninitialized: .float32, bytes.shape)
    let (rows, columns) = (bytes.shape[0], bytes.shape[1])
    let source = bytes.base.assumingMemoryBound(to: Int8.self)
    let factors = scales.base.assumingMemoryBound(to: Float.self)
    let target = result.base.assumingMemoryBound(to: Float.self)
    for row in 0..<rows {
      let (from, to) = (source + row * columns, target + row * columns)
      for column in 0..<columns { to[column] = Float(from[column]) * factors[row] }
    }
    return result
  }
}
