import Base
import Graphs
import Tensors

/// Operators whose data may be float16, and which of their inputs that is. What they make first has the
/// type of the data.
enum Float16Data {
  /// Every input.
  static let whole: Set<String> = [
    "Abs", "Add", "AveragePool", "BatchNormalization", "Ceil", "Clip", "Concat", "Conv",
    "ConvTranspose", "Cos", "DepthToSpace", "Div", "Einsum", "Elu", "Erf", "Exp", "Flatten",
    "Floor", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization",
    "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LayerNormalization",
    "LeakyRelu", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mul",
    "Neg", "PRelu", "Pow", "RMSNormalization", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid",
    "Sin", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Sqrt", "Sub", "Sum", "Swish",
    "Tanh", "Transpose",
  ]
  /// The first input.
  static let first: Set<String> = [
    "Expand", "Gather", "GatherElements", "GatherND", "ReduceL2", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceSum", "ReduceSumSquare", "Reshape", "Resize", "Slice", "Split", "Squeeze",
    "Tile", "Trilu", "Unsqueeze",
  ]

  static func positions(_ node: Node) -> [Int]? {
    guard node.domain.isEmpty else { return nil }
    if whole.contains(node.opType) { return Array(node.inputs.indices) }
    if first.contains(node.opType) { return [0] }
    switch node.opType {
    case "Where": return [1, 2]
    case "Pad": return node.inputs.count > 2 && !node.inputs[2].isEmpty ? [0, 2] : [0]
    default: return nil
    }
  }
}

extension GraphEditor {
  /// Rows of a constant table are data, though nothing else is that they come from.
  private func readsTable(_ node: Node) -> Bool {
    guard node.opType == "Gather", let table = constants[node.inputs[0]] else { return false }
    return table.elementType == .float32 && table.rank >= 2
  }

  /// Everything between the inputs and outputs of the graph becomes float16 where its operators allow
  /// that; casts stand where they do not.
  mutating func convertToFloat16() throws(StackLensError) {
    var names = Float16Names(self)
    for node in source.nodes {
      let positions = isExcluded(node) ? nil : Float16Data.positions(node)
      guard let positions,
        positions.contains(where: { names.isData(node.inputs[$0]) }) || readsTable(node)
      else {
        for name in node.reads { names.restore(name, &self) }
        if node.domain.isEmpty, node.opType == "Cast", case .int(1)? = node.attributes["to"] {
          names.wide.insert(node.outputs[0])
        }
        nodes.append(node)
        continue
      }
      var narrow = node
      for position in positions where !node.inputs[position].isEmpty {
        narrow.inputs[position] = try names.narrow(node.inputs[position], &self)
      }
      for (place, name) in node.inputs.enumerated() where !positions.contains(place) {
        names.restore(name, &self)
      }
      let outputs = node.opType == "Split" ? node.outputs.count : 1
      for place in 0..<min(outputs, node.outputs.count) where !node.outputs[place].isEmpty {
        narrow.outputs[place] = names.rename(node.outputs[place], &self)
      }
      nodes.append(narrow)
    }
    for output in source.outputs { names.restore(output.name, &self) }
  }
}

/// Which values exist in float16 and under what name.
private struct Float16Names {
  /// Values known to be float32 that exist so.
  var wide: Set<String>
  private var halves: [String: String] = [:]

  init(_ editor: GraphEditor) {
    wide = []
    for input in editor.source.inputs {
      if case .tensor(.float32, _) = input.type { wide.insert(input.name) }
    }
  }

  /// Whether a value is data in float32 or already in float16; constants alone do not decide.
  func isData(_ name: String) -> Bool { halves[name] != nil || wide.contains(name) }

  /// The name under which a node makes in float16 what it made in float32.
  mutating func rename(_ name: String, _ editor: inout GraphEditor) -> String {
    let half = editor.fresh("\(name)_fp16")
    halves[name] = half
    return half
  }

  /// The float16 form of a value that shares its type with float16 data.
  mutating func narrow(
    _ name: String, _ editor: inout GraphEditor
  ) throws(StackLensError) -> String {
    if let half = halves[name] { return half }
    let half: String
    if let tensor = editor.constants[name] {
      guard tensor.elementType == .float32 else { return name }
      // Numbers beyond the type, such as masks of -3e38, become its largest.
      let values = try tensor.elements(as: Float.self).map { value in
        value.isFinite ? Float16(max(-65504, min(65504, value))) : Float16(value)
      }
      half = editor.constant(try Tensor(values, shape: tensor.shape), "\(name)_fp16")
    } else {
      half = editor.add(
        "Cast", [name], ["to": .int(Int64(ElementType.float16.rawValue))], hint: "\(name)_fp16")
      wide.insert(name)
    }
    halves[name] = half
    return half
  }

  /// Makes sure that a value exists in float32 under its own name.
  mutating func restore(_ name: String, _ editor: inout GraphEditor) {
    guard let half = halves[name], editor.constants[name] == nil, !wide.contains(name) else {
      return
    }
    editor.add(
      "Cast", [half], ["to": .int(Int64(ElementType.float32.rawValue))], hint: name, output: name)
    wide.insert(name)
  }
}
