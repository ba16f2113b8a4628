import Base

/// The objects behind the handles that callers hold. A handle is a number that is never reused, not
/// an address: one that was released, or never was one, is found out and refused.
enum Handles {
  private struct Entry {
    let object: AnyObject & Sendable
    var references: Int
  }
  private struct Table {
    var entries: [UInt: Entry] = [:]
    var next: UInt = 1
  }
  private static let table = Mutex(Table())
  /// Handles look like odd addresses, so that following one by mistake faults at once.
  private static func pointer(_ id: UInt) -> OpaquePointer? {
    OpaquePointer(bitPattern: id << 4 | 0x5)
  }
  private static func id(_ pointer: OpaquePointer) -> UInt? {
    let bits = UInt(bitPattern: pointer)
    return bits & 0xf == 0x5 ? bits >> 4 : nil
  }

  /// A new handle with one reference.
  static func create(_ object: AnyObject & Sendable) -> OpaquePointer? {
    table.withLock { table in
      let id = table.next
      table.next += 1
      table.entries[id] = Entry(object: object, references: 1)
      return pointer(id)
    }
  }

  /// The object behind a handle.
  static func object<Object>(
    _ handle: OpaquePointer?, as type: Object.Type, _ name: String
  ) throws(StackLensError) -> Object {
    guard let handle else { throw .invalidArgument("\(name) is NULL") }
    let found = id(handle).flatMap { id in table.withLock { $0.entries[id]?.object } }
    guard let found else {
      throw .invalidArgument("\(name) is no live handle: it was released, or never was one")
    }
    guard let object = found as? Object else {
      throw .invalidArgument("\(name) is a handle of another kind")
    }
    return object
  }

  static func retain(_ handle: OpaquePointer?, _ name: String) throws(StackLensError) {
    guard let handle, let id = id(handle) else { throw .invalidArgument("\(name) is NULL") }
    let isLive = table.withLock { table in
      table.entries[id]?.references += 1
      return table.entries[id] != nil
    }
    guard isLive else { throw .invalidArgument("\(name) is no live handle") }
  }

  /// Drops a reference; a dead or NULL handle is ignored.
  static func release(_ handle: OpaquePointer?) {
    guard let handle, let id = id(handle) else { return }
    // The object is destroyed after the lock is given back: its release callback may call in again.
    let dropped: Entry? = table.withLock { table in
      guard var entry = table.entries[id] else { return nil }
      entry.references -= 1
      table.entries[id] = entry.references == 0 ? nil : entry
      return entry
    }
    _ = dropped
  }
}

/// A box for values without identity.
final class Box<Content: Sendable>: Sendable {
  let content: Content
  init(_ content: Content) { self.content = content }
}
