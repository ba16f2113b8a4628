import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Boxes `[y1, x1, y2, x2]` (in units of the image) cut out of images and resized, corners on
  /// corners, bilinearly or to the nearest pixel. Contributed CropAndResize.
  static let cropAndResize = OperatorDefinition(
    "CropAndResize", domain: "com.microsoft", versions: [1], inputs: 4...4,
    attributes: [.float("extrapolation_value", default: 0), .string("mode", default: "bilinear")],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1)
      let (boxes, images) = (try context.input(1).shape, try context.input(2, oneOf: [.int32]))
      guard x.rank == 4, boxes.rank == 2, boxes[1] == 4, images.shape.dims == [boxes[0]] else {
        throw .shapeMismatch("cannot cut boxes \(boxes) of images \(images.shape) from \(x.shape)")
      }
      let size = try context.value(3).integers()
      guard size.count == 2, size.allSatisfy({ $0 > 0 }) else {
        throw .invalidArgument("input 3 (crop_size) is \(size), expected a height and a width")
      }
      _ = try isNearest(context)
      return [TensorType(x.elementType, try Shape([boxes[0], x.shape[1]] + size))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let crop = Crop(
          input: try preparation.input(0).shape, output: preparation.outputs[0].shape,
          outside: Double(try preparation.float("extrapolation_value")),
          isNearest: try isNearest(preparation))
        return try wideKernel(Double.self, preparation, inputs: 2) {
          (wide) throws(StackLensError) in
          let images = try wide.run.input(2).integers()
          for image in images where image < 0 || image >= crop.input[0] {
            throw .invalidArgument("image \(image) is outside [0, \(crop.input[0]))")
          }
          let (x, boxes) = (try wide.input(0), try wide.input(1))
          let output = wide.outputs[0]
          wide.run.parallel.ranges(images.count, grain: 1) { range in
            for box in range { crop.run(x, boxes + box * 4, image: images[box], box, output) }
          }
        }
      }
    ]),
    samples: [
      Sample([.floats(2, 3, 6, 5), .tensor(boxes), .tensor(images), .ints([2, 3])]),
      Sample(
        [.floats(2, 1, 6, 5), .tensor(boxes), .tensor(images), .ints([1, 4])],
        ["mode": .string("nearest"), "extrapolation_value": .float(7)]),
    ])

  private static func isNearest(_ view: some NodeView) throws(StackLensError) -> Bool {
    switch try view.string("mode") {
    case "bilinear": return false
    case "nearest": return true
    case let mode:
      throw .invalidArgument("attribute 'mode' is '\(mode)', expected bilinear or nearest")
    }
  }

  @Sendable private static func boxes() throws(StackLensError) -> Tensor {
    try Tensor([Float(0), 0.1, 0.9, 1, -0.2, 0.3, 0.5, 1.4], shape: Shape([2, 4]))
  }

  @Sendable private static func images() throws(StackLensError) -> Tensor {
    try Tensor([Int32(1), 0])
  }
}

private struct Crop: Sendable {
  let input: Shape
  let output: Shape
  let outside: Double
  let isNearest: Bool

  func run(
    _ x: UnsafePointer<Double>, _ corners: UnsafePointer<Double>, image: Int, _ box: Int,
    _ y: UnsafeMutablePointer<Double>
  ) {
    let (channels, height, width) = (input[1], input[2], input[3])
    let (rows, columns) = (output[2], output[3])
    for row in 0..<rows {
      let v = position(row, rows, corners[0], corners[2], height)
      for column in 0..<columns {
        let u = position(column, columns, corners[1], corners[3], width)
        for channel in 0..<channels {
          let plane = x + (image * channels + channel) * height * width
          y[((box * channels + channel) * rows + row) * columns + column] = value(plane, v, u)
        }
      }
    }
  }

  /// Where cell `index` of `count` lies along an axis; nil outside of the image.
  private func position(
    _ index: Int, _ count: Int, _ from: Double, _ to: Double, _ extent: Int
  ) -> Double? {
    let last = Double(extent - 1)
    let place =
      count > 1
      ? from * last + Double(index) * ((to - from) * last / Double(count - 1))
      : 0.5 * (from + to) * last
    return place >= 0 && place <= last ? place : nil
  }

  private func value(_ plane: UnsafePointer<Double>, _ v: Double?, _ u: Double?) -> Double {
    guard let v, let u else { return outside }
    let (height, width) = (input[2], input[3])
    if isNearest {
      // Positions lie inside, so these are in range.
      return plane[Int(v.rounded()) * width + Int(u.rounded())]
    }
    let (top, left) = (Int(v), Int(u))
    let (bottom, right) = (min(top + 1, height - 1), min(left + 1, width - 1))
    let (dv, du) = (v - Double(top), u - Double(left))
    let upper = plane[top * width + left] * (1 - du) + plane[top * width + right] * du
    let lower = plane[bottom * width + left] * (1 - du) + plane[bottom * width + right] * du
    return upper * (1 - dv) + lower * dv
  }
}
