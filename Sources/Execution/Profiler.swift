import Base
import CPlatform
import Graphs

/// Times of the steps of one session's runs, in the Chrome trace format.
final class Profiler: Sendable {
  private struct Event {
    let name: String
    let operation: String
    let thread: Int64
    let start: Int64
    let duration: Int64
  }
  /// Older events make room, so that a long-lived session stays small.
  private static let capacity = 1 << 18
  private let events = Mutex<[Event]>([])
  private let origin = monotonicNanoseconds()

  func record(_ node: Node, from start: Int64) {
    let now = monotonicNanoseconds()
    let name = node.name.isEmpty ? node.outputs.first ?? node.opType : node.name
    let event = Event(
      name: name, operation: node.opType, thread: slp_thread_id(), start: start - origin,
      duration: now - start)
    events.withLock { events in
      if events.count >= Self.capacity { events.removeFirst(Self.capacity / 2) }
      events.append(event)
    }
  }

  /// A JSON document for chrome://tracing or Perfetto; times in microseconds.
  func chromeTrace() -> String {
    let lines = events.withLock { events in
      events.map { event in
        "{\"name\":\(quoted(event.name)),\"cat\":\(quoted(event.operation)),\"ph\":\"X\",\"pid\":0,"
          + "\"tid\":\(event.thread),\"ts\":\(Double(event.start) / 1000),"
          + "\"dur\":\(Double(event.duration) / 1000)}"
      }
    }
    return "{\"traceEvents\":[\n" + lines.joined(separator: ",\n") + "\n]}\n"
  }

  private func quoted(_ text: String) -> String {
    var bytes: [UInt8] = []
    JSON.writeString(text, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
