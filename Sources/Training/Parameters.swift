import Base
import Graphs
import Tensors

extension Model {
  /// The key of the metadata entry that lists, as a JSON array, patterns of names that training
  /// leaves alone.
  package static var frozenKey: String { "stacklens.frozen" }

  /// The patterns of names that training leaves alone, as the model's metadata has them.
  package func frozenPatterns() throws(StackLensError) -> [Glob] {
    guard let entry = metadata.last(where: { $0.key == Self.frozenKey }) else { return [] }
    guard let patterns = try? JSON.parse(Array(entry.value.utf8)).arrayValue else {
      throw .formatError("the metadata entry '\(Self.frozenKey)' is no JSON array")
    }
    var globs: [Glob] = []
    for pattern in patterns {
      guard let text = pattern.stringValue else {
        throw .formatError("the metadata entry '\(Self.frozenKey)' holds \(pattern.kind)")
      }
      globs.append(try Glob(text))
    }
    return globs
  }

  /// The same model with other patterns of names that training leaves alone.
  package func frozen(_ patterns: [Glob]) -> Model {
    var model = self
    model.metadata.removeAll { $0.key == Self.frozenKey }
    guard !patterns.isEmpty else { return model }
    let list = JSON.array(patterns.map { .string($0.pattern) })
    model.metadata.append(
      KeyValue(Self.frozenKey, String(decoding: list.encoded(), as: UTF8.self)))
    return model
  }

  /// The initialisers that training may change: float32 and of rank 1 and up, no part of the
  /// computation itself (Constant nodes, masks), no default of an input, no running statistics.
  public var parameters: [Initializer] {
    let given = Set(graph.inputs.map(\.name))
    let statistics = graph.runningStatistics
    return graph.initializers.filter { constant in
      !constant.isConstant && constant.tensor.elementType == .float32 && constant.tensor.rank > 0
        && !given.contains(constant.name) && !statistics.contains(constant.name)
        && !constant.tensor.isMask
    }
  }
}

extension Graph {
  /// Names of the means and variances that normalisations keep.
  var runningStatistics: Set<String> {
    var names: Set<String> = []
    for node in nodes where node.isBatchNormalization {
      names.formUnion(node.inputs.dropFirst(3).prefix(2))
    }
    return names
  }
}

extension Node {
  var isBatchNormalization: Bool { domain.isEmpty && opType == "BatchNormalization" }
}

extension Tensor {
  /// Whether it is float32 and holds a number that only masks hold: -1e9 and less, or infinity.
  fileprivate var isMask: Bool {
    let elements = UnsafeBufferPointer(
      start: base.assumingMemoryBound(to: Float.self), count: count)
    return elements.contains { $0 <= -1e9 || $0.isInfinite }
  }
}
