import Base
import CKernels
import Tensors

/// A float32 transposed convolution: a product gives every input's multiple of the kernel, which is
/// then added into the output.
struct PackedConvTranspose: Sendable {
  private let geometry: ConvolutionGeometry
  private let constantRows: Tensor?
  private let slotCount: Int
  private let slotFloats: Int
  private let packedRoom: Int
  private let rowRoom: Int
  private let slotRoom: Int

  /// Nil where there is nothing to multiply.
  init?(
    _ preparation: Preparation, _ geometry: ConvolutionGeometry, plan: inout ScratchPlan
  ) throws(StackLensError) {
    let rows = geometry.outputChannels * geometry.kernelCount
    let (inputs, pixels) = (geometry.inputChannels, geometry.inputPixels)
    guard !geometry.isEmpty, inputs > 0, pixels > 0, rows < 1 << 31 else { return nil }
    self.geometry = geometry
    constantRows = try preparation.packed(1, layout: "transposed rows \(inputs) \(rows)") {
      (source) throws(StackLensError) in
      let tensor = try Tensor(uninitialized: .float32, source.shape)
      Self.transpose(
        source.base.assumingMemoryBound(to: Float.self), geometry,
        tensor.base.assumingMemoryBound(to: Float.self))
      return tensor
    }
    rowRoom = try plan.reserve(
      constantRows == nil ? preparation.input(1).shape.count : 0, of: Float.self)
    packedRoom = try plan.reserve(
      try PackedProduct.packedByteCount(inputs, pixels), of: UInt8.self)
    slotCount = min(geometry.outputChannels, max(1, preparation.threadCount) * 2)
    slotFloats = try Shape([geometry.kernelCount, pixels]).count
    slotRoom = try plan.reserve(try Shape([slotCount, slotFloats]).count, of: Float.self)
  }

  /// Weights [inputs, outputs × kernel] of each group as [outputs × kernel, inputs].
  private static func transpose(
    _ w: UnsafePointer<Float>, _ geometry: ConvolutionGeometry, _ rows: UnsafeMutablePointer<Float>
  ) {
    let inputs = geometry.inputChannels
    let count = geometry.outputChannels * geometry.kernelCount
    for group in 0..<geometry.groupCount {
      let start = group * inputs * count
      slk_transpose(w + start, count, rows + start, inputs, inputs, count, 4)
    }
  }

  func compute(
    _ operands: ConvolutionOperands, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let geometry = geometry
    let (inputs, pixels) = (geometry.inputChannels, geometry.inputPixels)
    let taps = geometry.kernelCount
    let panels = slk_gemm_f32_panel_count(pixels)
    let packed = scratch + packedRoom
    let own = (scratch + rowRoom).assumingMemoryBound(to: Float.self)
    if constantRows == nil { Self.transpose(operands.w, geometry, own) }
    let weights = constantRows?.base.assumingMemoryBound(to: Float.self) ?? own
    let rooms = (scratch + slotRoom).assumingMemoryBound(to: Float.self)
    for map in 0..<geometry.batch * geometry.groupCount {
      let group = map % geometry.groupCount
      parallel.ranges(panels, grain: max(1, (1 << 10) / inputs)) { range in
        slk_gemm_f32_pack(
          operands.x + map * inputs * pixels, inputs, pixels, pixels, 1, packed, range.lowerBound,
          range.upperBound)
      }
      parallel.forEach(slotCount) { slot in
        let columns = rooms + slot * slotFloats
        var native = geometry.native
        var epilogue = slk_epilogue_none()
        let outputs = geometry.outputChannels
        for output in outputs * slot / slotCount..<outputs * (slot + 1) / slotCount {
          slk_gemm_f32(
            inputs, pixels, weights + (group * outputs + output) * taps * inputs, inputs, packed,
            columns, pixels, &epilogue, 0, taps, 0, panels)
          slk_convolution_fold_f32(
            &native, columns, operands.bias?[group * outputs + output] ?? 0,
            operands.y + (map * outputs + output) * geometry.outputPixels)
        }
      }
    }
  }
}
