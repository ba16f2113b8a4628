import Base
import CKernels
import Tensors

extension ConvolutionGeometry {
  /// The form the C kernels read: one image, one group of `inputChannels`.
  var native: slk_convolution {
    var result = slk_convolution()
    result.channels = inputChannels
    result.input = (axes[0].input, axes[1].input, axes[2].input)
    result.kernel = (axes[0].kernel, axes[1].kernel, axes[2].kernel)
    result.output = (axes[0].output, axes[1].output, axes[2].output)
    result.stride = (axes[0].stride, axes[1].stride, axes[2].stride)
    result.dilation = (axes[0].dilation, axes[1].dilation, axes[2].dilation)
    result.pad = (axes[0].padBegin, axes[1].padBegin, axes[2].padBegin)
    return result
  }

  var isEmpty: Bool { batch == 0 || outputPixels == 0 || groupCount * outputChannels == 0 }
}

/// The operands of one run of a float32 convolution.
struct ConvolutionOperands {
  let x: UnsafePointer<Float>
  let w: UnsafePointer<Float>
  let bias: UnsafePointer<Float>?
  let residual: UnsafePointer<Float>?
  let y: UnsafeMutablePointer<Float>
}

/// A float32 convolution as a product of the weights with the unfolded input, which is packed panel
/// by panel and used while it is in the cache.
struct PackedConvolution: Sendable {
  private let geometry: ConvolutionGeometry
  private let activation: FusedActivation
  /// Panels that one part packs at a time.
  private let chunkPanels: Int
  /// Parts with work space of their own; 0 shares one packed image between all threads.
  private let slotCount: Int
  private let slotBytes: Int
  private let room: Int

  init(
    _ geometry: ConvolutionGeometry, _ activation: FusedActivation, threadCount: Int,
    plan: inout ScratchPlan
  ) throws(StackLensError) {
    self.geometry = geometry
    self.activation = activation
    let columns = slk_gemm_f32_panel_columns()
    let panels = slk_gemm_f32_panel_count(geometry.outputPixels)
    let terms = geometry.termCount
    guard terms < 1 << 31 else { throw .outOfMemory("a kernel of \(terms) terms is too large") }
    let maps = try Shape([geometry.batch, geometry.groupCount, panels]).count
    let work = Double(geometry.outputChannels) * Double(terms) * Double(geometry.outputPixels)
    let isSmall = work * Double(geometry.batch * geometry.groupCount) < 65_536
    let threads = isSmall ? 1 : threadCount
    if threads > 1, maps < 8 * threads, geometry.outputChannels >= 16 {
      slotCount = 0
      chunkPanels = panels
    } else {
      slotCount = max(1, min(maps, threads == 1 ? 1 : threads * 2))
      chunkPanels = max(1, min(panels, (1 << 16) / max(1, terms * columns)))
    }
    let bytes = try PackedProduct.packedByteCount(
      terms, min(geometry.outputPixels, chunkPanels * columns))
    slotBytes = (bytes + 63) & ~63
    room = try plan.reserve(
      try Shape([max(1, slotCount), slotBytes]).count, of: UInt8.self)
  }

  func compute(
    _ operands: ConvolutionOperands, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let geometry = geometry
    let panels = slk_gemm_f32_panel_count(geometry.outputPixels)
    let maps = geometry.batch * geometry.groupCount
    let packed = scratch + room
    if slotCount == 0 {
      let tile = slk_gemm_tile_rows()
      let tiles = (geometry.outputChannels + tile - 1) / tile
      let parts = min(tiles, parallel.threadCount * 2)
      for map in 0..<maps {
        let columns = slk_gemm_f32_panel_columns()
        parallel.forEach(panels) { panel in
          pack(
            operands, map, panel..<panel + 1,
            packed + panel * columns * geometry.termCount * MemoryLayout<Float>.stride)
        }
        parallel.forEach(parts) { part in
          let first = tiles * part / parts * tile
          let end = min(geometry.outputChannels, tiles * (part + 1) / parts * tile)
          multiply(operands, map, 0..<panels, packed, first..<end)
        }
      }
      return
    }
    let total = maps * panels
    parallel.forEach(slotCount) { slot in
      let own = packed + slot * slotBytes
      var next = total * slot / slotCount
      let end = total * (slot + 1) / slotCount
      while next < end {
        let (map, panel) = next.quotientAndRemainder(dividingBy: panels)
        let count = min(chunkPanels, panels - panel, end - next)
        pack(operands, map, panel..<panel + count, own)
        multiply(operands, map, panel..<panel + count, own, 0..<geometry.outputChannels)
        next += count
      }
    }
  }

  private func pixels(_ panels: Range<Int>) -> Range<Int> {
    let columns = slk_gemm_f32_panel_columns()
    return panels.lowerBound * columns..<min(geometry.outputPixels, panels.upperBound * columns)
  }

  private func pack(
    _ operands: ConvolutionOperands, _ map: Int, _ panels: Range<Int>,
    _ packed: UnsafeMutableRawPointer
  ) {
    let pixels = pixels(panels)
    let x = operands.x + map * geometry.inputChannels * geometry.inputPixels
    if geometry.isPointwise {
      slk_gemm_f32_pack(
        x + pixels.lowerBound, geometry.inputChannels, pixels.count, geometry.inputPixels, 1,
        packed, 0, panels.count)
    } else {
      var native = geometry.native
      slk_convolution_pack_f32(&native, x, packed, pixels.lowerBound, pixels.upperBound)
    }
  }

  private func multiply(
    _ operands: ConvolutionOperands, _ map: Int, _ panels: Range<Int>,
    _ packed: UnsafeMutableRawPointer, _ rows: Range<Int>
  ) {
    let pixels = pixels(panels)
    let group = map % geometry.groupCount
    let channels = geometry.outputChannels
    let start = map * channels * geometry.outputPixels + pixels.lowerBound
    let y = operands.y + start
    var epilogue = slk_epilogue_none()
    if let bias = operands.bias {
      epilogue.residual = bias + group * channels
      epilogue.residual_row_stride = 1
      epilogue.residual_first = true
    }
    if operands.residual == nil {
      epilogue.activate(activation)
    }
    slk_gemm_f32(
      geometry.termCount, pixels.count, operands.w + group * channels * geometry.termCount,
      geometry.termCount, packed, y, geometry.outputPixels, &epilogue, rows.lowerBound,
      rows.upperBound, 0, panels.count)
    guard let residual = operands.residual else { return }
    for row in rows {
      let line = y + row * geometry.outputPixels
      slk_binary_f32(
        Int32(SLK_BINARY_ADD.rawValue), line, 1,
        residual + (start + row * geometry.outputPixels), 1, line, pixels.count)
      activation.apply(line, pixels.count)
    }
  }
}

/// A float32 convolution in which every output channel reads one input channel.
struct DepthwiseConvolution: Sendable {
  private let geometry: ConvolutionGeometry
  private let activation: FusedActivation
  private let slotCount: Int
  private let roomCount: Int
  private let room: Int

  /// Nil where the convolution has another form or its work space would be far larger than its
  /// input.
  init?(
    _ geometry: ConvolutionGeometry, _ activation: FusedActivation, threadCount: Int,
    plan: inout ScratchPlan
  ) throws(StackLensError) {
    guard geometry.inputChannels == 1, !geometry.isEmpty else { return nil }
    let (height, width) = (geometry.axes[1], geometry.axes[2])
    let lines = Double(height.output) * Double(height.stride) + Double(height.reach)
    let length = Double(width.stride) * Double(width.output + 64) + Double(width.reach)
    guard lines * length < Double(geometry.inputPixels + 4096) * 16 else { return nil }
    self.geometry = geometry
    self.activation = activation
    var native = geometry.native
    roomCount = (slk_convolution_depthwise_room(&native) + 15) & ~15
    let channels = geometry.batch * geometry.groupCount * geometry.outputChannels
    slotCount = min(channels, threadCount == 1 ? 1 : threadCount * 2)
    room = try plan.reserve(try Shape([slotCount, roomCount]).count, of: Float.self)
  }

  func compute(
    _ operands: ConvolutionOperands, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let geometry = geometry
    let channels = geometry.groupCount * geometry.outputChannels
    let total = geometry.batch * channels
    let rooms = (scratch + room).assumingMemoryBound(to: Float.self)
    parallel.forEach(slotCount) { slot in
      var native = geometry.native
      for map in total * slot / slotCount..<total * (slot + 1) / slotCount {
        let channel = map % channels
        let y = operands.y + map * geometry.outputPixels
        slk_convolution_depthwise_f32(
          &native, operands.x + map / geometry.outputChannels * geometry.inputPixels,
          operands.w + channel * geometry.kernelCount, operands.bias?[channel] ?? 0, y,
          rooms + slot * roomCount)
        if let residual = operands.residual {
          slk_binary_f32(
            Int32(SLK_BINARY_ADD.rawValue), y, 1, residual + map * geometry.outputPixels, 1, y,
            geometry.outputPixels)
        }
        activation.apply(y, geometry.outputPixels)
      }
    }
  }
}
