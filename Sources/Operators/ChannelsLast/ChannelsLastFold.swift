import Base
import CKernels
import Tensors

/// The gradient of the data of a convolution whose strides leave gaps: a product gives what each
/// gradient adds to the pixels that were read for it, line after line of each image.
struct ChannelsLastFold: Sendable {
  private let geometry: ConvolutionGeometry
  private let weights: ChannelsLastWeights
  private let groupBytes: Int
  private let (linesPerBlock, slots, slotFloats): (Int, Int, Int)
  private let plan: ScratchPlan
  private let room: Int

  /// Products of about this many floats are made at a time.
  private static let blockFloats = 1 << 16

  /// - Parameter geometry: of the convolution. Nil where there is nothing to multiply, or its kernel
  ///   has a depth.
  init?(_ preparation: Preparation, _ geometry: ConvolutionGeometry) throws(StackLensError) {
    let (k, n) = (geometry.outputChannels, geometry.termCount)
    guard !geometry.isEmpty, n > 0, geometry.axes[0].kernel == 1, k < 1 << 31, n < 1 << 31
    else { return nil }
    let form = ChannelsLastForm(weightsOf: geometry)
    self.geometry = geometry
    groupBytes = (slk_gemm_f32_packed_bytes(k, n) + 63) & ~63
    let groupBytes = groupBytes
    var plan = ScratchPlan()
    weights = try ChannelsLastWeights(
      preparation, form, layout: "folded \(geometry.groupCount)",
      byteCount: try Shape([geometry.groupCount, groupBytes]).count, plan: &plan,
      fill: { ordered, target, parallel in
        let panels = slk_gemm_f32_panel_count(n)
        parallel.forEach(geometry.groupCount * panels) { part in
          let (group, panel) = part.quotientAndRemainder(dividingBy: panels)
          slk_gemm_f32_pack(
            ordered + group * n * k, k, n, n, 1, target + group * groupBytes, panel, panel + 1)
        }
      })
    let width = geometry.axes[2].output
    linesPerBlock = max(1, min(geometry.axes[1].output, Self.blockFloats / width / n))
    slotFloats = try Shape([linesPerBlock, width, n]).count
    let threads = preparation.threadCount
    slots = min(geometry.batch, threads == 1 ? 1 : threads * 2)
    room = try plan.reserve(try Shape([slots, slotFloats]).count, of: Float.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let g = try run.input(0).floats
      let dx = run.outputs[0].floats
      let weights = try weights.packed(run)
      let rooms = (run.scratch + room).assumingMemoryBound(to: Float.self)
      let size = geometry.inputPixels * geometry.groupCount * geometry.inputChannels
      run.parallel.forEach(slots) { slot in
        for image in geometry.batch * slot / slots..<geometry.batch * (slot + 1) / slots {
          (dx + image * size).update(repeating: 0, count: size)
          for group in 0..<geometry.groupCount {
            for line in stride(from: 0, to: geometry.axes[1].output, by: linesPerBlock) {
              let lines = line..<min(geometry.axes[1].output, line + linesPerBlock)
              add(image, group, lines, g, weights, rooms + slot * slotFloats, dx + image * size)
            }
          }
        }
      }
    }
  }

  private func add(
    _ image: Int, _ group: Int, _ lines: Range<Int>, _ g: UnsafePointer<Float>,
    _ weights: UnsafeMutableRawPointer, _ products: UnsafeMutablePointer<Float>,
    _ dx: UnsafeMutablePointer<Float>
  ) {
    let (height, width) = (geometry.axes[1], geometry.axes[2])
    let (channels, n) = (geometry.inputChannels, geometry.termCount)
    let outputs = geometry.groupCount * geometry.outputChannels
    let inputs = geometry.groupCount * channels
    let first = image * geometry.outputPixels + lines.lowerBound * width.output
    var none = slk_epilogue_none()
    slk_gemm_f32(
      geometry.outputChannels, n, g + first * outputs + group * geometry.outputChannels, outputs,
      weights + group * groupBytes, products, n, &none, 0, lines.count * width.output, 0,
      slk_gemm_f32_panel_count(n))
    let sum = Int32(SLK_BINARY_ADD.rawValue)
    var source = UnsafePointer(products)
    for line in lines {
      for column in 0..<width.output {
        for ky in 0..<height.kernel {
          let y = line * height.stride + ky * height.dilation - height.padBegin
          for kx in 0..<width.kernel {
            let x = column * width.stride + kx * width.dilation - width.padBegin
            if y >= 0, y < height.input, x >= 0, x < width.input {
              let target = dx + (y * width.input + x) * inputs + group * channels
              slk_binary_f32(sum, target, 1, source, 1, target, channels)
            }
            source += channels
          }
        }
      }
    }
  }
}
