import Base
import Glibc

/// How often keys occur in whole normal sessions: the counts of several keys taken together, of which
/// only some combinations are known.
///
/// Which keys: those whose counts differ little between sessions come first, and another one joins as
/// long as few normal sessions are likely to bring a new combination. How many, the share of sessions
/// tells whose combination no other session has (Good, 1953).
struct KeyQuantities {
  private let keys: [Int64]
  private let known: Set<[Int32]>
  private static let fact = "quantities"

  /// - Parameters:
  ///   - sessions: normal ones.
  ///   - newShare: of normal sessions that may bring a new combination.
  init(of parts: [KeySessions], newShare: Double) {
    let sessions = parts.flatMap { part in zip(part.distinct, part.repetitions).map { $0 } }
    let total = sessions.reduce(0) { $0 + $1.1 }
    let counts = sessions.map { Self.counts($0.0) }
    let all = counts.reduce(into: Set<Int64>()) { $0.formUnion($1.keys) }
    let spread = all.reduce(into: [Int64: Double]()) { spread, key in
      let groups = Self.refined([Int](repeating: 0, count: counts.count), by: key, counts)
      spread[key] = Self.entropy(Self.sizes(groups, sessions.map(\.1)), total)
    }
    let order = all.sorted { (spread[$0] ?? 0, $0) < (spread[$1] ?? 0, $1) }
    var chosen: [Int64] = []
    var groups = [Int](repeating: 0, count: counts.count)
    for key in order {
      let finer = Self.refined(groups, by: key, counts)
      let alone = Self.sizes(finer, sessions.map(\.1)).count { $0 == 1 }
      guard Double(alone) <= newShare * Double(total) else { continue }
      groups = finer
      chosen.append(key)
    }
    keys = chosen
    known = Set(counts.map { count in chosen.map { count[$0] ?? 0 } })
  }

  /// Whether normal sessions had these counts.
  func hold(for session: [Int64]) -> Bool {
    let count = Self.counts(session)
    return known.contains(keys.map { count[$0] ?? 0 })
  }

  private static func counts(_ session: [Int64]) -> [Int64: Int32] {
    session.reduce(into: [:]) { $0[$1, default: 0] += 1 }
  }

  /// Groups of sessions parted further by how often a key occurs in them.
  private static func refined(
    _ groups: [Int], by key: Int64, _ counts: [[Int64: Int32]]
  ) -> [Int] {
    var found: [UInt64: Int] = [:]
    return zip(groups, counts).map { group, count in
      let times = UInt32(bitPattern: count[key] ?? 0)
      let entry = UInt64(truncatingIfNeeded: group) << 32 | UInt64(times)
      let place = found[entry] ?? found.count
      found[entry] = place
      return place
    }
  }

  /// Sessions of each group.
  private static func sizes(_ groups: [Int], _ repetitions: [Int]) -> [Int] {
    var sizes = [Int](repeating: 0, count: (groups.max() ?? -1) + 1)
    for (group, count) in zip(groups, repetitions) { sizes[group] += count }
    return sizes
  }

  private static func entropy(_ sizes: [Int], _ total: Int) -> Double {
    sizes.reduce(0) {
      let share = Double($1) / Double(total)
      return $0 - share * log(share)
    }
  }
}

extension KeyQuantities {
  /// What a model learned; nil where it learned nothing of the kind.
  /// - Throws: `.formatError` for numbers that do not fit together.
  init?(_ knowledge: Knowledge) throws(StackLensError) {
    guard let fact = knowledge.facts[Self.fact] else { return nil }
    let rows = (fact.arrayValue ?? []).map { row in
      (row.arrayValue ?? []).compactMap(\.integerValue)
    }
    guard let keys = rows.first, rows.allSatisfy({ $0.count == keys.count }) else {
      throw .formatError("the model's quantities have rows of different lengths")
    }
    self.keys = keys
    known = Set(rows.dropFirst().map { $0.map { Int32(clamping: $0) } })
  }

  /// The keys in the first row, then the combinations.
  func remember(in knowledge: inout Knowledge) {
    let combinations = known.sorted { $0.lexicographicallyPrecedes($1) }
    let rows = [keys] + combinations.map { $0.map(Int64.init) }
    knowledge.facts[Self.fact] = .array(rows.map { .array($0.map { .integer($0) }) })
  }
}
