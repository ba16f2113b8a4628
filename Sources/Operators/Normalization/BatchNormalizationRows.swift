import Base
import CKernels
import Tensors

/// Batch normalisation in training mode of a float32 matrix whose columns are the channels: images with
/// their channels last, or vectors.
struct BatchNormalizationRows: Sendable {
  private let columns: ColumnSums
  private let epsilon: Double
  private let plan: ScratchPlan
  private let (partRoom, vectorRoom): (Int, Int)
  private let channels: Int

  /// - Parameter data: which input is x. Nil where it is no matrix, is empty or has a type without vector
  ///   kernels, and where statistics come as inputs of a gradient.
  init?(_ preparation: Preparation, data: Int) throws(StackLensError) {
    let x = try preparation.input(data)
    guard preparation.inputs.allSatisfy({ $0?.elementType == .float32 }), x.rank == 2,
      x.shape.count > 0, data == 0 || preparation.inputs.count == 3
    else { return nil }
    channels = x.shape[1]
    columns = ColumnSums(rows: x.shape[0], width: channels)
    epsilon = Double(try preparation.float("epsilon"))
    var plan = ScratchPlan()
    partRoom = try plan.reserve(columns.roomCount, of: Float.self)
    vectorRoom = try plan.reserve(try Shape([4, channels]).count, of: Float.self)
    self.plan = plan
  }

  /// Mean and variance of a column, from its sums.
  private struct Moments {
    /// Means rounded to float32: what the variance is taken about.
    let means: UnsafeMutablePointer<Float>
    var variances: [Double]
  }

  func forward(momentum: Float) -> PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (x, scale, bias) = (
        try run.input(0).floats, try run.input(1).floats, try run.input(2).floats
      )
      let (means, variances) = (try run.input(3).floats, try run.input(4).floats)
      let moments = moments(x, run)
      let (kept, room) = (Double(momentum), vectors(run))
      for channel in 0..<channels {
        let (mean, variance) = (Double(moments.means[channel]), moments.variances[channel])
        run.outputs[1].floats[channel] = Float(Double(means[channel]) * kept + mean * (1 - kept))
        run.outputs[2].floats[channel] = Float(
          Double(variances[channel]) * kept + variance * (1 - kept))
        let factor = Double(scale[channel]) / (variance + epsilon).squareRoot()
        room[channels + channel] = Float(factor)
        room[2 * channels + channel] = Float(Double(bias[channel]) - mean * factor)
      }
      combine(nil, nil, room + channels, x, room + 2 * channels, run)
    }
  }

  /// The gradients of x, scale and bias from g, x and scale.
  var backward: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (g, x, scale) = (
        try run.input(0).floats, try run.input(1).floats, try run.input(2).floats
      )
      let moments = moments(x, run)
      let (parts, room, count) = (run.scratch + partRoom, vectors(run), Double(columns.rows))
      columns.sum(g, run.outputs[2].floats, parts, run.parallel)
      columns.forEachPart(parts, run.parallel) { rows, target in
        let start = rows.lowerBound * channels
        slk_column_dots_f32(
          g + start, nil, x + start, moments.means, rows.count, channels, target)
      }
      for channel in 0..<channels {
        let inverse = 1 / (moments.variances[channel] + epsilon).squareRoot()
        let along = columns.total(channel, parts) * inverse
        run.outputs[1].floats[channel] = Float(along)
        let whole = Double(run.outputs[2].floats[channel])
        let factor = Double(scale[channel]) * inverse
        let slope = -factor * along * inverse / count
        room[channels + channel] = Float(factor)
        room[2 * channels + channel] = Float(slope)
        room[3 * channels + channel] = Float(
          -factor * whole / count - slope * Double(moments.means[channel]))
      }
      combine(room + channels, g, room + 2 * channels, x, room + 3 * channels, run)
    }
  }

  private func vectors(_ run: Invocation) -> UnsafeMutablePointer<Float> {
    (run.scratch + vectorRoom).assumingMemoryBound(to: Float.self)
  }

  private func moments(_ x: UnsafePointer<Float>, _ run: Invocation) -> Moments {
    let (parts, count) = (run.scratch + partRoom, Double(columns.rows))
    let means = vectors(run)
    columns.sum(x, means, parts, run.parallel)
    for channel in 0..<channels { means[channel] = Float(Double(means[channel]) / count) }
    columns.forEachPart(parts, run.parallel) { rows, target in
      let start = x + rows.lowerBound * channels
      slk_column_dots_f32(start, means, start, means, rows.count, channels, target)
    }
    let variances = (0..<channels).map { columns.total($0, parts) / count }
    return Moments(means: means, variances: variances)
  }

  /// Output 0 as p g + q x + s.
  private func combine(
    _ p: UnsafePointer<Float>?, _ g: UnsafePointer<Float>?, _ q: UnsafePointer<Float>,
    _ x: UnsafePointer<Float>, _ s: UnsafePointer<Float>, _ run: Invocation
  ) {
    let y = run.outputs[0].floats
    run.parallel.ranges(columns.rows, grain: max(1, cheapGrain / channels)) { range in
      let start = range.lowerBound * channels
      slk_column_combine_f32(
        p, g.map { $0 + start }, q, x + start, s, y + start, range.count, channels)
    }
  }
}
