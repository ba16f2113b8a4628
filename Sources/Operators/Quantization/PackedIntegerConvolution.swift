import Base
import CKernels
import Tensors

/// The int32 convolution of bytes as an exact packed product; the unfolded input is made a run of
/// pixels at a time. Convolutions of single channels combine its rows directly.
struct PackedIntegerConvolution: Sendable {
  private let geometry: ConvolutionGeometry
  private let constantRows: Tensor?
  private let isDepthwise: Bool
  /// Pixels that a part works on at a time.
  private let chunk: Int
  private let slotCount: Int
  private let slotBytes: Int
  private let packedOffset: Int
  private let sumsOffset: Int
  private let weightRoom: Int
  private let slotRoom: Int

  /// Nil where there is nothing to compute.
  init?(
    _ preparation: Preparation, w index: Int, _ geometry: ConvolutionGeometry,
    plan: inout ScratchPlan
  ) throws(StackLensError) {
    let terms = geometry.termCount
    guard !geometry.isEmpty, terms > 0, terms < 1 << 28 else { return nil }
    self.geometry = geometry
    isDepthwise = geometry.inputChannels == 1 && geometry.outputChannels < 4
    let channels = geometry.groupCount * geometry.outputChannels
    let columns = slk_gemm_i8_panel_columns()
    let wanted = max(columns, (1 << 17) / terms / columns * columns)
    chunk = min(
      geometry.outputPixels, isDepthwise ? max(256, (1 << 15) / terms / 256 * 256) : wanted)
    if isDepthwise {
      constantRows = nil
      weightRoom = 0
    } else {
      let isSigned = try preparation.input(index).elementType == .int8
      constantRows = try preparation.packed(index, layout: "integer rows \(terms)") {
        (source) throws(StackLensError) in
        let bytes = try Shape([channels, slk_gemm_i8_row_bytes(terms) + 4]).count
        let rows = try Tensor(uninitialized: .uint8, Shape([bytes]))
        Self.prepare(source.base, isSigned, channels, terms, rows.base)
        return rows
      }
      let bytes = try Shape([channels, slk_gemm_i8_row_bytes(terms) + 4]).count
      weightRoom = try plan.reserve(constantRows == nil ? bytes : 0, of: UInt8.self)
    }
    var slot = ScratchPlan()
    _ = try slot.reserve(geometry.isPointwise ? 0 : Shape([terms, chunk]).count, of: UInt8.self)
    packedOffset = try slot.reserve(
      isDepthwise ? 0 : slk_gemm_i8_packed_bytes(terms, chunk, 1), of: UInt8.self)
    sumsOffset = try slot.reserve(
      Shape([isDepthwise ? 1 : geometry.outputChannels, chunk]).count, of: Int32.self)
    slotBytes = slot.byteCount
    let chunks = (geometry.outputPixels + chunk - 1) / chunk
    let maps = geometry.batch * geometry.groupCount
    let work = Double(terms) * Double(geometry.outputPixels) * Double(channels)
    let threads = work < 131_072 ? 1 : preparation.threadCount
    slotCount = max(1, min(try Shape([maps, chunks]).count, threads == 1 ? 1 : threads * 2))
    slotRoom = try plan.reserve(try Shape([slotCount, slotBytes]).count, of: UInt8.self)
  }

  /// Rows for the kernels, then their sums.
  private static func prepare(
    _ w: UnsafeMutableRawPointer, _ isSigned: Bool, _ channels: Int, _ terms: Int,
    _ rows: UnsafeMutableRawPointer
  ) {
    let sums = rows + channels * slk_gemm_i8_row_bytes(terms)
    slk_integer_rows(
      w, isSigned, channels, terms, terms, rows,
      sums.bindMemory(to: Int32.self, capacity: channels))
  }

  /// - Parameter receive: gets an output channel, the offset of its pixels in the output, their
  ///   number and the sums; called from several threads.
  func compute(
    x: Tensor, w: Tensor, xZero: Int32, wZero: [Int32], scratch: UnsafeMutableRawPointer,
    parallel: Parallel,
    receive: (_ channel: Int, _ start: Int, _ count: Int, _ sums: UnsafePointer<Int32>) -> Void
  ) {
    let geometry = geometry
    let channels = geometry.groupCount * geometry.outputChannels
    let rows = constantRows?.base ?? scratch + weightRoom
    if constantRows == nil && !isDepthwise {
      Self.prepare(w.base, w.elementType == .int8, channels, geometry.termCount, rows)
    }
    let chunks = (geometry.outputPixels + chunk - 1) / chunk
    let total = geometry.batch * geometry.groupCount * chunks
    parallel.forEach(slotCount) { slot in
      let room = scratch + slotRoom + slot * slotBytes
      for part in total * slot / slotCount..<total * (slot + 1) / slotCount {
        let (map, index) = part.quotientAndRemainder(dividingBy: chunks)
        let first = index * chunk
        let pixels = first..<min(geometry.outputPixels, first + chunk)
        let input =
          x.base.assumingMemoryBound(to: UInt8.self)
          + map * geometry.inputChannels * geometry.inputPixels
        if isDepthwise {
          combine(input, map, pixels, x, w, xZero, wZero, room, receive)
        } else {
          multiply(input, map, pixels, x, w, xZero, wZero, rows, room, receive)
        }
      }
    }
  }

  /// The unfolded input of some pixels: in place where it is the input itself.
  private func columns(
    _ input: UnsafePointer<UInt8>, _ pixels: Range<Int>, _ xZero: Int32,
    _ room: UnsafeMutableRawPointer
  ) -> (start: UnsafePointer<UInt8>, stride: Int) {
    if geometry.isPointwise { return (input + pixels.lowerBound, geometry.inputPixels) }
    let columns = room.assumingMemoryBound(to: UInt8.self)
    var native = geometry.native
    slk_convolution_columns_u8(
      &native, input, UInt8(truncatingIfNeeded: xZero), columns, pixels.count, pixels.lowerBound,
      pixels.upperBound)
    return (UnsafePointer(columns), pixels.count)
  }

  private func combine(
    _ input: UnsafePointer<UInt8>, _ map: Int, _ pixels: Range<Int>, _ x: Tensor, _ w: Tensor,
    _ xZero: Int32, _ wZero: [Int32], _ room: UnsafeMutableRawPointer,
    _ receive: (Int, Int, Int, UnsafePointer<Int32>) -> Void
  ) {
    let terms = geometry.termCount
    let columns = columns(input, pixels, xZero, room)
    let sums = (room + sumsOffset).bindMemory(to: Int32.self, capacity: pixels.count)
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: terms) { weights in
      guard let base = weights.baseAddress else { return }
      for output in 0..<geometry.outputChannels {
        let channel = map % geometry.groupCount * geometry.outputChannels + output
        widenIntegers(w.base + channel * terms, w.elementType, terms, to: base)
        let zero = wZero[wZero.count == 1 ? 0 : channel]
        for i in 0..<terms { base[i] -= zero }
        slk_convolution_combine(
          columns.start, columns.stride, x.elementType == .int8 ? 1 : 0, xZero, base, terms,
          pixels.count, sums)
        receive(
          channel,
          (map * geometry.outputChannels + output) * geometry.outputPixels
            + pixels.lowerBound, pixels.count, sums)
      }
    }
  }

  private func multiply(
    _ input: UnsafePointer<UInt8>, _ map: Int, _ pixels: Range<Int>, _ x: Tensor, _ w: Tensor,
    _ xZero: Int32, _ wZero: [Int32], _ rows: UnsafeMutableRawPointer,
    _ room: UnsafeMutableRawPointer,
    _ receive: (Int, Int, Int, UnsafePointer<Int32>) -> Void
  ) {
    let terms = geometry.termCount
    let outputs = geometry.outputChannels
    let first = map % geometry.groupCount * outputs
    let rowBytes = slk_gemm_i8_row_bytes(terms)
    let columns = columns(input, pixels, xZero, room)
    let panels = slk_gemm_i8_panel_count(pixels.count)
    let packed = room + packedOffset
    slk_gemm_integer_pack(
      columns.start, x.elementType == .int8, terms, pixels.count, columns.stride, 1, packed, 0,
      panels)
    let sums = (room + sumsOffset).bindMemory(to: Int32.self, capacity: outputs * pixels.count)
    let rowSums = (rows + geometry.groupCount * outputs * rowBytes)
      .assumingMemoryBound(to: Int32.self)
    var zero = xZero
    wZero.withUnsafeBufferPointer { zeros in
      withUnsafePointer(to: &zero) { zero in
        let step = zeros.count > 1 ? 1 : 0
        var native = slk_integer_product(
          a_signed: w.elementType == .int8, b_signed: x.elementType == .int8,
          a_zero_points: zeros.baseAddress.map { $0 + first * step }, a_zero_point_stride: step,
          b_zero_points: zero, b_zero_point_stride: 0)
        slk_gemm_integer(
          terms, pixels.count, rows + first * rowBytes, rowSums + first, packed, &native, sums,
          pixels.count, 0, outputs, 0, panels)
      }
    }
    for output in 0..<outputs {
      receive(
        first + output, (map * outputs + output) * geometry.outputPixels + pixels.lowerBound,
        pixels.count, sums + output * pixels.count)
    }
  }
}
