import Base
import CStackLens
import Graphs
import Operators
import Tensors

/// Attributes under construction.
final class AttributeBox: Sendable {
  let values = Mutex<[String: Attribute]>([:])
}

/// The attributes behind a handle, which may be NULL.
func attributesGiven(_ handle: OpaquePointer?) throws(StackLensError) -> [String: Attribute] {
  guard let handle else { return [:] }
  return try Handles.object(handle, as: AttributeBox.self, "attributes").values.withLock { $0 }
}

private func set(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ make: () throws(StackLensError) -> Attribute
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try Handles.object(handle, as: AttributeBox.self, "attributes")
    let name = try text(name, "name")
    let value = try make()
    box.values.withLock { $0[name] = value }
  }
}

@_cdecl("sl_attributes_create") @implementation
public func sl_attributes_create(
  _ outAttributes: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    try required(outAttributes, "out_attributes").pointee = Handles.create(AttributeBox())
  }
}

@_cdecl("sl_attributes_set_int") @implementation
public func sl_attributes_set_int(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: Int64
) -> sl_status {
  set(handle, name) { .int(value) }
}

@_cdecl("sl_attributes_set_float") @implementation
public func sl_attributes_set_float(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: Float
) -> sl_status {
  set(handle, name) { .float(value) }
}

@_cdecl("sl_attributes_set_string") @implementation
public func sl_attributes_set_string(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> sl_status {
  set(handle, name) { () throws(StackLensError) in .string(try text(value, "value")) }
}

@_cdecl("sl_attributes_set_ints") @implementation
public func sl_attributes_set_ints(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ values: UnsafePointer<Int64>?,
  _ count: Int
) -> sl_status {
  set(handle, name) { () throws(StackLensError) in
    .ints(Array(try array(values, count, "values")))
  }
}

@_cdecl("sl_attributes_set_floats") @implementation
public func sl_attributes_set_floats(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ values: UnsafePointer<Float>?,
  _ count: Int
) -> sl_status {
  set(handle, name) { () throws(StackLensError) in
    .floats(Array(try array(values, count, "values")))
  }
}

@_cdecl("sl_attributes_set_strings") @implementation
public func sl_attributes_set_strings(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ values: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int
) -> sl_status {
  set(handle, name) { () throws(StackLensError) in
    var texts: [String] = []
    for (index, value) in try array(values, count, "values").enumerated() {
      texts.append(try text(value, "values[\(index)]"))
    }
    return .strings(texts)
  }
}

@_cdecl("sl_attributes_set_tensor") @implementation
public func sl_attributes_set_tensor(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: OpaquePointer?
) -> sl_status {
  set(handle, name) { () throws(StackLensError) in .tensor(try tensor(value, "value")) }
}

@_cdecl("sl_attributes_release") @implementation
public func sl_attributes_release(_ attributes: OpaquePointer?) { Handles.release(attributes) }

@_cdecl("sl_op_run") @implementation
public func sl_op_run(
  _ operatorName: UnsafePointer<CChar>?, _ domain: UnsafePointer<CChar>?,
  _ inputs: UnsafePointer<OpaquePointer?>?, _ inputCount: Int, _ attributes: OpaquePointer?,
  _ outputCount: Int, _ outOutputs: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let name = try text(operatorName, "operator_name")
    let domain = domain.map { String(cString: $0) } ?? ""
    guard let definition = OperatorTable.find(name, domain: domain) else {
      throw .unsupported("there is no operator '\(name)' in domain '\(domain)'")
    }
    guard outputCount >= 0, outputCount <= 1 << 16 else {
      throw .invalidArgument("output_count \(outputCount) is too large")
    }
    let out = try output(outOutputs, needed: outputCount, capacity: outputCount, "out_outputs")
    var values: [Value?] = []
    for (index, pointer) in try array(inputs, inputCount, "inputs").enumerated() {
      values.append(pointer == nil ? nil : try value(pointer, "inputs[\(index)]"))
    }
    let node = Node(
      name, inputs: values.indices.map { values[$0] == nil ? "" : "input\($0)" },
      outputs: (0..<outputCount).map { "output\($0)" },
      attributes: try definition.settings(attributesGiven(attributes)), domain: domain)
    try definition.verify(node)
    let results: [Value]
    do throws(StackLensError) {
      results = try definition.evaluate(
        node, inputs: values, parallel: Parallel(ThreadPool.withThreads(0)))
    } catch { throw error.within(name) }
    guard results.count >= outputCount else {
      throw .invalidArgument("\(name) has \(results.count) outputs, wanted are \(outputCount)")
    }
    for index in 0..<outputCount { out[index] = CABI.handle(results[index]) }
  }
}

@_cdecl("sl_op_count") @implementation
public func sl_op_count() -> Int { OperatorNames.all.count }

@_cdecl("sl_op_name") @implementation
public func sl_op_name(_ index: Int) -> UnsafePointer<CChar>! {
  OperatorNames.all.indices.contains(index) ? OperatorNames.all[index].name : nil
}

@_cdecl("sl_op_domain") @implementation
public func sl_op_domain(_ index: Int) -> UnsafePointer<CChar>! {
  OperatorNames.all.indices.contains(index) ? OperatorNames.all[index].domain : nil
}

@_cdecl("sl_op_describe") @implementation
public func sl_op_describe(
  _ index: Int, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  describe(index, of: OperatorTable.all, "operator", outJSON) { $0.described() }
}

/// Hands out what is to be said of one entry of a table.
func describe<Entry>(
  _ index: Int, of table: [Entry], _ what: String, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?,
  _ described: (Entry) -> JSON
) -> sl_status {
  boundary { () throws(StackLensError) in
    let out = try required(outJSON, "out_json")
    guard table.indices.contains(index) else {
      throw .invalidArgument("\(what) \(index) is outside [0, \(table.count))")
    }
    out.pointee = Handles.create(try ByteBuffer(described(table[index]).encoded()))
  }
}

/// Names lent to C for the life of the process.
private enum OperatorNames {
  struct Entry: @unchecked Sendable {  // never written or freed
    let name: UnsafePointer<CChar>
    let domain: UnsafePointer<CChar>
  }
  static let all: [Entry] = OperatorTable.all.map {
    Entry(name: keep($0.name), domain: keep($0.domain))
  }

  private static func keep(_ text: String) -> UnsafePointer<CChar> {
    let bytes = text.utf8CString
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    for (index, byte) in bytes.enumerated() { copy[index] = byte }
    return UnsafePointer(copy)
  }
}
