import Base
import Tensors

/// Work memory of a session's runs. Idle arenas are kept for the next run, but only a few, and only
/// as large as the largest run needs: memory does not grow with the number of shapes seen.
final class ArenaPool: Sendable {
  private static let keptCount = 16
  private let idle = Mutex<[Storage]>([])

  /// An arena of at least `byteCount` bytes, for one run.
  func take(_ byteCount: Int) throws(StackLensError) -> Storage {
    let found: Storage? = idle.withLock { idle in
      if let index = idle.firstIndex(where: { $0.byteCount >= byteCount }) {
        return idle.remove(at: index)
      }
      // None is large enough: one that is too small makes room for the new one.
      if !idle.isEmpty { idle.removeLast() }
      return nil
    }
    if let found { return found }
    return try Storage(elementType: .uint8, count: max(byteCount, ArenaLayout.alignment))
  }

  func giveBack(_ arena: Storage) {
    idle.withLock { if $0.count < Self.keptCount { $0.append(arena) } }
  }

  /// Bytes of the idle arenas.
  var idleByteCount: Int { idle.withLock { $0.reduce(0) { $0 + $1.byteCount } } }

  func trim() { idle.withLock { $0.removeAll() } }
}
