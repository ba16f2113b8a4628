/// An entity that a model found in a text.
struct FoundEntity: Equatable, Sendable {
  let row: Int
  let type: Int
  /// In the text, of UTF-8.
  let bytes: Range<Int>
  let score: Float
}

extension FoundEntity {
  /// One of a window.
  struct Candidate: Sendable {
    let entity: FoundEntity
    /// Of the text, special ones not counted.
    let pieces: Range<Int>
  }

  /// The entities of one text: each from the window in which it is farther from where that is cut off,
  /// the first of equals; of those that overlap the longer, then the earlier.
  /// - Parameters:
  ///   - windows: which pieces of the text each window holds, rising.
  ///   - candidates: of each window.
  static func merged(
    _ windows: [Range<Int>], _ candidates: [[Candidate]], pieceCount: Int
  ) -> [FoundEntity] {
    func distance(_ pieces: Range<Int>, _ window: Range<Int>) -> Int {
      // Where the text itself ends, nothing is cut off.
      let before = window.lowerBound == 0 ? Int.max : pieces.lowerBound - window.lowerBound
      let behind =
        window.upperBound == pieceCount ? Int.max : window.upperBound - pieces.upperBound
      return min(before, behind)
    }
    var kept: [Candidate] = []
    for (place, found) in candidates.enumerated() {
      kept += found.filter { candidate in
        let own = distance(candidate.pieces, windows[place])
        return windows.indices.allSatisfy { other in
          guard other != place, windows[other].overlaps(candidate.pieces) else { return true }
          let theirs = distance(candidate.pieces, windows[other])
          return other < place ? own > theirs : own >= theirs
        }
      }
    }
    return withoutOverlaps(kept.map(\.entity))
  }

  /// Of entities that overlap the longer one, then the earlier one; in the order of the text.
  static func withoutOverlaps(_ entities: [FoundEntity]) -> [FoundEntity] {
    var kept: [FoundEntity] = []
    var group: [FoundEntity] = []
    var end = 0
    func settle() {
      // The longest of a group settles which of the others can stay.
      group.sort {
        ($1.bytes.count, $0.bytes.lowerBound) < ($0.bytes.count, $1.bytes.lowerBound)
      }
      var chosen: [FoundEntity] = []
      for entity in group where !chosen.contains(where: { $0.bytes.overlaps(entity.bytes) }) {
        chosen.append(entity)
      }
      kept += chosen.sorted { $0.bytes.lowerBound < $1.bytes.lowerBound }
      group = []
    }
    for entity in entities.sorted(by: { $0.bytes.lowerBound < $1.bytes.lowerBound }) {
      if entity.bytes.lowerBound >= end { settle() }
      group.append(entity)
      end = max(end, entity.bytes.upperBound)
    }
    settle()
    return kept
  }
}
