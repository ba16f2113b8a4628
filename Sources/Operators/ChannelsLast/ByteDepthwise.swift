import Base
import CKernels
import Tensors

/// A convolution over bytes with their channels last in which every channel has a kernel of its own.
struct ByteDepthwise: Sendable {
  private let form: ByteConvolutionForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weight: Tensor
  private let plan: ScratchPlan
  private let (outsideRoom, tableRoom): (Int, Int)
  private let parts: Int
  /// Pixels whose taps are listed at a time.
  private static let block = 32

  /// Nil where the convolution has another form.
  init?(_ preparation: Preparation) throws(StackLensError) {
    guard var form = try ByteConvolutionForm(preparation), form.geometry.inputChannels == 1,
      form.geometry.outputChannels == 1
    else { return nil }
    let (taps, channels) = (form.geometry.kernelCount, form.geometry.groupCount)
    form.arrange(
      (0..<slk_depthwise_i8_stored(channels)).map { slk_depthwise_i8_channel(channels, $0) })
    guard
      let packed = try preparation.packed(
        3, layout: "depthwise bytes", byteCount: slk_depthwise_i8_packed_bytes(taps, channels),
        fill: { source, target in
          slk_depthwise_i8_pack(
            source.base.assumingMemoryBound(to: Int8.self), taps, channels, target)
        })
    else { return nil }
    (self.form, weight) = (form, packed)
    let rows = try Shape([form.geometry.batch, form.geometry.outputPixels]).count
    let blocks = (rows + Self.block - 1) / Self.block
    let isSmall = rows * channels * taps < 1 << 15
    parts =
      isSmall ? 1 : min(blocks, preparation.threadCount == 1 ? 1 : preparation.threadCount * 4)
    var plan = ScratchPlan()
    outsideRoom = try plan.reserve(channels, of: UInt8.self)
    tableRoom = try plan.reserve(
      Shape([parts, Self.block, taps]).count, of: UnsafePointer<UInt8>?.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (taps, channels) = (geometry.kernelCount, geometry.groupCount)
      let rows = geometry.batch * geometry.outputPixels
      let outside = (run.scratch + outsideRoom).assumingMemoryBound(to: UInt8.self)
      outside.update(repeating: form.xZero, count: channels)
      let tables = (run.scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<UInt8>?.self)
      let x = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
      let blocks = (rows + Self.block - 1) / Self.block
      run.parallel.forEach(parts) { part in
        var native = geometry.native
        let table = tables + part * Self.block * taps
        form.withEnding(run) { ending in
          for block in blocks * part / parts..<blocks * (part + 1) / parts {
            let (first, last) = (block * Self.block, min(rows, (block + 1) * Self.block))
            slk_taps_fill_bytes(&native, x, channels, outside, first, last, table)
            slk_depthwise_i8(
              taps, channels, table, weight.base, &ending, y + first * channels, last - first)
          }
        }
      }
    }
  }
}
