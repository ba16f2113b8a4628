import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Operators that draw random numbers; with a `seed` they give the same ones every time.
  static let random: [OperatorDefinition] = [
    .random("RandomNormal", like: false), .random("RandomNormalLike", like: true),
    .random("RandomUniform", like: false), .random("RandomUniformLike", like: true),
    .bernoulli, .multinomial,
  ]
}

extension OperatorDefinition {
  fileprivate static func random(_ name: String, like: Bool) -> OperatorDefinition {
    let isNormal = name.hasPrefix("RandomNormal")
    let (first, second) = isNormal ? ("mean", "scale") : ("low", "high")
    return OperatorDefinition(
      name, versions: [1, 22], inputs: like ? 1...1 : 0...0,
      attributes: [
        like ? .optional("dtype", .int) : .int("dtype", default: 1), .optional("seed", .float),
        .float(first, default: 0), .float(second, default: 1),
      ] + (like ? [] : [.required("shape", .ints)]),
      infer: { (context) throws(StackLensError) in
        let source = like ? try context.input(0) : nil
        let type = try outputType(context, source?.elementType ?? .float32, ElementType.reals)
        if let source { return [TensorType(type, source.shape)] }
        return [TensorType(type, try Shape(try context.ints("shape") ?? []))]
      },
      execution: .kernels([
        .reference { (preparation) throws(StackLensError) in
          let seed = try seed(preparation)
          let (a, b) = (
            Double(try preparation.float(first)), Double(try preparation.float(second))
          )
          return try wideKernel(Double.self, preparation, inputs: 0) {
            (wide) throws(StackLensError) in
            var stream = RandomStream(seed: seed)
            for i in 0..<wide.run.outputs[0].count {
              wide.outputs[0][i] =
                isNormal ? a + b * stream.normal() : a + (b - a) * stream.uniform()
            }
          }
        }
      ]),
      isDeterministic: false, gradient: .zero,
      samples: like
        ? [
          Sample([.floats(2, 3)], ["seed": .float(1)]),
          Sample([.floats(0, 3)], ["seed": .float(1), "dtype": .int(11)]),
        ]
        : [
          Sample([], ["shape": .ints([2, 3]), "seed": .float(1)]),
          Sample([], ["shape": .ints([]), "seed": .float(2), "dtype": .int(10)]),
        ])
  }

  /// 1 with the probability that each element gives, else 0. ONNX Bernoulli-22.
  fileprivate static let bernoulli = OperatorDefinition(
    "Bernoulli", versions: [15, 22], inputs: 1...1,
    attributes: [.optional("dtype", .int), .optional("seed", .float)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0, oneOf: ElementType.reals)
      let types = ElementType.numbers + [.bool]
      return [TensorType(try outputType(context, input.elementType, types), input.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let seed = try seed(preparation)
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          var stream = RandomStream(seed: seed)
          let probabilities = try wide.input(0)
          for i in 0..<wide.run.outputs[0].count {
            wide.outputs[0][i] = stream.uniform() < probabilities[i] ? 1 : 0
          }
        }
      }
    ]),
    isDeterministic: false,
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 15 else { return [node] }
      var code = rewriter.elementType(of: node.inputs[0]).map { Int64($0.rawValue) }
      if case .int(let given)? = node.attributes["dtype"] { code = given }
      guard let code else {
        throw .unsupported("Bernoulli of an unknown type cannot be written for opset \(opset)")
      }
      var steps = Decomposition(node, opset)
      var settings: [String: Attribute] = [:]
      settings["seed"] = node.attributes["seed"]
      let drawn = steps.apply("RandomUniformLike", [node.inputs[0]], settings, &rewriter)
      let isBelow = steps.apply("Less", [drawn, node.inputs[0]], &rewriter)
      return steps.finish("Cast", [isBelow], ["to": .int(code)])
    },
    gradient: .none("Bernoulli draws at random, and what is drawn has no slope"),
    samples: [
      Sample([.random(.float32, [2, 30], low: 0, high: 1)], ["seed": .float(1)]),
      Sample([.random(.float32, [5], low: 0, high: 1)], ["seed": .float(1), "dtype": .int(9)]),
      Sample([.floats(0)], ["seed": .float(1)]),
    ])

  /// Class indices drawn from rows of unnormalised log probabilities. ONNX Multinomial-22.
  fileprivate static let multinomial = OperatorDefinition(
    "Multinomial", versions: [7, 22], inputs: 1...1,
    attributes: [
      .int("dtype", default: 6), .int("sample_size", default: 1), .optional("seed", .float),
    ],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0, oneOf: ElementType.reals)
      guard input.rank == 2, input.shape[1] > 0 || input.shape[0] == 0 else {
        throw .shapeMismatch("input 0 is \(input), expected a matrix with at least one class")
      }
      let type = try outputType(context, .int32, [.int32, .int64])
      return [TensorType(type, try Shape([input.shape[0], try context.int("sample_size")]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let seed = try seed(preparation)
        let (rows, classes) = (
          try preparation.input(0).shape[0], try preparation.input(0).shape[1]
        )
        let samples = preparation.outputs[0].shape[1]
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          var stream = RandomStream(seed: seed)
          for row in 0..<rows {
            let sums = cumulativeWeights(try wide.input(0) + row * classes, classes)
            for sample in 0..<samples {
              let target = stream.uniform() * (sums.last ?? 0)
              let index = sums.firstIndex { target < $0 } ?? classes - 1
              wide.outputs[0][row * samples + sample] = Double(index)
            }
          }
        }
      }
    ]),
    isDeterministic: false, gradient: .zero,
    samples: [
      Sample([.floats(2, 5)], ["seed": .float(1), "sample_size": .int(4)]),
      Sample([.floats(0, 5)], ["seed": .float(1), "dtype": .int(7)]),
    ])

  private static func cumulativeWeights(_ x: UnsafePointer<Double>, _ count: Int) -> [Double] {
    var greatest = -Double.infinity
    for i in 0..<count { greatest = max(greatest, x[i]) }
    var sum = 0.0
    return (0..<count).map { index in
      sum += UnaryFunction(.exp)(x[index] - greatest)
      return sum
    }
  }

  private static func outputType(
    _ view: some NodeView, _ other: ElementType, _ allowed: [ElementType]
  ) throws(StackLensError) -> ElementType {
    var type = other
    if view.has("dtype") {
      let code = try view.int("dtype")
      guard let known = Int32(exactly: code).flatMap(ElementType.init) else {
        throw .unsupported("attribute 'dtype' is \(code)")
      }
      type = known
    }
    guard allowed.contains(type) else {
      throw .typeMismatch("\(type.name) output, expected one of \(allowed.map(\.name))")
    }
    return type
  }

  /// The bits of the seed, a float32 in the standard; whole numbers count as themselves.
  private static func seed(_ view: some NodeView) throws(StackLensError) -> Int64? {
    guard view.has("seed") else { return nil }
    let seed = try view.float("seed")
    return Int64(exactly: seed) ?? Int64(seed.bitPattern)
  }
}
