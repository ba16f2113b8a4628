import Base
import CKernels
import Tensors

/// A 3 x 3 convolution over images with their channels last by Winograd's F(4x4, 3x3): a quarter of
/// the multiplications, for two transforms and four times the weights.
struct ChannelsLastWinograd: Sendable {
  private let form: ChannelsLastForm
  private var geometry: ConvolutionGeometry { form.geometry }
  private let weight: Tensor
  /// Bytes of the packed weights of one of the 36 products.
  private let pointBytes: Int
  private let tiles: slk_winograd_tiles
  private let (tileCount, block, parts): (Int, Int, Int)
  private let plan: ScratchPlan
  private let (zeroRoom, tableRoom, inputRoom, outputRoom, tileRoom): (Int, Int, Int, Int, Int)
  private let tileFloats: Int

  /// Least channels on either side for which the transforms pay.
  private static let leastChannels = 32
  /// Fewer tiles would wait for the weights.
  private static let leastTiles = 12
  /// Transformed values of one block: they stay in the cache between the products.
  private static let blockFloats = 1 << 17

  /// Nil where the convolution has another form or is too small.
  init?(_ preparation: Preparation) throws(StackLensError) {
    guard let form = try ChannelsLastForm(preparation) else { return nil }
    let geometry = form.geometry
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    guard geometry.groupCount == 1, channels >= Self.leastChannels,
      outputs >= Self.leastChannels, geometry.rank == 2,
      geometry.axes[1...].allSatisfy({ $0.kernel == 3 && $0.stride == 1 && $0.dilation == 1 })
    else { return nil }
    let (rows, columns) = ((geometry.axes[1].output + 3) / 4, (geometry.axes[2].output + 3) / 4)
    tileCount = try Shape([geometry.batch, rows, columns]).count
    guard tileCount >= Self.leastTiles, geometry.outputPixels * 10 >= rows * columns * 16 * 7 else {
      return nil
    }
    self.form = form
    tiles = slk_winograd_tiles(
      height: geometry.axes[1].output, width: geometry.axes[2].output, rows: rows,
      columns: columns)
    pointBytes = (slk_gemm_f32_packed_bytes(channels, outputs) + 63) & ~63
    let pointBytes = pointBytes
    guard
      let packed = try preparation.packed(
        1, layout: "winograd 4x4", byteCount: try Shape([36, pointBytes]).count,
        fill: { source, target in
          preparation.parallel.forEach(36) { point in
            Self.pack(source.floats, channels, outputs, point, target + point * pointBytes)
          }
        })
    else { return nil }
    weight = packed
    let threads = preparation.threadCount
    let most = max(8, Self.blockFloats / (18 * (channels + outputs)))
    let least = (tileCount + most - 1) / most
    parts = min(tileCount, (least + threads - 1) / threads * threads)
    block = (tileCount + parts - 1) / parts
    tileFloats = 16 * ((outputs + 15) & ~15)
    var plan = ScratchPlan()
    zeroRoom = try plan.reserve(channels, of: Float.self)
    tableRoom = try plan.reserve(
      Shape([parts, block, 36]).count, of: UnsafePointer<Float>?.self)
    inputRoom = try plan.reserve(Shape([parts, 36, block, channels]).count, of: Float.self)
    outputRoom = try plan.reserve(Shape([parts, 36, block, outputs]).count, of: Float.self)
    tileRoom = try plan.reserve(Shape([parts, tileFloats]).count, of: Float.self)
    self.plan = plan
  }

  /// The rows of G: what a line of three weights becomes.
  private static let filter: [[Double]] = {
    let (small, large) = (0.5.squareRoot(), 2.0.squareRoot())
    return [
      [1, 0, 0], [-2 / 3, -small * 2 / 3, -1 / 3], [-2 / 3, small * 2 / 3, -1 / 3],
      [1 / 6, large / 6, 1 / 3], [1 / 6, -large / 6, 1 / 3], [0, 0, 1],
    ]
  }()

  /// Point `point` of G g Gt for all pairs of channels, as the matrix [channels, outputs].
  private static func pack(
    _ w: UnsafePointer<Float>, _ channels: Int, _ outputs: Int, _ point: Int,
    _ target: UnsafeMutableRawPointer
  ) {
    let (row, column) = point.quotientAndRemainder(dividingBy: 6)
    var factors = [Float](repeating: 0, count: 9)
    for ky in 0..<3 {
      for kx in 0..<3 { factors[ky * 3 + kx] = Float(filter[row][ky] * filter[column][kx]) }
    }
    let count = channels * outputs
    let matrix = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      factors.withUnsafeBufferPointer { factors in
        for index in 0..<count {
          let kernel = w + index * 9
          var sum: Float = 0
          for tap in 0..<9 { sum += factors[tap] * kernel[tap] }
          buffer[index] = sum
        }
      }
      initialized = count
    }
    matrix.withUnsafeBufferPointer { matrix in
      guard let start = matrix.baseAddress else { return }
      slk_gemm_f32_pack(
        start, channels, outputs, 1, channels, target, 0, slk_gemm_f32_panel_count(outputs))
    }
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
    let zeros = room(zeroRoom)
    zeros.update(repeating: 0, count: channels)
    let tables = (run.scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
    let panels = slk_gemm_f32_panel_count(outputs)
    run.parallel.forEach(parts) { part in
      let (first, last) = (part * block, min(tileCount, (part + 1) * block))
      guard first < last else { return }
      let count = last - first
      let table = tables + part * block * 36
      var patches = geometry.native
      patches.kernel = (1, 6, 6)
      patches.stride = (1, 4, 4)
      patches.output = (1, tiles.rows, tiles.columns)
      slk_taps_fill(&patches, x, channels, zeros, first, last, table)
      let v = room(inputRoom) + part * 36 * block * channels
      let m = room(outputRoom) + part * 36 * block * outputs
      slk_winograd_input_f32(channels, table, count, v, count * channels)
      var none = slk_epilogue_none()
      for point in 0..<36 {
        slk_gemm_f32(
          channels, outputs, v + point * count * channels, channels,
          weight.base + point * pointBytes, m + point * count * outputs, outputs, &none, 0, count,
          0, panels)
      }
      var (epilogue, tiles) = (form.epilogue(run), tiles)
      slk_winograd_output_f32(
        outputs, m, count * outputs, &tiles, first, count, &epilogue, run.outputs[0].floats,
        room(tileRoom) + part * tileFloats)
    }
  }
}
