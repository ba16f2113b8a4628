import Base
import Tensors

/// Sessions of event keys, those that are equal held once.
struct KeySessions: Divisible {
  static let unit = "sessions"
  /// Sessions no two of which are equal, in the order in which they came.
  private(set) var distinct: [[Int64]] = []
  /// How often each of them came.
  private(set) var repetitions: [Int] = []
  /// Which of them each session is.
  private(set) var places: [Int] = []

  var count: Int { places.count }

  /// - Parameters:
  ///   - prefix: of the arguments' names.
  ///   - known: the keys that may occur.
  init(
    _ arguments: Arguments, _ prefix: String, known: ClosedRange<Int64>
  ) throws(StackLensError) {
    let keys = try arguments.tensor(prefix + "keys")
    guard keys.elementType == .int64, keys.rank == 2 else {
      throw .shapeMismatch(
        "'\(prefix)keys' is \(keys.elementType.name)\(keys.shape), expected int64 "
          + "[sessions, longest]")
    }
    let (rows, width) = (keys.shape[0], keys.shape[1])
    let lengths = try arguments.integers(prefix + "lengths", [rows], in: 0..<width + 1).integers()
    let base = keys.base.assumingMemoryBound(to: Int64.self)
    var found: [[Int64]: Int] = [:]
    for row in 0..<rows {
      let session = (0..<lengths[row]).map { base[row * width + $0] }
      if let step = session.firstIndex(where: { !known.contains($0) }) {
        throw .invalidArgument(
          "'\(prefix)keys' holds \(session[step]) in session \(row), step \(step), expected "
            + "\(known.lowerBound) to \(known.upperBound)")
      }
      let place = found[session] ?? distinct.count
      if place == distinct.count {
        found[session] = place
        distinct.append(session)
        repetitions.append(0)
      }
      add(place)
    }
  }

  private init(taking rows: [Int], of all: KeySessions) {
    var found: [Int: Int] = [:]
    for row in rows {
      let session = all.places[row]
      let place = found[session] ?? distinct.count
      if place == distinct.count {
        found[session] = place
        distinct.append(all.distinct[session])
        repetitions.append(0)
      }
      add(place)
    }
  }

  private mutating func add(_ place: Int) {
    places.append(place)
    repetitions[place] += 1
  }

  /// Every key that occurs.
  var keys: Set<Int64> { distinct.reduce(into: []) { $0.formUnion($1) } }

  func taking(_ rows: [Int]) -> KeySessions { KeySessions(taking: rows, of: self) }
}
