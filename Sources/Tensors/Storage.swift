import Base
import CPlatform

/// The memory behind tensors: allocated here, or lent by a caller or a mapped file.
public final class Storage: @unchecked Sendable {  // written only while one owner holds it
  package let base: UnsafeMutableRawPointer
  public let byteCount: Int
  /// Lent memory that nobody may write to, such as a mapped file.
  public let isReadOnly: Bool
  private let stringCount: Int
  private let release: (@Sendable () -> Void)?
  private let isOwned: Bool

  /// Memory aligned to 64 bytes, not initialised (strings are empty).
  /// - Throws: `.outOfMemory`.
  package init(elementType: ElementType, count: Int) throws(StackLensError) {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: elementType.byteSize)
    guard !overflow, let memory = slp_aligned_alloc(bytes) else {
      throw .outOfMemory("cannot allocate \(count) elements of \(elementType.name)")
    }
    base = memory
    byteCount = bytes
    isReadOnly = false
    isOwned = true
    release = nil
    stringCount = elementType == .string ? count : 0
    if stringCount > 0 {
      base.bindMemory(to: String.self, capacity: count).initialize(repeating: "", count: count)
    }
  }

  /// Wraps memory owned elsewhere; `release` runs when the last tensor lets go of it.
  package init(
    lent base: UnsafeMutableRawPointer, byteCount: Int, isReadOnly: Bool,
    release: (@Sendable () -> Void)?
  ) {
    self.base = base
    self.byteCount = byteCount
    self.isReadOnly = isReadOnly
    self.release = release
    isOwned = false
    stringCount = 0
  }

  deinit {
    if stringCount > 0 {
      base.assumingMemoryBound(to: String.self).deinitialize(count: stringCount)
    }
    if isOwned { slp_aligned_free(base) }
    release?()
  }
}
