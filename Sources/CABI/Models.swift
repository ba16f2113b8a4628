import Base
import CStackLens
import Exchange
import Graphs
import Operators

typealias ModelBox = Box<Model>

func model(_ handle: OpaquePointer?) throws(StackLensError) -> Model {
  try Handles.object(handle, as: ModelBox.self, "model").content
}

/// 0 stands for the default opset, SL_OPSET_AUTO for one that fits the model.
func opset(_ number: Int32, _ model: Model? = nil) throws(StackLensError) -> Int? {
  if number == SL_OPSET_AUTO, let model { return try ONNX.fittingOpset(model) }
  guard number >= 0 else { throw .invalidArgument("opset \(number) is negative") }
  return number == 0 ? nil : Int(number)
}

@_cdecl("sl_model_load") @implementation
public func sl_model_load(
  _ path: UnsafePointer<CChar>?, _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let path = try text(path, "path")
    let out = try required(outModel, "out_model")
    out.pointee = Handles.create(ModelBox(try ONNX.load(path: path)))
  }
}

@_cdecl("sl_model_load_bytes") @implementation
public func sl_model_load_bytes(
  _ bytes: UnsafeRawPointer?, _ byteCount: Int, _ folder: UnsafePointer<CChar>?,
  _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let bytes = try array(bytes?.assumingMemoryBound(to: UInt8.self), byteCount, "bytes")
    let folder = try folder.map { (pointer) throws(StackLensError) in try text(pointer, "folder") }
    let out = try required(outModel, "out_model")
    out.pointee = Handles.create(ModelBox(try ONNX.load(bytes: Array(bytes), folder: folder)))
  }
}

@_cdecl("sl_model_save") @implementation
public func sl_model_save(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ number: Int32
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    try ONNX.save(model, to: text(path, "path"), opset: opset(number, model))
  }
}

@_cdecl("sl_model_save_external") @implementation
public func sl_model_save_external(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ number: Int32,
  _ externalData: UnsafePointer<CChar>?, _ threshold: Int
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    try ONNX.save(
      model, to: text(path, "path"), opset: opset(number, model),
      externalData: text(externalData, "external_data"), threshold: threshold)
  }
}

@_cdecl("sl_model_encode") @implementation
public func sl_model_encode(
  _ handle: OpaquePointer?, _ number: Int32, _ outBuffer: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let out = try required(outBuffer, "out_buffer")
    let model = try model(handle)
    out.pointee = Handles.create(
      try ByteBuffer(try ONNX.encode(model, opset: opset(number, model))))
  }
}

@_cdecl("sl_model_check") @implementation
public func sl_model_check(_ handle: OpaquePointer?) -> sl_status {
  boundary { () throws(StackLensError) in _ = try model(handle).check() }
}

@_cdecl("sl_model_describe") @implementation
public func sl_model_describe(
  _ handle: OpaquePointer?, _ outText: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let out = try required(outText, "out_text")
    out.pointee = Handles.create(try ByteBuffer(model.graph.typed().listing().utf8))
  }
}

@_cdecl("sl_model_infer") @implementation
public func sl_model_infer(
  _ handle: OpaquePointer?, _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    var model = try model(handle)
    let out = try required(outModel, "out_model")
    try model.graph.verifyTypes()
    model.graph = model.graph.typed()
    out.pointee = Handles.create(ModelBox(model))
  }
}

@_cdecl("sl_model_value_types") @implementation
public func sl_model_value_types(
  _ handle: OpaquePointer?, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let out = try required(outJSON, "out_json")
    out.pointee = Handles.create(try ByteBuffer(GraphTypes(of: model.graph).json(model.graph)))
  }
}

@_cdecl("sl_model_interface") @implementation
public func sl_model_interface(
  _ handle: OpaquePointer?, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let out = try required(outJSON, "out_json")
    func list(_ values: [ValueInfo]) -> JSON {
      .array(
        values.map { value in
          let type = value.type.json.objectValue?.members ?? []
          return .object(JSONObject([.init(key: "name", value: .string(value.name))] + type))
        })
    }
    let interface = JSONObject([
      .init(key: "inputs", value: list(model.graph.requiredInputs)),
      .init(key: "outputs", value: list(model.graph.outputs)),
    ])
    out.pointee = Handles.create(try ByteBuffer(JSON.object(interface).encoded()))
  }
}

@_cdecl("sl_model_metadata") @implementation
public func sl_model_metadata(
  _ handle: OpaquePointer?, _ key: UnsafePointer<CChar>?,
  _ outText: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let key = try text(key, "key")
    let out = try required(outText, "out_text")
    guard let entry = model.metadata.first(where: { $0.key == key }) else {
      throw .invalidArgument("the model has no metadata entry '\(key)'")
    }
    out.pointee = Handles.create(try ByteBuffer(entry.value.utf8))
  }
}

@_cdecl("sl_model_release") @implementation
public func sl_model_release(_ model: OpaquePointer?) { Handles.release(model) }
