import Base
import CStackLens
import Exchange
import Execution
import Graphs
import Tensors

private func mode(_ number: sl_quantize_mode) throws(StackLensError) -> QuantizationMode {
  switch number {
  case SL_QUANTIZE_INT8_DYNAMIC: return .int8Dynamic
  case SL_QUANTIZE_INT8_STATIC: return .int8Static
  case SL_QUANTIZE_INT4_WEIGHTS: return .int4Weights
  case SL_QUANTIZE_BF16: return .bf16
  case SL_QUANTIZE_FP16: return .fp16
  default: throw .invalidArgument("options.mode is \(number.rawValue), expected 0 to 4")
  }
}

private func calibration(
  _ number: sl_calibration
) throws(StackLensError) -> QuantizationOptions.Calibration {
  switch number {
  case SL_CALIBRATION_MIN_MAX: return .minMax
  case SL_CALIBRATION_PERCENTILE: return .percentile
  case SL_CALIBRATION_ENTROPY: return .entropy
  default: throw .invalidArgument("options.calibration is \(number.rawValue), expected 0 to 2")
  }
}

/// The sample runs of the options, by input name.
private func samples(
  _ given: sl_quantize_options
) throws(StackLensError) -> [[String: Value]] {
  var names: [String] = []
  for (index, name) in try array(given.input_names, given.input_count, "input_names").enumerated() {
    names.append(try text(name, "input_names[\(index)]"))
  }
  let (count, overflow) = given.sample_count.multipliedReportingOverflow(by: names.count)
  guard !overflow else { throw .invalidArgument("options.sample_count is \(given.sample_count)") }
  let handles = try array(given.inputs, count, "inputs")
  var samples: [[String: Value]] = []
  for sample in 0..<(names.isEmpty ? 0 : given.sample_count) {
    var values: [String: Value] = [:]
    for (place, name) in names.enumerated() {
      let index = sample * names.count + place
      values[name] = try value(handles[index], "inputs[\(index)]")
    }
    samples.append(values)
  }
  return samples
}

@_cdecl("sl_model_quantize") @implementation
public func sl_model_quantize(
  _ handle: OpaquePointer?, _ given: UnsafePointer<sl_quantize_options>?,
  _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let out = try required(outModel, "out_model")
    let given = try options(
      given,
      defaults: sl_quantize_options(
        struct_size: 0, mode: SL_QUANTIZE_INT8_DYNAMIC, per_channel: 1, row_scales: 1,
        calibration: SL_CALIBRATION_MIN_MAX, block_size: 32, contrib_operators: 0, exclude: nil,
        exclude_count: 0, input_names: nil, input_count: 0, inputs: nil, sample_count: 0),
      "options")
    var options = QuantizationOptions(try mode(given.mode))
    options.isPerChannel = given.per_channel != 0
    options.usesRowScales = given.row_scales != 0
    options.calibration = try calibration(given.calibration)
    options.blockSize = Int(given.block_size)
    options.usesContribOperators = given.contrib_operators != 0
    for (index, name) in try array(given.exclude, given.exclude_count, "exclude").enumerated() {
      options.exclude.insert(try text(name, "exclude[\(index)]"))
    }
    out.pointee = Handles.create(
      ModelBox(try model.quantized(options, calibration: samples(given))))
  }
}
