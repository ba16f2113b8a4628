import Base
import Glibc
import Tensors

/// What CTC sums over for one text of a batch: all ways to spread the labels, with blanks between
/// them, over the time steps.
struct CTCLattice {
  /// Blank, label, blank, label … blank.
  private let states: [Int]
  private let steps: Int
  private let classes: Int
  /// The log-probability of class c at step t lies at t * stride + c.
  private let logarithms: UnsafePointer<Double>
  private let stride: Int

  init(
    _ labels: [Int], blank: Int, steps: Int, classes: Int, _ logarithms: UnsafePointer<Double>,
    stride: Int
  ) {
    states = labels.flatMap { [blank, $0] } + [blank]
    (self.steps, self.classes) = (steps, classes)
    (self.logarithms, self.stride) = (logarithms, stride)
  }

  /// -log of the probability of all ways together; infinite where there is none.
  func loss() -> Double {
    guard steps > 0 else { return states.count == 1 ? 0 : .infinity }
    return -ending(forward())
  }

  /// How probable each class is at each step, given the labels: -1 times the gradient of the loss by
  /// the log-probabilities. Adds it, times `factor`, to `target`, which is laid out as they are.
  func addPosterior(times factor: Double, to target: UnsafeMutablePointer<Double>) {
    guard steps > 0 else { return }
    let forward = forward()
    let total = ending(forward)
    guard total > -.infinity else { return }
    let count = states.count
    // What follows a state, its own step left out.
    var after = [Double](repeating: -.infinity, count: count)
    for state in max(0, count - 2)..<count { after[state] = 0 }
    for step in (0..<steps).reversed() {
      for state in 0..<count {
        let share = exp(forward[step * count + state] + after[state] - total)
        target[step * stride + states[state]] += factor * share
      }
      guard step > 0 else { return }
      let through = states.indices.map { after[$0] + logarithms[step * stride + states[$0]] }
      for state in 0..<count {
        after[state] = logSum(
          through[state], state + 1 < count ? through[state + 1] : -.infinity,
          skips(to: state + 2) ? through[state + 2] : -.infinity)
      }
    }
  }

  /// log of the probability of all ways that are in a state at a step, [steps, states].
  private func forward() -> [Double] {
    let count = states.count
    var alpha = [Double](repeating: -.infinity, count: steps * count)
    for state in 0..<min(2, count) { alpha[state] = logarithms[states[state]] }
    for step in 1..<max(1, steps) {
      let before = (step - 1) * count
      for state in 0..<count {
        let arriving = logSum(
          alpha[before + state], state > 0 ? alpha[before + state - 1] : -.infinity,
          skips(to: state) ? alpha[before + state - 2] : -.infinity)
        alpha[step * count + state] = arriving + logarithms[step * stride + states[state]]
      }
    }
    return alpha
  }

  /// Whether a label may follow another without a blank between them.
  private func skips(to state: Int) -> Bool {
    state >= 2 && state < states.count && state % 2 == 1 && states[state] != states[state - 2]
  }

  private func ending(_ alpha: [Double]) -> Double {
    let last = alpha.count - 1
    return logSum(alpha[last], states.count > 1 ? alpha[last - 1] : -.infinity, -.infinity)
  }
}

/// log(exp(a) + exp(b) + exp(c)).
private func logSum(_ a: Double, _ b: Double, _ c: Double) -> Double {
  let most = max(a, b, c)
  guard most > -.infinity, !(a + b + c).isNaN else { return a + b + c }
  return most + log(exp(a - most) + exp(b - most) + exp(c - most))
}
