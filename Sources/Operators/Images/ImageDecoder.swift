import Base
import CImages
import Tensors

extension OperatorTable {
  static let images: [OperatorDefinition] = [.imageDecoder]
}

extension OperatorDefinition {
  /// The pixels of an encoded image as [height, width, channels]; nothing of it where the bytes are
  /// no image. ONNX ImageDecoder-20.
  static let imageDecoder = OperatorDefinition(
    "ImageDecoder", versions: [20], inputs: 1...1,
    attributes: [.string("pixel_format", default: "RGB")],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (evaluation) throws(StackLensError) in
      let x = try evaluation.tensor(0)
      guard x.elementType == .uint8, x.rank == 1 else {
        throw .typeMismatch("ImageDecoder takes uint8 of rank 1, found \(TensorType(x))")
      }
      let name = try evaluation.string("pixel_format")
      guard let layout = PixelLayout(rawValue: name) else {
        throw .invalidArgument("pixel_format is '\(name)', expected RGB, BGR or Grayscale")
      }
      let image = try Image(encoded: UnsafeRawBufferPointer(start: x.base, count: x.count))
      return [.tensor(try layout.tensor(image))]
    },
    outline: { (context) throws(StackLensError) in
      let channels = try context.string("pixel_format") == "Grayscale" ? 1 : 3
      return [
        try .tensor(.uint8, [context.extent("height"), context.extent("width"), channels])
      ]
    },
    samples: [
      Sample([.tensor { () throws(StackLensError) in try Tensor(Array("P3 1 1 9 3 6 9".utf8)) }]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor([UInt8]()) }],
        ["pixel_format": .string("Grayscale")]),
    ])
}

/// In which order the channels of a pixel are stored.
private enum PixelLayout: String {
  case rgb = "RGB"
  case bgr = "BGR"
  case gray = "Grayscale"

  func tensor(_ image: Image) throws(StackLensError) -> Tensor {
    let shape = try Shape([image.height, image.width, self == .gray ? 1 : 3])
    let result = try Tensor(uninitialized: .uint8, shape)
    let target = result.base.assumingMemoryBound(to: UInt8.self)
    image.pixels.withUnsafeBufferPointer { source in
      for i in 0..<source.count / 3 {
        let (red, green, blue) = (source[3 * i], source[3 * i + 1], source[3 * i + 2])
        switch self {
        case .rgb: (target[3 * i], target[3 * i + 1], target[3 * i + 2]) = (red, green, blue)
        case .bgr: (target[3 * i], target[3 * i + 1], target[3 * i + 2]) = (blue, green, red)
        case .gray:
          // Luma of ITU-R BT.601 in 16 bits, rounded.
          let luma = 19595 * UInt32(red) + 38470 * UInt32(green) + 7471 * UInt32(blue)
          target[i] = UInt8((luma + 0x8000) >> 16)
        }
      }
    }
    return result
  }
}
