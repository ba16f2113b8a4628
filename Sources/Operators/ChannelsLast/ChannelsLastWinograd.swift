import Base
import CKernels
import Tensors

/// A 3 x 3 convolution over images with their channels last by Winograd's F(4x4, 3x3): a quarter of
/// the multiplications, for two transforms and four times the weights.
struct ChannelsLastWinograd: Sendable {
  private let form: ChannelsLastForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weights: ChannelsLastWeights
  /// Bytes of the packed weights of one of the 36 products.
  private let pointBytes: Int
  private let layout: ChannelsLastTiles
  /// Tiles that are computed together, how many such blocks there are, and how many places to compute
  /// one, each with its own work space.
  private let (block, blockCount, slots): (Int, Int, Int)
  private let plan: ScratchPlan
  private let (zeroRoom, tableRoom, inputRoom, outputRoom, tileRoom): (Int, Int, Int, Int, Int)
  private let tileFloats: Int

  /// Transformed values of one block: they stay in the cache between the products.
  private static let blockFloats = 1 << 17

  /// Nil where the convolution has another form or is too small.
  init?(_ preparation: Preparation, _ form: ChannelsLastForm?) throws(StackLensError) {
    guard let form, !form.isGated else { return nil }
    let geometry = form.geometry
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    guard let layout = ChannelsLastTiles(geometry), preparation.constant(1) != nil || layout.isLarge
    else { return nil }
    self.form = form
    self.layout = layout
    pointBytes = (slk_gemm_f32_packed_bytes(channels, outputs) + 63) & ~63
    let pointFloats = pointBytes / MemoryLayout<Float>.stride
    var plan = ScratchPlan()
    weights = try ChannelsLastWeights(
      preparation, form, layout: "winograd 4x4", byteCount: try Shape([36, pointBytes]).count,
      plan: &plan,
      fill: { ordered, target, parallel in
        parallel.ranges(channels, grain: max(1, costlyGrain / outputs)) { range in
          slk_winograd_filter_f32(
            ordered, channels, outputs, form.isGradient, target, pointFloats, range.lowerBound,
            range.upperBound)
        }
      })
    let threads = preparation.threadCount
    let most = max(8, Self.blockFloats / (18 * (channels + outputs)))
    let least = (layout.count + most - 1) / most
    let even = min(layout.count, (least + threads - 1) / threads * threads)
    block = (layout.count + even - 1) / even
    blockCount = (layout.count + block - 1) / block
    slots = min(blockCount, threads == 1 ? 1 : threads * 2)
    tileFloats = 16 * ((outputs + 15) & ~15)
    zeroRoom = try plan.reserve(channels, of: Float.self)
    tableRoom = try plan.reserve(
      Shape([slots, block, 36]).count, of: UnsafePointer<Float>?.self)
    inputRoom = try plan.reserve(Shape([slots, 36, block, channels]).count, of: Float.self)
    outputRoom = try plan.reserve(Shape([slots, 36, block, outputs]).count, of: Float.self)
    tileRoom = try plan.reserve(Shape([slots, tileFloats]).count, of: Float.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      try compute(run)
    }
  }

  private func compute(_ run: Invocation) throws(StackLensError) {
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    let x = try run.input(0).floats
    func room(_ offset: Int) -> UnsafeMutablePointer<Float> {
      (run.scratch + offset).assumingMemoryBound(to: Float.self)
    }
    let weights = try weights.packed(run)
    let zeros = room(zeroRoom)
    zeros.update(repeating: 0, count: channels)
    let tables = (run.scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
    let panels = slk_gemm_f32_panel_count(outputs)
    run.parallel.forEach(slots) { slot in
      let table = tables + slot * block * 36
      let v = room(inputRoom) + slot * 36 * block * channels
      let m = room(outputRoom) + slot * 36 * block * outputs
      for part in blockCount * slot / slots..<blockCount * (slot + 1) / slots {
        let first = part * block
        let count = min(layout.count, first + block) - first
        var patches = layout.inputs
        slk_taps_fill(&patches, x, channels, zeros, first, first + count, table)
        slk_winograd_input_f32(channels, table, count, v, count * channels)
        var none = slk_epilogue_none()
        for point in 0..<36 {
          slk_gemm_f32(
            channels, outputs, v + point * count * channels, channels,
            weights + point * pointBytes, m + point * count * outputs, outputs, &none, 0, count,
            0, panels)
        }
        var (epilogue, tiles) = (form.epilogue(run), layout.tiles)
        slk_winograd_output_f32(
          outputs, m, count * outputs, &tiles, first, count, &epilogue, run.outputs[0].floats,
          room(tileRoom) + slot * tileFloats)
      }
    }
  }
}
