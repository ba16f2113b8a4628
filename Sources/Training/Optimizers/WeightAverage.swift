import Base
import CKernels

/// An exponential moving average of the weights: a += (1 - decay) (w - a) after every step (Polyak and
/// Juditsky, 1992; Tarvainen and Valpola, 2017).
public struct WeightAverage: Sendable {
  public let decay: Double
  /// Whether early steps count for more: the decay is (1 + t) / (10 + t) as long as that is less.
  public let isWarmed: Bool

  /// - Throws: `.invalidArgument`.
  package init(options json: JSON = .null) throws(StackLensError) {
    var options = try OptionReader(json, of: "the average of weights")
    decay = try options.number("decay", default: 0.999, in: .belowOne)
    isWarmed = try options.bool("warm_up", default: false)
    try options.finish()
  }

  /// Takes the weights after step `step` (from 1 on) into the average, which starts as a copy of the
  /// weights before the first.
  public func update(
    _ average: FlatBuffer, with parameters: FlatBuffer, step: Int, parallel: Parallel
  ) {
    precondition(average.count == parameters.count)
    let number = Double(step)
    let decay = isWarmed ? min(decay, (1 + number) / (10 + number)) : decay
    let (target, source) = (average.values, UnsafePointer(parameters.values))
    let chunks = FlatChunks(0..<average.count)
    parallel.forEach(chunks.count) { index in
      let start = chunks[index].lowerBound
      slk_lerp_f32(Float(1 - decay), source + start, target + start, chunks[index].count)
    }
  }
}
