import Base
import Tensors

/// One extent of a declared shape.
public enum Dimension: Sendable, Hashable, CustomStringConvertible {
  case fixed(Int)
  /// A symbol such as "batch"; equal names mean equal extents.
  case named(String)
  case unknown

  /// The extent, where it is a number.
  public var extent: Int? {
    if case .fixed(let extent) = self { extent } else { nil }
  }

  public var description: String {
    switch self {
    case .fixed(let extent): "\(extent)"
    case .named(let name): name
    case .unknown: "?"
    }
  }
}

/// The declared type of a value (`TypeProto`).
public indirect enum ValueType: Sendable, Hashable, CustomStringConvertible {
  /// A tensor; dims nil when not even the rank is known.
  case tensor(ElementType, [Dimension]?)
  case sequence(ValueType)
  case map(key: ElementType, value: ValueType)
  case optional(ValueType)
  case unknown

  public var description: String {
    switch self {
    case .tensor(let type, let dims):
      type.name + (dims.map { "[" + $0.map(\.description).joined(separator: ", ") + "]" } ?? "[…]")
    case .sequence(let element): "sequence of \(element)"
    case .map(let key, let value): "map from \(key.name) to \(value)"
    case .optional(let element): "optional \(element)"
    case .unknown: "unknown"
    }
  }
}

/// A named, typed edge: an input, an output or a note about an inner value (`ValueInfoProto`).
public struct ValueInfo: Sendable, Hashable {
  public var name: String
  public var type: ValueType
  public var documentation: String
  public var metadata: [KeyValue]
  /// What the parts of the type stand for ("IMAGE", "DATA_BATCH" …), in the order of a walk: each
  /// type before its extents or elements. Empty when nothing is said.
  public var denotations: [String] = []

  public init(
    _ name: String, _ type: ValueType, documentation: String = "", metadata: [KeyValue] = []
  ) {
    self.name = name
    self.type = type
    self.documentation = documentation
    self.metadata = metadata
  }
}

/// One entry of a metadata list, order kept.
public struct KeyValue: Sendable, Hashable {
  public var key: String
  public var value: String

  public init(_ key: String, _ value: String) {
    self.key = key
    self.value = value
  }
}
