import Base
import CKernels
import CPlatform
import CStackLens

@_cdecl("sl_api_version") @implementation
public func sl_api_version() -> Int32 { Int32(SL_API_VERSION) }

@_cdecl("sl_version") @implementation
public func sl_version() -> UnsafePointer<CChar>! { immortal("0.1.0") }

@_cdecl("sl_status_name") @implementation
public func sl_status_name(_ status: sl_status) -> UnsafePointer<CChar>! {
  switch status {
  case SL_OK: immortal("SL_OK")
  case SL_INVALID_ARGUMENT: immortal("SL_INVALID_ARGUMENT")
  case SL_SHAPE_MISMATCH: immortal("SL_SHAPE_MISMATCH")
  case SL_NON_FINITE: immortal("SL_NON_FINITE")
  case SL_NOT_FITTED: immortal("SL_NOT_FITTED")
  case SL_UNSUPPORTED: immortal("SL_UNSUPPORTED")
  case SL_FORMAT_ERROR: immortal("SL_FORMAT_ERROR")
  case SL_IO_ERROR: immortal("SL_IO_ERROR")
  case SL_OUT_OF_MEMORY: immortal("SL_OUT_OF_MEMORY")
  case SL_TYPE_MISMATCH: immortal("SL_TYPE_MISMATCH")
  case SL_CANCELLED: immortal("SL_CANCELLED")
  case SL_LIMIT_EXCEEDED: immortal("SL_LIMIT_EXCEEDED")
  case SL_INTERNAL_ERROR: immortal("SL_INTERNAL_ERROR")
  default: immortal("SL_UNKNOWN")
  }
}

@_cdecl("sl_last_error_message") @implementation
public func sl_last_error_message() -> UnsafePointer<CChar>! { slp_last_error() }

@_cdecl("sl_usable_processors") @implementation
public func sl_usable_processors() -> Int { ThreadPool.usableProcessorCount }

@_cdecl("sl_cpu_features") @implementation
public func sl_cpu_features() -> UnsafePointer<CChar>! {
  switch (slk_cpu_tier(), slk_cpu_has_vnni(), slk_cpu_has_bf16()) {
  case (SLK_TIER_REFERENCE, _, _): immortal("reference")
  case (SLK_TIER_AVX2, _, _): immortal("avx2")
  case (_, true, true): immortal("avx512 vnni bf16")
  case (_, true, false): immortal("avx512 vnni")
  case (_, false, true): immortal("avx512 bf16")
  default: immortal("avx512")
  }
}

@_cdecl("sl_buffer_data") @implementation
public func sl_buffer_data(
  _ buffer: OpaquePointer?, _ outData: UnsafeMutablePointer<UnsafeRawPointer?>?,
  _ outByteCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let bytes = try Handles.object(buffer, as: ByteBuffer.self, "buffer")
    let (data, count) = (
      try required(outData, "out_data"), try required(outByteCount, "out_byte_count")
    )
    data.pointee = UnsafeRawPointer(bytes.base)
    count.pointee = bytes.byteCount
  }
}

@_cdecl("sl_buffer_release") @implementation
public func sl_buffer_release(_ buffer: OpaquePointer?) { Handles.release(buffer) }
