import Base
import CKernels

/// Where a step finds the numbers it works on: flat buffers of one layout.
struct OptimizerMemory {
  let weights: UnsafeMutablePointer<Float>
  let gradients: UnsafePointer<Float>
  /// In the order of the method's states, nil for those that it does not use.
  let states: [UnsafeMutablePointer<Float>?]

  /// A state that the method uses.
  func state(_ index: Int) -> UnsafeMutablePointer<Float> {
    guard let state = states[index] else { preconditionFailure("state \(index) is not in use") }
    return state
  }
}

/// One step as a method takes it.
struct OptimizerStep {
  let memory: OptimizerMemory
  let terms: slk_gradient_terms
  let rate: Double
  /// The decoupled weight decay, which `terms` has times the rate.
  let decay: Double
  /// From 1 on.
  let number: Int
  let parallel: Parallel
}

/// A way to go from gradients to steps, with its hyperparameters.
protocol OptimizerMethod: Sendable {
  /// The names of all states that it may keep.
  static var stateNames: [String] { get }
  /// `weight_decay` where none is given.
  static var defaultDecay: Double { get }
  static var defaultRate: Double { get }
  /// Whether weight decay takes a share of the weight unless it is said otherwise, or else goes into
  /// the gradient.
  static var isDecoupled: Bool { get }

  /// Takes what the method knows beside the options that all have.
  init(_ options: inout OptionReader) throws(StackLensError)

  /// Which of the states it keeps with these hyperparameters.
  var usedStates: [Bool] { get }
  /// What a state is before the first step.
  func start(ofState index: Int) -> Float
  /// Takes a step for the parameters at `spans`.
  func update(_ spans: [ParameterSpan], _ step: OptimizerStep)
}

extension OptimizerMethod {
  static var defaultDecay: Double { 0 }
  static var defaultRate: Double { 0.001 }
  static var isDecoupled: Bool { false }
  var usedStates: [Bool] { Self.stateNames.map { _ in true } }
  func start(ofState index: Int) -> Float { 0 }
}

/// A method that does the same to every element, wherever it lies.
protocol ElementwiseMethod: OptimizerMethod {
  typealias Walk = (_ start: Int, _ count: Int) -> Void
  /// The step as a function of where elements begin and how many there are.
  func walk(_ step: OptimizerStep) -> Walk
  /// Whether what it does to zeros leaves zeros, so that a walk may go through the gaps.
  var keepsZeros: Bool { get }
}

extension ElementwiseMethod {
  var keepsZeros: Bool { true }

  func update(_ spans: [ParameterSpan], _ step: OptimizerStep) {
    let walk = walk(step)
    let chunks = FlatChunks(spans, throughGaps: keepsZeros)
    step.parallel.forEach(chunks.count) { index in
      let range = chunks[index]
      walk(range.lowerBound, range.count)
    }
  }
}

/// Parts of flat buffers, cut at the same places whatever the number of threads.
struct FlatChunks {
  /// Elements of a chunk: four buffers' worth of it lie in the second cache together.
  static let size = 16_384
  private var ranges: [Range<Int>] = []

  var count: Int { ranges.count }
  subscript(index: Int) -> Range<Int> { ranges[index] }

  init(_ range: Range<Int>) { append(range) }

  /// The chunks of parameters. Those that follow each other may share chunks, with the gaps in between,
  /// where all is 0.
  init(_ spans: [ParameterSpan], throughGaps: Bool) {
    var run = 0..<0
    for span in spans where span.count > 0 {
      let isNext = span.offset >= run.upperBound && span.offset - run.upperBound < 16
      if throughGaps, !run.isEmpty, isNext {
        run = run.lowerBound..<span.range.upperBound
      } else {
        append(run)
        run = span.range
      }
    }
    append(run)
  }

  private mutating func append(_ range: Range<Int>) {
    var start = range.lowerBound
    while start < range.upperBound {
      let end = min(start + Self.size, range.upperBound)
      ranges.append(start..<end)
      start = end
    }
  }
}
