import Base
import Graphs
import Tensors

/// Initialisers that are written into a file beside the model.
struct ExternalLayout {
  /// Smaller tensors stay in the model unless the caller says otherwise.
  static let usualThreshold = 1024
  private static let alignment = 64

  let fileName: String
  let threshold: Int
  private(set) var tensors: [(tensor: Tensor, offset: Int)] = []
  private(set) var byteCount = 0

  init(fileName: String, threshold: Int = usualThreshold) {
    self.fileName = fileName
    self.threshold = threshold
  }

  /// Gives a tensor its place.
  mutating func add(_ tensor: Tensor) -> Int {
    let offset = (byteCount + Self.alignment - 1) / Self.alignment * Self.alignment
    tensors.append((tensor, offset))
    byteCount = offset + tensor.fileByteCount
    return offset
  }

  /// Hands out the file in order.
  func forEachPiece(
    _ body: (UnsafeRawBufferPointer) throws(StackLensError) -> Void
  ) throws(StackLensError) {
    let zeros = try Storage(elementType: .uint8, count: Self.alignment)
    zeros.base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.alignment)
    var position = 0
    for (tensor, offset) in tensors {
      try body(UnsafeRawBufferPointer(start: zeros.base, count: offset - position))
      if let packed = tensor.packedBytes {
        let result = packed.withUnsafeBytes { bytes -> Result<Void, StackLensError> in
          do throws(StackLensError) { return .success(try body(bytes)) } catch {
            return .failure(error)
          }
        }
        try result.get()
      } else {
        try body(tensor.bytes)
      }
      position = offset + tensor.fileByteCount
    }
  }
}

extension ModelEncoder {
  /// One initialiser; `place` is where its tag goes, counted from the start of the graph, when its
  /// elements should be aligned.
  mutating func initializer(_ initializer: Initializer, at place: Int?) -> WireWriter {
    let tensor = initializer.tensor
    if tensor.elementType != .string, var layout = external,
      tensor.byteCount >= layout.threshold, tensor.byteCount > 0
    {
      let offset = layout.add(tensor)
      external = layout
      return self.external(initializer, layout.fileName, offset)
    }
    guard let place, tensor.byteCount >= Self.alignedByteCount, tensor.elementType != .string,
      !tensor.elementType.isPacked
    else { return self.tensor(initializer, padding: 0) }
    var message = self.tensor(initializer, padding: 0)
    for padding in 0..<Self.alignment {
      message = self.tensor(initializer, padding: padding)
      let start = place + 1 + WireWriter.size(UInt64(message.byteCount))
      if (start + message.byteCount - tensor.fileByteCount) % Self.alignment == 0 { break }
    }
    return message
  }

  /// One `TensorProto`; its data are the last field.
  func tensor(_ initializer: Initializer, padding: Int) -> WireWriter {
    let tensor = initializer.tensor
    var writer = header(initializer, padding: padding)
    if tensor.elementType == .string {
      let texts = UnsafeBufferPointer(
        start: tensor.base.assumingMemoryBound(to: String.self), count: tensor.count)
      for text in texts { writer.string(6, text) }
    } else {
      writer.elements(9, tensor)
    }
    return writer
  }

  private func header(_ initializer: Initializer, padding: Int) -> WireWriter {
    header(initializer, dims: initializer.tensor.shape.dims, padding: padding)
  }

  func header(_ initializer: Initializer, dims: [Int], padding: Int) -> WireWriter {
    var writer = WireWriter()
    writer.integers(1, dims.map(Int64.init))
    writer.integer(2, Int64(initializer.tensor.elementType.rawValue), padding: padding)
    writer.optionalString(8, initializer.name)
    writer.optionalString(12, initializer.documentation)
    for entry in initializer.metadata { writer.message(16, keyValue(entry)) }
    return writer
  }

  private func external(
    _ initializer: Initializer, _ fileName: String, _ offset: Int
  ) -> WireWriter {
    var writer = header(initializer, padding: 0)
    writer.message(13, keyValue(KeyValue("location", fileName)))
    writer.message(13, keyValue(KeyValue("offset", "\(offset)")))
    writer.message(13, keyValue(KeyValue("length", "\(initializer.tensor.fileByteCount)")))
    writer.integer(14, 1)
    return writer
  }
}
