import Base
import Graphs
import Tensors

/// What a model's numbers become.
public enum QuantizationMode: String, Sendable, CaseIterable {
  /// 8-bit weights; the inputs of products are rounded to 8 bits as they come.
  case int8Dynamic = "int8-dynamic"
  /// 8-bit weights and activations with scales from sample inputs, between QuantizeLinear and
  /// DequantizeLinear.
  case int8Static = "int8-static"
  /// 4-bit weights in blocks; everything is computed in float32.
  case int4Weights = "int4-weights"
  /// Weights and inputs of products rounded to bfloat16, sums in float32.
  case bf16
  /// The whole graph in float16, its inputs and outputs in float32.
  case fp16
}

/// How `Model.quantized` goes about it.
public struct QuantizationOptions: Sendable {
  /// Where the ranges of activations come from.
  public enum Calibration: String, Sendable, CaseIterable {
    /// From the least to the largest value seen.
    case minMax = "min-max"
    /// The range that all but one in 10,000 values lie in.
    case percentile
    /// The range that loses least of the distribution of the values (Kullback and Leibler).
    case entropy
  }

  public var mode: QuantizationMode
  /// Whether weights get a scale for each column or output channel; otherwise one for all.
  public var isPerChannel = true
  /// Whether int8-dynamic gives each row of an input its own scale; otherwise one for all of it, as
  /// DynamicQuantizeLinear does. Rows are far more accurate for transformers.
  public var usesRowScales = true
  public var calibration = Calibration.minMax
  /// Weights that share a scale in int4-weights, a power of two from 16.
  public var blockSize = 32
  /// Whether int4-weights writes MatMulNBits of ONNX Runtime instead of the standard's
  /// DequantizeLinear over blocks, which needs opset 21.
  public var usesContribOperators = false
  /// Nodes to leave alone: their names, the names of their outputs, or operators.
  public var exclude: Set<String> = []

  public init(_ mode: QuantizationMode) { self.mode = mode }
}

extension Model {
  /// This model with weights and products in fewer bits.
  /// - Parameters:
  ///   - calibration: values for the inputs, by name, for each sample run; int8-static needs some.
  /// - Throws: `.invalidArgument` for options that do not fit, and what running the samples reports.
  public func quantized(
    _ options: QuantizationOptions, calibration: [[String: Value]] = []
  ) throws(StackLensError) -> Model {
    var editor = try GraphEditor(self, options)
    switch options.mode {
    case .int8Dynamic: try editor.quantizeDynamically()
    case .int8Static: try editor.quantizeStatically(self, calibration)
    case .int4Weights: try editor.quantizeWeightsInBlocks()
    case .bf16: try editor.roundToBFloat16()
    case .fp16: try editor.convertToFloat16()
    }
    var result = self
    result.graph = try editor.finish()
    return result
  }
}
