/// BIO tags of entity types: 0 is outside of all entities, 1 + 2 t begins one of type t, 2 + 2 t goes on
/// with it.
struct TagSet: Sendable {
  let types: [String]

  /// What a transition that cannot be scores: less than any sum of scores makes good.
  static let forbidden: Float = -1e4

  var count: Int { 2 * types.count + 1 }

  var names: [String] { ["O"] + types.flatMap { ["B-" + $0, "I-" + $0] } }

  static func beginning(_ type: Int) -> Int { 1 + 2 * type }

  static func inside(_ type: Int) -> Int { 2 + 2 * type }

  /// The type of the entity that a tag belongs to; nil for the one outside.
  private static func type(_ tag: Int) -> Int? { tag > 0 ? (tag - 1) / 2 : nil }

  private static func goesOn(_ tag: Int) -> Bool { tag > 0 && tag % 2 == 0 }

  /// Whether a tag may come first, and after another one: an entity goes on only where one of its type
  /// is.
  private static func isAllowed(_ tag: Int, after other: Int?) -> Bool {
    guard goesOn(tag) else { return true }
    return other.map { type($0) == type(tag) } ?? false
  }

  /// What is added to the scores of tags that come first: [tags].
  var startPenalties: [Float] {
    (0..<count).map { Self.isAllowed($0, after: nil) ? 0 : Self.forbidden }
  }

  /// What is added to the scores of transitions: [from, to].
  var transitionPenalties: [Float] {
    (0..<count).flatMap { from in
      (0..<count).map { Self.isAllowed($0, after: from) ? 0 : Self.forbidden }
    }
  }

  /// Words of one entity.
  struct Run: Equatable {
    let type: Int
    let words: Range<Int>
  }

  /// The entities that tags of words spell; one that goes on without a beginning begins there.
  static func runs(_ tags: [Int]) -> [Run] {
    var runs: [Run] = []
    var start = 0
    for (place, tag) in tags.enumerated() {
      guard let type = type(tag) else { continue }
      let isFirst = !goesOn(tag) || place == 0 || Self.type(tags[place - 1]) != type
      if isFirst { start = place }
      let isLast =
        place + 1 == tags.count || !goesOn(tags[place + 1])
        || Self.type(tags[place + 1]) != type
      if isLast { runs.append(Run(type: type, words: start..<place + 1)) }
    }
    return runs
  }
}
