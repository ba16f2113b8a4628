import Glibc

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998): equal seeds give equal streams,
/// and the uniform numbers are those of NumPy's `RandomState`.
struct RandomStream {
  private var state = [UInt32](repeating: 0, count: 624)
  private var place = 624

  /// Without a seed, one from the system. Of a seed the low 32 bits count.
  init(seed: Int64?) {
    var system = SystemRandomNumberGenerator()
    state[0] = seed.map { UInt32(truncatingIfNeeded: $0) } ?? system.next()
    for i in 1..<624 {
      let last = state[i - 1]
      state[i] = 1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(i)
    }
  }

  private mutating func refill() {
    for i in 0..<624 {
      let joined = (state[i] & 0x8000_0000) | (state[(i + 1) % 624] & 0x7fff_ffff)
      let twist: UInt32 = joined & 1 == 0 ? 0 : 0x9908_b0df
      state[i] = state[(i + 397) % 624] ^ (joined >> 1) ^ twist
    }
    place = 0
  }

  mutating func next() -> UInt32 {
    if place == 624 { refill() }
    var mixed = state[place]
    place += 1
    mixed ^= mixed >> 11
    mixed ^= (mixed << 7) & 0x9d2c_5680
    mixed ^= (mixed << 15) & 0xefc6_0000
    return mixed ^ (mixed >> 18)
  }

  /// A number in [0, 1) with 53 random bits.
  mutating func uniform() -> Double {
    let (high, low) = (next() >> 5, next() >> 6)
    return (Double(high) * 67_108_864 + Double(low)) / 9_007_199_254_740_992
  }

  /// A standard normal number (Box and Muller).
  mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * Double.pi * uniform())
  }
}
