import Base
import CKernels
import Tensors

/// A convolution over images with their channels last in which every channel has a kernel of its own.
struct ChannelsLastDepthwise: Sendable {
  private let form: ChannelsLastForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weight: Tensor
  private let plan: ScratchPlan
  private let (zeroRoom, tileRoom, tilePointers): (Int, Int, Int)
  private let parts: Parts

  /// How the work is cut: runs of lines, and of channels where the lines are few.
  private struct Parts: Sendable {
    let (lines, lineParts): (Int, Int)
    let (channels, channelParts): (Int, Int)

    init(lines: Int, pixels: Int, channels: Int, threadCount: Int) {
      self.lines = lines
      self.channels = channels
      let vectors = (channels + 15) / 16
      let wanted = threadCount == 1 ? 1 : threadCount * 4
      // A part should have a few thousand products to do.
      let most = max(1, pixels * vectors / 512)
      channelParts = lines >= wanted ? 1 : min(threadCount, vectors)
      let shares = (wanted + channelParts - 1) / channelParts
      lineParts = max(1, min(lines, most / channelParts, shares))
    }

    var count: Int { lineParts * channelParts }

    subscript(part: Int) -> (lines: Range<Int>, channels: Range<Int>) {
      let (line, share) = part.quotientAndRemainder(dividingBy: channelParts)
      let vectors = (channels + 15) / 16
      let first = vectors * share / channelParts * 16
      let last = min(channels, vectors * (share + 1) / channelParts * 16)
      return (lines * line / lineParts..<lines * (line + 1) / lineParts, first..<last)
    }
  }

  /// Nil where the convolution has another form or its weights are not constant.
  init?(_ preparation: Preparation) throws(StackLensError) {
    guard let form = try ChannelsLastForm(preparation), !form.isGated else { return nil }
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
    var native = geometry.native
    tilePointers = Int(clamping: slk_depthwise_room(&native))
    guard tilePointers < 1 << 20 else { return nil }
    parts = Parts(
      lines: try Shape([geometry.batch, geometry.axes[1].output]).count,
      pixels: try Shape([geometry.batch, geometry.outputPixels]).count, channels: channels,
      threadCount: preparation.threadCount)
    var plan = ScratchPlan()
    zeroRoom = try plan.reserve(channels, of: Float.self)
    tileRoom = try plan.reserve(parts.count * tilePointers, of: UnsafePointer<Float>?.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      try compute(run)
    }
  }

  private func compute(_ run: Invocation) throws(StackLensError) {
    let (channels, width) = (geometry.groupCount, geometry.axes[2].output)
    let zeros = (run.scratch + zeroRoom).assumingMemoryBound(to: Float.self)
    zeros.update(repeating: 0, count: channels)
    let tiles = (run.scratch + tileRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
    let (x, y) = (try run.input(0).floats, run.outputs[0].floats)
    let bias = run.inputs.count > 2 ? run.inputs[2]?.floats : nil
    let residual = run.inputs.count > 3 ? run.inputs[3]?.floats : nil
    run.parallel.forEach(parts.count) { part in
      let (lines, share) = parts[part]
      var native = geometry.native
      // Line by line, so that the activation finds them in the cache.
      for line in lines {
        slk_depthwise_lines_f32(
          &native, x, channels, weight.floats, bias, zeros, tiles + part * tilePointers, y, line,
          line + 1, share.lowerBound, share.upperBound)
        guard residual != nil || form.activation != .none else { continue }
        let isWhole = share.count == channels
        for pixel in 0..<(isWhole ? 1 : width) {
          let start = (line * width + pixel) * channels + share.lowerBound
          let count = isWhole ? width * channels : share.count
          if let residual {
            slk_binary_f32(
              Int32(SLK_BINARY_ADD.rawValue), y + start, 1, residual + start, 1, y + start, count)
          }
          form.activation.apply(y + start, count)
        }
      }
    }
  }
}
