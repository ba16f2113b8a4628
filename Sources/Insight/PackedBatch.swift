import Base
import Tensors

/// The inputs of a packed graph: the tokens of some texts in one row.
package struct PackedBatch {
  /// int32 [tokens and room to spare]
  package let ids: Tensor
  /// int64 [texts and room to spare + 1]
  package let offsets: Tensor
  package let tokenCount: Int

  /// Room for tokens and texts is rounded up so that few plans serve all batches; nothing is
  /// computed for the room to spare.
  package static func room(_ count: Int) -> Int {
    let step = count <= 256 ? 16 : 64
    return (count + step - 1) / step * step
  }

  /// - Parameter fill: writes the ids of a text.
  package init(
    tokenCounts: [Int], _ fill: (_ text: Int, _ target: UnsafeMutablePointer<Int32>) -> Void
  ) throws(StackLensError) {
    let texts = tokenCounts.count
    tokenCount = tokenCounts.reduce(0, +)
    let textRoom = texts == 1 ? 1 : Self.room(texts)
    ids = try Tensor(uninitialized: .int32, Shape([Self.room(tokenCount)]))
    offsets = try Tensor(uninitialized: .int64, Shape([textRoom + 1]))
    let idValues = ids.base.assumingMemoryBound(to: Int32.self)
    let bounds = offsets.base.assumingMemoryBound(to: Int64.self)
    var end = 0
    bounds[0] = 0
    for (text, count) in tokenCounts.enumerated() {
      fill(text, idValues + end)
      end += count
      bounds[text + 1] = Int64(end)
    }
    for text in texts..<textRoom { bounds[text + 1] = Int64(end) }
  }
}
