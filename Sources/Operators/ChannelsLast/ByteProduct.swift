import Base
import CKernels
import Tensors

/// A convolution over bytes with their channels last as an exact product with packed weights: the
/// pixels are read where they lie, one run of channels for each kernel position.
struct ByteProduct: Sendable {
  private let form: ByteConvolutionForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weight: Tensor
  /// Bytes of the packed weights of one group.
  private let groupBytes: Int
  /// Kernel positions and the bytes that each of them reads; with few channels a line of the kernel is
  /// one position in a copy with padding.
  private let (taps, run): (Int, Int)
  private let padded: (height: Int, width: Int)?
  private let parts: Parts
  private let plan: ScratchPlan
  private let (padRoom, tableRoom): (Int, Int)

  /// How the work is cut: blocks of pixels that stay in the cache, and runs of panels.
  private struct Parts: Sendable {
    let rowBlock: Int
    let rowParts: Int
    let panelParts: Int

    init(rows: Int, terms: Int, channels: Int, panels: Int, threadCount: Int) {
      let tile = slk_taps_i8_tile_rows()
      let cached = max(tile, min(128, (1 << 16) / max(channels, 1)) / tile * tile)
      let least = (rows + cached - 1) / cached
      let isSmall = Double(rows) * Double(terms) * Double(panels) < 16_384
      let wanted: Int = threadCount == 1 || isSmall ? 1 : threadCount * 2
      panelParts = least >= wanted ? 1 : min(panels, (wanted + least - 1) / least)
      let blocks = max(least, (wanted + panelParts - 1) / panelParts)
      let length = (rows + blocks - 1) / blocks
      rowBlock = (length + tile - 1) / tile * tile
      rowParts = (rows + rowBlock - 1) / rowBlock
    }
  }

  /// Nil where the weights are not constant or the kernel has a depth.
  init?(_ preparation: Preparation) throws(StackLensError) {
    guard let form = try ByteConvolutionForm(preparation) else { return nil }
    self.form = form
    let geometry = form.geometry
    let n = geometry.outputChannels
    padded = Self.padded(geometry)
    let width = padded == nil ? 1 : geometry.axes[2].kernel
    (taps, run) = (geometry.kernelCount / width, geometry.inputChannels * width)
    let (taps, run) = (taps, run)
    groupBytes = (slk_taps_i8_packed_bytes(taps, run, n) + 63) & ~63
    let groupBytes = groupBytes
    let (byteCount, overflow) = groupBytes.multipliedReportingOverflow(by: geometry.groupCount)
    guard !overflow else { return nil }
    guard
      let packed = try preparation.packed(
        3, layout: "channels last bytes \(geometry.groupCount) \(run)", byteCount: byteCount,
        fill: { Self.pack($0, geometry, taps, run, $1, groupBytes, preparation.parallel) })
    else { return nil }
    weight = packed
    var plan = ScratchPlan()
    let rows = try Shape([geometry.batch, geometry.outputPixels]).count
    parts = Parts(
      rows: rows, terms: geometry.termCount, channels: geometry.inputChannels,
      panels: slk_taps_i8_panel_count(n), threadCount: preparation.threadCount)
    if let padded {
      let shape = try Shape([geometry.batch, padded.height, padded.width, geometry.inputChannels])
      padRoom = try plan.reserve(shape.count, of: UInt8.self)
    } else {
      padRoom = try plan.reserve(geometry.inputChannels, of: UInt8.self)
    }
    tableRoom = try plan.reserve(
      Shape([parts.rowParts * parts.panelParts, parts.rowBlock, taps]).count,
      of: UnsafePointer<UInt8>?.self)
    self.plan = plan
  }

  private static func padded(_ geometry: ConvolutionGeometry) -> (height: Int, width: Int)? {
    let (height, width) = (geometry.axes[1], geometry.axes[2])
    guard geometry.inputChannels < 16, geometry.groupCount == 1, width.dilation == 1,
      width.kernel > 1, height.padBegin >= 0, width.padBegin >= 0
    else { return nil }
    let lines = max(
      (height.output - 1) * height.stride + height.reach, height.input + height.padBegin)
    let columns = max((width.output - 1) * width.stride + width.reach, width.input + width.padBegin)
    guard lines / 2 <= height.input, columns / 2 <= width.input else { return nil }
    return (lines, columns)
  }

  /// Kernel positions become the outer part of K, channels the inner one.
  private static func pack(
    _ w: Tensor, _ geometry: ConvolutionGeometry, _ taps: Int, _ run: Int,
    _ target: UnsafeMutableRawPointer, _ groupBytes: Int, _ parallel: Parallel
  ) {
    let (k, n) = (geometry.termCount, geometry.outputChannels)
    let (positions, channels) = (geometry.kernelCount, geometry.inputChannels)
    parallel.ranges(geometry.groupCount, grain: 1) { groups in
      for group in groups {
        let source = w.base.assumingMemoryBound(to: Int8.self) + group * n * k
        let ordered = [Int8](unsafeUninitializedCapacity: n * k) { buffer, count in
          for row in 0..<n {
            for position in 0..<positions {
              for channel in 0..<channels {
                buffer[row * k + position * channels + channel] =
                  source[row * k + channel * positions + position]
              }
            }
          }
          count = n * k
        }
        slk_taps_i8_pack(ordered, taps, run, n, target + group * groupBytes)
      }
    }
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      try compute(run)
    }
  }

  private func compute(_ invocation: Invocation) throws(StackLensError) {
    var image = UnsafePointer(try invocation.input(0).base.assumingMemoryBound(to: UInt8.self))
    let inputs = geometry.groupCount * geometry.inputChannels
    let outside = (invocation.scratch + padRoom).assumingMemoryBound(to: UInt8.self)
    var shape = geometry.native
    if let padded {
      geometry.frame(image, with: form.xZero, outside, padded, invocation.parallel)
      image = UnsafePointer(outside)
      shape.input = (1, padded.height, padded.width)
      shape.kernel.2 = 1
      shape.pad = (0, 0, 0)
    } else {
      outside.update(repeating: form.xZero, count: geometry.inputChannels)
    }
    let tables = (invocation.scratch + tableRoom).assumingMemoryBound(
      to: UnsafePointer<UInt8>?.self)
    let rows = geometry.batch * geometry.outputPixels
    let panels = slk_taps_i8_panel_count(geometry.outputChannels)
    let (native, x) = (shape, image)
    let y = invocation.outputs[0].base.assumingMemoryBound(to: UInt8.self)
    let outputs = geometry.groupCount * geometry.outputChannels
    invocation.parallel.forEach(parts.rowParts * parts.panelParts) { part in
      let (block, share) = part.quotientAndRemainder(dividingBy: parts.panelParts)
      let (first, last) = (block * parts.rowBlock, min(rows, (block + 1) * parts.rowBlock))
      let range = panels * share / parts.panelParts..<panels * (share + 1) / parts.panelParts
      let table = tables + part * parts.rowBlock * taps
      for group in 0..<geometry.groupCount {
        var native = native
        slk_taps_fill_bytes(
          &native, x + group * geometry.inputChannels, inputs, outside, first, last, table)
        form.withEnding(invocation, group: group) { ending in
          slk_taps_i8(
            taps, run, geometry.outputChannels, table, weight.base + group * groupBytes, &ending,
            y + group * geometry.outputChannels, outputs, first, last, range.lowerBound,
            range.upperBound)
        }
      }
    }
  }
}
