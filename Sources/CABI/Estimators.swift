import Base
import CStackLens
import Graphs
import Models
import Tensors
import Training

private func estimator(_ handle: OpaquePointer?) throws(StackLensError) -> Estimator {
  try Handles.object(handle, as: Estimator.self, "estimator")
}

private func inputs(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ values: UnsafePointer<OpaquePointer?>?,
  _ count: Int
) throws(StackLensError) -> [String: Value] {
  try named(names, values, count, "values") { (handle, place) throws(StackLensError) in
    try value(handle, place)
  }
}

@_cdecl("sl_estimator_kind_count") @implementation
public func sl_estimator_kind_count() -> Int { ArchitectureTable.all.count }

@_cdecl("sl_estimator_kind_describe") @implementation
public func sl_estimator_kind_describe(
  _ index: Int, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let out = try required(outJSON, "out_json")
    guard ArchitectureTable.all.indices.contains(index) else {
      throw .invalidArgument("there are \(ArchitectureTable.all.count) kinds of models")
    }
    out.pointee = Handles.create(
      try ByteBuffer(ArchitectureTable.all[index].described().encoded()))
  }
}

@_cdecl("sl_estimator_create") @implementation
public func sl_estimator_create(
  _ kind: UnsafePointer<CChar>?, _ options: UnsafePointer<CChar>?,
  _ outEstimator: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let (kind, options) = (try text(kind, "kind"), try json(options, "options"))
    let out = try required(outEstimator, "out_estimator")
    out.pointee = Handles.create(try Estimator(kind, options: options))
  }
}

@_cdecl("sl_estimator_load") @implementation
public func sl_estimator_load(
  _ path: UnsafePointer<CChar>?, _ outEstimator: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let path = try text(path, "path")
    let out = try required(outEstimator, "out_estimator")
    out.pointee = Handles.create(try Estimator.load(path: path))
  }
}

@_cdecl("sl_estimator_release") @implementation
public func sl_estimator_release(_ estimator: OpaquePointer?) { Handles.release(estimator) }

@_cdecl("sl_estimator_save") @implementation
public func sl_estimator_save(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    try estimator(handle).save(to: text(path, "path"))
  }
}

@_cdecl("sl_estimator_describe") @implementation
public func sl_estimator_describe(
  _ handle: OpaquePointer?, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let estimator = try estimator(handle)
    let out = try required(outJSON, "out_json")
    out.pointee = Handles.create(try ByteBuffer(estimator.described().encoded()))
  }
}

@_cdecl("sl_estimator_fit") @implementation
public func sl_estimator_fit(
  _ handle: OpaquePointer?, _ names: UnsafePointer<UnsafePointer<CChar>?>?,
  _ values: UnsafePointer<OpaquePointer?>?, _ count: Int, _ options: UnsafePointer<CChar>?,
  _ callback: sl_training_callback?, _ userData: UnsafeMutableRawPointer?,
  _ outHistory: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let estimator = try estimator(handle)
    let data = try inputs(names, values, count)
    let history = try estimator.fit(data, options: json(options, "options")) { event in
      guard let callback else { return true }
      return event.withC { callback($0, userData) == 0 }
    }
    if let outHistory {
      outHistory.pointee = Handles.create(try ByteBuffer(history.json.encoded()))
    }
  }
}

@_cdecl("sl_estimator_call") @implementation
public func sl_estimator_call(
  _ handle: OpaquePointer?, _ method: UnsafePointer<CChar>?,
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ values: UnsafePointer<OpaquePointer?>?,
  _ count: Int, _ options: UnsafePointer<CChar>?, _ outputCount: Int,
  _ outValues: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let estimator = try estimator(handle)
    let method = try text(method, "method")
    let inputs = try inputs(names, values, count)
    let out = try output(outValues, needed: outputCount, capacity: outputCount, "out_values")
    let answers = try estimator.call(method, inputs, options: json(options, "options"))
    guard answers.count == outputCount else {
      throw .invalidArgument(
        "output_count is \(outputCount), the method has \(answers.count) outputs")
    }
    for (index, value) in answers.enumerated() { out[index] = CABI.handle(value) }
  }
}

@_cdecl("sl_estimator_model") @implementation
public func sl_estimator_model(
  _ handle: OpaquePointer?, _ network: UnsafePointer<CChar>?,
  _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let estimator = try estimator(handle)
    let name = try network.map { (name) throws(StackLensError) in try text(name, "network") } ?? ""
    let out = try required(outModel, "out_model")
    out.pointee = Handles.create(ModelBox(try estimator.network(name)))
  }
}
