import Base
import Graphs
import Tensors

/// What is known of a value while types are probed: symbolic extents are numbers here, a different
/// one for each symbol and probe.
public indirect enum AbstractValue: Sendable {
  /// A tensor whose elements are known as well where they follow from shapes and constants.
  case tensor(TensorType, value: Tensor?)
  /// A tensor of unknown rank.
  case elements(ElementType)
  case sequence(AbstractValue)
  case map(key: ElementType, value: AbstractValue)
  case optional(AbstractValue)
  case unknown

  /// A tensor of unknown elements.
  public static func tensor(
    _ elementType: ElementType, _ dims: [Int]
  ) throws(StackLensError) -> Self {
    .tensor(TensorType(elementType, try Shape(dims)), value: nil)
  }

  public init(_ value: Value) {
    switch value {
    case .tensor(let tensor): self = .tensor(TensorType(tensor), value: tensor)
    case .sequence(let items): self = .sequence(items.first.map { Self($0).forgetting } ?? .unknown)
    case .map(let keys, let values):
      self = .map(
        key: keys.elementType, value: .tensor(TensorType(values.elementType, .scalar), value: nil))
    case .none: self = .optional(.unknown)
    }
  }

  /// Nil unless the value is a tensor of known shape.
  public var type: TensorType? {
    guard case .tensor(let type, _) = self else { return nil }
    return type
  }

  public var elementType: ElementType? {
    switch self {
    case .tensor(let type, _): type.elementType
    case .elements(let type): type
    default: nil
    }
  }

  /// The elements where they are known.
  public var value: Tensor? {
    guard case .tensor(_, let value) = self else { return nil }
    return value
  }

  /// The same without the elements.
  public var forgetting: Self {
    switch self {
    case .tensor(let type, _): .tensor(type, value: nil)
    case .sequence(let item): .sequence(item.forgetting)
    case .optional(let content): .optional(content.forgetting)
    default: self
    }
  }

  func hasSameType(as other: Self) -> Bool {
    switch (self, other) {
    case (.tensor(let left, _), .tensor(let right, _)): left == right
    case (.elements(let left), .elements(let right)): left == right
    case (.sequence(let left), .sequence(let right)): left.hasSameType(as: right)
    case (.map(let key, let left), .map(let other, let right)):
      key == other && left.hasSameType(as: right)
    case (.optional(let left), .optional(let right)): left.hasSameType(as: right)
    case (.unknown, .unknown): true
    default: false
    }
  }

  /// What holds for both values.
  /// - Parameter extent: the number of the symbol for an axis along which the two differ.
  func joined(
    with other: Self, extent: (_ axis: Int) -> Int
  ) throws(StackLensError) -> Self {
    switch (self, other) {
    case (.tensor(let left, _), .tensor(let right, _)) where left.elementType == right.elementType:
      guard left.rank == right.rank else { return .elements(left.elementType) }
      var dims = left.shape.dims
      for axis in dims.indices where dims[axis] != right.shape[axis] { dims[axis] = extent(axis) }
      return try .tensor(left.elementType, dims)
    case (.sequence(let left), .sequence(let right)):
      return .sequence(try left.joined(with: right, extent: extent))
    case (.optional(let left), .optional(let right)):
      return .optional(try left.joined(with: right, extent: extent))
    case (.optional(let content), let plain), (let plain, .optional(let content)):
      return .optional(try content.joined(with: plain, extent: extent))
    case (.map(let key, let left), .map(let other, let right)) where key == other:
      return .map(key: key, value: try left.joined(with: right, extent: extent))
    default:
      guard let left = elementType, left == other.elementType else { return .unknown }
      return .elements(left)
    }
  }
}
