import Base
import Graphs
import Tensors

extension OperatorTable {
  static let elementwise: [OperatorDefinition] =
    unaryMath + activations + binaries + comparisons + variadics + random
    + [
      .not, .bitwiseNot, .isNaN, .isInf, .identity, .whereSelect, .clip, .cast, .castLike, .bitCast,
      .dropout,
    ]

  /// y = f(x) without parameters, on the element types that the standard names.
  static let unaryMath: [OperatorDefinition] = [
    .unary("Abs", [1, 6, 13], .abs, on: ElementType.numbers),
    .unary(
      "Neg", [1, 6, 13], .negate, on: ElementType.reals + [.int8, .int16, .int32, .int64]),
    .unary("Sign", [9, 13], .sign, on: ElementType.numbers),
    .unary("Ceil", [1, 6, 13], .ceil),
    .unary("Floor", [1, 6, 13], .floor),
    .unary("Round", [11, 22], .round, samples: -4...4),
    .unary("Reciprocal", [1, 6, 13], .reciprocal, samples: 0.5...3),
    .unary("Sqrt", [1, 6, 13], .sqrt, samples: 0...9),
    .unary("Exp", [1, 6, 13], .exp, samples: -20...20),
    .unary("Log", [1, 6, 13], .log, samples: 0.001...50),
    .unary("Sin", [7, 22], .sin, samples: -9...9),
    .unary("Cos", [7, 22], .cos, samples: -9...9),
    .unary("Tan", [7, 22], .tan),
    .unary("Asin", [7, 22], .asin),
    .unary("Acos", [7, 22], .acos),
    .unary("Atan", [7, 22], .atan, samples: -9...9),
    .unary("Sinh", [9, 22], .sinh),
    .unary("Cosh", [9, 22], .cosh),
    .unary("Asinh", [9, 22], .asinh),
    .unary("Acosh", [9, 22], .acosh, samples: 1...9),
    .unary("Atanh", [9, 22], .atanh, samples: -0.9...0.9),
    .unary("Erf", [9, 13], .erf, samples: -3...3),
  ]
}

extension OperatorDefinition {
  /// An element-wise function of one input.
  static func unary(
    _ name: String, _ versions: [Int], on types: [ElementType] = ElementType.reals,
    attributes: [AttributeSpec] = [], samples range: ClosedRange<Double> = -1...1,
    lift: Convert? = nil, lower: Convert? = nil, sampleAttributes: [String: Attribute] = [:],
    _ function: @escaping @Sendable (any NodeView) throws(StackLensError) -> UnaryFunction
  ) -> OperatorDefinition {
    func input(_ dims: [Int], _ type: ElementType = .float32) -> Sample.Input {
      .random(type, dims, low: range.lowerBound, high: range.upperBound)
    }
    let lastType = types.contains(.int32) ? ElementType.int32 : .bfloat16
    return OperatorDefinition(
      name, versions: versions, inputs: 1...1, attributes: attributes,
      infer: { (context) throws(StackLensError) in
        _ = try function(context)
        return [try context.input(0, oneOf: types)]
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          try function(preparation).vectorKernel(preparation.input(0).elementType)
        },
        .reference { (preparation) throws(StackLensError) in
          try function(preparation).referenceKernel(preparation.input(0).elementType)
        },
      ]),
      lift: lift, lower: lower,
      gradient: GradientRule { (scope) throws(StackLensError) in
        [try function(scope).gradient(scope)]
      },
      samples: [
        Sample([input([2, 3, 37])]), Sample([input([0, 5])]), Sample([input([])]),
        Sample([input([4, 5], .float64)]), Sample([input([600], .float16)]),
        Sample([input([3, 7], lastType)]), Sample([input([130])], sampleAttributes),
      ])
  }

  fileprivate static func unary(
    _ name: String, _ versions: [Int], _ kind: UnaryFunction.Kind,
    on types: [ElementType] = ElementType.reals, samples range: ClosedRange<Double> = -1...1
  ) -> OperatorDefinition {
    unary(name, versions, on: types, samples: range) { (_) throws(StackLensError) in
      UnaryFunction(kind)
    }
  }

  /// Logical negation. ONNX Not-1.
  static let not = OperatorDefinition(
    "Not", versions: [1], inputs: 1...1,
    infer: { (context) throws(StackLensError) in [try context.input(0, oneOf: [.bool])] },
    execution: .kernels([
      .reference { (_) throws(StackLensError) in
        mapKernel(Bool.self, Bool.self, grain: cheapGrain) { !$0 }
      }
    ]),
    gradient: .zero,
    samples: [
      Sample([.random(.bool, [2, 3], low: 0, high: 2)]),
      Sample([.random(.bool, [0], low: 0, high: 2)]),
    ])

  /// Every bit flipped. ONNX BitwiseNot-18.
  static let bitwiseNot = OperatorDefinition(
    "BitwiseNot", versions: [18], inputs: 1...1,
    infer: { (context) throws(StackLensError) in [try context.input(0, oneOf: ElementType.wholes)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        UnaryFunction(.bitwiseNot).referenceKernel(try preparation.input(0).elementType)
      }
    ]),
    samples: [
      Sample([.random(.int64, [2, 3], low: -9, high: 9)]),
      Sample([.random(.uint8, [], low: 0, high: 255)]),
    ])

  /// Whether an element is NaN. ONNX IsNaN-20.
  static let isNaN = OperatorDefinition(
    "IsNaN", versions: [9, 13, 20], inputs: 1...1, infer: inferTest,
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        testKernel(try preparation.input(0).elementType) { $0.isNaN }
      }
    ]),
    gradient: .zero,
    samples: [Sample([.floats(2, 3)]), Sample([.floats(0, 3)])])

  /// Whether an element is infinite, of the signs asked for. ONNX IsInf-20.
  static let isInf = OperatorDefinition(
    "IsInf", versions: [10, 20], inputs: 1...1,
    attributes: [.int("detect_negative", default: 1), .int("detect_positive", default: 1)],
    infer: inferTest,
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let negative = try preparation.flag("detect_negative")
        let positive = try preparation.flag("detect_positive")
        return testKernel(try preparation.input(0).elementType) {
          $0.isInfinite && ($0 < 0 ? negative : positive)
        }
      }
    ]),
    gradient: .zero,
    samples: [Sample([.floats(2, 3)]), Sample([.floats()])])

  private static func inferTest(_ context: Inference) throws(StackLensError) -> [TensorType] {
    let types = ElementType.reals + ElementType.eightBitFloats
    return [TensorType(.bool, try context.input(0, oneOf: types).shape)]
  }

  private static func testKernel(
    _ type: ElementType, _ test: @escaping @Sendable (Double) -> Bool
  ) -> PreparedKernel? {
    switch type {
    case .float32: return mapKernel(Float.self, Bool.self, grain: cheapGrain) { test(Double($0)) }
    case .float64: return mapKernel(Double.self, Bool.self, grain: cheapGrain) { test($0) }
    case .float16: return mapKernel(Float16.self, Bool.self, grain: cheapGrain) { test($0.double) }
    case .bfloat16:
      return mapKernel(BFloat16.self, Bool.self, grain: cheapGrain) { test($0.double) }
    default:
      // Each byte has one answer.
      let answers = type.smallFloatValues.map { test(Double($0)) }
      return mapKernel(UInt8.self, Bool.self, grain: cheapGrain) { answers[Int($0)] }
    }
  }
}
