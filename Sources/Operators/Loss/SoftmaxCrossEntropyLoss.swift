import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The negative log likelihood of the softmax over axis 1; the second output is its logarithm.
  /// ONNX SoftmaxCrossEntropyLoss-13.
  static let softmaxCrossEntropyLoss = composed(
    "SoftmaxCrossEntropyLoss", versions: [12, 13], inputs: 2...3, outputs: 1...2,
    attributes: lossAttributes,
    samples: lossSamples + [
      Sample([.floats(3, 5), .random(.int64, [3], low: 0, high: 5)], outputs: 2)
    ]
  ) { (call, rewriter) throws(StackLensError) in
    let logarithms = call.makes(1) ? call.node.outputs[1] : rewriter.fresh("log_prob")
    var loss = call.node
    loss.opType = "NegativeLogLikelihoodLoss"
    loss.inputs[0] = logarithms
    loss.outputs = [call.node.outputs[0]]
    let softmax = Node(
      "LogSoftmax", inputs: [try call.required(0, "scores")], outputs: [logarithms],
      attributes: ["axis": .int(1)])
    return call.makes(0) ? [softmax, loss] : [softmax]
  }
}
