import Glibc

/// A stream of pseudo-random numbers (SplitMix64): equal seeds give equal streams.
struct RandomStream {
  private var state: UInt64

  /// Without a seed, one from the system.
  init(seed: UInt64?) {
    if let seed {
      state = seed
    } else {
      var system = SystemRandomNumberGenerator()
      state = system.next()
    }
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// A number in [0, 1) with 53 random bits.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A standard normal number (Box and Muller).
  mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * Double.pi * uniform())
  }
}
