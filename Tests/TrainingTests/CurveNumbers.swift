import Base
import Graphs
import Tensors

/// Numbers that follow from a name, the same here and in scripts/generate-curves-golden.py.
enum CurveNumbers {
  /// Numbers of [-1, 1) by SplitMix64 from the name's FNV-1a hash on, 24 bits each.
  static func values(_ name: String, _ count: Int) -> [Double] {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    var values = [Double](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer { target in
      for i in 0..<count {
        hash &+= 0x9e37_79b9_7f4a_7c15
        var z = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        z ^= z >> 31
        target[i] = Double(z >> 40) / 0x1p23 - 1
      }
    }
    return values
  }

  static func floats(_ name: String, _ dims: [Int], scale: Double = 1) throws -> Tensor {
    let shape = try Shape(dims)
    return try Tensor(values(name, shape.count).map { Float($0 * scale) }, shape: shape)
  }

  /// Integers of `start..<below`.
  static func labels(_ name: String, below: Int, _ dims: [Int], start: Int = 0) throws -> Tensor {
    let shape = try Shape(dims)
    let numbers = values(name, shape.count).map { value in
      Int64(start) + Int64(((value + 1) / 2 * Double(below - start)).rounded(.down))
    }
    return try Tensor(numbers, shape: shape)
  }

  /// What a parameter starts with: normalisations about 1, biases small, weights by fan_in.
  static func parameter(_ name: String, _ shape: Shape) throws -> Tensor {
    let dims = shape.dims
    let part = name.split(separator: ".").last ?? ""
    if part.hasPrefix("B_l") || dims.count == 1 && part != "weight" {
      return try floats(name, dims, scale: 0.1)
    }
    if dims.count == 1 {
      return try Tensor(values(name, shape.count).map { Float(1 + 0.1 * $0) }, shape: shape)
    }
    let isRecurrent = part.hasPrefix("W_l") || part.hasPrefix("R_l")
    let fan = isRecurrent ? dims[dims.count - 1] : dims.dropFirst().reduce(1, *)
    return try floats(name, dims, scale: (3 / Double(fan)).squareRoot())
  }

  /// The model with every parameter's numbers in place of its own.
  /// - Parameter zeroRows: tables whose first row is zero.
  static func filled(_ model: Model, zeroRows: Set<String>) throws -> Model {
    var model = model
    for index in model.graph.initializers.indices {
      let constant = model.graph.initializers[index]
      guard !constant.isConstant, constant.tensor.elementType == .float32,
        !constant.name.contains("running_")
      else { continue }
      var tensor = try parameter(constant.name, constant.tensor.shape)
      if zeroRows.contains(constant.name) {
        let width = tensor.shape.dims[1]
        let rest = try tensor.elements(as: Float.self).dropFirst(width)
        tensor = try Tensor([Float](repeating: 0, count: width) + rest, shape: tensor.shape)
      }
      model.graph.initializers[index].tensor = tensor
    }
    return model
  }
}
