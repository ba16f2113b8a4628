import Base

/// The extents of a dense array, none negative, whose product is known not to overflow.
public struct Shape: Sendable, Hashable, CustomStringConvertible {
  public let dims: [Int]
  /// Number of elements; 1 for a scalar.
  public let count: Int

  public static let scalar = Shape(trusted: [], count: 1)

  /// - Throws: `.shapeMismatch` for a negative extent or a product over `Int.max / 64`.
  public init(_ dims: [Int]) throws(StackLensError) {
    var count = 1
    var hasZero = false
    for dim in dims {
      guard dim >= 0 else { throw .shapeMismatch("dimension \(dim) of \(dims) is negative") }
      if dim == 0 {
        hasZero = true
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: dim)
      guard !overflow, product <= Int.max / 64 else {
        throw .shapeMismatch("element count of \(dims) overflows")
      }
      count = product
    }
    self.init(trusted: dims, count: hasZero ? 0 : count)
  }

  private init(trusted dims: [Int], count: Int) {
    self.dims = dims
    self.count = count
  }

  public var rank: Int { dims.count }
  public subscript(_ axis: Int) -> Int { dims[axis] }

  /// Elements to step over for one step along each axis.
  public var strides: [Int] {
    var strides = [Int](repeating: 1, count: dims.count)
    for axis in dims.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * max(dims[axis + 1], 1)
    }
    return strides
  }

  /// Product of the extents in a range of axes (which must lie within the rank).
  public func count(_ axes: Range<Int>) -> Int { dims[axes].reduce(1, *) }

  /// A negative axis counts from the end.
  /// - Throws: `.invalidArgument` outside [-rank, rank).
  public func axis(_ axis: Int) throws(StackLensError) -> Int {
    guard axis >= -rank, axis < rank else {
      throw .invalidArgument("axis \(axis) is outside [-\(rank), \(rank)) for shape \(self)")
    }
    return axis < 0 ? axis + rank : axis
  }

  /// The shape that both broadcast to by NumPy's rule.
  /// - Throws: `.shapeMismatch` when two extents differ and neither is 1.
  public func broadcast(with other: Shape) throws(StackLensError) -> Shape {
    if dims == other.dims { return self }
    let rank = max(self.rank, other.rank)
    var result = [Int](repeating: 1, count: rank)
    for index in 0..<rank {
      let left = index < rank - self.rank ? 1 : dims[index - (rank - self.rank)]
      let right = index < rank - other.rank ? 1 : other.dims[index - (rank - other.rank)]
      guard left == right || left == 1 || right == 1 else {
        throw .shapeMismatch("cannot broadcast \(self) with \(other)")
      }
      result[index] = left == 1 ? right : left
    }
    return try Shape(result)
  }

  /// Strides that read a tensor of this shape as if it had the shape `target` it broadcasts to:
  /// 0 along the repeated axes. `target` must come from `broadcast`.
  public func broadcastStrides(to target: Shape) -> [Int] {
    let own = strides
    var result = [Int](repeating: 0, count: target.rank)
    let offset = target.rank - rank
    for axis in 0..<rank where dims[axis] != 1 { result[axis + offset] = own[axis] }
    return result
  }

  public var description: String {
    "[" + dims.map(String.init).joined(separator: ", ") + "]"
  }
}
