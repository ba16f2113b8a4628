import Base
import CStackLens
import Execution
import Graphs
import Tensors

/// A session with its declarations in the form that C borrows.
final class SessionBox: Sendable {
  let session: Session
  let inputs: [DeclaredValue]
  let outputs: [DeclaredValue]

  init(_ session: Session) {
    self.session = session
    inputs = session.inputs.map(DeclaredValue.init)
    outputs = session.outputs.map(DeclaredValue.init)
  }
}

/// A declaration whose parts C may read as long as the session lives.
final class DeclaredValue: @unchecked Sendable {  // immutable after init
  let info: sl_value_info
  private let strings: [UnsafeMutablePointer<CChar>]
  private let dims: UnsafeMutablePointer<Int64>
  private let names: UnsafeMutablePointer<UnsafePointer<CChar>?>

  init(_ value: ValueInfo) {
    var strings: [UnsafeMutablePointer<CChar>] = []
    func keep(_ text: String) -> UnsafePointer<CChar> {
      let bytes = text.utf8CString
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (index, byte) in bytes.enumerated() { copy[index] = byte }
      strings.append(copy)
      return UnsafePointer(copy)
    }
    var info = sl_value_info()
    info.name = keep(value.name)
    info.rank = Int(bitPattern: UInt.max)
    var extents: [Dimension] = []
    switch value.type {
    case .tensor(let type, let dims):
      info.type = sl_type(type)
      if let dims {
        info.rank = dims.count
        extents = dims
      }
    case .sequence(let element):
      info.kind = SL_KIND_SEQUENCE
      info.type = Self.elementType(of: element)
    case .map(_, let element):
      info.kind = SL_KIND_MAP
      info.type = Self.elementType(of: element)
    case .optional(let element):
      info.kind = SL_KIND_NONE
      info.type = Self.elementType(of: element)
    case .unknown: info.type = SL_UNDEFINED
    }
    dims = .allocate(capacity: max(extents.count, 1))
    names = .allocate(capacity: max(extents.count, 1))
    for (axis, extent) in extents.enumerated() {
      switch extent {
      case .fixed(let count): (dims[axis], names[axis]) = (Int64(count), keep(""))
      case .named(let name): (dims[axis], names[axis]) = (-1, keep(name))
      case .unknown: (dims[axis], names[axis]) = (-1, keep(""))
      }
    }
    info.dims = UnsafePointer(dims)
    info.dim_names = UnsafePointer(names)
    self.info = info
    self.strings = strings
  }

  deinit {
    for string in strings { string.deallocate() }
    dims.deallocate()
    names.deallocate()
  }

  private static func elementType(of type: ValueType) -> sl_type {
    switch type {
    case .tensor(let type, _): sl_type(type)
    case .sequence(let element), .optional(let element), .map(_, let element):
      elementType(of: element)
    case .unknown: SL_UNDEFINED
    }
  }
}

/// A caller's log callback with its argument.
private struct LogCallback: @unchecked Sendable {  // the header says that any thread may call it
  let function: sl_log_callback
  let userData: UnsafeMutableRawPointer?

  @Sendable func log(_ level: LogLevel, _ message: String) {
    message.withCString { function(sl_log_level(rawValue: UInt32(level.rawValue)), $0, userData) }
  }
}

/// A log function from C, nil when there is none.
func logger(
  _ function: sl_log_callback?, _ userData: UnsafeMutableRawPointer?
) -> (@Sendable (LogLevel, String) -> Void)? {
  function.map { LogCallback(function: $0, userData: userData).log }
}

/// The caller's options, as far as its struct reaches; the defaults beyond.
func options<Options>(
  _ pointer: UnsafePointer<Options>?, defaults: Options, _ name: String
) throws(StackLensError) -> Options {
  guard let pointer else { return defaults }
  var result = defaults
  let size = UnsafeRawPointer(pointer).loadUnaligned(as: Int.self)
  guard size >= MemoryLayout<Int>.size, size <= 4096 else {
    throw .invalidArgument("\(name).struct_size is \(size): initialise it with its INIT macro")
  }
  withUnsafeMutableBytes(of: &result) { target in
    target.copyMemory(
      from: UnsafeRawBufferPointer(start: pointer, count: min(size, target.count)))
  }
  return result
}

@_cdecl("sl_session_create") @implementation
public func sl_session_create(
  _ handle: OpaquePointer?, _ given: UnsafePointer<sl_session_options>?,
  _ outSession: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let out = try required(outSession, "out_session")
    let given = try options(
      given,
      defaults: sl_session_options(
        struct_size: 0, thread_count: 0, optimization_level: 2, memory_limit: 0, profiling: 0,
        log: nil, log_user_data: nil), "options")
    guard given.thread_count >= 0 else {
      throw .invalidArgument("options.thread_count is \(given.thread_count), expected 0 or more")
    }
    guard (0...2).contains(given.optimization_level) else {
      throw .invalidArgument(
        "options.optimization_level is \(given.optimization_level), expected 0, 1 or 2")
    }
    var options = SessionOptions()
    options.threadCount = Int(given.thread_count)
    options.optimizationLevel = Int(given.optimization_level)
    if given.memory_limit > 0 { options.memoryLimit = Int(clamping: given.memory_limit) }
    options.isProfiling = given.profiling != 0
    options.log = logger(given.log, given.log_user_data)
    out.pointee = Handles.create(SessionBox(try Session(model, options: options)))
  }
}

@_cdecl("sl_session_release") @implementation
public func sl_session_release(_ session: OpaquePointer?) { Handles.release(session) }

private func session(_ handle: OpaquePointer?) throws(StackLensError) -> SessionBox {
  try Handles.object(handle, as: SessionBox.self, "session")
}

@_cdecl("sl_session_counts") @implementation
public func sl_session_counts(
  _ handle: OpaquePointer?, _ outInputs: UnsafeMutablePointer<Int>?,
  _ outOutputs: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let session = try session(handle)
    let (inputs, outputs) = (
      try required(outInputs, "out_inputs"), try required(outOutputs, "out_outputs")
    )
    inputs.pointee = session.inputs.count
    outputs.pointee = session.outputs.count
  }
}

private func declared(
  _ values: [DeclaredValue], _ index: Int, _ outInfo: UnsafeMutablePointer<sl_value_info>?
) throws(StackLensError) {
  let out = try required(outInfo, "out_info")
  guard values.indices.contains(index) else {
    throw .invalidArgument("index \(index) is outside the \(values.count) values")
  }
  out.pointee = values[index].info
}

@_cdecl("sl_session_input") @implementation
public func sl_session_input(
  _ handle: OpaquePointer?, _ index: Int, _ outInfo: UnsafeMutablePointer<sl_value_info>?
) -> sl_status {
  boundary { () throws(StackLensError) in try declared(session(handle).inputs, index, outInfo) }
}

@_cdecl("sl_session_output") @implementation
public func sl_session_output(
  _ handle: OpaquePointer?, _ index: Int, _ outInfo: UnsafeMutablePointer<sl_value_info>?
) -> sl_status {
  boundary { () throws(StackLensError) in try declared(session(handle).outputs, index, outInfo) }
}

@_cdecl("sl_session_run") @implementation
public func sl_session_run(
  _ handle: OpaquePointer?, _ inputNames: UnsafePointer<UnsafePointer<CChar>?>?,
  _ inputs: UnsafePointer<OpaquePointer?>?, _ inputCount: Int,
  _ outputNames: UnsafePointer<UnsafePointer<CChar>?>?, _ outputCount: Int,
  _ cancellation: OpaquePointer?, _ outOutputs: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try session(handle)
    let handles = try array(inputs, inputCount, "inputs")
    var values: [String: Value] = [:]
    for (index, pointer) in try array(inputNames, inputCount, "input_names").enumerated() {
      let name = try text(pointer, "input_names[\(index)]")
      guard values[name] == nil else { throw .invalidArgument("input '\(name)' is given twice") }
      values[name] = try value(handles[index], "inputs[\(index)]")
    }
    var names: [String]?
    if outputNames != nil {
      var wanted: [String] = []
      for (index, pointer) in try array(outputNames, outputCount, "output_names").enumerated() {
        wanted.append(try text(pointer, "output_names[\(index)]"))
      }
      names = wanted
    } else if outputCount != box.outputs.count {
      throw .invalidArgument(
        "output_count is \(outputCount), the model has \(box.outputs.count) outputs")
    }
    let flag = try cancellation.map { (pointer) throws(StackLensError) in
      try Handles.object(pointer, as: Cancellation.self, "cancellation")
    }
    let out = try output(
      outOutputs, needed: outputCount, capacity: outputCount, "out_outputs")
    let results = try box.session.run(values, outputs: names, cancellation: flag)
    for (index, result) in results.enumerated() { out[index] = CABI.handle(result) }
  }
}

/// Whether a result has the type and dims of a caller's array.
private func fits(_ result: Tensor, _ given: sl_array) -> Bool {
  guard result.elementType != .string, sl_type(result.elementType) == given.type,
    result.rank == given.rank, result.byteCount == given.byte_count,
    given.data != nil || result.byteCount == 0, given.dims != nil || given.rank == 0
  else { return false }
  for axis in 0..<result.rank where given.dims?[axis] != Int64(result.shape[axis]) { return false }
  return true
}

@_cdecl("sl_session_run_arrays") @implementation
public func sl_session_run_arrays(
  _ handle: OpaquePointer?, _ inputs: UnsafePointer<sl_array>?, _ inputCount: Int,
  _ outputs: UnsafePointer<sl_array>?, _ outputCount: Int,
  _ outOthers: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try session(handle)
    guard inputCount == box.inputs.count, outputCount == box.outputs.count else {
      throw .invalidArgument(
        "\(inputCount) inputs and \(outputCount) outputs are given, the model has "
          + "\(box.inputs.count) and \(box.outputs.count)")
    }
    let out = try output(outOthers, needed: outputCount, capacity: outputCount, "out_others")
    let targets = try array(outputs, outputCount, "outputs")
    var values: [Value] = []
    values.reserveCapacity(inputCount)
    for (index, given) in try array(inputs, inputCount, "inputs").enumerated() {
      values.append(.tensor(try lent(given, "inputs[\(index)]")))
    }
    let results = try box.session.run(inOrder: values)
    for (index, result) in results.enumerated() {
      if case .tensor(let tensor) = result, fits(tensor, targets[index]) {
        if let data = targets[index].data {
          data.copyMemory(from: tensor.base, byteCount: tensor.byteCount)
        }
        out[index] = nil
      } else {
        out[index] = CABI.handle(result)
      }
    }
  }
}

@_cdecl("sl_session_trim") @implementation
public func sl_session_trim(_ handle: OpaquePointer?) -> sl_status {
  boundary { () throws(StackLensError) in try session(handle).session.trim() }
}

@_cdecl("sl_session_profile") @implementation
public func sl_session_profile(
  _ handle: OpaquePointer?, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let session = try session(handle).session
    let out = try required(outJSON, "out_json")
    guard session.options.isProfiling else {
      throw .invalidArgument("the session was created without profiling")
    }
    out.pointee = Handles.create(try ByteBuffer(session.profile().utf8))
  }
}

@_cdecl("sl_cancellation_create") @implementation
public func sl_cancellation_create(
  _ outCancellation: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    try required(outCancellation, "out_cancellation").pointee = Handles.create(Cancellation())
  }
}

@_cdecl("sl_cancellation_cancel") @implementation
public func sl_cancellation_cancel(_ handle: OpaquePointer?) -> sl_status {
  boundary { () throws(StackLensError) in
    try Handles.object(handle, as: Cancellation.self, "cancellation").cancel()
  }
}

@_cdecl("sl_cancellation_release") @implementation
public func sl_cancellation_release(_ cancellation: OpaquePointer?) {
  Handles.release(cancellation)
}
