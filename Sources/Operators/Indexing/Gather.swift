import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The slices of `data` along `axis` that `indices` name. ONNX Gather-13.
  static let gather = OperatorDefinition(
    "Gather", versions: [1, 11, 13], inputs: 2...2, attributes: [.int("axis", default: 0)],
    infer: { (context) throws(StackLensError) in
      let (data, indices) = (try context.input(0), try context.input(1))
      try requireIndices(indices, 1)
      let axis = try context.axis("axis", rank: data.rank)
      let dims = data.shape.dims
      let shape = try Shape(dims[..<axis] + indices.shape.dims + dims[(axis + 1)...])
      return [TensorType(data.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (data, indices) = (try preparation.input(0), try preparation.input(1))
        let axis = try preparation.axis("axis", rank: data.rank)
        let blocks = data.shape.count(0..<axis)
        let runLength = data.shape.count(axis + 1..<data.rank)
        let offsets = IndexOffsets(bounds: [data.shape[axis]], strides: [runLength])
        let count = indices.shape.count
        return PreparedKernel(scratchByteCount: offsetBytes(count)) {
          (run) throws(StackLensError) in
          let table = run.offsets(count)
          guard let start = table.baseAddress else { return }
          try offsets.write(try run.input(1), to: start, count: count)
          data.elementType.byWidth(
            GatherRuns(
              source: try run.input(0).base, target: run.outputs[0].base,
              offsets: UnsafeBufferPointer(table), blockCount: blocks,
              blockStride: offsets.bounds[0] * runLength, runLength: runLength,
              parallel: run.parallel))
        }
      }
    ]),
    gradient: .gather,
    samples: [
      Sample([.floats(5, 3), .indices([[0, -1], [2, 2]])]),
      Sample([.floats(2, 4, 3), .ints([3, 0])], ["axis": .int(-2)]),
      Sample([.floats(4), .scalarIndex(-4)]), Sample([.floats(3, 2), .ints([])]),
      Sample([.floats(3, 0), .ints([1])]),
    ])

  /// Slices of `data` named by index tuples in the last axis of `indices`. ONNX GatherND-13.
  static let gatherND = OperatorDefinition(
    "GatherND", versions: [11, 12, 13], inputs: 2...2, attributes: [.int("batch_dims", default: 0)],
    infer: { (context) throws(StackLensError) in
      let (data, indices) = (try context.input(0), try context.input(1))
      try requireIndices(indices, 1)
      let batch = try context.int("batch_dims")
      guard indices.rank >= 1, batch >= 0, batch < min(indices.rank, max(data.rank, 1)) else {
        throw .invalidArgument(
          "batch_dims \(batch) does not fit shapes \(data.shape) and \(indices.shape)")
      }
      let width = indices.shape[indices.rank - 1]
      guard width <= data.rank - batch else {
        throw .shapeMismatch(
          "index tuples of \(width) do not fit shape \(data.shape) with batch_dims \(batch)")
      }
      guard data.shape.dims[..<batch] == indices.shape.dims[..<batch] else {
        throw .shapeMismatch("\(data.shape) and \(indices.shape) differ in the batch axes")
      }
      let shape = try Shape(
        indices.shape.dims.dropLast() + data.shape.dims[(batch + width)...])
      return [TensorType(data.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (data, indices) = (try preparation.input(0), try preparation.input(1))
        let batch = try preparation.int("batch_dims")
        let width = indices.shape[indices.rank - 1]
        let inner = batch..<batch + width
        let offsets = IndexOffsets(
          bounds: Array(data.shape.dims[inner]), strides: Array(data.shape.strides[inner]))
        let count = indices.shape.count(0..<indices.rank - 1)
        let blocks = indices.shape.count(0..<batch)
        let blockStride = data.shape.count(batch..<data.rank)
        let runLength = data.shape.count(inner.upperBound..<data.rank)
        return PreparedKernel(scratchByteCount: offsetBytes(count)) {
          (run) throws(StackLensError) in
          let table = run.offsets(count)
          guard let start = table.baseAddress, blocks > 0 else { return }
          try offsets.write(try run.input(1), to: start, count: count)
          let perBlock = count / blocks
          for block in 1..<max(blocks, 1) {
            for index in block * perBlock..<(block + 1) * perBlock {
              table[index] += block * blockStride
            }
          }
          data.elementType.byWidth(
            GatherRuns(
              source: try run.input(0).base, target: run.outputs[0].base,
              offsets: UnsafeBufferPointer(table), blockCount: 1, blockStride: 0,
              runLength: runLength, parallel: run.parallel))
        }
      }
    ]),
    lower: dropAttribute("batch_dims", before: 12) { $0.isInt(0) },
    gradient: .pick,
    samples: [
      Sample([.floats(3, 4), .indices([[0, -1], [2, 2]])]),
      Sample([.floats(2, 3, 2), .indices([[1], [-3]])], ["batch_dims": .int(1)]),
      Sample([.floats(2, 3), .indices([[1]])]),
    ])

  /// out[i][j] = data[index[i][j]][j] along `axis`. ONNX GatherElements-13.
  static let gatherElements = OperatorDefinition(
    "GatherElements", versions: [11, 13], inputs: 2...2, attributes: [.int("axis", default: 0)],
    infer: { (context) throws(StackLensError) in
      let (data, indices) = try context.elementIndices()
      return [TensorType(data.elementType, indices.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let data = try preparation.input(0)
        let places = try ElementPlaces(preparation)
        return PreparedKernel(scratchByteCount: offsetBytes(places.count)) {
          (run) throws(StackLensError) in
          let table = run.offsets(places.count)
          try places.write(try run.input(1), to: table, run.parallel)
          data.elementType.byWidth(
            GatherRuns(
              source: try run.input(0).base, target: run.outputs[0].base,
              offsets: UnsafeBufferPointer(table), blockCount: 1, blockStride: 0, runLength: 1,
              parallel: run.parallel))
        }
      }
    ]),
    gradient: .pick,
    samples: [
      Sample([.floats(3, 3), .indices([[1, 2, 0], [2, 0, -3]])]),
      Sample([.floats(2, 3), .indices([[0, -1], [2, 2]])], ["axis": .int(-1)]),
      Sample([.floats(0), .ints([])]),
    ])
}

extension Inference {
  /// Data and the indices of single elements along the attribute `axis`, which must have the rank of
  /// the data and reach no further along the other axes.
  func elementIndices() throws(StackLensError) -> (data: TensorType, indices: TensorType) {
    let (data, indices) = (try input(0), try input(1))
    try requireIndices(indices, 1)
    let axis = try axis("axis", rank: data.rank)
    guard indices.rank == data.rank else {
      throw .shapeMismatch(
        "indices of shape \(indices.shape) do not have the rank of \(data.shape)")
    }
    for other in data.shape.dims.indices
    where other != axis && indices.shape[other] > data.shape[other] {
      throw .shapeMismatch(
        "indices of shape \(indices.shape) reach beyond \(data.shape) along axis \(other)")
    }
    return (data, indices)
  }
}

/// Where each entry of an index tensor points in `data` when the other coordinates are its own.
struct ElementPlaces: Sendable {
  private let indices: Shape
  private let bound: Int
  private let stride: Int
  private let strides: [Int]
  var count: Int { indices.count }

  /// Of a node whose inputs are data and indices.
  init(_ preparation: Preparation) throws(StackLensError) {
    let data = try preparation.input(0).shape
    let axis = try preparation.axis("axis", rank: data.rank)
    indices = try preparation.input(1).shape
    bound = data[axis]
    var strides = data.strides
    stride = strides[axis]
    strides[axis] = 0
    self.strides = strides
  }

  func write(
    _ tensor: Tensor, to table: UnsafeMutableBufferPointer<Int>, _ parallel: Parallel
  ) throws(StackLensError) {
    guard count > 0, let start = table.baseAddress else { return }
    try IndexOffsets(bounds: [bound], strides: [stride]).write(tensor, to: start, count: count)
    let columns = indices[indices.rank - 1]
    let step = strides[strides.count - 1]
    parallel.ranges(count / columns, grain: max(1, moveGrain / columns)) { lines in
      for line in lines {
        var (rest, base) = (line, 0)
        for axis in (0..<indices.rank - 1).reversed() {
          base += rest % indices[axis] * strides[axis]
          rest /= indices[axis]
        }
        let entries = start + line * columns
        for column in 0..<columns { entries[column] += base + column * step }
      }
    }
  }
}

extension Sample.Input {
  /// An int64 matrix.
  static func indices(_ rows: [[Int64]]) -> Self {
    .tensor { () throws(StackLensError) in
      try Tensor(rows.flatMap { $0 }, shape: Shape([rows.count, rows.first?.count ?? 0]))
    }
  }

  /// An int64 scalar.
  static func scalarIndex(_ value: Int64) -> Self {
    .tensor { () throws(StackLensError) in try Tensor(scalar: value) }
  }
}
