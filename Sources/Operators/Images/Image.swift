import Base
import CImages

/// Rows of red, green and blue bytes, from the top.
struct Image {
  let width: Int
  let height: Int
  let pixels: [UInt8]

  /// What is returned for bytes that are no image.
  static let empty = Image(width: 0, height: 0, pixels: [])

  /// An image may have as many pixels as this.
  static let pixelLimit = 1 << 26

  init(width: Int, height: Int, pixels: [UInt8]) {
    (self.width, self.height, self.pixels) = (width, height, pixels)
  }

  /// Decodes the format that the first bytes tell.
  /// - Throws: `.unsupported` naming the package that is not installed, `.limitExceeded`.
  init(encoded data: UnsafeRawBufferPointer) throws(StackLensError) {
    func begins(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
      data.count >= offset + bytes.count && data[offset..<offset + bytes.count].elementsEqual(bytes)
    }
    if begins([0xFF, 0xD8]) {
      try self.init(data, by: sli_decode_jpeg, "JPEG", package: "libjpeg62-turbo")
    } else if begins([0x89] + Array("PNG\r\n".utf8)) {
      try self.init(data, by: sli_decode_png, "PNG", package: "libpng16-16")
    } else if begins(Array("RIFF".utf8)), begins(Array("WEBP".utf8), at: 8) {
      try self.init(data, by: sli_decode_webp, "WebP", package: "libwebp7")
    } else if begins([0x49, 0x49, 0x2A, 0]) || begins([0x4D, 0x4D, 0, 0x2A])
      || begins([0x49, 0x49, 0x2B, 0]) || begins([0x4D, 0x4D, 0, 0x2B])
    {
      try self.init(data, by: sli_decode_tiff, "TIFF", package: "libtiff6")
    } else if begins(Array("jP  \r\n".utf8), at: 4) || begins([0xFF, 0x4F, 0xFF, 0x51]) {
      try self.init(data, by: sli_decode_jpeg2000, "JPEG 2000", package: "libopenjp2-7")
    } else if begins(Array("BM".utf8)) {
      self = try Bitmap(data)?.image() ?? .empty
    } else if begins(Array("P".utf8)) {
      self = try PortableMap.image(data) ?? .empty
    } else {
      self = .empty
    }
  }

  private typealias Decode = (
    UnsafePointer<UInt8>, Int, Int64, UnsafeMutablePointer<sli_image>
  ) -> sli_status

  private init(
    _ data: UnsafeRawBufferPointer, by decode: Decode, _ format: String, package: String
  ) throws(StackLensError) {
    guard let start = data.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
      self = .empty
      return
    }
    var image = sli_image()
    switch decode(start, data.count, Int64(Self.pixelLimit), &image) {
    case SLI_OK:
      defer { sli_image_free(&image) }
      let (width, height) = (Int(image.width), Int(image.height))
      let pixels = Array(UnsafeBufferPointer(start: image.pixels, count: width * height * 3))
      self.init(width: width, height: height, pixels: pixels)
    case SLI_NO_LIBRARY:
      throw .unsupported("\(format) images need the package \(package), which is not installed")
    case SLI_TOO_LARGE: throw Self.tooLarge
    case SLI_NO_MEMORY: throw .outOfMemory("no memory for the pixels of the image")
    default: self = .empty
    }
  }

  private static let tooLarge = StackLensError.limitExceeded(
    "an image may have \(pixelLimit) pixels at most")

  /// The count of pixels, nil where an extent is not positive.
  static func pixelCount(_ width: Int, _ height: Int) throws(StackLensError) -> Int? {
    guard width > 0, height > 0 else { return nil }
    let (count, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, count <= pixelLimit else { throw tooLarge }
    return count
  }
}
