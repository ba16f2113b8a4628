import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Boxes in falling order of score, without those that overlap a chosen one too much; rows of
  /// (batch, class, box). ONNX NonMaxSuppression-11.
  static let nonMaxSuppression = OperatorDefinition(
    "NonMaxSuppression", versions: [10, 11], inputs: 2...5,
    attributes: [.int("center_point_box", default: 0)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let (boxes, scores) = (try context.tensor(0), try context.tensor(1))
      guard boxes.rank == 3, boxes.shape[2] == 4, scores.rank == 3,
        scores.shape[0] == boxes.shape[0], scores.shape[2] == boxes.shape[1]
      else {
        throw .shapeMismatch(
          "boxes \(boxes.shape) and scores \(scores.shape) must be [batch, box, 4] and "
            + "[batch, class, box]")
      }
      let corners = try boxes.elements(as: Float.self)
      let scored = try scores.elements(as: Float.self)
      let limit = context.hasInput(2) ? try single(context.tensor(2), 2).integers()[0] : 0
      let overlap = try context.hasInput(3) ? single(context.tensor(3), 3).floatValue() : 0
      let threshold = try context.hasInput(4) ? single(context.tensor(4), 4).floatValue() : nil
      guard overlap >= 0, overlap <= 1 else {
        throw .invalidArgument("iou_threshold is \(overlap), outside [0, 1]")
      }
      let isCentered = try context.flag("center_point_box")
      let (boxCount, classCount) = (boxes.shape[1], scores.shape[1])
      var rows: [Int64] = []
      // Without boxes there may be any number of batch entries.
      for batch in 0..<(limit > 0 && boxCount > 0 ? boxes.shape[0] : 0) {
        let frames = (0..<boxCount).map {
          Frame(corners[(batch * boxCount + $0) * 4..<(batch * boxCount + $0) * 4 + 4], isCentered)
        }
        for category in 0..<classCount {
          let start = (batch * classCount + category) * boxCount
          let order = (0..<boxCount)
            .filter { box in threshold.map { scored[start + box] > $0 } ?? true }
            .sorted { first, second in
              let (left, right) = (scored[start + first], scored[start + second])
              // NaN sorts behind every number.
              if left.isNaN != right.isNaN { return right.isNaN }
              return left > right || !(left < right) && first < second
            }
          var chosen: [Int] = []
          for box in order where chosen.count < limit {
            if !chosen.contains(where: { frames[$0].overlap(frames[box]) > overlap }) {
              chosen.append(box)
              rows += [Int64(batch), Int64(category), Int64(box)]
            }
          }
        }
      }
      return [.tensor(try Tensor(rows, shape: try Shape([rows.count / 3, 3])))]
    },
    outline: { (context) throws(StackLensError) in
      [try .tensor(.int64, [context.extent("count"), 3])]
    },
    gradient: .zero,
    samples: [
      Sample([
        .random(.float32, [1, 6, 4], low: 0, high: 1),
        .random(.float32, [1, 2, 6], low: 0, high: 1),
        .ints([3]), .number(0.3), .number(0.1),
      ]),
      Sample([.floats(1, 0, 4), .floats(1, 1, 0), .ints([2])]),
    ])
}

/// Checks that a tensor holds one element.
private func single(_ tensor: Tensor, _ input: Int) throws(StackLensError) -> Tensor {
  guard tensor.count == 1 else {
    throw .shapeMismatch("input \(input) has shape \(tensor.shape), expected one number")
  }
  return tensor
}

extension Tensor {
  fileprivate func floatValue() throws(StackLensError) -> Float {
    try elements(as: Float.self)[0]
  }
}

/// A rectangle with its lower corner first.
private struct Frame {
  let (top, left, bottom, right): (Float, Float, Float, Float)
  let area: Float

  init(_ given: ArraySlice<Float>, _ isCentered: Bool) {
    let v = Array(given)
    if isCentered {
      (left, right) = (v[0] - v[2] / 2, v[0] + v[2] / 2)
      (top, bottom) = (v[1] - v[3] / 2, v[1] + v[3] / 2)
    } else {
      (top, bottom) = (min(v[0], v[2]), max(v[0], v[2]))
      (left, right) = (min(v[1], v[3]), max(v[1], v[3]))
    }
    area = (bottom - top) * (right - left)
  }

  /// Intersection over union; 0 when either has no area.
  func overlap(_ other: Frame) -> Float {
    let height = min(bottom, other.bottom) - max(top, other.top)
    let width = min(right, other.right) - max(left, other.left)
    guard height > 0, width > 0, area > 0, other.area > 0 else { return 0 }
    let shared = height * width
    return shared / (area + other.area - shared)
  }
}
