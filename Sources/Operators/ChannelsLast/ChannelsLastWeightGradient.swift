import Base
import CKernels
import Tensors

/// The gradients of weights and bias of a convolution with its channels last: the products of what is
/// read, [terms, pixels], with what arrives, [pixels, outputs]. A line of ones behind the terms gives
/// the bias. Runs of pixels are summed by themselves and then together, so that a few large weights as
/// well as many small ones keep all threads busy.
struct ChannelsLastWeightGradient: Sendable {
  private let geometry: ConvolutionGeometry
  private let source: ChannelsLastSource
  /// Pixels that are multiplied together, and how many such blocks a part of the sum has.
  private let (blockPixels, blocksPerPart, partCount): (Int, Int, Int)
  /// Terms that one call computes, and how many of them there are.
  private let (chunkRows, chunkCount, slots): (Int, Int, Int)
  private let rows: Int
  private let plan: ScratchPlan
  private let (packedRoom, tableRoom, copyRoom): (Int, Int, Int)
  private let (sumRoom, orderedRoom): (Int, Int)
  private let packedBytes: Int

  /// Floats of the partial sums of all parts.
  private static let sumFloats = 1 << 18
  /// Floats of the copied pixels of one call: they stay in the cache between the tiles.
  private static let copyFloats = 1 << 15

  /// Nil where there is nothing to compute or the kernel has a depth.
  init?(_ preparation: Preparation, _ geometry: ConvolutionGeometry) throws(StackLensError) {
    let (terms, outputs) = (geometry.termCount, geometry.outputChannels)
    guard !geometry.isEmpty, terms > 0, geometry.axes[0].kernel == 1, terms < 1 << 31,
      outputs < 1 << 31
    else { return nil }
    self.geometry = geometry
    var plan = ScratchPlan()
    source = try ChannelsLastSource(geometry, plan: &plan)
    let pixels = try Shape([geometry.batch, geometry.outputPixels]).count
    rows = terms + 1
    blockPixels = min(pixels, 128)
    let blocks = (pixels + blockPixels - 1) / blockPixels
    // Of extents alone: how the sum is cut must not depend on the threads.
    let most = max(1, min(16, Self.sumFloats / (rows * outputs)))
    blocksPerPart = (blocks + most - 1) / most
    partCount = (blocks + blocksPerPart - 1) / blocksPerPart
    let tile = slk_gemm_tile_rows()
    let threads = preparation.threadCount
    let wanted = threads == 1 ? 1 : (2 * threads + partCount - 1) / partCount
    let cached = max(tile, Self.copyFloats / blockPixels / tile * tile)
    let shared = ((rows + wanted - 1) / wanted + tile - 1) / tile * tile
    chunkRows = min(cached, max(tile, shared))
    chunkCount = (rows + chunkRows - 1) / chunkRows
    let items = try Shape([partCount, chunkCount, geometry.groupCount]).count
    slots = min(items, threads == 1 ? 1 : threads * 2)
    packedBytes = (slk_gemm_f32_packed_bytes(blockPixels, outputs) + 63) & ~63
    packedRoom = try plan.reserve(try Shape([slots, packedBytes]).count, of: UInt8.self)
    tableRoom = try plan.reserve(
      try Shape([slots, blockPixels, source.taps]).count, of: UnsafePointer<Float>?.self)
    copyRoom = try plan.reserve(
      try Shape([slots, blockPixels, chunkRows]).count, of: Float.self)
    sumRoom = try plan.reserve(
      try Shape([partCount, geometry.groupCount, rows, outputs]).count, of: Float.self)
    orderedRoom = try plan.reserve(try Shape([terms, outputs]).count, of: Float.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let g = UnsafePointer(try run.input(0).floats)
      let image = source.image(try run.input(1).floats, run.scratch, run.parallel)
      let items = partCount * chunkCount * geometry.groupCount
      run.parallel.forEach(slots) { slot in
        for item in items * slot / slots..<items * (slot + 1) / slots {
          let (rest, group) = item.quotientAndRemainder(dividingBy: geometry.groupCount)
          let (part, chunk) = rest.quotientAndRemainder(dividingBy: chunkCount)
          sum(part, group, chunk, g, image, run.scratch, slot)
        }
      }
      finish(run)
    }
  }

  /// The sum of one part over one chunk of terms of one group.
  private func sum(
    _ part: Int, _ group: Int, _ chunk: Int, _ g: UnsafePointer<Float>,
    _ image: ChannelsLastSource.Image, _ scratch: UnsafeMutableRawPointer, _ slot: Int
  ) {
    let outputs = geometry.outputChannels
    let results = geometry.groupCount * outputs
    let packed = scratch + packedRoom + slot * packedBytes
    let table =
      (scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
      + slot * blockPixels * source.taps
    let copy =
      (scratch + copyRoom).assumingMemoryBound(to: Float.self) + slot * blockPixels * chunkRows
    let sums =
      (scratch + sumRoom).assumingMemoryBound(to: Float.self)
      + (part * geometry.groupCount + group) * rows * outputs
    let range = chunk * chunkRows..<min(rows, (chunk + 1) * chunkRows)
    let terms = min(range.upperBound, rows - 1) - range.lowerBound
    let pixels = geometry.batch * geometry.outputPixels
    let panels = slk_gemm_f32_panel_count(outputs)
    let blocks = (pixels + blockPixels - 1) / blockPixels
    var epilogue = slk_epilogue_none()
    for block in part * blocksPerPart..<min(blocks, (part + 1) * blocksPerPart) {
      let first = block * blockPixels
      let last = min(pixels, first + blockPixels)
      slk_gemm_f32_pack(
        g + first * results + group * outputs, last - first, outputs, results, 1, packed, 0, panels)
      if terms > 0 {
        image.fill(table, first, last, channel: group * geometry.inputChannels)
        slk_taps_copy_f32(
          source.taps, source.units, range.lowerBound, terms, table, last - first, copy,
          range.count)
      }
      if terms < range.count {
        for pixel in 0..<last - first { copy[pixel * range.count + terms] = 1 }
      }
      slk_gemm_f32_turned(
        last - first, outputs, copy, range.count, 1, packed, sums + range.lowerBound * outputs,
        outputs, &epilogue, 0, range.count, 0, panels)
      epilogue.accumulate = true
    }
  }

  /// The sum of the parts, in the order of the weights.
  private func finish(_ run: Invocation) {
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    let sums = (run.scratch + sumRoom).assumingMemoryBound(to: Float.self)
    let ordered = (run.scratch + orderedRoom).assumingMemoryBound(to: Float.self)
    let size = geometry.groupCount * rows * outputs
    let sum = Int32(SLK_BINARY_ADD.rawValue)
    for group in 0..<geometry.groupCount {
      let own = sums + group * rows * outputs
      run.parallel.ranges(rows, grain: max(1, cheapGrain / (outputs * partCount))) { range in
        for row in range {
          // From the order of the source, kernel positions first, to that of the weights.
          let (tap, channel) = row.quotientAndRemainder(dividingBy: channels)
          let target =
            row == rows - 1
            ? run.outputs[1].floats + group * outputs
            : ordered + (channel * geometry.kernelCount + tap) * outputs
          target.update(from: own + row * outputs, count: outputs)
          for part in 1..<max(1, partCount) {
            slk_binary_f32(sum, target, 1, own + part * size + row * outputs, 1, target, outputs)
          }
        }
      }
      geometry.putWeights(
        ordered, run.outputs[0].floats + group * outputs * geometry.termCount, run.parallel)
    }
  }
}

extension ConvolutionGeometry {
  /// Weights of one group as the kernels make them, [inputs, kernel, outputs], with their outputs first.
  func putWeights(
    _ ordered: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ parallel: Parallel
  ) {
    let (terms, outputs) = (termCount, outputChannels)
    parallel.ranges(outputs, grain: max(16, cheapGrain / max(1, terms))) { range in
      slk_transpose(
        ordered + range.lowerBound, outputs, target + range.lowerBound * terms, terms, terms,
        range.count, 4)
    }
  }
}
