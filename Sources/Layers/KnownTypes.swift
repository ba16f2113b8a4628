import Base
import Graphs
import Operators
import Tensors

extension Network {
  /// What is known of the type of a value, nil where nothing is.
  public func type(of edge: Edge) -> ValueType? {
    known.take(graph.graph)
    return known.values[edge.name].flatMap { $0 == .unknown ? nil : $0 }
  }

  /// The extents of a tensor, nil where not even their number is known.
  public func dims(of edge: Edge) -> [Dimension]? {
    guard case .tensor(_, let dims)? = type(of: edge) else { return nil }
    return dims
  }

  func elementType(of edge: Edge) -> ElementType? {
    guard case .tensor(let type, _)? = type(of: edge) else { return nil }
    return type
  }

  /// The rank of what a layer reads.
  /// - Throws: `.shapeMismatch` when it is known and not among those the layer takes.
  func check(_ edge: Edge, rank allowed: ClosedRange<Int>, _ form: String) throws(StackLensError) {
    guard let dims = dims(of: edge), !allowed.contains(dims.count) else { return }
    throw .shapeMismatch("the input is \(dims), expected \(form)")
  }

  /// How wide a tensor is along one axis: what the caller says, held against what is known.
  /// - Parameters:
  ///   - axis: counted from the end where it is negative.
  ///   - option: what the caller's number is called, for messages.
  /// - Throws: `.invalidArgument` where neither says anything, `.shapeMismatch` where they differ.
  func width(
    of edge: Edge, axis: Int, given: Int?, _ option: String
  ) throws(StackLensError) -> Int {
    var found: Int?
    if let dims = dims(of: edge) {
      let place = axis < 0 ? axis + dims.count : axis
      guard dims.indices.contains(place) else {
        throw .shapeMismatch("the input is \(dims) and has no axis \(axis)")
      }
      found = dims[place].extent
    }
    guard let width = given ?? found else {
      throw .invalidArgument(
        "'\(option)' is needed, because the width of '\(edge.name)' is not known")
    }
    if let found, found != width {
      throw .shapeMismatch("the input is \(found) wide, '\(option)' says \(width)")
    }
    guard width > 0 else { throw .shapeMismatch("'\(option)' is \(width), expected at least 1") }
    return width
  }
}
