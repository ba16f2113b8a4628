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
  /// Whether what it does to zeros leaves zeros, so that a walk may go through the gaps.
  var keepsZeros: Bool { get }
  /// Takes a step for parameters.
  func update(_ parameters: GroupMembers, _ step: OptimizerStep)
}

/// The parameters of a group, and the parts in which a walk goes over them.
struct GroupMembers: Sendable {
  let spans: [ParameterSpan]
  let chunks: FlatChunks
}

extension OptimizerMethod {
  static var defaultDecay: Double { 0 }
  static var defaultRate: Double { 0.001 }
  static var isDecoupled: Bool { false }
  var usedStates: [Bool] { Self.stateNames.map { _ in true } }
  func start(ofState index: Int) -> Float { 0 }
  var keepsZeros: Bool { true }
}

/// A method that does the same to every element, wherever it lies.
protocol ElementwiseMethod: OptimizerMethod {
  typealias Walk = (_ start: Int, _ count: Int) -> Void
  /// The step as a function of where elements begin and how many there are.
  func walk(_ step: OptimizerStep) -> Walk
}

extension ElementwiseMethod {
  func update(_ parameters: GroupMembers, _ step: OptimizerStep) {
    let walk = walk(step)
    step.parallel.forEach(parameters.chunks.count) { index in
      let range = parameters.chunks[index]
      walk(range.lowerBound, range.count)
    }
  }
}

/// Parts of flat buffers, cut at the same places whatever the number of threads.
struct FlatChunks: Sendable {
  /// Elements of a chunk: four buffers' worth of it lie in the second cache together.
  static let size = 16_384
  private var ranges: [Range<Int>] = []

  var count: Int { ranges.count }
  subscript(index: Int) -> Range<Int> { ranges[index] }

  init(_ range: Range<Int>) { append(range) }

  /// The chunks of parameters, first the beginnings of all, last their ends: products share weights
  /// out among the threads by rows, and a thread finds in its cache what it has worked on. Small
  /// ones that follow each other may share chunks, with the gaps in between, where all is 0.
  init(_ spans: [ParameterSpan], throughGaps: Bool) {
    var run = 0..<0
    var parts: [(place: Double, range: Range<Int>)] = []
    for span in spans where span.count >= Self.size / 2 {
      let count = max(2, (span.count + Self.size - 1) / Self.size)
      let length = ((span.count + count - 1) / count + 15) & ~15
      for start in stride(from: 0, to: span.count, by: length) {
        let range = start..<min(span.count, start + length)
        parts.append(
          (
            Double(range.lowerBound + range.upperBound) / Double(2 * span.count),
            span.offset + range.lowerBound..<span.offset + range.upperBound
          ))
      }
    }
    for span in spans where span.count > 0 && span.count < Self.size / 2 {
      let isNext = span.offset >= run.upperBound && span.offset - run.upperBound < 16
      if throughGaps, !run.isEmpty, isNext {
        run = run.lowerBound..<span.range.upperBound
      } else {
        append(run)
        run = span.range
      }
    }
    append(run)
    parts += ranges.map { (0.5, $0) }
    ranges = parts.enumerated().sorted {
      ($0.element.place, $0.offset) < ($1.element.place, $1.offset)
    }.map(\.element.range)
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
