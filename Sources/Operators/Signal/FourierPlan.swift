import Base
import Glibc

/// The discrete Fourier transform of one length in the arithmetic of `T`, in O(n log n) for every
/// n: lengths made of small primes by Stockham's mixed-radix steps, others by Bluestein's
/// convolution.
struct FourierPlan<T: BinaryFloatingPoint & Sendable>: Sendable {
  let length: Int
  private let radices: [Int]
  /// exp(-2πi k / n), real and imaginary part side by side.
  private let roots: [T]
  private let chirp: Chirp<T>?

  /// - Throws: `.limitExceeded` for more than 16 million points, 4 million in Bluestein's form.
  init(_ length: Int) throws(StackLensError) {
    let limit = length <= 1 << 22 || isSmoothLength(length) ? 1 << 24 : 1 << 22
    guard length <= limit else {
      throw .limitExceeded("a Fourier transform of \(length) points, at most \(limit)")
    }
    self.init(trusted: length)
  }

  fileprivate init(trusted length: Int) {
    self.length = length
    if let radices = fourierRadices(length) {
      self.radices = radices
      roots = fourierRoots(length)
      chirp = nil
    } else {
      radices = []
      roots = []
      chirp = Chirp(length)
    }
  }

  /// Numbers of work space that `transform` needs.
  var workCount: Int { chirp.map { 2 * $0.plan.length + $0.plan.workCount } ?? 2 * length }

  /// Transforms `length` complex numbers in place; the inverse is not divided by the length.
  func transform(
    _ data: UnsafeMutablePointer<T>, _ work: UnsafeMutablePointer<T>, inverse: Bool
  ) {
    guard length > 1 else { return }
    if inverse { conjugate(data) }
    if let chirp { chirp.transform(data, work) } else { mixedRadix(data, work) }
    if inverse { conjugate(data) }
  }

  /// Transforms real numbers, given as complex ones: the spectrum is exactly symmetric.
  func transformReal(
    _ data: UnsafeMutablePointer<T>, _ work: UnsafeMutablePointer<T>, inverse: Bool
  ) {
    transform(data, work, inverse: inverse)
    data[1] = 0
    for k in 1..<max(1, length / 2 + 1) {
      let mirror = 2 * (length - k)
      data[mirror] = data[2 * k]
      data[mirror + 1] = 2 * k == length ? 0 : -data[2 * k + 1]
    }
  }

  private func conjugate(_ data: UnsafeMutablePointer<T>) {
    for i in 0..<length { data[2 * i + 1] = -data[2 * i + 1] }
  }

  private func mixedRadix(_ data: UnsafeMutablePointer<T>, _ work: UnsafeMutablePointer<T>) {
    roots.withUnsafeBufferPointer { roots in
      guard let roots = roots.baseAddress else { return }
      var (from, to) = (data, work)
      var step = 1
      for radix in radices {
        let stage = FourierStage(
          length: length, radix: radix, count: length / (step * radix), step: step, roots: roots)
        switch radix {
        case 2: stage.two(from, to)
        case 4: stage.four(from, to)
        default: stage.odd(from, to)
        }
        swap(&from, &to)
        step *= radix
      }
      if from != data { data.update(from: from, count: 2 * length) }
    }
  }
}

/// Whether a length has a direct transform; Bluestein's needs more precise arithmetic.
func isSmoothLength(_ length: Int) -> Bool { fourierRadices(length) != nil }

/// The factors of a length, even ones first; nil when a prime is too large for a step of its own,
/// whose cost grows with the square.
private func fourierRadices(_ length: Int) -> [Int]? {
  var (rest, radices) = (length, [Int]())
  for radix in [4, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31] {
    while rest > 1, rest % radix == 0 {
      radices.append(radix)
      rest /= radix
    }
  }
  return rest > 1 ? nil : radices
}

private func fourierRoots<T: BinaryFloatingPoint>(_ n: Int) -> [T] {
  var roots = [T](repeating: 0, count: 2 * n)
  for k in 0..<n {
    // Angles are taken from the nearest quarter, where sine and cosine are most exact.
    let quarter = (8 * k + n) / (2 * n)
    let angle = 2 * Double.pi * (Double(4 * k - quarter * n) / Double(4 * n))
    let (c, s) = (cos(angle), sin(angle))
    let (x, y) =
      switch quarter % 4 {
      case 0: (c, s)
      case 1: (-s, c)
      case 2: (-c, -s)
      default: (s, -c)
      }
    roots[2 * k] = T(x)
    roots[2 * k + 1] = T(-y)
  }
  return roots
}

/// One step: `count` transforms of `radix` points for each of `step` interleaved sequences.
private struct FourierStage<T: BinaryFloatingPoint> {
  let length: Int
  let radix: Int
  let count: Int
  let step: Int
  let roots: UnsafePointer<T>

  @inline(__always)
  private func store(
    _ target: UnsafeMutablePointer<T>, _ re: T, _ im: T, _ w: UnsafePointer<T>
  ) {
    target[0] = re * w[0] - im * w[1]
    target[1] = re * w[1] + im * w[0]
  }

  func two(_ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>) {
    for p in 0..<count {
      let w = roots + 2 * p * step
      let (a, b) = (x + 2 * step * p, x + 2 * step * (p + count))
      let (u, v) = (y + 4 * step * p, y + 4 * step * p + 2 * step)
      for q in 0..<step {
        let (ar, ai, br, bi) = (a[2 * q], a[2 * q + 1], b[2 * q], b[2 * q + 1])
        u[2 * q] = ar + br
        u[2 * q + 1] = ai + bi
        store(v + 2 * q, ar - br, ai - bi, w)
      }
    }
  }

  func four(_ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>) {
    let hop = 2 * step * count
    for p in 0..<count {
      let (w1, w2, w3) = (roots + 2 * p * step, roots + 4 * p * step, roots + 6 * p * step)
      for q in 0..<step {
        let a = x + 2 * (step * p + q)
        let (ar, ai, br, bi) = (a[0], a[1], a[hop], a[hop + 1])
        let (cr, ci, dr, di) = (a[2 * hop], a[2 * hop + 1], a[3 * hop], a[3 * hop + 1])
        let (sr, si, tr, ti) = (ar + cr, ai + ci, ar - cr, ai - ci)
        // b + d, and b - d turned by -i.
        let (ur, ui, vr, vi) = (br + dr, bi + di, bi - di, dr - br)
        let out = y + 2 * (4 * step * p + q)
        out[0] = sr + ur
        out[1] = si + ui
        store(out + 2 * step, tr + vr, ti + vi, w1)
        store(out + 4 * step, sr - ur, si - ui, w2)
        store(out + 6 * step, tr - vr, ti - vi, w3)
      }
    }
  }

  /// Inputs k and radix - k share their products.
  func odd(_ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>) {
    let half = radix / 2
    let turn = length / radix
    withUnsafeTemporaryAllocation(of: T.self, capacity: 4 * half) { buffer in
      guard let pairs = buffer.baseAddress else { return }
      for p in 0..<count {
        for q in 0..<step {
          let first = x + 2 * (q + step * p)
          let target = y + 2 * (q + step * radix * p)
          var (re, im) = (first[0], first[1])
          for j in 1...half {
            let a = first + 2 * step * count * j
            let b = first + 2 * step * count * (radix - j)
            let pair = pairs + 4 * (j - 1)
            (pair[0], pair[1]) = (a[0] + b[0], a[1] + b[1])
            (pair[2], pair[3]) = (a[0] - b[0], a[1] - b[1])
            re += pair[0]
            im += pair[1]
          }
          (target[0], target[1]) = (re, im)
          for k in 1...half {
            var (cr, ci, dr, di) = (first[0], first[1], T.zero, T.zero)
            var place = 0
            for j in 0..<half {
              place += k
              if place >= radix { place -= radix }
              let (w, pair) = (roots + 2 * place * turn, pairs + 4 * j)
              cr += w[0] * pair[0]
              ci += w[0] * pair[1]
              dr += w[1] * pair[3]
              di += w[1] * pair[2]
            }
            let other = radix - k
            store(target + 2 * step * k, cr - dr, ci + di, roots + 2 * p * k * step)
            store(target + 2 * step * other, cr + dr, ci - di, roots + 2 * p * other * step)
          }
        }
      }
    }
  }
}

/// Bluestein's form: the transform as a convolution with a chirp, whose length is a power of two.
private final class Chirp<T: BinaryFloatingPoint & Sendable>: Sendable {
  let length: Int
  let plan: FourierPlan<T>
  /// exp(-πi k² / n).
  private let chirp: [T]
  /// The transform of the conjugated chirp, divided by the length of the convolution.
  private let filter: [T]

  init(_ n: Int) {
    length = n
    var size = 1
    while size < 2 * n - 1 { size *= 2 }
    plan = FourierPlan(trusted: size)
    var chirp = [T](repeating: 0, count: 2 * n)
    var filter = [T](repeating: 0, count: 2 * size)
    var square = 0  // k² modulo 2n, which keeps angles small
    for k in 0..<n {
      let angle = Double.pi * Double(square) / Double(n)
      let (c, s) = (cos(angle), sin(angle))
      (chirp[2 * k], chirp[2 * k + 1]) = (T(c), T(-s))
      for place in k == 0 ? [0] : [k, size - k] {
        (filter[2 * place], filter[2 * place + 1]) = (T(c / Double(size)), T(s / Double(size)))
      }
      square = (square + 2 * k + 1) % (2 * n)
    }
    var work = [T](repeating: 0, count: plan.workCount)
    plan.transform(&filter, &work, inverse: false)
    self.chirp = chirp
    self.filter = filter
  }

  func transform(_ data: UnsafeMutablePointer<T>, _ work: UnsafeMutablePointer<T>) {
    let size = plan.length
    for k in 0..<length { multiply(data + 2 * k, work + 2 * k, chirp, k) }
    (work + 2 * length).update(repeating: 0, count: 2 * (size - length))
    plan.transform(work, work + 2 * size, inverse: false)
    for k in 0..<size { multiply(work + 2 * k, work + 2 * k, filter, k) }
    plan.transform(work, work + 2 * size, inverse: true)
    for k in 0..<length { multiply(work + 2 * k, data + 2 * k, chirp, k) }
  }

  @inline(__always)
  private func multiply(
    _ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>, _ factors: [T], _ k: Int
  ) {
    let (a, b, c, d) = (x[0], x[1], factors[2 * k], factors[2 * k + 1])
    y[0] = a * c - b * d
    y[1] = a * d + b * c
  }
}
