import Base
import Graphs
import Tensors

/// Convolutions: the gradient of the data is the transposed operator, that of the weights a product
/// over all pixels. Both are linear in what arrives, so that second derivatives are convolutions.
extension GradientRule {
  static let conv = convolution(isTransposed: false)
  static let convTranspose = convolution(isTransposed: true)

  private static func convolution(isTransposed: Bool) -> GradientRule {
    GradientRule { (scope) throws(StackLensError) in
      let (g, x, w) = (try scope.arriving(), try scope.input(0), try scope.input(1))
      let settings = scope.convolutionSettings(isTransposed: isTransposed)
      var gradients: [Edge?] = scope.inputs.map { _ in nil }
      if scope.wants(0) { gradients[0] = inputGradient(g, w, like: x, settings, scope) }
      let wantsBias = scope.wants(2)
      if scope.wants(1) || wantsBias {
        let made = scope.graph.add(
          "ConvWeightGradient", [g, x, scope.shape(of: w)], settings, domain: "ai.stacklens",
          outputs: wantsBias ? 2 : 1)
        for (index, edge) in made.enumerated() { gradients[index + 1] = edge }
      }
      return gradients
    }
  }

  private static func inputGradient(
    _ g: Edge, _ w: Edge, like x: Edge, _ settings: [String: Attribute], _ scope: GradientScope
  ) -> Edge {
    scope.graph.add(
      "ConvInputGradient", [g, w, scope.shape(of: x)], settings, domain: "ai.stacklens")
  }

  static let convInputGradient = GradientRule(inputs: 2) { (scope) throws(StackLensError) in
    let (d, g, w) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    let weights = scope.graph.add(
      "ConvWeightGradient", [g, d, scope.shape(of: w)], scope.node.attributes,
      domain: "ai.stacklens")
    return [try scope.convolved(d, w, nil), weights, nil]
  }

  static let convWeightGradient = GradientRule(inputs: 2) { (scope) throws(StackLensError) in
    let (g, x) = (try scope.input(0), try scope.input(1))
    let arriving = scope.outputGradients.first.flatMap { $0 }
    let bias = scope.outputGradients.count > 1 ? scope.outputGradients[1] : nil
    let zeros = scope.apply("Expand", try scope.scalar(0, like: g), scope.inputs[2])
    let data = arriving.map { inputGradient(g, $0, like: x, scope.node.attributes, scope) }
    return [try scope.convolved(x, arriving ?? zeros, bias), data, nil]
  }
}

extension GradientScope {
  /// The attributes of the operators that gradients of a convolution are made of.
  fileprivate func convolutionSettings(isTransposed: Bool) -> [String: Attribute] {
    let settings = node.attributes
    return isTransposed ? settings.merging(["transposed": .int(1)]) { $1 } : settings
  }

  /// The convolution whose gradient this node belongs to, of other data.
  fileprivate func convolved(
    _ x: Edge, _ w: Edge, _ bias: Edge?
  ) throws(StackLensError) -> Edge {
    var settings = node.attributes
    settings["transposed"] = nil
    return graph.add(
      try flag("transposed") ? "ConvTranspose" : "Conv", bias.map { [x, w, $0] } ?? [x, w],
      settings)
  }
}
