import Base
import Graphs
import Tensors

extension LayerDefinition {
  static let shapes: [LayerDefinition] = [
    LayerDefinition(
      "flatten", "Makes one axis of several.",
      options: [
        .integer("start_dim", -64...64, default: 1, "First axis."),
        .integer("end_dim", -64...64, default: -1, "Last axis."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.flatten(
          name, inputs.required(0), from: options.integer("start_dim"),
          through: options.integer("end_dim"))
      ]
    },
    LayerDefinition(
      "reshape", "The same elements in another shape; 0 keeps an extent, one may be -1.",
      options: [
        .integers("shape", -1...OptionSpec.largest, default: nil, isRequired: true, "Shape.")
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      let x = try inputs.required(0)
      let shape = try options.list("shape") ?? []
      return [
        try network.scope(name) { () throws(StackLensError) in try network.reshaped(x, shape) }
      ]
    },
    LayerDefinition(
      "permute", "The axes in another order.",
      options: [.integers("dims", 0...63, default: nil, isRequired: true, "The order.")]
    ) { (network, name, inputs, options) throws(StackLensError) in
      let x = try inputs.required(0)
      let order = try options.list("dims") ?? []
      guard order.sorted() == Array(0..<order.count) else {
        throw .invalidArgument("'dims' is \(order), expected each of 0..<\(order.count) once")
      }
      return [
        try network.scope(name) { () throws(StackLensError) in
          network.graph.transpose(x, order.map { Int64($0) })
        }
      ]
    },
    LayerDefinition(
      "concat", "Inputs one behind the other along an axis.", repeatsLastInput: true,
      options: [.integer("dim", -64...64, default: -1, "The axis.")]
    ) { (network, name, inputs, options) throws(StackLensError) in
      let parts = inputs.compactMap { $0 }
      let axis = try options.integer("dim")
      return [
        try network.scope(name) { () throws(StackLensError) in network.joined(parts, axis: axis) }
      ]
    },
    LayerDefinition("sum", "The sum of the inputs, for residuals.", repeatsLastInput: true) {
      (network, name, inputs, _) throws(StackLensError) in
      let parts = inputs.compactMap { $0 }
      return [
        try network.scope(name) { () throws(StackLensError) in network.graph.add("Sum", parts) }
      ]
    },
  ]
}

extension Network {
  /// Makes one axis of those from `first` through `last`, negative ones counted from the end.
  public func flatten(
    _ name: String, _ x: Edge, from first: Int = 1, through last: Int = -1
  ) throws(StackLensError) -> Edge {
    let rank = dims(of: x)?.count
    func place(_ axis: Int) throws(StackLensError) -> Int {
      guard axis < 0 || rank != nil else { return axis }
      guard let rank else { throw .shapeMismatch("the rank of '\(x.name)' is not known") }
      guard axis >= -rank, axis < rank else {
        throw .shapeMismatch("there is no axis \(axis) in \(rank)")
      }
      return axis < 0 ? axis + rank : axis
    }
    return try scope(name) { () throws(StackLensError) in
      let start = try place(first)
      let kept = [Int](repeating: 0, count: start)
      // The product of the extents, since -1 says nothing about an empty batch.
      let end = last == -1 ? rank : try place(last) + 1
      guard let rank, let end else { return try reshaped(x, kept + [-1]) }
      guard end > start else { throw .invalidArgument("axis \(last) lies before \(first)") }
      if let dims = dims(of: x), let width = product(dims[start..<end]) {
        let rest = dims[end...].compactMap(\.extent)
        if rest.count == rank - end { return try reshaped(x, kept + [width] + rest) }
      }
      let merged = graph.add("ReduceProd", [extents(x, start..<end), try ints([0])])
      let parts = [try ints(kept), merged] + (end < rank ? [extents(x, end..<rank)] : [])
      return graph.add("Reshape", [x, joined(start > 0 ? parts : Array(parts.dropFirst()))])
    }
  }

  /// The product of extents that are all known.
  private func product(_ dims: ArraySlice<Dimension>) -> Int? {
    var product = 1
    for dim in dims {
      guard let extent = dim.extent else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      guard !overflow else { return nil }
      product = next
    }
    return product
  }
}
