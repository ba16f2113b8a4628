import Base
import CStackLens
import Graphs
import Tensors
import Training

@_cdecl("sl_model_parameters") @implementation
public func sl_model_parameters(
  _ handle: OpaquePointer?, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let out = try required(outJSON, "out_json")
    let list = JSON.array(try model.weightList().map(\.json))
    out.pointee = Handles.create(try ByteBuffer(list.encoded()))
  }
}

@_cdecl("sl_model_get_parameter") @implementation
public func sl_model_get_parameter(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ outValues: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let name = try text(name, "name")
    let out = try required(outValues, "out_values")
    out.pointee = CABI.handle(.tensor(try model.weight(named: name)))
  }
}

@_cdecl("sl_model_set_parameters") @implementation
public func sl_model_set_parameters(
  _ handle: OpaquePointer?, _ names: UnsafePointer<UnsafePointer<CChar>?>?,
  _ values: UnsafePointer<OpaquePointer?>?, _ count: Int,
  _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let handles = try array(values, count, "values")
    let out = try required(outModel, "out_model")
    var weights: [(name: String, tensor: Tensor)] = []
    for (index, pointer) in try array(names, count, "names").enumerated() {
      let name = try text(pointer, "names[\(index)]")
      // The caller's memory may change later, the model may not.
      weights.append((name, try tensor(handles[index], "values[\(index)]").copied()))
    }
    out.pointee = Handles.create(ModelBox(try model.replacing(weights)))
  }
}

@_cdecl("sl_model_freeze") @implementation
public func sl_model_freeze(
  _ handle: OpaquePointer?, _ pattern: UnsafePointer<CChar>?,
  _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  changed(handle, pattern, outModel) { (model, pattern) throws(StackLensError) in
    try model.freezing(pattern)
  }
}

@_cdecl("sl_model_thaw") @implementation
public func sl_model_thaw(
  _ handle: OpaquePointer?, _ pattern: UnsafePointer<CChar>?,
  _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  changed(handle, pattern, outModel) { (model, pattern) throws(StackLensError) in
    try model.thawing(pattern)
  }
}

/// Hands out what a model becomes by a pattern of names.
private func changed(
  _ handle: OpaquePointer?, _ pattern: UnsafePointer<CChar>?,
  _ outModel: UnsafeMutablePointer<OpaquePointer?>?,
  _ change: (Model, Glob) throws(StackLensError) -> Model
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let pattern = try Glob(text(pattern, "pattern"))
    let out = try required(outModel, "out_model")
    out.pointee = Handles.create(ModelBox(try change(model, pattern)))
  }
}
