import Base
import Tensors

/// Work memory of a session's runs. Idle arenas are kept for the next run, but only a few, and only
/// as large as the largest run needs: memory does not grow with the number of shapes seen. With each
/// stays the frame that a plan made of it.
final class ArenaPool: Sendable {
  private static let keptCount = 16
  private let idle = Mutex<[Frame]>([])

  /// A frame of a plan, for one run.
  func take(for plan: Plan) throws(StackLensError) -> Frame {
    let found: Frame? = idle.withLock { idle in
      if let index = idle.lastIndex(where: { $0.plan === plan })
        ?? idle.firstIndex(where: { $0.arena.byteCount >= plan.arenaByteCount })
      {
        return idle.remove(at: index)
      }
      // None is large enough: one that is too small makes room for the new one.
      if !idle.isEmpty { idle.removeLast() }
      return nil
    }
    if let found {
      return found.plan === plan ? found : try Frame(plan, arena: found.arena)
    }
    let byteCount = max(plan.arenaByteCount, ArenaLayout.alignment)
    return try Frame(plan, arena: Storage(elementType: .uint8, count: byteCount))
  }

  func giveBack(_ frame: Frame) {
    frame.clear()
    idle.withLock { if $0.count < Self.keptCount { $0.append(frame) } }
  }

  /// Bytes of the idle arenas.
  var idleByteCount: Int { idle.withLock { $0.reduce(0) { $0 + $1.arena.byteCount } } }

  func trim() { idle.withLock { $0.removeAll() } }
}
