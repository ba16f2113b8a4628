import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Σ cᵢ k(x, sᵢ) + ρ over the support vectors, c · x + ρ without any; its sign where `one_class`
  /// asks for it. ai.onnx.ml SVMRegressor-1.
  static let svmRegressor = OperatorDefinition(
    "SVMRegressor", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    attributes: SupportKernel.attributes + [
      .int("n_supports", default: 0), .int("one_class", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let rows = try FeatureRows(context.input(0, oneOf: FeatureRows.types).shape).rows
      return [TensorType(.float32, try Shape([rows, 1]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let rows = try FeatureRows(preparation.input(0).shape)
        let model = try preparation.derived { () throws(StackLensError) in
          try SupportSum(preparation, columns: rows.columns)
        }
        let isSign = try preparation.flag("one_class")
        let transform = try ScoreTransform(preparation)
        return PreparedKernel { (run) throws(StackLensError) in
          let y = run.outputs[0].floats
          model.vectors.run(try run.input(0), rows, run.parallel) { row, values in
            var score = [model.sum(values)]
            if isSign { score[0] = score[0] > 0 ? 1 : -1 } else { transform.apply(&score) }
            y[row] = Float(score[0])
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.floats(3, 2)],
        [
          "coefficients": .floats([1, -0.5]), "kernel_params": .floats([0.5, 0, 3]),
          "kernel_type": .string("RBF"), "n_supports": .int(2), "rho": .floats([0.25]),
          "support_vectors": .floats([0.1, 0.2, -0.3, 0.4]),
        ]),
      Sample([.floats(0, 2)], ["coefficients": .floats([1, 2]), "rho": .floats([0])]),
    ])
}

/// A weighted sum over support vectors; a plain linear model has its coefficients as one vector.
private struct SupportSum: Sendable {
  let vectors: SupportVectors
  private let coefficients: [Double]
  private let rho: Double

  init(_ view: some NodeView, columns: Int) throws(StackLensError) {
    let coefficients = try view.floats("coefficients") ?? []
    let count = try view.int("n_supports")
    guard let rho = try view.floats("rho")?.first else {
      throw .invalidArgument("attribute 'rho' needs one entry")
    }
    self.rho = Double(rho)
    if count > 0 {
      guard coefficients.count == count else {
        throw .shapeMismatch("\(coefficients.count) coefficients for \(count) support vectors")
      }
      vectors = try SupportVectors(
        view.floats("support_vectors") ?? [], count: count, columns: columns, SupportKernel(view))
      self.coefficients = coefficients.map { Double($0) }
    } else {
      vectors = try SupportVectors(coefficients, count: 1, columns: columns, .linear)
      self.coefficients = [1]
    }
  }

  func sum(_ values: UnsafePointer<Double>) -> Double {
    var sum = rho
    for (index, coefficient) in coefficients.enumerated() { sum += coefficient * values[index] }
    return sum
  }
}
