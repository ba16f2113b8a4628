import Base
import CKernels
import Tensors

/// The gradient of float32 weights as products: unfolded inputs [terms, pixels] times the
/// transposed gradient [pixels, outputs], block after block of pixels.
struct PackedWeightGradient: Sendable {
  private let geometry: ConvolutionGeometry
  private let isTransposed: Bool
  private let gradientShape: Shape
  /// Several whole images, or a part of one.
  private let imagesPerBlock: Int
  private let linesPerBlock: Int
  private let chunkRows: Int
  private let slotCount: Int
  private let room: (packed: Int, gathered: Int, rows: Int, sums: Int)
  private let scratchByteCount: Int

  /// Sums of about this many terms are made at a time.
  private static let blockPixels = 2048

  /// Nil where there is nothing to do, or too few outputs for a product to pay.
  init?(_ preparation: Preparation) throws(StackLensError) {
    let backward = try ConvolutionBackward(
      preparation, x: preparation.input(1).shape, w: preparation.outputs[0].shape)
    let geometry = backward.geometry
    let (outputs, terms) = (geometry.outputChannels, geometry.termCount)
    let pixels = geometry.outputPixels
    guard !geometry.isEmpty, outputs >= 4, terms > 0, terms < 1 << 31 else { return nil }
    self.geometry = geometry
    isTransposed = backward.isTransposed
    gradientShape = try preparation.input(0).shape
    let width = geometry.axes[2].output
    imagesPerBlock = max(1, min(geometry.batch, Self.blockPixels / 2 / pixels))
    linesPerBlock =
      imagesPerBlock > 1 ? pixels / width : min(pixels / width, max(1, Self.blockPixels / width))
    let length = imagesPerBlock * linesPerBlock * width
    let tile = slk_gemm_tile_rows()
    let threads = max(1, preparation.threadCount)
    let cached = max(1, (1 << 16) / length / tile) * tile
    let shared = (terms + 2 * threads - 1) / (2 * threads)
    chunkRows = min(cached, max(tile, (shared + tile - 1) / tile * tile))
    let chunks = (terms + chunkRows - 1) / chunkRows
    slotCount = threads == 1 ? 1 : min(chunks, 2 * threads)
    var plan = ScratchPlan()
    room.packed = try plan.reserve(
      try PackedProduct.packedByteCount(length, outputs), of: UInt8.self)
    room.gathered = try plan.reserve(
      imagesPerBlock > 1 ? try Shape([outputs, length]).count : 0, of: Float.self)
    room.rows = try plan.reserve(
      try Shape([slotCount, chunkRows, length]).count, of: Float.self)
    room.sums = try plan.reserve(try Shape([terms, outputs]).count, of: Float.self)
    scratchByteCount = plan.byteCount
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: scratchByteCount) { (run) throws(StackLensError) in
      let (g, x) = (try run.input(0).floats, try run.input(1).floats)
      let (made, read) = isTransposed ? (x, g) : (g, x)
      for group in 0..<geometry.groupCount {
        compute(group, made, read, run.outputs[0].floats, run.scratch, run.parallel)
      }
      sumBias(g, run.outputs[1].floats, run.parallel)
    }
  }

  private func compute(
    _ group: Int, _ made: UnsafePointer<Float>, _ read: UnsafePointer<Float>,
    _ dw: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let (outputs, terms) = (geometry.outputChannels, geometry.termCount)
    let sums = (scratch + room.sums).assumingMemoryBound(to: Float.self)
    let lineCount = geometry.outputPixels / geometry.axes[2].output
    var isFirst = true
    for image in stride(from: 0, to: geometry.batch, by: imagesPerBlock) {
      let images = image..<min(geometry.batch, image + imagesPerBlock)
      for line in stride(from: 0, to: lineCount, by: linesPerBlock) {
        let block = Block(
          group: group, images: images, lines: line..<min(lineCount, line + linesPerBlock),
          accumulates: !isFirst)
        multiply(block, made, read, sums, scratch, parallel)
        isFirst = false
      }
    }
    slk_transpose(sums, outputs, dw + group * outputs * terms, terms, terms, outputs, 4)
  }

  private struct Block {
    let group: Int
    let images: Range<Int>
    let lines: Range<Int>
    let accumulates: Bool
  }

  private func multiply(
    _ block: Block, _ made: UnsafePointer<Float>, _ read: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let (outputs, terms) = (geometry.outputChannels, geometry.termCount)
    let width = geometry.axes[2].output
    let part = block.lines.count * width
    let length = block.images.count * part
    let packed = scratch + room.packed
    let panels = slk_gemm_f32_panel_count(outputs)
    let (source, rowStride) = gather(block, made, scratch, parallel)
    parallel.ranges(panels, grain: max(1, (1 << 14) / max(1, length * 16))) { range in
      slk_gemm_f32_pack(
        source, length, outputs, 1, rowStride, packed, range.lowerBound, range.upperBound)
    }
    let chunks = (terms + chunkRows - 1) / chunkRows
    let rooms = (scratch + room.rows).assumingMemoryBound(to: Float.self)
    var epilogue = slk_epilogue_none()
    epilogue.accumulate = block.accumulates
    withUnsafePointer(to: &epilogue) { epilogue in
      parallel.forEach(slotCount) { slot in
        let rows = rooms + slot * chunkRows * length
        for chunk in chunks * slot / slotCount..<chunks * (slot + 1) / slotCount {
          let range = chunk * chunkRows..<min(terms, (chunk + 1) * chunkRows)
          unfold(range, block, read, rows, part)
          slk_gemm_f32(
            length, outputs, rows, length, packed, sums + range.lowerBound * outputs, outputs,
            epilogue, 0, range.count, 0, panels)
        }
      }
    }
  }

  /// The gradient of the block, its pixels side by side for each output.
  private func gather(
    _ block: Block, _ made: UnsafePointer<Float>, _ scratch: UnsafeMutableRawPointer,
    _ parallel: Parallel
  ) -> (source: UnsafePointer<Float>, rowStride: Int) {
    let (outputs, pixels) = (geometry.outputChannels, geometry.outputPixels)
    func map(_ image: Int, _ output: Int) -> UnsafePointer<Float> {
      made + ((image * geometry.groupCount + block.group) * outputs + output) * pixels
    }
    if block.images.count == 1 {
      let start = block.lines.lowerBound * geometry.axes[2].output
      return (map(block.images.lowerBound, 0) + start, pixels)
    }
    let gathered = (scratch + room.gathered).assumingMemoryBound(to: Float.self)
    let length = block.images.count * pixels
    parallel.ranges(outputs, grain: max(1, cheapGrain / length)) { range in
      for output in range {
        for (index, image) in block.images.enumerated() {
          (gathered + output * length + index * pixels).update(
            from: map(image, output), count: pixels)
        }
      }
    }
    return (UnsafePointer(gathered), length)
  }

  private func unfold(
    _ terms: Range<Int>, _ block: Block, _ read: UnsafePointer<Float>,
    _ rows: UnsafeMutablePointer<Float>, _ part: Int
  ) {
    let inputs = geometry.inputChannels
    for term in terms {
      let (channel, tap) = term.quotientAndRemainder(dividingBy: geometry.kernelCount)
      let shift = geometry.shift(ofTap: tap)
      for (index, image) in block.images.enumerated() {
        let map = (image * geometry.groupCount + block.group) * inputs + channel
        geometry.unfold(
          read + map * geometry.inputPixels, shift, block.lines,
          rows + ((term - terms.lowerBound) * block.images.count + index) * part)
      }
    }
  }

  private func sumBias(
    _ g: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Float>, _ parallel: Parallel
  ) {
    let (items, channels) = (gradientShape[0], gradientShape[1])
    let pixels = gradientShape.count(2..<gradientShape.rank)
    parallel.ranges(channels, grain: max(1, cheapGrain / max(1, items * pixels))) { range in
      for channel in range {
        var sum = 0.0
        for item in 0..<items {
          sum += Double(slk_sum(g + (item * channels + channel) * pixels, pixels))
        }
        sums[channel] = Float(sum)
      }
    }
  }
}
