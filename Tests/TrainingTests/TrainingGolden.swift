import Base
import Exchange
import Tensors
import Testing

/// What scripts/generate-training-golden.py wrote: Golden/training.safetensors.
enum TrainingGolden {
  static let file: Result<SafetensorsFile, StackLensError> = {
    var folder = "\(#filePath)"
    while folder.last != "/" { folder.removeLast() }
    do throws(StackLensError) {
      return .success(try SafetensorsFile.load(path: folder + "Golden/training.safetensors"))
    } catch { return .failure(error) }
  }()

  /// A case as the file lists it.
  struct Case: CustomTestStringConvertible, Sendable {
    let json: JSON
    var testDescription: String { text("case") }

    func text(_ key: String) -> String { json[key]?.stringValue ?? "" }
    var options: JSON { json["options"] ?? .null }
  }

  /// The cases of a kind: optimizers, losses or schedules.
  static func cases(_ kind: String) -> [Case] {
    guard let file = try? file.get(),
      let text = file.metadata.first(where: { $0.key == kind })?.value,
      let list = try? JSON.parse(Array(text.utf8))
    else { return [] }
    return list.arrayValue?.map { Case(json: $0) } ?? []
  }

  static func tensor(_ name: String) throws -> Tensor {
    try #require(try file.get()[name], "\(name)")
  }

  /// Tensors that are numbered from 0.
  static func tensors(_ prefix: String) throws -> [Tensor] {
    var found: [Tensor] = []
    while let tensor = try file.get()["\(prefix)\(found.count)"] { found.append(tensor) }
    return found
  }
}
