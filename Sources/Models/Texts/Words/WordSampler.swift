/// Which words stand in for wrong ones: by their frequency to the power of 3/4 (Mikolov et al., 2013),
/// in a table of aliases (Walker, 1977; Vose, 1991).
struct WordSampler {
  let chance: [UInt32]
  let alias: [Int32]

  init(_ counts: [Int]) {
    let weights = counts.map(Self.threeQuarterPower)
    let mean = weights.reduce(0, +) / Double(max(1, weights.count))
    var shares = weights.map { mean > 0 ? $0 / mean : 1 }
    var chance = [UInt32](repeating: .max, count: counts.count)
    var alias = counts.indices.map { Int32($0) }
    var small = shares.indices.filter { shares[$0] < 1 }
    var large = shares.indices.filter { shares[$0] >= 1 }
    while let poor = small.popLast(), let rich = large.last {
      chance[poor] = UInt32(shares[poor] * 0x1p32)
      alias[poor] = Int32(rich)
      shares[rich] -= 1 - shares[poor]
      if shares[rich] < 1 {
        large.removeLast()
        small.append(rich)
      }
    }
    (self.chance, self.alias) = (chance, alias)
  }

  /// By square roots, which are the same on every machine.
  private static func threeQuarterPower(_ count: Int) -> Double {
    let root = Double(count).squareRoot()
    return root * root.squareRoot()
  }

  /// The chance, times 2³², that a word of a text is kept: √(t / f) + t / f for a word of the share f.
  static func keep(_ counts: [Int], subsample: Double) -> [UInt32] {
    let total = Double(counts.reduce(0, +))
    return counts.map { count in
      guard subsample > 0, count > 0 else { return .max }
      let ratio = subsample * total / Double(count)
      let share = ratio.squareRoot() + ratio
      return share >= 1 ? .max : UInt32(share * 0x1p32)
    }
  }
}
