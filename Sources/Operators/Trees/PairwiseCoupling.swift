/// Probabilities of classes from those of their pairs: Wu, Lin & Weng, JMLR 5, 2004, second method.
enum PairwiseCoupling {
  /// - Parameter pairs: for i < j in order how likely class i is where it can only be i or j.
  static func probabilities(_ pairs: [Double], _ count: Int) -> [Double] {
    var wins = [Double](repeating: 0, count: count * count)
    var index = 0
    for i in 0..<count {
      for j in i + 1..<max(count, i + 1) {
        wins[i * count + j] = pairs[index]
        wins[j * count + i] = 1 - pairs[index]
        index += 1
      }
    }
    // Minimise pᵀQp over probabilities, one coordinate after another.
    var q = [Double](repeating: 0, count: count * count)
    for t in 0..<count {
      for j in 0..<count where j != t {
        q[t * count + t] += wins[j * count + t] * wins[j * count + t]
        q[t * count + j] = -wins[j * count + t] * wins[t * count + j]
      }
    }
    var p = [Double](repeating: 1 / Double(count), count: count)
    for _ in 0..<max(100, count) {
      var qp = (0..<count).map { t in (0..<count).reduce(0) { $0 + q[t * count + $1] * p[$1] } }
      var pqp = (0..<count).reduce(0) { $0 + p[$1] * qp[$1] }
      let error = qp.reduce(0) { max($0, abs($1 - pqp)) }
      if error < 0.005 / Double(count) { break }
      for t in 0..<count {
        let step = (pqp - qp[t]) / q[t * count + t]
        p[t] += step
        let scale = 1 + step
        pqp = (pqp + step * (step * q[t * count + t] + 2 * qp[t])) / (scale * scale)
        for j in 0..<count {
          qp[j] = (qp[j] + step * q[t * count + j]) / scale
          p[j] /= scale
        }
      }
    }
    return p
  }
}
