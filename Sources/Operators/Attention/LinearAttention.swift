import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Attention without a softmax, as a recurrence over a state of [key width, value width] for each
  /// head: the state decays, is corrected by what the key finds in it, takes in key ⊗ value and is
  /// read by the query. ONNX LinearAttention-27.
  static let linearAttention = OperatorDefinition(
    "LinearAttention", versions: [27], inputs: 3...6, outputs: 1...2,
    attributes: [
      .int("chunk_size", default: 64), .required("kv_num_heads", .int),
      .required("q_num_heads", .int), .float("scale", default: 0),
      .string("update_rule", default: "gated_delta"),
    ],
    infer: { (context) throws(StackLensError) in
      let query = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1, 2, 4, 5)
      let state =
        context.hasInput(3)
        ? try context.input(3, oneOf: ElementType.reals).elementType : query.elementType
      let work = try LinearRecurrence(context, context.inputs)
      return [
        TensorType(query.elementType, work.outputShape), TensorType(state, work.stateShape),
      ]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let work = try LinearRecurrence(preparation, preparation.inputs)
        return try preparation.input(0).elementType == .float64
          ? try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
            try work.run(wide)
          }
          : try wideKernel(Float.self, preparation) { (wide) throws(StackLensError) in
            try work.run(wide)
          }
      }
    ]),
    gradient: .linearAttention,
    samples: [
      Sample(
        [
          .floats(2, 5, 16), .floats(2, 5, 8), .floats(2, 5, 6), .floats(2, 2, 4, 3),
          .floats(2, 5, 8), .floats(2, 5, 2),
        ], ["q_num_heads": .int(4), "kv_num_heads": .int(2)], outputs: 2),
      Sample(
        [.floats(1, 3, 8), .floats(1, 3, 8), .floats(1, 3, 8)],
        ["q_num_heads": .int(2), "kv_num_heads": .int(2), "update_rule": .string("linear")],
        outputs: 2),
      Sample(
        [.floats(1, 0, 8), .floats(1, 0, 8), .floats(1, 0, 8)],
        ["q_num_heads": .int(1), "kv_num_heads": .int(1), "update_rule": .string("linear")],
        outputs: 2),
    ])
}
