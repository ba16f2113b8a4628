import Base

/// Places buffers with known lifetimes in one block of memory so that buffers alive at the same
/// time never overlap. First fit by offset among the blocks that are free at that moment.
struct ArenaLayout {
  static let alignment = 64
  private struct Block {
    var offset: Int
    var size: Int
  }
  private var free: [Block] = []
  private(set) var byteCount = 0

  /// Rounds up to the alignment; nil on overflow.
  private static func padded(_ size: Int) -> Int? {
    let (sum, overflow) = size.addingReportingOverflow(alignment - 1)
    return overflow ? nil : max(sum & ~(alignment - 1), alignment)
  }

  /// - Returns: the offset of `size` bytes.
  /// - Throws: `.limitExceeded` when the arena would exceed `limit` bytes.
  mutating func allocate(_ size: Int, limit: Int) throws(StackLensError) -> Int {
    guard let size = Self.padded(size) else { throw .limitExceeded("buffer size overflows") }
    var best: Int?
    for index in free.indices where free[index].size >= size {
      if best.map({ free[$0].size > free[index].size }) ?? true { best = index }
    }
    if let best {
      let offset = free[best].offset
      free[best].offset += size
      free[best].size -= size
      if free[best].size == 0 { free.remove(at: best) }
      return offset
    }
    var offset = byteCount
    if let last = free.last, last.offset + last.size == byteCount {
      offset = last.offset
      free.removeLast()
    }
    let (end, overflow) = offset.addingReportingOverflow(size)
    guard !overflow, end <= limit else {
      throw .limitExceeded(
        "intermediate values need more than the memory limit of \(limit) bytes")
    }
    byteCount = end
    return offset
  }

  mutating func release(offset: Int, size: Int) {
    guard let size = Self.padded(size) else { return }
    var index = free.firstIndex { $0.offset > offset } ?? free.count
    free.insert(Block(offset: offset, size: size), at: index)
    if index + 1 < free.count, free[index].offset + free[index].size == free[index + 1].offset {
      free[index].size += free[index + 1].size
      free.remove(at: index + 1)
    }
    if index > 0, free[index - 1].offset + free[index - 1].size == free[index].offset {
      free[index - 1].size += free[index].size
      free.remove(at: index)
      index -= 1
    }
  }
}
