import Base
import CStackLens
import Tensors

typealias ValueBox = Box<Value>

/// A new handle for a value.
func handle(_ value: Value) -> OpaquePointer? { Handles.create(ValueBox(value)) }

/// The value behind a handle.
func value(_ handle: OpaquePointer?, _ name: String) throws(StackLensError) -> Value {
  try Handles.object(handle, as: ValueBox.self, name).content
}

/// The tensor behind a handle.
func tensor(_ handle: OpaquePointer?, _ name: String = "tensor") throws(StackLensError) -> Tensor {
  do throws(StackLensError) { return try value(handle, name).tensor() } catch {
    throw error.within(name)
  }
}

@_cdecl("sl_value_retain") @implementation
public func sl_value_retain(_ value: OpaquePointer?) -> sl_status {
  boundary { () throws(StackLensError) in try Handles.retain(value, "value") }
}

@_cdecl("sl_value_release") @implementation
public func sl_value_release(_ value: OpaquePointer?) { Handles.release(value) }

@_cdecl("sl_value_kind") @implementation
public func sl_value_kind(
  _ handle: OpaquePointer?, _ outKind: UnsafeMutablePointer<sl_kind>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let value = try value(handle, "value")
    let out = try required(outKind, "out_kind")
    switch value {
    case .tensor: out.pointee = SL_KIND_TENSOR
    case .sequence: out.pointee = SL_KIND_SEQUENCE
    case .map: out.pointee = SL_KIND_MAP
    case .none: out.pointee = SL_KIND_NONE
    }
  }
}

@_cdecl("sl_values_describe") @implementation
public func sl_values_describe(
  _ values: UnsafePointer<OpaquePointer?>?, _ count: Int,
  _ outDescriptions: UnsafeMutablePointer<sl_description>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let handles = try array(values, count, "values")
    var descriptions: [sl_description] = []
    for (index, handle) in handles.enumerated() {
      var description = sl_description()
      switch try handle.map({ (handle) throws(StackLensError) in
        try value(handle, "values[\(index)]")
      }) {
      case .tensor(let tensor)?:
        description.kind = SL_KIND_TENSOR
        description.type = sl_type(tensor.elementType)
        description.rank = tensor.rank
        withUnsafeMutableBytes(of: &description.dims) { dims in
          for (axis, extent) in tensor.shape.dims.prefix(8).enumerated() {
            dims.storeBytes(of: Int64(extent), toByteOffset: 8 * axis, as: Int64.self)
          }
        }
        if tensor.elementType != .string {
          description.data = UnsafeRawPointer(tensor.base)
          description.byte_count = tensor.byteCount
        }
      case .sequence?: description.kind = SL_KIND_SEQUENCE
      case .map?: description.kind = SL_KIND_MAP
      case .some(.none), nil: description.kind = SL_KIND_NONE
      }
      descriptions.append(description)
    }
    let out = try output(outDescriptions, needed: count, capacity: count, "out_descriptions")
    for (index, description) in descriptions.enumerated() { out[index] = description }
  }
}

@_cdecl("sl_value_count") @implementation
public func sl_value_count(
  _ handle: OpaquePointer?, _ outCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let value = try value(handle, "value")
    let out = try required(outCount, "out_count")
    switch value {
    case .sequence(let elements): out.pointee = elements.count
    case .map(let keys, _): out.pointee = keys.count
    default: throw .typeMismatch("expected a sequence or a map, found \(value.kindName)")
    }
  }
}

@_cdecl("sl_value_at") @implementation
public func sl_value_at(
  _ handle: OpaquePointer?, _ index: Int, _ outValue: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let value = try value(handle, "value")
    let out = try required(outValue, "out_value")
    guard case .sequence(let elements) = value else {
      throw .typeMismatch("expected a sequence, found \(value.kindName)")
    }
    guard elements.indices.contains(index) else {
      throw .invalidArgument("index \(index) is outside the sequence of \(elements.count)")
    }
    out.pointee = CABI.handle(elements[index])
  }
}

@_cdecl("sl_value_elements") @implementation
public func sl_value_elements(
  _ handle: OpaquePointer?, _ first: Int, _ count: Int,
  _ outValues: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let value = try value(handle, "value")
    guard case .sequence(let elements) = value else {
      throw .typeMismatch("expected a sequence, found \(value.kindName)")
    }
    guard first >= 0, count >= 0, first <= elements.count, count <= elements.count - first else {
      throw .invalidArgument(
        "\(count) elements from \(first) are outside the sequence of \(elements.count)")
    }
    let out = try output(outValues, needed: count, capacity: count, "out_values")
    for index in 0..<count { out[index] = CABI.handle(elements[first + index]) }
  }
}

@_cdecl("sl_value_map") @implementation
public func sl_value_map(
  _ handle: OpaquePointer?, _ outKeys: UnsafeMutablePointer<OpaquePointer?>?,
  _ outValues: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let value = try value(handle, "value")
    let (first, second) = (try required(outKeys, "out_keys"), try required(outValues, "out_values"))
    guard case .map(let keys, let values) = value else {
      throw .typeMismatch("expected a map, found \(value.kindName)")
    }
    first.pointee = CABI.handle(.tensor(keys))
    second.pointee = CABI.handle(.tensor(values))
  }
}

@_cdecl("sl_value_create_sequence") @implementation
public func sl_value_create_sequence(
  _ elements: UnsafePointer<OpaquePointer?>?, _ count: Int,
  _ outValue: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let out = try required(outValue, "out_value")
    var values: [Value] = []
    for (index, element) in try array(elements, count, "elements").enumerated() {
      values.append(try value(element, "elements[\(index)]"))
    }
    out.pointee = CABI.handle(.sequence(values))
  }
}

@_cdecl("sl_value_create_map") @implementation
public func sl_value_create_map(
  _ keys: OpaquePointer?, _ values: OpaquePointer?,
  _ outValue: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let (keys, values) = (try tensor(keys, "keys"), try tensor(values, "values"))
    let out = try required(outValue, "out_value")
    out.pointee = CABI.handle(try Value(keys: keys, values: values))
  }
}

@_cdecl("sl_value_create_none") @implementation
public func sl_value_create_none(_ outValue: UnsafeMutablePointer<OpaquePointer?>?) -> sl_status {
  boundary { () throws(StackLensError) in
    try required(outValue, "out_value").pointee = CABI.handle(.none)
  }
}

/// Checks a caller's type, dims and byte count against each other.
func checked(
  _ type: sl_type, _ dims: UnsafePointer<Int64>?, _ rank: Int, _ byteCount: Int
) throws(StackLensError) -> (ElementType, Shape) {
  let elementType = try type.elementType()
  guard elementType != .string else {
    throw .typeMismatch("strings are made with sl_tensor_create_strings")
  }
  let shape = try shape(dims, rank)
  let expected = shape.count * elementType.byteSize
  guard byteCount == expected else {
    throw .shapeMismatch(
      "\(elementType.name)\(shape) takes \(expected) bytes, byte_count is \(byteCount)")
  }
  return (elementType, shape)
}

/// A caller's array as a tensor over its memory.
func lent(_ given: sl_array, _ name: String) throws(StackLensError) -> Tensor {
  let (type, shape): (ElementType, Shape)
  do throws(StackLensError) {
    (type, shape) = try checked(given.type, given.dims, given.rank, given.byte_count)
  } catch { throw error.within(name) }
  guard given.byte_count > 0 else { return try Tensor(uninitialized: type, shape) }
  guard let data = given.data else { throw .invalidArgument("\(name).data is NULL") }
  guard UInt(bitPattern: data) % UInt(type.alignment) == 0 else {
    throw .invalidArgument("\(name).data is not aligned to \(type.alignment) bytes")
  }
  return Tensor(lending: data, elementType: type, shape: shape, isReadOnly: true, release: nil)
}

@_cdecl("sl_tensor_create") @implementation
public func sl_tensor_create(
  _ type: sl_type, _ dims: UnsafePointer<Int64>?, _ rank: Int, _ data: UnsafeRawPointer?,
  _ byteCount: Int, _ outTensor: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let (elementType, shape) = try checked(type, dims, rank, byteCount)
    let out = try required(outTensor, "out_tensor")
    let tensor = try Tensor(uninitialized: elementType, shape)
    if byteCount > 0 {
      guard let data else { throw .invalidArgument("data is NULL") }
      tensor.base.copyMemory(from: data, byteCount: byteCount)
    }
    out.pointee = handle(.tensor(tensor))
  }
}

/// A caller's release callback with its argument.
struct ReleaseCallback: @unchecked Sendable {  // the header says that any thread may call it
  let function: sl_release_callback
  let userData: UnsafeMutableRawPointer?

  @Sendable func call() { function(userData) }
}

@_cdecl("sl_tensor_wrap") @implementation
public func sl_tensor_wrap(
  _ type: sl_type, _ dims: UnsafePointer<Int64>?, _ rank: Int, _ data: UnsafeRawPointer?,
  _ byteCount: Int, _ release: sl_release_callback?, _ userData: UnsafeMutableRawPointer?,
  _ outTensor: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let (elementType, shape) = try checked(type, dims, rank, byteCount)
    let out = try required(outTensor, "out_tensor")
    let callback = release.map { ReleaseCallback(function: $0, userData: userData) }
    guard byteCount > 0 else {
      let empty = try Tensor(uninitialized: elementType, shape)
      out.pointee = handle(.tensor(empty))
      callback?.call()
      return
    }
    guard let data else { throw .invalidArgument("data is NULL") }
    guard UInt(bitPattern: data) % UInt(elementType.alignment) == 0 else {
      throw .invalidArgument("data is not aligned to \(elementType.alignment) bytes")
    }
    let tensor = Tensor(
      lending: UnsafeMutableRawPointer(mutating: data), elementType: elementType, shape: shape,
      isReadOnly: true, release: callback?.call)
    out.pointee = handle(.tensor(tensor))
  }
}

@_cdecl("sl_tensor_create_strings") @implementation
public func sl_tensor_create_strings(
  _ dims: UnsafePointer<Int64>?, _ rank: Int,
  _ strings: UnsafePointer<UnsafePointer<CChar>?>?, _ lengths: UnsafePointer<Int>?, _ count: Int,
  _ outTensor: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let shape = try shape(dims, rank)
    let out = try required(outTensor, "out_tensor")
    guard shape.count == count else {
      throw .shapeMismatch("\(count) strings cannot fill shape \(shape)")
    }
    var texts: [String] = []
    for (index, pointer) in try array(strings, count, "strings").enumerated() {
      guard let lengths else {
        texts.append(try text(pointer, "strings[\(index)]"))
        continue
      }
      let bytes = try array(pointer, lengths[index], "strings[\(index)]")
      texts.append(String(decoding: UnsafeRawBufferPointer(bytes), as: UTF8.self))
    }
    out.pointee = handle(.tensor(try Tensor(texts, shape: shape)))
  }
}

@_cdecl("sl_tensor_type") @implementation
public func sl_tensor_type(
  _ handle: OpaquePointer?, _ outType: UnsafeMutablePointer<sl_type>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    try required(outType, "out_type").pointee = sl_type(tensor.elementType)
  }
}

@_cdecl("sl_tensor_rank") @implementation
public func sl_tensor_rank(
  _ handle: OpaquePointer?, _ outRank: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    try required(outRank, "out_rank").pointee = tensor.rank
  }
}

@_cdecl("sl_tensor_dims") @implementation
public func sl_tensor_dims(
  _ handle: OpaquePointer?, _ outDims: UnsafeMutablePointer<Int64>?, _ capacity: Int
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    let out = try output(outDims, needed: tensor.rank, capacity: capacity, "out_dims")
    for (axis, extent) in tensor.shape.dims.enumerated() { out[axis] = Int64(extent) }
  }
}

@_cdecl("sl_tensor_count") @implementation
public func sl_tensor_count(
  _ handle: OpaquePointer?, _ outCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    try required(outCount, "out_count").pointee = tensor.count
  }
}

@_cdecl("sl_tensor_data") @implementation
public func sl_tensor_data(
  _ handle: OpaquePointer?, _ outData: UnsafeMutablePointer<UnsafeRawPointer?>?,
  _ outByteCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    guard tensor.elementType != .string else {
      throw .typeMismatch("strings are read with sl_tensor_string")
    }
    let out = try required(outData, "out_data")
    out.pointee = UnsafeRawPointer(tensor.base)
    outByteCount?.pointee = tensor.byteCount
  }
}

@_cdecl("sl_tensor_string") @implementation
public func sl_tensor_string(
  _ handle: OpaquePointer?, _ index: Int, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ outLength: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    guard tensor.elementType == .string else {
      throw .typeMismatch("the tensor holds \(tensor.elementType.name), not strings")
    }
    guard index >= 0, index < tensor.count else {
      throw .invalidArgument("index \(index) is outside the \(tensor.count) elements")
    }
    let text = tensor.base.assumingMemoryBound(to: String.self)[index]
    try copy(text, to: buffer, capacity, outLength)
  }
}

@_cdecl("sl_tensor_reshape") @implementation
public func sl_tensor_reshape(
  _ handle: OpaquePointer?, _ dims: UnsafePointer<Int64>?, _ rank: Int,
  _ outTensor: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    let out = try required(outTensor, "out_tensor")
    guard rank >= 0, rank <= 1024 else { throw .invalidArgument("rank \(rank) is too large") }
    var extents = try array(dims, rank, "dims").map { Int($0) }
    if let unknown = extents.firstIndex(of: -1) {
      extents[unknown] = 1
      let rest = try Shape(extents).count
      guard rest > 0, tensor.count % rest == 0 else {
        throw .shapeMismatch("cannot infer an extent of \(tensor.count) elements over \(rest)")
      }
      extents[unknown] = tensor.count / rest
    }
    out.pointee = CABI.handle(.tensor(try tensor.reshaped(to: Shape(extents))))
  }
}
