import Base
import CKernels
import Tensors

/// The weights of a convolution with its channels last in the layout of a kernel: made once where they
/// are constant, in each run where they are trained.
struct ChannelsLastWeights: Sendable {
  /// Lays ordered weights, [inputs, kernel, outputs] of each group, out for a kernel.
  typealias Fill =
    @Sendable (
      _ ordered: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ parallel: Parallel
    ) -> Void

  private let form: ChannelsLastForm
  private let constant: Tensor?
  private let (room, orderedRoom): (Int, Int)
  private let fill: Fill

  var isConstant: Bool { constant != nil }

  init(
    _ preparation: Preparation, _ form: ChannelsLastForm, layout: String, byteCount: Int,
    plan: inout ScratchPlan, fill: @escaping Fill
  ) throws(StackLensError) {
    self.form = form
    self.fill = fill
    let count = try preparation.input(1).shape.count
    constant = try preparation.packed(
      1, layout: layout + (form.isGradient ? " turned" : ""), byteCount: byteCount,
      fill: { source, target in
        let ordered = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
          if let start = buffer.baseAddress {
            Self.order(source.floats, form, to: start, preparation.parallel)
          }
          initialized = count
        }
        ordered.withUnsafeBufferPointer {
          if let start = $0.baseAddress { fill(start, target, preparation.parallel) }
        }
      })
    orderedRoom = constant == nil ? try plan.reserve(count, of: Float.self) : 0
    room = constant == nil ? try plan.reserve(byteCount, of: UInt8.self) : 0
  }

  /// The weights as the kernel reads them.
  func packed(_ run: Invocation) throws(StackLensError) -> UnsafeMutableRawPointer {
    if let constant { return constant.base }
    let ordered = (run.scratch + orderedRoom).assumingMemoryBound(to: Float.self)
    Self.order(try run.input(1).floats, form, to: ordered, run.parallel)
    let target = run.scratch + room
    fill(ordered, target, run.parallel)
    return target
  }

  private static func order(
    _ w: UnsafePointer<Float>, _ form: ChannelsLastForm, to target: UnsafeMutablePointer<Float>,
    _ parallel: Parallel
  ) {
    let geometry = form.geometry
    let (inputs, outputs) = (geometry.inputChannels, geometry.outputChannels)
    let (taps, size) = (geometry.kernelCount, geometry.termCount * geometry.outputChannels)
    if form.isGradient {
      // As they lie: [inputs, outputs, kernel].
      let grain = max(1, cheapGrain / max(1, outputs * taps))
      parallel.ranges(geometry.groupCount * inputs, grain: grain) { range in
        for input in range {
          let start = input * outputs * taps
          slk_transpose(w + start, taps, target + start, outputs, outputs, taps, 4)
        }
      }
      return
    }
    for group in 0..<geometry.groupCount {
      let start = group * size
      parallel.ranges(geometry.termCount, grain: max(16, cheapGrain / max(1, outputs))) { range in
        slk_transpose(
          w + start + range.lowerBound, geometry.termCount,
          target + start + range.lowerBound * outputs, outputs, outputs, range.count, 4)
      }
    }
  }
}
