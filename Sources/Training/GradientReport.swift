import Base
import Tensors

/// What the gradients of one step look like, parameter by parameter, with what is wrong in plain
/// words.
public struct GradientReport: Sendable {
  /// One parameter.
  public struct Entry: Sendable {
    public let name: String
    /// Axes: matrices and kernels have two and more, biases one.
    public let rank: Int
    /// Euclidean norms.
    public let gradientNorm: Double
    public let valueNorm: Double
    public let largest: Double
    /// Share of elements that are exactly 0.
    public let zeroShare: Double
    /// Elements that are NaN or infinite.
    public let nonFiniteCount: Int
  }
  public let entries: [Entry]

  /// Below this share of the largest norm a gradient has vanished.
  private static let vanishing = 1e-7
  /// Above this norm relative to the values a gradient has exploded.
  private static let exploding = 1e3

  init(_ space: ParameterSpace, _ gradients: FlatBuffer, _ values: FlatBuffer) {
    entries = space.spans.map { span in
      var (squares, valueSquares, largest, zeros, odd) = (0.0, 0.0, 0.0, 0, 0)
      for i in span.range {
        let (g, x) = (Double(gradients.values[i]), Double(values.values[i]))
        guard g.isFinite else {
          odd += 1
          continue
        }
        squares += g * g
        valueSquares += x * x
        largest = max(largest, abs(g))
        if g == 0 { zeros += 1 }
      }
      return Entry(
        name: span.name, rank: span.shape.rank, gradientNorm: squares.squareRoot(),
        valueNorm: valueSquares.squareRoot(),
        largest: largest, zeroShare: span.count == 0 ? 0 : Double(zeros) / Double(span.count),
        nonFiniteCount: odd)
    }
  }

  /// What deserves a look, one sentence each, with what to do about it.
  public var warnings: [String] {
    var warnings: [String] = []
    let top = entries.map(\.gradientNorm).max() ?? 0
    func list(_ names: [String]) -> String {
      let shown = names.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
      return names.count > 3 ? "\(shown) and \(names.count - 3) more" : shown
    }
    func warn(_ text: String, where isHit: (Entry) -> Bool) {
      let names = entries.filter(isHit).map(\.name)
      if !names.isEmpty { warnings.append("\(list(names)): \(text)") }
    }
    warn("the gradient holds NaN or infinity; lower the learning rate or clip gradients") {
      $0.nonFiniteCount > 0
    }
    warn("the gradient is 0 everywhere: nothing here learns (dead units, or cut off from the loss)")
    {
      $0.nonFiniteCount == 0 && $0.gradientNorm == 0
    }
    warn("the gradient has all but vanished; try normalisation layers, residuals or another start")
    {
      // Biases that a normalisation or a softmax takes off again have none to begin with.
      $0.rank > 1 && $0.gradientNorm > 0 && $0.gradientNorm < top * Self.vanishing
    }
    warn("the gradient explodes; clip gradients (clip_norm) or lower the learning rate") {
      $0.gradientNorm > Self.exploding * max($0.valueNorm, 1)
    }
    return warnings
  }
}
