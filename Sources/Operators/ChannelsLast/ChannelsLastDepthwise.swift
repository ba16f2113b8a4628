import Base
import CKernels
import Tensors

/// A convolution over images with their channels last in which every channel has a kernel of its own.
struct ChannelsLastDepthwise: Sendable {
  private let form: ChannelsLastForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weight: Tensor
  private let plan: ScratchPlan
  private let (zeroRoom, tableRoom): (Int, Int)
  private let (block, parts): (Int, Int)

  /// Nil where the convolution has another form or its weights are not constant.
  init?(_ preparation: Preparation) throws(StackLensError) {
    guard let form = try ChannelsLastForm(preparation) else { return nil }
    self.form = form
    let geometry = form.geometry
    guard geometry.inputChannels == 1, geometry.outputChannels == 1 else { return nil }
    let (taps, channels) = (geometry.kernelCount, geometry.groupCount)
    let byteCount = try preparation.input(1).shape.count * MemoryLayout<Float>.stride
    guard
      let packed = try preparation.packed(
        1, layout: "depthwise channels last", byteCount: byteCount,
        fill: { source, target in
          let ordered = target.assumingMemoryBound(to: Float.self)
          for channel in 0..<channels {
            for tap in 0..<taps {
              ordered[tap * channels + channel] = source.floats[channel * taps + tap]
            }
          }
        })
    else { return nil }
    weight = packed
    let rows = try Shape([geometry.batch, geometry.outputPixels]).count
    let threads = preparation.threadCount
    parts = threads == 1 ? max(1, rows / 256) : min((rows + 3) / 4, max(threads * 4, rows / 256))
    block = ((rows + parts - 1) / parts + 3) / 4 * 4
    var plan = ScratchPlan()
    zeroRoom = try plan.reserve(channels, of: Float.self)
    tableRoom = try plan.reserve(
      Shape([parts, block, taps]).count, of: UnsafePointer<Float>?.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      try compute(run)
    }
  }

  private func compute(_ run: Invocation) throws(StackLensError) {
    let (taps, channels) = (geometry.kernelCount, geometry.groupCount)
    let rows = geometry.batch * geometry.outputPixels
    let zeros = (run.scratch + zeroRoom).assumingMemoryBound(to: Float.self)
    zeros.update(repeating: 0, count: channels)
    let tables = (run.scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
    let (x, w) = (try run.input(0).floats, weight.floats)
    let bias = run.inputs.count > 2 ? run.inputs[2]?.floats : nil
    let residual = run.inputs.count > 3 ? run.inputs[3]?.floats : nil
    run.parallel.forEach(parts) { part in
      let (first, last) = (part * block, min(rows, (part + 1) * block))
      guard first < last else { return }
      var native = geometry.native
      let table = tables + part * block * taps
      slk_taps_fill(&native, x, channels, zeros, first, last, table)
      // Few pixels at a time, so that the activation finds them in the cache.
      for start in stride(from: first, to: last, by: 4) {
        let count = min(4, last - start)
        let y = run.outputs[0].floats + start * channels
        slk_depthwise_taps_f32(
          taps, channels, table + (start - first) * taps, w, bias, y, channels, count)
        if let residual {
          slk_binary_f32(
            Int32(SLK_BINARY_ADD.rawValue), y, 1, residual + start * channels, 1, y,
            count * channels)
        }
        form.activation.apply(y, count * channels)
      }
    }
  }
}
