import Base
import CPlatform
import CStackLens
import Tensors

private typealias ManagedPointer = UnsafeMutablePointer<slp_dlpack_managed>

@_cdecl("sl_tensor_from_dlpack") @implementation
public func sl_tensor_from_dlpack(
  _ managedTensor: UnsafeMutableRawPointer?, _ outTensor: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    guard let managedTensor else { throw .invalidArgument("managed_tensor is NULL") }
    let out = try required(outTensor, "out_tensor")
    let taken = TakenTensor(managedTensor.assumingMemoryBound(to: slp_dlpack_managed.self))
    let view = try DLPackView(taken.managed.pointee.tensor)
    if let base = view.dense {
      out.pointee = handle(
        .tensor(
          Tensor(
            lending: base, elementType: view.elementType, shape: view.shape, isReadOnly: true,
            release: taken.release)))
    } else {
      let copy = try view.copied()
      taken.release()
      out.pointee = handle(.tensor(copy))
    }
  }
}

@_cdecl("sl_tensor_to_dlpack") @implementation
public func sl_tensor_to_dlpack(
  _ handle: OpaquePointer?,
  _ outManagedTensor: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tensor = try tensor(handle)
    let out = try required(outManagedTensor, "out_managed_tensor")
    let (code, bits) = try DLPackView.type(tensor.elementType)
    // One block for extents and strides, never empty.
    let extents = UnsafeMutablePointer<Int64>.allocate(capacity: 2 * tensor.rank + 1)
    extents.initialize(repeating: 0, count: 2 * tensor.rank + 1)
    for (axis, stride) in tensor.shape.strides.enumerated() {
      extents[axis] = Int64(tensor.shape[axis])
      extents[tensor.rank + axis] = Int64(stride)
    }
    let managed = ManagedPointer.allocate(capacity: 1)
    managed.initialize(
      to: slp_dlpack_managed(
        tensor: slp_dlpack_tensor(
          data: tensor.base, device_type: Int32(SLP_DLPACK_CPU), device_id: 0,
          rank: Int32(tensor.rank), type_code: code, type_bits: bits, lanes: 1, dims: extents,
          strides: extents + tensor.rank, byte_offset: 0),
        context: Unmanaged.passRetained(Box(tensor)).toOpaque(),
        deleter: { managed in
          guard let managed else { return }
          managed.pointee.tensor.dims?.deallocate()
          if let context = managed.pointee.context {
            Unmanaged<Box<Tensor>>.fromOpaque(context).release()
          }
          managed.deallocate()
        }))
    out.pointee = UnsafeMutableRawPointer(managed)
  }
}

/// A DLPack tensor that the library gives back by its deleter.
private struct TakenTensor: @unchecked Sendable {  // a deleter may run on any thread
  let managed: ManagedPointer

  init(_ managed: ManagedPointer) { self.managed = managed }

  @Sendable func release() { managed.pointee.deleter?(managed) }
}

/// A DLPack tensor whose description was checked.
private struct DLPackView {
  let elementType: ElementType
  let shape: Shape
  private let strides: [Int]
  /// The first element; nil when there is none.
  private let base: UnsafeMutableRawPointer?

  /// - Throws: `.unsupported` for another device, vector elements or an unknown type,
  ///   `.shapeMismatch` for extents that no tensor has, `.invalidArgument` for missing pointers.
  init(_ tensor: slp_dlpack_tensor) throws(StackLensError) {
    guard tensor.device_type == Int32(SLP_DLPACK_CPU) else {
      throw .unsupported("the DLPack tensor lies on device type \(tensor.device_type), not the CPU")
    }
    guard tensor.lanes == 1 else {
      throw .unsupported("the DLPack tensor has elements of \(tensor.lanes) lanes, expected 1")
    }
    guard let type = Self.elementType(tensor.type_code, tensor.type_bits) else {
      throw .unsupported(
        "DLPack type code \(tensor.type_code) of \(tensor.type_bits) bits is no element type here")
    }
    elementType = type
    shape = try CABI.shape(tensor.dims.map { UnsafePointer($0) }, Int(tensor.rank))
    if let steps = tensor.strides {
      strides = (0..<shape.rank).map { Int(steps[$0]) }
    } else {
      strides = shape.strides
    }
    guard shape.count > 0 else {
      base = nil
      return
    }
    guard let data = tensor.data else { throw .invalidArgument("the DLPack tensor has no data") }
    guard let offset = Int(exactly: tensor.byte_offset) else {
      throw .invalidArgument("byte_offset \(tensor.byte_offset) is too large")
    }
    base = data + offset
  }

  /// The memory, where it can be used as it lies: row-major without gaps, and aligned.
  var dense: UnsafeMutableRawPointer? {
    guard let base, UInt(bitPattern: base) % UInt(elementType.alignment) == 0 else { return nil }
    let isDense = zip(shape.dims, zip(strides, shape.strides)).allSatisfy { extent, steps in
      extent == 1 || steps.0 == steps.1
    }
    return isDense ? base : nil
  }

  /// The elements in memory of their own.
  func copied() throws(StackLensError) -> Tensor {
    let copy = try Tensor(uninitialized: elementType, shape)
    guard let base else { return copy }
    let size = elementType.byteSize
    var index = [Int](repeating: 0, count: shape.rank)
    for element in 0..<shape.count {
      var offset = 0
      for (place, stride) in zip(index, strides) { offset &+= place &* stride }
      (copy.base + element * size).copyMemory(from: base + offset &* size, byteCount: size)
      for axis in index.indices.reversed() {
        index[axis] += 1
        if index[axis] < shape[axis] { break }
        index[axis] = 0
      }
    }
    return copy
  }

  private static func elementType(_ code: UInt8, _ bits: UInt8) -> ElementType? {
    ElementType.allCases.first { type in
      guard let (ownCode, ownBits) = try? Self.type(type) else { return false }
      return ownCode == code && ownBits == bits
    }
  }

  /// DLPack's type code and width.
  /// - Throws: `.typeMismatch` for strings, and for elements of less than 8 bits, which DLPack packs.
  static func type(_ type: ElementType) throws(StackLensError) -> (code: UInt8, bits: UInt8) {
    let code =
      switch type {
      case .bool: SLP_DLPACK_BOOL
      case .bfloat16: SLP_DLPACK_BFLOAT
      case .float16, .float32, .float64: SLP_DLPACK_FLOAT
      case .int8, .int16, .int32, .int64: SLP_DLPACK_INT
      case .uint8, .uint16, .uint32, .uint64: SLP_DLPACK_UINT
      case .complex64, .complex128: SLP_DLPACK_COMPLEX
      case .float8e4m3fn: SLP_DLPACK_FLOAT8_E4M3FN
      case .float8e4m3fnuz: SLP_DLPACK_FLOAT8_E4M3FNUZ
      case .float8e5m2: SLP_DLPACK_FLOAT8_E5M2
      case .float8e5m2fnuz: SLP_DLPACK_FLOAT8_E5M2FNUZ
      case .float8e8m0: SLP_DLPACK_FLOAT8_E8M0FNU
      case .string: throw .typeMismatch("DLPack has no strings")
      case .int2, .uint2, .int4, .uint4, .float4e2m1, .float6e2m3, .float6e3m2:
        throw .typeMismatch("DLPack packs elements of \(type.bitWidth) bits, tensors here do not")
      }
    return (UInt8(code), UInt8(type.byteSize * 8))
  }
}
