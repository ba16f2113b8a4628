import Base
import CStackLens
import Graphs
import Layers
import Operators
import Tensors

/// A model under construction, for one thread at a time, with the names that C was lent.
final class GraphBox: Sendable {
  private struct State {
    let assembly: Assembly
    var names: [String: UnsafeMutablePointer<CChar>] = [:]
  }
  private let state: Mutex<State>

  init(_ assembly: Assembly) { state = Mutex(State(assembly: assembly)) }

  deinit {
    state.withLock { state in for name in state.names.values { name.deallocate() } }
  }

  func use<Result>(
    _ body: (Assembly) throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    try state.withLock { (state) throws(StackLensError) in try body(state.assembly) }
  }

  /// A name that lives as long as this box.
  func lend(_ name: String) -> UnsafePointer<CChar> {
    state.withLock { state in
      if let known = state.names[name] { return UnsafePointer(known) }
      let bytes = name.utf8CString
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (index, byte) in bytes.enumerated() { copy[index] = byte }
      state.names[name] = copy
      return UnsafePointer(copy)
    }
  }
}

private func graph(_ handle: OpaquePointer?) throws(StackLensError) -> GraphBox {
  try Handles.object(handle, as: GraphBox.self, "graph")
}

/// Names of values; NULL and "" leave one out.
private func values(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int
) throws(StackLensError) -> [String?] {
  guard count <= 1 << 16 else { throw .invalidArgument("input_count \(count) is too large") }
  return try array(names, count, "inputs").map { pointer in
    pointer.map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }
}

/// JSON given as a text; NULL and "" are null.
func json(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(StackLensError) -> JSON {
  guard let pointer, pointer.pointee != 0 else { return .null }
  do throws(StackLensError) {
    return try JSON.parse(Array(String(cString: pointer).utf8))
  } catch { throw StackLensError(.invalidArgument, error.message).within(name) }
}

@_cdecl("sl_graph_create") @implementation
public func sl_graph_create(
  _ name: UnsafePointer<CChar>?, _ seed: UInt64, _ outGraph: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let name = try text(name, "name")
    let out = try required(outGraph, "out_graph")
    out.pointee = Handles.create(GraphBox(Assembly(name, seed: seed)))
  }
}

@_cdecl("sl_graph_continue") @implementation
public func sl_graph_continue(
  _ handle: OpaquePointer?, _ seed: UInt64, _ outGraph: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let out = try required(outGraph, "out_graph")
    out.pointee = Handles.create(GraphBox(Assembly(continuing: model, seed: seed)))
  }
}

@_cdecl("sl_graph_release") @implementation
public func sl_graph_release(_ graph: OpaquePointer?) { Handles.release(graph) }

@_cdecl("sl_graph_input") @implementation
public func sl_graph_input(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ type: sl_type,
  _ dims: UnsafePointer<Int64>?, _ dimNames: UnsafePointer<UnsafePointer<CChar>?>?, _ rank: Int
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let (name, type) = (try text(name, "name"), try type.elementType())
    var extents: [Dimension]?
    // SIZE_MAX: the rank is not declared.
    if rank != -1 {
      guard rank >= 0, rank <= 1024 else { throw .invalidArgument("rank \(rank) is too large") }
      let given = try array(dims, rank, "dims")
      let names = dimNames == nil ? nil : try array(dimNames, rank, "dim_names")
      extents = given.enumerated().map { axis, extent in
        if extent != -1 { return .fixed(Int(extent)) }
        let name = names?[axis].map { String(cString: $0) } ?? ""
        return name.isEmpty ? .unknown : .named(name)
      }
    }
    try box.use { (assembly) throws(StackLensError) in
      try assembly.input(name, type, extents)
    }
  }
}

@_cdecl("sl_graph_constant") @implementation
public func sl_graph_constant(
  _ handle: OpaquePointer?, _ value: OpaquePointer?,
  _ outValue: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let tensor = try tensor(value, "value")
    let out = try required(outValue, "out_value")
    let name = try box.use { (assembly) throws(StackLensError) in try assembly.constant(tensor) }
    out.pointee = box.lend(name)
  }
}

@_cdecl("sl_graph_weights") @implementation
public func sl_graph_weights(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ values: OpaquePointer?,
  _ outValue: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let (name, tensor) = (try text(name, "name"), try tensor(values, "values"))
    let out = try required(outValue, "out_value")
    let value = try box.use { (assembly) throws(StackLensError) in
      try assembly.parameter(name, tensor.copied())
    }
    out.pointee = box.lend(value)
  }
}

@_cdecl("sl_graph_parameter") @implementation
public func sl_graph_parameter(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ dims: UnsafePointer<Int64>?,
  _ rank: Int, _ initializer: UnsafePointer<CChar>?,
  _ outValue: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let (name, shape) = (try text(name, "name"), try shape(dims, rank))
    let start = try text(initializer, "initializer")
    let out = try required(outValue, "out_value")
    let isJSON = start.hasPrefix("{") || start.hasPrefix("\"")
    let settings = isJSON ? try json(initializer, "initializer") : .string(start)
    let value = try box.use { (assembly) throws(StackLensError) in
      try assembly.parameter(name, shape.dims, settings)
    }
    out.pointee = box.lend(value)
  }
}

@_cdecl("sl_graph_layer") @implementation
public func sl_graph_layer(
  _ handle: OpaquePointer?, _ layer: UnsafePointer<CChar>?, _ scope: UnsafePointer<CChar>?,
  _ options: UnsafePointer<CChar>?, _ inputs: UnsafePointer<UnsafePointer<CChar>?>?,
  _ inputCount: Int, _ outValues: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ capacity: Int,
  _ outCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let layer = try text(layer, "layer")
    let scope = scope.map { String(cString: $0) } ?? ""
    let (options, inputs) = (try json(options, "options"), try values(inputs, inputCount))
    let count = try required(outCount, "out_count")
    // Room is checked before anything is added.
    let room = try output(outValues, needed: max(capacity, 0), capacity: capacity, "out_values")
    let names = try box.use { (assembly) throws(StackLensError) in
      try assembly.layer(layer, scope, inputs, options: options, atMost: capacity)
    }
    for (index, name) in names.enumerated() { room[index] = box.lend(name) }
    count.pointee = names.count
  }
}

@_cdecl("sl_layer_count") @implementation
public func sl_layer_count() -> Int { LayerTable.all.count }

@_cdecl("sl_layer_describe") @implementation
public func sl_layer_describe(
  _ index: Int, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  describe(index, of: LayerTable.all, "layer", outJSON) { $0.described() }
}

@_cdecl("sl_graph_op") @implementation
public func sl_graph_op(
  _ handle: OpaquePointer?, _ operatorName: UnsafePointer<CChar>?,
  _ domain: UnsafePointer<CChar>?, _ inputs: UnsafePointer<UnsafePointer<CChar>?>?,
  _ inputCount: Int, _ attributes: OpaquePointer?, _ outputCount: Int,
  _ outValues: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let name = try text(operatorName, "operator_name")
    let domain = domain.map { String(cString: $0) } ?? ""
    let inputs = try values(inputs, inputCount)
    let settings = try attributesGiven(attributes)
    guard outputCount >= 1, outputCount <= 1 << 16 else {
      throw .invalidArgument("output_count \(outputCount) is outside [1, 65536]")
    }
    let out = try output(outValues, needed: outputCount, capacity: outputCount, "out_values")
    let names = try box.use { (assembly) throws(StackLensError) in
      try assembly.apply(name, domain: domain, inputs, settings, outputCount: outputCount)
    }
    for (index, name) in names.enumerated() { out[index] = box.lend(name) }
  }
}

@_cdecl("sl_graph_value") @implementation
public func sl_graph_value(
  _ handle: OpaquePointer?, _ value: UnsafePointer<CChar>?,
  _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let name = try text(value, "value")
    let out = try required(outJSON, "out_json")
    let type = try box.use { (assembly) throws(StackLensError) in try assembly.type(of: name) }
    out.pointee = Handles.create(try ByteBuffer(type.json.encoded()))
  }
}

@_cdecl("sl_graph_output") @implementation
public func sl_graph_output(
  _ handle: OpaquePointer?, _ value: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let (value, name) = (try text(value, "value"), try text(name, "name"))
    try box.use { (assembly) throws(StackLensError) in try assembly.output(value, name) }
  }
}

@_cdecl("sl_graph_model") @implementation
public func sl_graph_model(
  _ handle: OpaquePointer?, _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try graph(handle)
    let out = try required(outModel, "out_model")
    out.pointee = Handles.create(
      ModelBox(try box.use { (assembly) throws(StackLensError) in try assembly.model() }))
  }
}
