import Base
import CKernels
import Tensors

/// What the fast kernels of ChannelsLastQLinearConv have in common: the extents, and what becomes of
/// the sums. All parameters are constants.
struct ByteConvolutionForm: Sendable {
  let geometry: ConvolutionGeometry
  let xZero: UInt8
  private let yZero: Int32
  /// For each output channel: the bias less what the zero point of X adds to the sums, and the steps of
  /// the sums in those of Y.
  private(set) var offsets: [Int32]
  private(set) var scales: [Float]

  /// Nil where there is nothing to compute, or a parameter is not constant, or a weight's zero point is
  /// not 0.
  init?(_ preparation: Preparation) throws(StackLensError) {
    geometry = try OperatorDefinition.channelsLastGeometry(
      preparation, x: preparation.input(0).shape, w: preparation.input(3).shape)
    guard !geometry.isEmpty, geometry.axes[0].kernel == 1, geometry.termCount > 0,
      geometry.termCount < 1 << 24,
      let (xScale, xZero) = Self.pair(preparation, 1),
      let (yScale, yZero) = Self.pair(preparation, 6),
      let weight = preparation.constant(3), let wScale = preparation.constant(4),
      let wZero = preparation.constant(5), zeroPointParameters(wZero).allSatisfy({ $0 == 0 })
    else { return nil }
    self.xZero = UInt8(truncatingIfNeeded: xZero)
    self.yZero = yZero
    let channels = geometry.groupCount * geometry.outputChannels
    var bias = [Int32](repeating: 0, count: channels)
    if preparation.hasInput(8) {
      guard let given = preparation.constant(8) else { return nil }
      bias = zeroPointParameters(given)
    }
    let (terms, wScales) = (geometry.termCount, floatParameters(wScale))
    let w = weight.base.assumingMemoryBound(to: Int8.self)
    offsets = bias.enumerated().map { channel, value in
      var sum: Int32 = 0
      for i in channel * terms..<(channel + 1) * terms { sum &+= Int32(w[i]) }
      return value &- xZero &* sum
    }
    scales = (0..<channels).map { xScale * wScales[wScales.count == 1 ? 0 : $0] / yScale }
  }

  /// A scale and the zero point behind it.
  private static func pair(_ preparation: Preparation, _ index: Int) -> (Float, Int32)? {
    guard let scale = preparation.constant(index), let zero = preparation.constant(index + 1)
    else { return nil }
    return (floatParameters(scale)[0], zeroPointParameters(zero)[0])
  }

  /// Puts what belongs to output channels in another order; `order` holds channels, or more than there
  /// are where a place is not used.
  mutating func arrange(_ order: [Int]) {
    let (offsets, scales) = (offsets, scales)
    self.offsets = order.map { $0 < offsets.count ? offsets[$0] : 0 }
    self.scales = order.map { $0 < scales.count ? scales[$0] : 0 }
  }

  /// What becomes of the sums of one group.
  func withEnding(
    _ run: Invocation, group: Int = 0, _ body: (inout slk_byte_ending) -> Void
  ) {
    let start = group * geometry.outputChannels
    let table = run.inputs.count > 9 ? run.inputs[9] : nil
    offsets.withUnsafeBufferPointer { offsets in
      scales.withUnsafeBufferPointer { scales in
        guard let offset = offsets.baseAddress, let scale = scales.baseAddress else { return }
        var ending = slk_byte_ending(
          offsets: offset + start, scales: scale + start, zero: yZero,
          table: table.map { UnsafePointer($0.base.assumingMemoryBound(to: UInt8.self)) })
        body(&ending)
      }
    }
  }
}
