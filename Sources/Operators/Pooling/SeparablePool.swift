import Base
import CKernels
import Tensors

/// Float32 pooling of one or two axes by vector kernels: the rows of a window become one row, laid
/// out with its padding; then shifted copies of that row become the row of outputs.
struct SeparablePool: Sendable {
  private let windows: PoolingWindows
  private let isMaximum: Bool
  private let countsPadding: Bool
  private let slots: Int
  /// Columns of the padded row, and of the row of all windows at stride 1.
  private let paddedColumns: Int
  private let windowColumns: Int
  /// Taps inside each window's columns, what a mean divides by with those of the rows.
  private let columnCounts: [Float]

  /// Nil for other types, for three axes and for windows far larger than the input.
  init?(_ preparation: Preparation, isMaximum: Bool) throws(StackLensError) {
    let input = try preparation.input(0)
    guard input.elementType == .float32, input.rank <= 4 else { return nil }
    let windows = try PoolingWindows(preparation, x: input.shape)
    let wide = windows.geometry.axes[2]
    windowColumns = max(0, wide.output - 1) * wide.stride + 1
    paddedColumns = windowColumns + wide.reach - 1
    guard wide.output > 0, wide.padBegin >= 0, paddedColumns <= 4 * wide.input + 1024 else {
      return nil
    }
    self.windows = windows
    self.isMaximum = isMaximum
    let countsPadding = isMaximum ? false : try preparation.flag("count_include_pad")
    self.countsPadding = countsPadding
    columnCounts = windows.spans[2].map { Float(countsPadding ? $0.paddedCount : $0.count) }
    slots = min(
      max(1, windows.maps / windows.grain), max(1, preparation.threadCount) * 4)
  }

  var prepared: PreparedKernel {
    let stride = (paddedColumns + 15) & ~15
    return PreparedKernel(scratchByteCount: slots * 2 * stride * 4) {
      (run) throws(StackLensError) in
      let x = try run.input(0).floats
      let y = run.outputs[0].floats
      let rooms = run.scratch.assumingMemoryBound(to: Float.self)
      run.parallel.forEach(slots) { slot in
        let padded = rooms + slot * 2 * stride
        padded.update(repeating: isMaximum ? -.infinity : 0, count: paddedColumns)
        for map in windows.maps * slot / slots..<windows.maps * (slot + 1) / slots {
          pool(
            x + map * windows.inputPixels, y + map * windows.outputPixels, padded,
            padded + stride)
        }
      }
    }
  }

  /// Pools one map. The padding of `padded` is filled; only its middle is written.
  private func pool(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
    _ padded: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Float>
  ) {
    let (high, wide) = (windows.geometry.axes[1], windows.geometry.axes[2])
    let operation = Int32((isMaximum ? SLK_BINARY_MAX : SLK_BINARY_ADD).rawValue)
    let used = min(wide.input, max(0, paddedColumns - wide.padBegin))
    let middle = padded + wide.padBegin
    var target = y
    for rows in windows.spans[1] {
      if rows.count == 0 {
        middle.update(repeating: isMaximum ? -.infinity : 0, count: used)
      } else {
        middle.update(from: x + rows.first * wide.input, count: used)
        for index in 1..<max(1, rows.count) {
          let row = x + (rows.first + index * high.dilation) * wide.input
          slk_binary_f32(operation, middle, 1, row, 1, middle, used)
        }
      }
      let result = wide.stride == 1 ? target : sums
      result.update(from: padded, count: windowColumns)
      for tap in 1..<max(1, wide.kernel) {
        slk_binary_f32(
          operation, result, 1, padded + tap * wide.dilation, 1, result, windowColumns)
      }
      if wide.stride > 1 {
        for output in 0..<wide.output { target[output] = sums[output * wide.stride] }
      }
      if !isMaximum { divide(target, rows) }
      target += wide.output
    }
  }

  private func divide(_ y: UnsafeMutablePointer<Float>, _ rows: PoolingWindows.Span) {
    var rowCount = Float(countsPadding ? rows.paddedCount : rows.count)
    columnCounts.withUnsafeBufferPointer { counts in
      let division = Int32(SLK_BINARY_DIV.rawValue)
      slk_binary_f32(division, y, 1, counts.baseAddress, 1, y, counts.count)
      slk_binary_f32(division, y, 1, &rowCount, 0, y, counts.count)
    }
  }
}
