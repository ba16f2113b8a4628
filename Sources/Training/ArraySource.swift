import Base
import Tensors

/// Batches of rows of arrays that lie in memory.
public final class ArraySource: BatchSource {
  /// How rows become batches.
  public struct Options: Sendable {
    public var batchSize = 32
    /// Whether each epoch has an order of its own, which follows from the seed.
    public var isShuffled = true
    public var seed: UInt64 = 42
    /// Whether a last batch with fewer rows is left out.
    public var dropsLast = false
    /// An array [rows, length] of 1 for what is real and 0 for padding: rows of similar length come
    /// together, and columns that are all padding are cut off every array with that length.
    public var lengthMask: String?

    public init() {}
  }

  private let arrays: [(name: String, tensor: Tensor)]
  private let options: Options
  /// Rows of all arrays.
  public let rowCount: Int
  /// Real columns of each row, where a mask tells.
  private let lengths: [Int]?
  private let order: BatchOrder

  /// - Throws: `.invalidArgument` for no rows, or arrays whose first extents differ.
  public init(_ arrays: [String: Tensor], _ options: Options = Options()) throws(StackLensError) {
    let sorted = arrays.sorted { $0.key < $1.key }
    guard let first = sorted.first else {
      throw .invalidArgument("there are no arrays to train on")
    }
    guard options.batchSize > 0 else {
      throw .invalidArgument("batch_size is \(options.batchSize), expected at least 1")
    }
    for (name, tensor) in sorted {
      guard let rows = tensor.shape.dims.first else {
        throw .shapeMismatch("'\(name)' is a single number, expected rows along axis 0")
      }
      guard rows == first.value.shape.dims.first else {
        throw .shapeMismatch(
          "'\(name)' has \(rows) rows, '\(first.key)' \(first.value.shape.dims.first ?? 0): "
            + "every array needs one row for each example")
      }
    }
    rowCount = first.value.shape.dims.first ?? 0
    guard rowCount > 0 else { throw .invalidArgument("the data set is empty: 0 rows") }
    self.arrays = sorted.map { ($0.key, $0.value) }
    self.options = options
    lengths = try options.lengthMask.map { (name) throws(StackLensError) in
      guard let mask = arrays[name] else {
        throw .invalidArgument("there is no array '\(name)' to take lengths from")
      }
      return try Self.lengths(of: mask, name)
    }
    order = BatchOrder(rowCount: rowCount, lengths: lengths, options)
  }

  public var batchCount: Int? { order.batchCount }

  public func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
    guard let rows = order.rows(ofBatch: index, epoch: epoch) else { return nil }
    var width: (full: Int, used: Int)?
    if let lengths, let name = options.lengthMask,
      let full = arrays.first(where: { $0.name == name })?.tensor.shape.dims[1]
    {
      width = (full, max(1, rows.map { lengths[$0] }.max() ?? full))
    }
    var batch: Batch = [:]
    for (name, tensor) in arrays {
      let isCut = width.map { tensor.rank > 1 && tensor.shape.dims[1] == $0.full } ?? false
      batch[name] = try tensor.rows(rows, width: isCut ? width?.used : nil)
    }
    return batch
  }

  private static func lengths(of mask: Tensor, _ name: String) throws(StackLensError) -> [Int] {
    guard mask.rank == 2, [.int64, .int32, .bool].contains(mask.elementType) else {
      throw .typeMismatch(
        "'\(name)' is \(mask.elementType.name)\(mask.shape), expected an integer or boolean mask "
          + "[rows, length]")
    }
    let (rows, width, size) = (mask.shape.dims[0], mask.shape.dims[1], mask.elementType.byteSize)
    return (0..<rows).map { row in
      var length = width
      while length > 0 {
        let element = mask.base + (row * width + length - 1) * size
        let isReal = (0..<size).contains { element.load(fromByteOffset: $0, as: UInt8.self) != 0 }
        if isReal { break }
        length -= 1
      }
      return length
    }
  }
}

extension Tensor {
  /// A tensor of some rows (axis 0), of which only the first columns (axis 1) are wanted.
  package func rows(_ rows: [Int], width: Int? = nil) throws(StackLensError) -> Tensor {
    var dims = shape.dims
    dims[0] = rows.count
    if let width { dims[1] = width }
    let result = try Tensor(uninitialized: elementType, Shape(dims))
    let rowCount = max(1, shape.dims[0])
    let full = count / rowCount
    let taken = rows.isEmpty ? 0 : result.count / rows.count
    if elementType == .string {
      let source = base.assumingMemoryBound(to: String.self)
      let target = result.base.assumingMemoryBound(to: String.self)
      for (place, row) in rows.enumerated() {
        for i in 0..<taken { target[place * taken + i] = source[row * full + i] }
      }
      return result
    }
    let size = elementType.byteSize
    for (place, row) in rows.enumerated() {
      (result.base + place * taken * size).copyMemory(
        from: base + row * full * size, byteCount: taken * size)
    }
    return result
  }
}
