import Base
import Graphs

/// The official checker, in a library of its own (`libstacklens-onnx.so`) that is opened when it is
/// first asked for. It is only ever given bytes that `ModelEncoder` wrote.
struct OfficialLibrary: Sendable {
  private typealias Newest = @convention(c) () -> Int32
  private typealias Check =
    @convention(c) (UnsafeRawPointer?, Int, UnsafeMutablePointer<CChar>?, Int) -> Int32

  /// Newest version of the default domain that it knows.
  let newestOpset: Int
  private let check: Check

  private static let shared: Result<OfficialLibrary, StackLensError> = {
    do throws(StackLensError) { return .success(try OfficialLibrary()) } catch {
      return .failure(error)
    }
  }()

  /// - Throws: `.unsupported` when it is not installed.
  static func open() throws(StackLensError) -> OfficialLibrary { try shared.get() }

  private init() throws(StackLensError) {
    let library = try SharedLibrary(besideThis: "libstacklens-onnx.so")
    let newest = unsafeBitCast(try library.symbol("slx_newest_opset"), to: Newest.self)
    check = unsafeBitCast(try library.symbol("slx_check"), to: Check.self)
    newestOpset = Int(newest())
  }

  /// - Throws: `.formatError` with the checker's words.
  func check(_ model: [UInt8]) throws(StackLensError) {
    let (status, message) = withMessage { text, capacity in
      model.withUnsafeBytes { check($0.baseAddress, $0.count, text, capacity) }
    }
    guard status == 0 else { throw .formatError("the official checker says: \(message)") }
  }

  private func withMessage(
    _ body: (UnsafeMutablePointer<CChar>?, Int) -> Int32
  ) -> (status: Int32, message: String) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
      buffer.initialize(repeating: 0)
      let status = body(buffer.baseAddress, buffer.count)
      return (status, buffer.baseAddress.map { String(cString: $0) } ?? "")
    }
  }
}

/// What `Model.check` found.
public enum ModelCheck: Sendable, Equatable {
  /// The library's own checks and the official checker passed.
  case official
  /// The library's own checks passed; the official checker did not run, for this reason.
  case ownOnly(reason: String)
}

extension Model {
  /// Checks the model as it would be written: structure, operators, what the opset allows and the
  /// declared types against those that follow from the inputs; then the official checker over the bytes in memory where it knows the opset.
  /// - Parameter opset: the opset to write for, 17 if nil.
  /// - Throws: `.formatError` or `.unsupported` with the reason, naming the node where there is one.
  @discardableResult
  public func check(opset: Int? = nil) throws(StackLensError) -> ModelCheck {
    let bytes = try ONNX.encode(self, opset: opset)
    try graph.verifyTypes()
    let library: OfficialLibrary
    do throws(StackLensError) { library = try OfficialLibrary.open() } catch {
      return .ownOnly(reason: error.message)
    }
    let opset = opset ?? Opsets.written
    guard opset <= library.newestOpset else {
      return .ownOnly(
        reason: "the official checker knows opset \(library.newestOpset), not \(opset)")
    }
    try library.check(bytes)
    return .official
  }
}
