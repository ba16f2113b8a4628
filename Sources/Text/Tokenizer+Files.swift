import Base

extension Tokenizer {
  /// Reads a tokenizer from a file or a model folder.
  ///
  /// A folder is asked for `tokenizer.json`, then for `vocab.txt`, next to which a
  /// `tokenizer_config.json` may stand. A file whose name ends in `.txt` is read as a vocabulary
  /// with a `tokenizer_config.json` beside it, any other as `tokenizer.json`.
  /// - Throws: `.ioError` if there is nothing to read; otherwise as the initialisers do.
  public static func load(path: String) throws(StackLensError) -> Tokenizer {
    guard PathKind(of: path) == .folder else {
      return try loadFile(path, configFolder: folder(of: path))
    }
    for name in ["tokenizer.json", "vocab.txt"] where PathKind(of: "\(path)/\(name)") == .file {
      return try loadFile("\(path)/\(name)", configFolder: path)
    }
    throw .ioError("folder '\(path)' has neither tokenizer.json nor vocab.txt")
  }

  private static func loadFile(
    _ path: String, configFolder: String
  ) throws(StackLensError) -> Tokenizer {
    let file = try MappedFile(path: path)
    defer { withExtendedLifetime(file) {} }
    do throws(StackLensError) {
      guard path.hasSuffix(".txt") else { return try Tokenizer(tokenizerJSON: file.bytes) }
      return try Tokenizer(vocabulary: file.bytes, settings: try settings(configFolder))
    } catch {
      throw error.within(path)
    }
  }

  private static func settings(_ folder: String) throws(StackLensError) -> VocabularySettings {
    let path = "\(folder)/tokenizer_config.json"
    guard PathKind(of: path) == .file else { return VocabularySettings() }
    let file = try MappedFile(path: path)
    defer { withExtendedLifetime(file) {} }
    return try VocabularySettings(tokenizerConfig: file.bytes)
  }
}
