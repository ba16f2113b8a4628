import Base
import CKernels
import Tensors

/// The gradients of weights and bias of a 3 x 3 convolution by the transposes of what Winograd's
/// F(4x4, 3x3) does: data and gradient of each tile are transformed, 36 products sum over the tiles, and
/// the sums are transformed to weights.
struct WinogradWeightGradient: Sendable {
  private let geometry: ConvolutionGeometry
  private let layout: ChannelsLastTiles
  /// Tiles of one block, blocks of one part of the sum, and parts.
  private let (blockTiles, blocksPerPart, partCount): (Int, Int, Int)
  /// How many parts are computed at a time; one: all threads share it.
  private let slots: Int
  private let pointBytes: Int
  private let columns: ColumnSums
  private let plan: ScratchPlan
  private let (zeroRoom, inputTableRoom, outputTableRoom, inputRoom, outputRoom):
    (
      Int, Int, Int, Int, Int
    )
  private let (sumRoom, weightRoom, biasRoom): (Int, Int, Int)

  /// Floats of the partial sums of all parts.
  private static let sumFloats = 1 << 20

  /// Nil where the convolution has another form or is too small.
  init?(_ preparation: Preparation, _ geometry: ConvolutionGeometry) throws(StackLensError) {
    guard !geometry.isEmpty, let layout = ChannelsLastTiles(geometry), layout.isLarge else {
      return nil
    }
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    self.geometry = geometry
    self.layout = layout
    blockTiles = min(layout.count, 64)
    let blocks = (layout.count + blockTiles - 1) / blockTiles
    // Of extents alone: how the sum is cut must not depend on the threads.
    let sums = try Shape([36, channels, outputs]).count
    let most = max(1, min(8, Self.sumFloats / sums))
    blocksPerPart = (blocks + most - 1) / most
    partCount = (blocks + blocksPerPart - 1) / blocksPerPart
    let threads = preparation.threadCount
    slots = partCount >= threads ? min(partCount, threads == 1 ? 1 : threads * 2) : 1
    pointBytes = (slk_gemm_f32_packed_bytes(blockTiles, outputs) + 63) & ~63
    var plan = ScratchPlan()
    zeroRoom = try plan.reserve(max(channels, outputs), of: Float.self)
    inputTableRoom = try plan.reserve(
      try Shape([slots, blockTiles, 36]).count, of: UnsafePointer<Float>?.self)
    outputTableRoom = try plan.reserve(
      try Shape([slots, blockTiles, 16]).count, of: UnsafePointer<Float>?.self)
    inputRoom = try plan.reserve(
      try Shape([slots, 36, blockTiles, channels]).count, of: Float.self)
    outputRoom = try plan.reserve(try Shape([slots, 36, pointBytes]).count, of: UInt8.self)
    sumRoom = try plan.reserve(try Shape([partCount, sums]).count, of: Float.self)
    weightRoom = try plan.reserve(try Shape([9, channels, outputs]).count, of: Float.self)
    columns = ColumnSums(
      rows: try Shape([geometry.batch, geometry.outputPixels]).count, width: outputs)
    biasRoom = try plan.reserve(columns.roomCount, of: Float.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (g, x) = (try run.input(0).floats, try run.input(1).floats)
      let zeros = (run.scratch + zeroRoom).assumingMemoryBound(to: Float.self)
      zeros.update(repeating: 0, count: max(geometry.inputChannels, geometry.outputChannels))
      let slots = slots
      run.parallel.forEach(slots) { slot in
        for part in partCount * slot / slots..<partCount * (slot + 1) / slots {
          sum(part, g, x, run.scratch, slot, slots == 1 ? run.parallel : .serial)
        }
      }
      try finish(run)
    }
  }

  private func sum(
    _ part: Int, _ g: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
    _ scratch: UnsafeMutableRawPointer, _ slot: Int, _ parallel: Parallel
  ) {
    let blocks = (layout.count + blockTiles - 1) / blockTiles
    for block in part * blocksPerPart..<min(blocks, (part + 1) * blocksPerPart) {
      let tiles = block * blockTiles..<min(layout.count, (block + 1) * blockTiles)
      transform(tiles, g, x, scratch, slot, parallel)
      multiply(part, tiles.count, block > part * blocksPerPart, scratch, slot, parallel)
    }
  }

  /// Data and gradient of some tiles, transformed.
  private func transform(
    _ tiles: Range<Int>, _ g: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
    _ scratch: UnsafeMutableRawPointer, _ slot: Int, _ parallel: Parallel
  ) {
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    let zeros = (scratch + zeroRoom).assumingMemoryBound(to: Float.self)
    let inputTable =
      (scratch + inputTableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
      + slot * blockTiles * 36
    let outputTable =
      (scratch + outputTableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
      + slot * blockTiles * 16
    let v =
      (scratch + inputRoom).assumingMemoryBound(to: Float.self) + slot * 36 * blockTiles * channels
    let packed = scratch + outputRoom + slot * 36 * pointBytes
    parallel.ranges(tiles.count, grain: 4) { range in
      var (inputs, results) = (layout.inputs, layout.outputs)
      let (first, last) = (tiles.lowerBound + range.lowerBound, tiles.lowerBound + range.upperBound)
      let table = inputTable + range.lowerBound * 36
      slk_taps_fill(&inputs, x, channels, zeros, first, last, table)
      slk_winograd_input_f32(
        channels, table, range.count, v + range.lowerBound * channels, blockTiles * channels)
      let places = outputTable + range.lowerBound * 16
      slk_taps_fill(&results, g, outputs, zeros, first, last, places)
      slk_winograd_back_f32(
        outputs, places, tiles.count, packed, pointBytes / MemoryLayout<Float>.stride,
        range.lowerBound, range.upperBound)
    }
  }

  /// Adds the products of the tiles that were transformed.
  private func multiply(
    _ part: Int, _ tileCount: Int, _ accumulates: Bool, _ scratch: UnsafeMutableRawPointer,
    _ slot: Int, _ parallel: Parallel
  ) {
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    let v =
      (scratch + inputRoom).assumingMemoryBound(to: Float.self) + slot * 36 * blockTiles * channels
    let packed = scratch + outputRoom + slot * 36 * pointBytes
    let sums =
      (scratch + sumRoom).assumingMemoryBound(to: Float.self) + part * 36 * channels * outputs
    var epilogue = slk_epilogue_none()
    epilogue.accumulate = accumulates
    withUnsafePointer(to: &epilogue) { epilogue in
      parallel.forEach(36) { point in
        slk_gemm_f32_turned(
          tileCount, outputs, v + point * blockTiles * channels, channels, 1,
          packed + point * pointBytes, sums + point * channels * outputs, outputs, epilogue, 0,
          channels, 0, slk_gemm_f32_panel_count(outputs))
      }
    }
  }

  /// The sums of the parts, transformed to weights, and the gradient of the bias.
  private func finish(_ run: Invocation) throws(StackLensError) {
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    let sums = (run.scratch + sumRoom).assumingMemoryBound(to: Float.self)
    let size = 36 * channels * outputs
    let sum = Int32(SLK_BINARY_ADD.rawValue)
    run.parallel.ranges(partCount == 1 ? 0 : size, grain: cheapGrain) { range in
      for part in 1..<max(1, partCount) {
        slk_binary_f32(
          sum, sums + range.lowerBound, 1, sums + part * size + range.lowerBound, 1,
          sums + range.lowerBound, range.count)
      }
    }
    let ordered = (run.scratch + weightRoom).assumingMemoryBound(to: Float.self)
    run.parallel.ranges(channels, grain: max(1, costlyGrain / outputs)) { range in
      slk_winograd_filter_back_f32(
        sums, channels, outputs, ordered, range.lowerBound, range.upperBound)
    }
    geometry.putWeights(ordered, run.outputs[0].floats, run.parallel)
    let bias = run.outputs[1].floats
    columns.sum(try run.input(0).floats, bias, run.scratch + biasRoom, run.parallel)
  }
}
