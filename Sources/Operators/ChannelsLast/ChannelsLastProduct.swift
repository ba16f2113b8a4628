import Base
import CKernels
import Tensors

/// A convolution over images with their channels last as a product with packed weights: the pixels
/// are rows of A where they lie, one run of channels for each kernel position.
struct ChannelsLastProduct: Sendable {
  private let form: ChannelsLastForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weight: Tensor
  /// Bytes of the packed weights of one group.
  private let groupBytes: Int
  /// How the product reads the image.
  private let source: Source
  private let parts: Parts
  private let plan: ScratchPlan
  private let (padRoom, tableRoom): (Int, Int)

  private enum Source: Sendable {
    /// Pixels are rows as they are.
    case rows
    /// A pointer for each kernel position; zeros where the padding is.
    case taps
    /// A copy with its padding, in which a line of the kernel is one run: for few channels.
    case padded(height: Int, width: Int)
  }

  /// How the work is cut: blocks of pixels that stay in the cache, and runs of panels.
  private struct Parts: Sendable {
    let rowBlock: Int
    let rowParts: Int
    let panelParts: Int

    init(rows: Int, channels: Int, panels: Int, threadCount: Int) {
      let tile = slk_gemm_tile_rows()
      let cached = max(tile, min(128, (1 << 17) / max(channels, 1)) / tile * tile)
      let least = (rows + cached - 1) / cached
      let wanted = threadCount == 1 ? 1 : threadCount * 4
      // Too few blocks for all threads: share the columns, and with them the weights to read.
      panelParts = least >= wanted ? 1 : min(panels, (wanted + least - 1) / least)
      let blocks = max(least, (wanted + panelParts - 1) / panelParts)
      let even = (blocks + threadCount - 1) / threadCount * threadCount
      let length = (rows + even - 1) / even
      rowBlock = (length + tile - 1) / tile * tile
      rowParts = (rows + rowBlock - 1) / rowBlock
    }
  }

  /// Nil where the weights are not constant or the kernel has a depth.
  init?(_ preparation: Preparation) throws(StackLensError) {
    guard let form = try ChannelsLastForm(preparation) else { return nil }
    self.form = form
    let geometry = form.geometry
    guard geometry.termCount > 0, geometry.axes[0].kernel == 1 else { return nil }
    let (k, n) = (geometry.termCount, geometry.outputChannels)
    guard k < 1 << 31, n < 1 << 31 else { return nil }
    groupBytes = (slk_gemm_f32_packed_bytes(k, n) + 63) & ~63
    let (byteCount, overflow) = groupBytes.multipliedReportingOverflow(by: geometry.groupCount)
    guard !overflow else { return nil }
    let groupBytes = groupBytes
    guard
      let packed = try preparation.packed(
        1, layout: "channels last \(geometry.groupCount)", byteCount: byteCount,
        fill: { source, target in
          Self.pack(source.floats, geometry, target, groupBytes, preparation.parallel)
        })
    else { return nil }
    weight = packed
    var plan = ScratchPlan()
    source = Self.source(geometry)
    if case .padded(let height, let width) = source {
      let shape = try Shape([
        geometry.batch, height, width, geometry.groupCount * geometry.inputChannels,
      ])
      padRoom = try plan.reserve(shape.count, of: Float.self)
    } else {
      padRoom = try plan.reserve(geometry.inputChannels, of: Float.self)
    }
    let rows = try Shape([geometry.batch, geometry.outputPixels]).count
    parts = Parts(
      rows: rows, channels: geometry.inputChannels, panels: slk_gemm_f32_panel_count(n),
      threadCount: preparation.threadCount)
    let tables = try Shape([
      parts.rowParts * parts.panelParts, parts.rowBlock, geometry.kernelCount,
    ]).count
    if case .rows = source {
      tableRoom = 0
    } else {
      tableRoom = try plan.reserve(tables, of: UnsafePointer<Float>?.self)
    }
    self.plan = plan
  }

  private static func source(_ geometry: ConvolutionGeometry) -> Source {
    let (height, width) = (geometry.axes[1], geometry.axes[2])
    if geometry.isPointwise { return .rows }
    guard geometry.inputChannels < 16, geometry.groupCount == 1, width.dilation == 1,
      width.kernel > 1, height.padBegin >= 0, width.padBegin >= 0
    else { return .taps }
    let lines = max(
      (height.output - 1) * height.stride + height.reach, height.input + height.padBegin)
    let columns = max((width.output - 1) * width.stride + width.reach, width.input + width.padBegin)
    guard lines / 2 <= height.input, columns / 2 <= width.input else { return .taps }
    return .padded(height: lines, width: columns)
  }

  /// Kernel positions become the outer part of K, channels the inner one.
  private static func pack(
    _ w: UnsafePointer<Float>, _ geometry: ConvolutionGeometry, _ target: UnsafeMutableRawPointer,
    _ groupBytes: Int, _ parallel: Parallel
  ) {
    let (k, n) = (geometry.termCount, geometry.outputChannels)
    let (taps, channels) = (geometry.kernelCount, geometry.inputChannels)
    let panels = slk_gemm_f32_panel_count(n)
    for group in 0..<geometry.groupCount {
      let source = w + group * n * k
      let ordered = [Float](unsafeUninitializedCapacity: n * k) { buffer, count in
        for row in 0..<n {
          for tap in 0..<taps {
            for channel in 0..<channels {
              buffer[row * k + tap * channels + channel] = source[row * k + channel * taps + tap]
            }
          }
        }
        count = n * k
      }
      ordered.withUnsafeBufferPointer { ordered in
        guard let b = ordered.baseAddress else { return }
        let place = target + group * groupBytes
        parallel.ranges(panels, grain: 1) { range in
          slk_gemm_f32_pack(b, k, n, 1, k, place, range.lowerBound, range.upperBound)
        }
      }
    }
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      try compute(run)
    }
  }

  private func compute(_ run: Invocation) throws(StackLensError) {
    var x = UnsafePointer(try run.input(0).floats)
    let inputs = geometry.groupCount * geometry.inputChannels
    let zeros = (run.scratch + padRoom).assumingMemoryBound(to: Float.self)
    var native = geometry.native
    var (taps, units) = (geometry.kernelCount, geometry.inputChannels)
    switch source {
    case .rows: break
    case .taps: zeros.update(repeating: 0, count: geometry.inputChannels)
    case .padded(let height, let width):
      pad(x, zeros, height, width, run.parallel)
      x = UnsafePointer(zeros)
      (taps, units) = (geometry.axes[1].kernel, geometry.axes[2].kernel * inputs)
      native.input = (1, height, width)
      native.kernel.2 = 1
      native.pad = (0, 0, 0)
    }
    let tables = (run.scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
    let rows = geometry.batch * geometry.outputPixels
    let panels = slk_gemm_f32_panel_count(geometry.outputChannels)
    let (shape, image) = (native, x)
    run.parallel.forEach(parts.rowParts * parts.panelParts) { part in
      let (block, share) = part.quotientAndRemainder(dividingBy: parts.panelParts)
      let (first, last) = (block * parts.rowBlock, min(rows, (block + 1) * parts.rowBlock))
      let range = panels * share / parts.panelParts..<panels * (share + 1) / parts.panelParts
      let table = tables + part * parts.rowBlock * geometry.kernelCount
      for group in 0..<geometry.groupCount {
        var epilogue = form.epilogue(run, group: group)
        let y = run.outputs[0].floats + group * geometry.outputChannels
        let packed = weight.base + group * groupBytes
        let own = image + group * geometry.inputChannels
        if case .rows = source {
          slk_gemm_f32(
            units, geometry.outputChannels, own, inputs, packed, y,
            geometry.groupCount * geometry.outputChannels, &epilogue, first, last,
            range.lowerBound, range.upperBound)
        } else {
          var shape = shape
          slk_taps_fill(&shape, own, inputs, zeros, first, last, table)
          slk_gemm_taps_f32(
            taps, units, geometry.outputChannels, table, packed, y,
            geometry.groupCount * geometry.outputChannels, &epilogue, first, last,
            range.lowerBound, range.upperBound)
        }
      }
    }
  }

  /// The image inside a frame of zeros.
  private func pad(
    _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ height: Int, _ width: Int,
    _ parallel: Parallel
  ) {
    let (lines, columns) = (geometry.axes[1], geometry.axes[2])
    let channels = geometry.groupCount * geometry.inputChannels
    let (length, before) = (columns.input * channels, columns.padBegin * channels)
    parallel.ranges(geometry.batch * height, grain: 16) { range in
      for line in range {
        let (image, row) = line.quotientAndRemainder(dividingBy: height)
        let target = out + line * width * channels
        let inside = row - lines.padBegin
        guard inside >= 0, inside < lines.input else {
          target.update(repeating: 0, count: width * channels)
          continue
        }
        target.update(repeating: 0, count: before)
        (target + before).update(from: x + (image * lines.input + inside) * length, count: length)
        (target + before + length).update(repeating: 0, count: width * channels - before - length)
      }
    }
  }
}
