/// A set of code points as ranges that ascend and do not touch.
struct ScalarSet: Hashable, Sendable {
  private(set) var ranges: [ClosedRange<UInt32>]

  static let last: UInt32 = 0x10FFFF
  static let all = ScalarSet([0...last])

  init(_ ranges: [ClosedRange<UInt32>]) {
    var result: [ClosedRange<UInt32>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let previous = result.last, range.lowerBound <= previous.upperBound &+ 1 {
        result[result.count - 1] =
          previous.lowerBound...max(previous.upperBound, range.upperBound)
      } else {
        result.append(range)
      }
    }
    self.ranges = result
  }

  init(_ scalar: UInt32) { ranges = [scalar...scalar] }

  var inverted: ScalarSet {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= Self.last { result.append(next...Self.last) }
    return ScalarSet(result)
  }

  /// The set with every code point that differs from a member in case alone.
  var folded: ScalarSet {
    let orbits = CaseOrbits.shared
    var result = ranges
    for range in ranges {
      var index = firstIndex(in: orbits.members) { $0.scalar >= range.lowerBound }
      while index < orbits.members.count, orbits.members[index].scalar <= range.upperBound {
        for other in orbits.orbits[orbits.members[index].orbit] { result.append(other...other) }
        index += 1
      }
    }
    return result.count == ranges.count ? self : ScalarSet(result)
  }
}

/// The first place in an ordered list for which the test holds, its count where it never does.
func firstIndex<T>(in list: [T], where test: (T) -> Bool) -> Int {
  var (low, high) = (0, list.count)
  while low < high {
    let middle = (low + high) / 2
    if test(list[middle]) { high = middle } else { low = middle + 1 }
  }
  return low
}

/// Code points that differ in case alone, by Unicode's simple mappings.
private struct CaseOrbits: Sendable {
  static let shared = CaseOrbits()

  /// All code points that have another case, ascending, each with its orbit.
  private(set) var members: [(scalar: UInt32, orbit: Int)] = []
  private(set) var orbits: [[UInt32]] = []

  private init() {
    var found: [UInt32: Int] = [:]
    // No script beyond the first two planes has case.
    for value in UInt32(0)...0x1FFFF {
      // ı and İ have another case in Turkic languages alone.
      guard value != 0x130, value != 0x131, let scalar = Unicode.Scalar(value),
        scalar.properties.changesWhenCaseMapped
      else { continue }
      let key = CaseMapping.lower(CaseMapping.upper(scalar)).value
      if let orbit = found[key] {
        orbits[orbit].append(value)
      } else {
        found[key] = orbits.count
        orbits.append([value])
      }
      members.append((value, found[key, default: 0]))
    }
  }
}
