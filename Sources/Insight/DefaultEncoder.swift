import Base

/// The encoder that comes with the library, for those who name none.
public enum DefaultEncoder {
  private static let variable = "STACKLENS_ENCODER"

  /// The folder that STACKLENS_ENCODER names; else "encoder" beside the library, as in the Python
  /// package; else where an installation puts it.
  /// - Throws: `.ioError` naming the places where it is not.
  public static func folder() throws(StackLensError) -> String {
    if let chosen = environment(variable) { return chosen }
    let own = SharedLibrary.folder() ?? "."
    let places = ["/encoder", "/../share/stacklens/encoder", "/../../share/stacklens/encoder"]
      .map { own + $0 }
    guard let found = places.first(where: { PathKind(of: $0 + "/config.json") == .file }) else {
      throw .ioError(
        "the default encoder is not there (looked for \(places.joined(separator: ", "))): name a "
          + "folder with an encoder, or set \(variable)")
    }
    return found
  }
}
