import Base
import CKernels
import Tensors

/// Float32 pooling of one or two axes: first the rows of a window become one row by vector kernels,
/// then its columns.
struct SeparablePool: Sendable {
  private let windows: PoolingWindows
  private let isMaximum: Bool
  private let countsPadding: Bool
  private let slots: Int

  /// Nil for other types and for three axes.
  init?(_ preparation: Preparation, isMaximum: Bool) throws(StackLensError) {
    let input = try preparation.input(0)
    guard input.elementType == .float32, input.rank <= 4 else { return nil }
    windows = try PoolingWindows(preparation, x: input.shape)
    self.isMaximum = isMaximum
    countsPadding = isMaximum ? false : try preparation.flag("count_include_pad")
    let parts = max(1, windows.maps / windows.grain)
    slots = min(parts, max(1, preparation.threadCount) * 4)
  }

  var prepared: PreparedKernel {
    let rowFloats = (windows.geometry.axes[2].input + 15) & ~15
    return PreparedKernel(scratchByteCount: slots * rowFloats * 4) {
      (run) throws(StackLensError) in
      let x = try run.input(0).floats
      let y = run.outputs[0].floats
      let rooms = run.scratch.assumingMemoryBound(to: Float.self)
      run.parallel.forEach(slots) { slot in
        for map in windows.maps * slot / slots..<windows.maps * (slot + 1) / slots {
          pool(
            x + map * windows.inputPixels, y + map * windows.outputPixels,
            rooms + slot * rowFloats)
        }
      }
    }
  }

  private func pool(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
    _ room: UnsafeMutablePointer<Float>
  ) {
    let (high, wide) = (windows.geometry.axes[1], windows.geometry.axes[2])
    let operation = Int32((isMaximum ? SLK_BINARY_MAX : SLK_BINARY_ADD).rawValue)
    var target = y
    for rows in windows.spans[1] {
      var row = x + rows.first * wide.input
      if rows.count > 1 {
        let step = high.dilation * wide.input
        slk_binary_f32(operation, row, 1, row + step, 1, room, wide.input)
        for index in 2..<max(2, rows.count) {
          slk_binary_f32(operation, room, 1, row + index * step, 1, room, wide.input)
        }
        row = UnsafePointer(room)
      }
      if isMaximum {
        maxima(row, isEmpty: rows.count == 0, wide.dilation, target)
      } else {
        means(row, rows, wide.dilation, target)
      }
      target += wide.output
    }
  }

  private func maxima(
    _ row: UnsafePointer<Float>, isEmpty: Bool, _ dilation: Int, _ y: UnsafeMutablePointer<Float>
  ) {
    var output = 0
    for columns in windows.spans[2] {
      var best = -Float.infinity
      if !isEmpty {
        for index in 0..<columns.count {
          let value = row[columns.first + index * dilation]
          if value > best || value != value { best = value }
          if best != best { break }
        }
      }
      y[output] = best
      output += 1
    }
  }

  private func means(
    _ row: UnsafePointer<Float>, _ rows: PoolingWindows.Span, _ dilation: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    var output = 0
    for columns in windows.spans[2] {
      var sum: Float = 0
      if rows.count > 0 {
        for index in 0..<columns.count { sum += row[columns.first + index * dilation] }
      }
      let count = countsPadding
        ? Double(rows.paddedCount) * Double(columns.paddedCount)
        : Double(rows.count * columns.count)
      y[output] = sum / Float(count)
      output += 1
    }
  }
}
