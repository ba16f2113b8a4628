import Base
import Glibc

/// What happens to the scores of one row before they are stored.
enum ScoreTransform: String, Sendable {
  case none = "NONE"
  case softmax = "SOFTMAX"
  case softmaxZero = "SOFTMAX_ZERO"
  case logistic = "LOGISTIC"
  case probit = "PROBIT"

  init(_ view: some NodeView) throws(StackLensError) {
    let name = try view.string("post_transform")
    guard let value = ScoreTransform(rawValue: name) else {
      throw .invalidArgument(
        "attribute 'post_transform' is '\(name)', expected NONE, SOFTMAX, SOFTMAX_ZERO, LOGISTIC "
          + "or PROBIT")
    }
    self = value
  }

  func apply(_ scores: inout [Double]) {
    scores.withUnsafeMutableBufferPointer { apply($0) }
  }

  func apply(_ scores: UnsafeMutableBufferPointer<Double>) {
    switch self {
    case .none: break
    case .logistic: for index in scores.indices { scores[index] = Self.logistic(scores[index]) }
    case .probit: for index in scores.indices { scores[index] = Self.probit(scores[index]) }
    case .softmax, .softmaxZero:
      let largest = scores.max() ?? 0
      var sum = 0.0
      for index in scores.indices {
        // SOFTMAX_ZERO keeps zeros at zero.
        if self == .softmaxZero, abs(scores[index]) <= 1e-7 {
          scores[index] *= exp(-largest)
        } else {
          scores[index] = exp(scores[index] - largest)
          sum += scores[index]
        }
      }
      if sum > 0 { for index in scores.indices { scores[index] /= sum } }
    }
  }

  static func logistic(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

  /// √2 erf⁻¹(2x - 1) by the approximation of Winitzki that runtimes share.
  static func probit(_ x: Double) -> Double {
    let y = 2 * x - 1
    let term = log((1 - y) * (1 + y))
    let a = 2 / (Double.pi * 0.147) + 0.5 * term
    let root = ((a * a - term / 0.147).squareRoot() - a).squareRoot()
    return 2.0.squareRoot() * (y < 0 ? -root : root)
  }
}

/// The labels of a classifier.
enum ClassLabels: Sendable {
  case integers([Int64])
  case strings([String])

  init(_ view: some NodeView, integers: String, strings: String) throws(StackLensError) {
    if let labels = try view.strings(strings), !labels.isEmpty {
      self = .strings(labels)
    } else if let labels = try view.ints(integers), !labels.isEmpty {
      self = .integers(labels.map { Int64($0) })
    } else {
      throw .invalidArgument("neither '\(integers)' nor '\(strings)' names a class")
    }
  }

  var count: Int {
    switch self {
    case .integers(let labels): labels.count
    case .strings(let labels): labels.count
    }
  }
}
