import Base
import Glibc
import Graphs
import Tensors

extension OperatorTable {
  static let training: [OperatorDefinition] = [.momentum, .adagrad, .adam, .gradient]
}

/// One element of an optimised tensor with what the optimiser keeps about it.
struct OptimizedElement {
  var x: Double
  let gradient: Double
  /// The first state (momentum, accumulated square) and the second.
  var first: Double
  var second: Double
}

extension OperatorDefinition {
  typealias Update = @Sendable (inout OptimizedElement) -> Void

  /// Gradient descent with momentum, standard or Nesterov's. Inputs: rate, update count, then
  /// tensors, gradients and momenta. ONNX Momentum-1 (preview.training).
  static let momentum = optimizer(
    "Momentum", states: 1,
    attributes: [
      .required("alpha", .float), .required("beta", .float), .required("mode", .string),
      .required("norm_coefficient", .float),
    ],
    sample: [
      "alpha": .float(0.9), "beta": .float(0.8), "mode": .string("nesterov"),
      "norm_coefficient": .float(0.01),
    ]
  ) { (view, rate, count) throws(StackLensError) in
    let alpha = Double(try view.float("alpha"))
    let beta = count > 0 ? Double(try view.float("beta")) : 1
    let decay = Double(try view.float("norm_coefficient"))
    let mode = try view.string("mode")
    guard mode == "standard" || mode == "nesterov" else {
      throw .invalidArgument("attribute 'mode' is '\(mode)', expected standard or nesterov")
    }
    let isStandard = mode == "standard"
    return { element in
      let gradient = decay * element.x + element.gradient
      element.first = alpha * element.first + beta * gradient
      element.x -= rate * (isStandard ? element.first : gradient + alpha * element.first)
    }
  }

  /// Adaptive rates by accumulated squared gradients (Duchi, Hazan, Singer, 2011).
  /// ONNX Adagrad-1 (preview.training).
  static let adagrad = optimizer(
    "Adagrad", states: 1,
    attributes: [
      .float("decay_factor", default: 0), .float("epsilon", default: 1e-6),
      .float("norm_coefficient", default: 0),
    ],
    sample: ["decay_factor": .float(0.1), "norm_coefficient": .float(0.01)]
  ) { (view, rate, count) throws(StackLensError) in
    let rate = rate / (1 + count * Double(try view.float("decay_factor")))
    let epsilon = Double(try view.float("epsilon"))
    let decay = Double(try view.float("norm_coefficient"))
    return { element in
      let gradient = decay * element.x + element.gradient
      element.first += gradient * gradient
      element.x -= rate * gradient / (element.first.squareRoot() + epsilon)
    }
  }

  /// Adaptive moments (Kingma and Ba, 2015), with weight decay before or after the step.
  /// ONNX Adam-1 (preview.training).
  static let adam = optimizer(
    "Adam", states: 2,
    attributes: [
      .float("alpha", default: 0.9), .float("beta", default: 0.999),
      .float("epsilon", default: 1e-6), .float("norm_coefficient", default: 0),
      .float("norm_coefficient_post", default: 0),
    ],
    sample: ["norm_coefficient": .float(0.01), "norm_coefficient_post": .float(0.1)]
  ) { (view, rate, count) throws(StackLensError) in
    let alpha = Double(try view.float("alpha"))
    let beta = Double(try view.float("beta"))
    let epsilon = Double(try view.float("epsilon"))
    let decay = Double(try view.float("norm_coefficient"))
    let kept = 1 - Double(try view.float("norm_coefficient_post"))
    // The moments start at 0: early ones are scaled up.
    let bias = (1 - Glibc.pow(beta, count)).squareRoot() / (1 - Glibc.pow(alpha, count))
    let step = count > 0 ? rate * bias : rate
    return { element in
      let gradient = decay * element.x + element.gradient
      element.first = alpha * element.first + (1 - alpha) * gradient
      element.second = beta * element.second + (1 - beta) * gradient * gradient
      element.x =
        kept * (element.x - step * element.first / (element.second.squareRoot() + epsilon))
    }
  }

  /// - Parameters:
  ///   - states: tensors kept beside each optimised one.
  ///   - update: what happens to one element, for a node, a rate and a number of past updates.
  private static func optimizer(
    _ name: String, states: Int, attributes: [AttributeSpec], sample: [String: Attribute],
    _ update:
      @escaping @Sendable (any NodeView, _ rate: Double, _ count: Double)
      throws(StackLensError) -> Update
  ) -> OperatorDefinition {
    let parts = states + 2
    func inputs(_ tensors: [Sample.Input]) -> [Sample.Input] {
      // Accumulated squares are not negative.
      let squares: [Sample.Input] = tensors.map { input in
        guard case .random(let type, let dims, _, _) = input else { return input }
        return .random(type, dims, low: 0, high: 1)
      }
      let moments = [[Sample.Input]](repeating: tensors, count: parts - 1).flatMap { $0 }
      return [.number(0.1), .tensor(oneUpdate)] + moments + squares
    }
    return OperatorDefinition(
      name, domain: "ai.onnx.preview.training", versions: [1], inputs: 3...(.max),
      outputs: 1...(.max), attributes: attributes,
      infer: { (context) throws(StackLensError) in
        _ = try update(context, 0, 1)
        return try optimizedTypes(context, parts)
      },
      execution: .kernels([
        .reference { (preparation) throws(StackLensError) in
          let count = (preparation.inputs.count - 2) / parts
          let options = NodeOptions(preparation)
          return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
            let step = try update(options, wide.input(0)[0], wide.input(1)[0])
            for tensor in 0..<count {
              let length = wide.run.outputs[tensor].count
              func input(_ part: Int) throws(StackLensError) -> UnsafePointer<Double> {
                try wide.input(2 + part * count + tensor)
              }
              let (x, gradient, first) = (try input(0), try input(1), try input(2))
              let second = states > 1 ? try input(3) : first
              for i in 0..<length {
                var element = OptimizedElement(
                  x: x[i], gradient: gradient[i], first: first[i], second: second[i])
                step(&element)
                wide.outputs[tensor][i] = element.x
                wide.outputs[count + tensor][i] = element.first
                if states > 1 { wide.outputs[2 * count + tensor][i] = element.second }
              }
            }
          }
        }
      ]),
      samples: [
        Sample(inputs([.floats(2, 3)]), sample, outputs: states + 1),
        Sample(inputs([.floats(4), .floats(0)]), sample, outputs: 2 * (states + 1)),
      ])
  }

  @Sendable private static func oneUpdate() throws(StackLensError) -> Tensor {
    try Tensor(scalar: Int64(1))
  }

  private static func optimizedTypes(
    _ context: Inference, _ parts: Int
  ) throws(StackLensError) -> [TensorType] {
    for (index, types) in [[ElementType.float32, .float64], [.int64]].enumerated() {
      let type = try context.input(index, oneOf: types)
      guard type.shape.count == 1 else {
        throw .shapeMismatch("input \(index) has shape \(type.shape), expected a scalar")
      }
    }
    let tensors = context.inputs.count - 2
    guard tensors % parts == 0 else {
      throw .invalidArgument("\(tensors) tensors, expected a multiple of \(parts)")
    }
    let count = tensors / parts
    guard context.node.outputs.count <= count * (parts - 1) else {
      throw .invalidArgument(
        "\(context.node.outputs.count) outputs of \(count) tensors, expected \(count * (parts - 1))"
      )
    }
    var types: [TensorType] = []
    for index in 2..<context.inputs.count {
      let type = try context.input(index, oneOf: [.float32, .float64])
      let expected = try context.input(2 + (index - 2) % count)
      guard type == expected else {
        throw .shapeMismatch("input \(index) is \(type), its tensor \(expected)")
      }
      if index < 2 + count { types.append(type) }
    }
    return [[TensorType]](repeating: types, count: parts - 1).flatMap { $0 }
  }
}
