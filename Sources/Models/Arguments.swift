import Base
import Tensors

/// Arrays by name, as a method declares them.
struct Arguments: Sendable {
  private let values: [String: Value]

  /// - Throws: `.invalidArgument` for a name that is not declared and for one that is missing.
  init(
    _ values: [String: Value], of method: ArchitectureDefinition.Method
  ) throws(StackLensError) {
    for name in values.keys.sorted() where !method.inputs.contains(where: { $0.name == name }) {
      throw .invalidArgument(
        "there is no input '\(name)'; known are: "
          + method.inputs.map(\.name).joined(separator: ", "))
    }
    for port in method.inputs where !port.isOptional && values[port.name] == nil {
      throw .invalidArgument("the input '\(port.name)' is missing: \(port.documentation)")
    }
    self.values = values
  }

  func has(_ name: String) -> Bool { values[name] != nil }

  /// A tensor as it came.
  func tensor(_ name: String) throws(StackLensError) -> Tensor {
    guard let value = values[name] else { throw .invalidArgument("'\(name)' is missing") }
    do throws(StackLensError) { return try value.tensor() } catch {
      throw error.within("'\(name)'")
    }
  }

  /// Finite numbers of the given extents.
  /// - Parameter dims: nil where any extent will do.
  /// - Throws: `.typeMismatch` unless they are float32, `.shapeMismatch` with what was found and
  ///   expected, `.nonFinite` naming the first place that is not.
  func reals(_ name: String, _ dims: [Int?]) throws(StackLensError) -> Tensor {
    let tensor = try self.tensor(name)
    guard tensor.elementType == .float32 else {
      throw .typeMismatch("'\(name)' is \(tensor.elementType.name), expected float32")
    }
    try check(name, tensor, dims)
    let base = tensor.base.assumingMemoryBound(to: Float.self)
    for index in 0..<tensor.count where !base[index].isFinite {
      let width = max(1, tensor.shape.dims.dropFirst().reduce(1) { $0 &* $1 })
      throw .nonFinite(
        "'\(name)' holds \(base[index]) in row \(index / width), column \(index % width)")
    }
    return tensor
  }

  /// Integers of the given extents, each in a range.
  /// - Parameter missing: a value outside the range that stands for a missing label.
  /// - Throws: as `reals`; `.invalidArgument` for a number outside the range.
  func integers(
    _ name: String, _ dims: [Int?], in range: Range<Int>, missing: Int? = nil
  ) throws(StackLensError) -> Tensor {
    let tensor = try self.tensor(name)
    guard tensor.elementType == .int64 else {
      throw .typeMismatch("'\(name)' is \(tensor.elementType.name), expected int64")
    }
    try check(name, tensor, dims)
    let base = tensor.base.assumingMemoryBound(to: Int64.self)
    for index in 0..<tensor.count {
      let value = Int(base[index])
      guard range.contains(value) || value == missing else {
        throw .invalidArgument(
          "'\(name)' holds \(value) at \(index), expected \(range.lowerBound) to "
            + "\(range.upperBound - 1)")
      }
    }
    return tensor
  }

  /// Truth values of the given extents.
  func flags(_ name: String, _ dims: [Int?]) throws(StackLensError) -> [Bool] {
    let tensor = try self.tensor(name)
    guard tensor.elementType == .bool else {
      throw .typeMismatch("'\(name)' is \(tensor.elementType.name), expected bool")
    }
    try check(name, tensor, dims)
    return try tensor.elements(as: Bool.self)
  }

  /// Texts, one for each row.
  func texts(_ name: String) throws(StackLensError) -> [String] {
    let tensor = try self.tensor(name)
    guard tensor.elementType == .string, tensor.rank == 1 else {
      throw .typeMismatch(
        "'\(name)' is \(tensor.elementType.name)\(tensor.shape), expected texts [rows]")
    }
    return try tensor.elements(as: String.self)
  }

  private func check(_ name: String, _ tensor: Tensor, _ dims: [Int?]) throws(StackLensError) {
    let fits =
      tensor.rank == dims.count
      && zip(tensor.shape.dims, dims).allSatisfy { $1 == nil || $0 == $1 }
    guard !fits else { return }
    let expected = dims.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
    throw .shapeMismatch("'\(name)' has shape \(tensor.shape), expected [\(expected)]")
  }
}
