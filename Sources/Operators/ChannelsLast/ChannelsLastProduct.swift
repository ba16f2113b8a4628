import Base
import CKernels
import Tensors

/// A convolution over images with their channels last as a product with packed weights: the pixels
/// are rows of A where they lie, one run of channels for each kernel position.
struct ChannelsLastProduct: Sendable {
  private let form: ChannelsLastForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weights: ChannelsLastWeights
  /// Bytes of the packed weights of one group.
  private let groupBytes: Int
  private let source: ChannelsLastSource
  private let parts: Parts
  private let plan: ScratchPlan
  private let tableRoom: Int
  private let gate: Gate
  private let gateRoom: Int

  /// Where the factors of the channels go.
  private enum Gate: Sendable {
    case none
    /// Into the weights: there is one image, and it has more pixels than the result has channels.
    case weights
    /// Into a copy of each block of pixels.
    case pixels
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

  /// Nil where the kernel has a depth.
  init?(_ preparation: Preparation, _ form: ChannelsLastForm?) throws(StackLensError) {
    guard let form else { return nil }
    self.form = form
    let geometry = form.geometry
    guard geometry.termCount > 0, geometry.axes[0].kernel == 1 else { return nil }
    let (k, n) = (geometry.termCount, geometry.outputChannels)
    guard k < 1 << 31, n < 1 << 31 else { return nil }
    groupBytes = (slk_gemm_f32_packed_bytes(k, n) + 63) & ~63
    let (byteCount, overflow) = groupBytes.multipliedReportingOverflow(by: geometry.groupCount)
    guard !overflow else { return nil }
    let groupBytes = groupBytes
    var plan = ScratchPlan()
    weights = try ChannelsLastWeights(
      preparation, form, layout: "channels last \(geometry.groupCount)", byteCount: byteCount,
      plan: &plan,
      fill: { ordered, target, parallel in
        let panels = slk_gemm_f32_panel_count(n)
        parallel.forEach(geometry.groupCount * panels) { part in
          let (group, panel) = part.quotientAndRemainder(dividingBy: panels)
          slk_gemm_f32_pack_taps(
            ordered + group * n * k, geometry.kernelCount, geometry.inputChannels, n,
            form.isGradient, target + group * groupBytes, panel, panel + 1)
        }
      })
    source = try ChannelsLastSource(geometry, plan: &plan)
    guard !form.isGated || source.isRows && geometry.groupCount == 1 else { return nil }
    let rows = try Shape([geometry.batch, geometry.outputPixels]).count
    gate = !form.isGated ? .none : geometry.batch == 1 && rows > n ? .weights : .pixels
    parts = Parts(
      rows: rows, channels: geometry.inputChannels, panels: slk_gemm_f32_panel_count(n),
      threadCount: preparation.threadCount)
    let tables = try Shape([parts.rowParts * parts.panelParts, parts.rowBlock, source.taps]).count
    tableRoom = try plan.reserve(source.isRows ? 0 : tables, of: UnsafePointer<Float>?.self)
    switch gate {
    case .none: gateRoom = 0
    case .weights: gateRoom = try plan.reserve(groupBytes, of: UInt8.self)
    case .pixels:
      gateRoom = try plan.reserve(
        try Shape([parts.rowParts * parts.panelParts, parts.rowBlock, k]).count, of: Float.self)
    }
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      try compute(run)
    }
  }

  private func compute(_ run: Invocation) throws(StackLensError) {
    let x = UnsafePointer(try run.input(0).floats)
    let weights = try gated(weights.packed(run), run)
    let image = source.image(x, run.scratch, run.parallel)
    let inputs = geometry.groupCount * geometry.inputChannels
    let tables = (run.scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
    let rows = geometry.batch * geometry.outputPixels
    let panels = slk_gemm_f32_panel_count(geometry.outputChannels)
    run.parallel.forEach(parts.rowParts * parts.panelParts) { part in
      let (block, share) = part.quotientAndRemainder(dividingBy: parts.panelParts)
      let (first, last) = (block * parts.rowBlock, min(rows, (block + 1) * parts.rowBlock))
      let range = panels * share / parts.panelParts..<panels * (share + 1) / parts.panelParts
      let table = tables + part * parts.rowBlock * source.taps
      for group in 0..<geometry.groupCount {
        var epilogue = form.epilogue(run, group: group)
        let y = run.outputs[0].floats + group * geometry.outputChannels
        let packed = weights + group * groupBytes
        let channel = group * geometry.inputChannels
        if source.isRows {
          slk_gemm_f32(
            geometry.inputChannels, geometry.outputChannels,
            gated(x, first..<last, part, run) + channel, inputs, packed, y,
            geometry.groupCount * geometry.outputChannels, &epilogue, first, last,
            range.lowerBound, range.upperBound)
        } else {
          image.fill(table, first, last, channel: channel)
          slk_gemm_taps_f32(
            source.taps, source.units, geometry.outputChannels, table, packed, y,
            geometry.groupCount * geometry.outputChannels, &epilogue, first, last,
            range.lowerBound, range.upperBound)
        }
      }
    }
  }

  /// The weights with the factors of the one image, where they go there.
  private func gated(
    _ weights: UnsafeMutableRawPointer, _ run: Invocation
  ) throws(StackLensError) -> UnsafeMutableRawPointer {
    guard case .weights = gate else { return weights }
    let factors = try run.input(4).floats
    let (k, n) = (geometry.inputChannels, geometry.outputChannels)
    let scaled = run.scratch + gateRoom
    run.parallel.ranges(slk_gemm_f32_panel_count(n), grain: max(1, cheapGrain / (48 * k))) {
      slk_gemm_f32_scale_packed(weights, k, n, factors, scaled, $0.lowerBound, $0.upperBound)
    }
    return scaled
  }

  /// Where the first image's pixel 0 would lie for the rows of a part to be found: in the image, or in a
  /// copy of these rows with the factors of their images.
  private func gated(
    _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ part: Int, _ run: Invocation
  ) -> UnsafePointer<Float> {
    guard case .pixels = gate, let factors = run.inputs[4]?.floats else { return x }
    let k = geometry.inputChannels
    let copy =
      (run.scratch + gateRoom).assumingMemoryBound(to: Float.self) + part * parts.rowBlock * k
    for row in rows {
      slk_binary_f32(
        Int32(SLK_BINARY_MUL.rawValue), x + row * k, 1, factors + row / geometry.outputPixels * k,
        1,
        copy + (row - rows.lowerBound) * k, k)
    }
    return UnsafePointer(copy) - rows.lowerBound * k
  }
}
