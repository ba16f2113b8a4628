import Base
import CStackLens
import Tensors
import Training

/// Where batches come from.
final class DatasetBox: Sendable {
  let source: any BatchSource
  init(_ source: any BatchSource) { self.source = source }
}

func dataset(
  _ handle: OpaquePointer?, _ name: String = "dataset"
) throws(StackLensError) -> any BatchSource {
  try Handles.object(handle, as: DatasetBox.self, name).source
}

/// Tensors by name, none twice.
func batch(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ values: UnsafePointer<OpaquePointer?>?,
  _ count: Int
) throws(StackLensError) -> Batch {
  try named(names, values, count, "values") { (handle, place) throws(StackLensError) in
    try tensor(handle, place)
  }
}

/// The caller's arrays as a batch, over their memory.
func batch(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ arrays: UnsafePointer<sl_array>?, _ count: Int
) throws(StackLensError) -> Batch {
  try named(names, arrays, count, "arrays", lent)
}

/// What handles or other values of the caller stand for by name, none twice.
func named<Given, Element>(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ values: UnsafePointer<Given>?, _ count: Int,
  _ what: String, _ read: (_ given: Given, _ place: String) throws(StackLensError) -> Element
) throws(StackLensError) -> [String: Element] {
  let given = try array(values, count, what)
  var found: [String: Element] = [:]
  for (index, pointer) in try array(names, count, "names").enumerated() {
    let name = try text(pointer, "names[\(index)]")
    guard found[name] == nil else { throw .invalidArgument("'\(name)' is given twice") }
    found[name] = try read(given[index], "\(what)[\(index)]")
  }
  return found
}

@_cdecl("sl_dataset_create") @implementation
public func sl_dataset_create(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ values: UnsafePointer<OpaquePointer?>?,
  _ count: Int, _ options: UnsafePointer<CChar>?,
  _ outDataset: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let arrays = try batch(names, values, count)
    let options = try ArraySource.Options(json(options, "options"))
    let out = try required(outDataset, "out_dataset")
    out.pointee = Handles.create(DatasetBox(try ArraySource(arrays, options)))
  }
}

/// A caller's function that makes batches.
private final class BatchMaker: @unchecked Sendable {  // any thread may call it, the header says
  private let make: sl_batch_callback
  private let release: sl_release_callback?
  private let userData: UnsafeMutableRawPointer?
  private let names: [String]

  init(
    _ make: @escaping sl_batch_callback, _ release: sl_release_callback?,
    _ userData: UnsafeMutableRawPointer?, _ names: [String]
  ) {
    (self.make, self.release, self.userData, self.names) = (make, release, userData, names)
  }

  deinit { release?(userData) }

  func batch(_ index: Int, _ epoch: Int) throws(StackLensError) -> Batch? {
    var handles = [OpaquePointer?](repeating: nil, count: names.count)
    let status = handles.withUnsafeMutableBufferPointer {
      make(index, epoch, $0.baseAddress, userData)
    }
    defer { for handle in handles { Handles.release(handle) } }
    guard status == Status.ok.rawValue else {
      throw StackLensError(
        Status(rawValue: status) ?? .cancelled,
        "the data's callback gave no batch \(index) of epoch \(epoch)")
    }
    if handles.allSatisfy({ $0 == nil }) { return nil }
    var batch: Batch = [:]
    for (name, handle) in zip(names, handles) {
      batch[name] = try tensor(handle, "'\(name)' of batch \(index)")
    }
    return batch
  }
}

@_cdecl("sl_dataset_create_callback") @implementation
public func sl_dataset_create_callback(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int, _ batchCount: Int,
  _ make: sl_batch_callback?, _ release: sl_release_callback?,
  _ userData: UnsafeMutableRawPointer?, _ outDataset: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    var texts: [String] = []
    for (index, pointer) in try array(names, count, "names").enumerated() {
      texts.append(try text(pointer, "names[\(index)]"))
    }
    guard !texts.isEmpty, Set(texts).count == texts.count else {
      throw .invalidArgument("names must hold at least one name and none twice")
    }
    guard batchCount >= 0 else { throw .invalidArgument("batch_count is too large") }
    guard let make else { throw .invalidArgument("make is NULL") }
    let out = try required(outDataset, "out_dataset")
    let maker = BatchMaker(make, release, userData, texts)
    let source = CallbackSource(batchCount: batchCount == 0 ? nil : batchCount) {
      (index, epoch) throws(StackLensError) in try maker.batch(index, epoch)
    }
    out.pointee = Handles.create(DatasetBox(source))
  }
}

@_cdecl("sl_dataset_release") @implementation
public func sl_dataset_release(_ dataset: OpaquePointer?) { Handles.release(dataset) }
