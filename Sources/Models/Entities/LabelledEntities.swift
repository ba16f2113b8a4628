import Base
import Tensors

/// Entities that somebody marked in texts.
struct LabelledEntities {
  private struct Entity {
    let type: Int
    let bytes: Range<Int>
  }

  /// Of each text, in order.
  private let entities: [[Entity]]

  private static let names = ["row", "entity", "start", "end"]

  static func areGiven(_ arguments: Arguments, _ prefix: String) -> Bool {
    (names + ["text", "input_ids", "tags"]).contains { arguments.has(prefix + $0) }
  }

  /// - Throws: `.invalidArgument` for entities that are empty, reach behind their text or overlap.
  init(
    _ arguments: Arguments, _ prefix: String, _ texts: [String], typeCount: Int
  ) throws(StackLensError) {
    func column(_ name: String, _ count: Int?, _ end: Int) throws(StackLensError) -> [Int] {
      try arguments.integers(prefix + name, [count], in: 0..<end).integers()
    }
    let rows = try column("row", nil, texts.count)
    let types = try column("entity", rows.count, typeCount)
    let starts = try column("start", rows.count, Int.max)
    let ends = try column("end", rows.count, Int.max)
    var entities = [[Entity]](repeating: [], count: texts.count)
    for place in rows.indices {
      let (row, start, end) = (rows[place], starts[place], ends[place])
      let length = texts[row].utf8.count
      guard start < end, end <= length else {
        throw .invalidArgument(
          "entity \(place) is from \(start) to \(end) of text \(row), which has \(length) bytes")
      }
      entities[row].append(Entity(type: types[place], bytes: start..<end))
    }
    for row in texts.indices {
      entities[row].sort { $0.bytes.lowerBound < $1.bytes.lowerBound }
      for (left, right) in zip(entities[row], entities[row].dropFirst())
      where left.bytes.upperBound > right.bytes.lowerBound {
        throw .invalidArgument(
          "entities of text \(row) overlap: one ends at \(left.bytes.upperBound), the next begins at "
            + "\(right.bytes.lowerBound)")
      }
    }
    self.entities = entities
  }

  /// The tag of each word of a window: an entity covers the words that it touches.
  func tags(of window: PieceWindow) -> [Int] {
    let all = entities[window.row]
    var (next, last): (Int, Int?) = (0, nil)
    return window.words.map { word in
      let bytes = window.bytes(word)
      while next < all.count, all[next].bytes.upperBound <= bytes.lowerBound { next += 1 }
      guard next < all.count, all[next].bytes.lowerBound < bytes.upperBound else { return 0 }
      defer { last = next }
      let type = all[next].type
      return last == next ? TagSet.inside(type) : TagSet.beginning(type)
    }
  }
}
