import Base
import Graphs
import Operators
import Tensors

extension GradientGoldenTests {
  static let cases =
    elementwise + convolutions + normalizations + sequences + selections
    + samplings

  private static let elementwise: [Case] = [
    Case("broadcast") { (graph, x) throws(StackLensError) in
      let one = try graph.scalar("one", 1)
      return [(x[0] * x[1] + x[2]) / (one + graph.add("Exp", [x[3]]))]
    },
    Case("powers") { (graph, x) throws(StackLensError) in
      [graph.add("Pow", x) - graph.add("Sqrt", [x[0]]) * x[1]]
    },
    Case("mlp") { (graph, x) throws(StackLensError) in
      let hidden = graph.add("Gelu", [graph.matMul(x[0], x[1]) + x[2]])
      return [graph.add("LayerNormalization", [hidden, x[3], x[4]])]
    },
    Case("gemm") { (graph, x) throws(StackLensError) in
      [graph.add("Tanh", [graph.add("Gemm", x, ["transB": .int(1)])])]
    },
    Case("activations") { (graph, x) throws(StackLensError) in
      [
        graph.add("Swish", x), graph.add("Mish", x), graph.add("Softplus", x),
        graph.add("HardSwish", x), graph.add("Elu", x, ["alpha": .float(0.5)]),
        graph.add("Selu", x), graph.add("Gelu", x, ["approximate": .string("tanh")]),
        graph.add("LeakyRelu", x, ["alpha": .float(0.2)]),
      ]
    },
    Case("softmax") { (graph, x) throws(StackLensError) in
      [graph.add("Softmax", x, ["axis": .int(1)]), graph.add("LogSoftmax", x)]
    },
    Case("reductions") { (graph, x) throws(StackLensError) in
      let flat: [String: Attribute] = ["keepdims": .int(0)]
      func reduced(_ name: String, _ axes: [Int64]) throws(StackLensError) -> Edge {
        graph.add(name, [x[0], try graph.ints("axes", axes)], flat)
      }
      return [
        try reduced("ReduceMean", [0, 2]), try reduced("ReduceMax", [1]),
        try reduced("ReduceL2", [2]), try reduced("ReduceLogSumExp", [1, 2]),
        graph.add("CumSum", [x[0], try graph.ints("axis", [1])]),
        try reduced("ReduceProd", [2]),
      ]
    },
  ]

  private static let convolutions: [Case] = [
    Case("conv2d") { (graph, x) throws(StackLensError) in
      let settings: [String: Attribute] = [
        "strides": .ints([2, 1]), "pads": .ints([1, 2, 1, 2]), "dilations": .ints([1, 2]),
        "group": .int(2),
      ]
      return [graph.add("Relu", [graph.add("Conv", x, settings)])]
    },
    Case("conv1d") { (graph, x) throws(StackLensError) in
      [graph.add("Conv", x, ["strides": .ints([3]), "pads": .ints([2, 2])])]
    },
    Case("conv3d") { (graph, x) throws(StackLensError) in
      [graph.add("Conv", x, ["pads": .ints([1, 0, 1, 1, 0, 1])])]
    },
    Case("depthwise") { (graph, x) throws(StackLensError) in
      [
        graph.add(
          "Conv", x, ["strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]), "group": .int(5)])
      ]
    },
    Case("transposed") { (graph, x) throws(StackLensError) in
      let settings: [String: Attribute] = [
        "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]), "output_padding": .ints([1, 1]),
        "group": .int(2),
      ]
      return [graph.add("ConvTranspose", x, settings)]
    },
    Case("pools") { (graph, x) throws(StackLensError) in
      func pool(
        _ name: String, _ kernel: [Int64], _ pads: [Int64], _ more: [String: Attribute] = [:]
      ) -> Edge {
        let settings: [String: Attribute] = [
          "kernel_shape": .ints(kernel), "strides": .ints([2, 2]), "pads": .ints(pads),
        ]
        return graph.add(name, x, settings.merging(more) { $1 })
      }
      return [
        pool("MaxPool", [3, 3], [1, 1, 1, 1]),
        pool("AveragePool", [3, 2], [1, 0, 1, 0], ["count_include_pad": .int(1)]),
        pool("AveragePool", [3, 3], [1, 1, 1, 1]),
        pool("MaxPool", [2, 2], [0, 0, 0, 0], ["ceil_mode": .int(1)]),
        graph.add("GlobalAveragePool", x),
      ]
    },
    Case("resize") { (graph, x) throws(StackLensError) in
      func resized(
        _ sizes: [Int64], _ settings: [String: Attribute]
      ) throws(StackLensError) -> Edge {
        graph.add("Resize", [x[0], nil, nil, try graph.ints("sizes", [1, 2] + sizes)], settings)
      }
      let nearest: [String: Attribute] = [
        "coordinate_transformation_mode": .string("asymmetric"), "nearest_mode": .string("floor"),
      ]
      return [
        try resized([9, 7], ["mode": .string("linear")]), try resized([10, 8], nearest),
        try resized([7, 6], ["mode": .string("cubic")]),
      ]
    },
  ]

  private static let normalizations: [Case] = [
    Case("rms") { (graph, x) throws(StackLensError) in [graph.add("RMSNormalization", x)] },
    Case("batchnorm") { (graph, x) throws(StackLensError) in
      let (zeros, ones) = (
        graph.constant(try Tensor([Float](repeating: 0, count: 3))),
        graph.constant(try Tensor([Float](repeating: 1, count: 3)))
      )
      return [graph.add("BatchNormalization", x + [zeros, ones], ["training_mode": .int(1)])]
    },
    Case("batchnorm1d", variables: 3) { (graph, x) throws(StackLensError) in
      [graph.add("BatchNormalization", x)]
    },
    Case("groupnorm") { (graph, x) throws(StackLensError) in
      [graph.add("GroupNormalization", x, ["num_groups": .int(3)])]
    },
    Case("instancenorm") { (graph, x) throws(StackLensError) in
      [graph.add("InstanceNormalization", x)]
    },
  ]

  private static let sequences: [Case] = [
    Case("lstm") { (graph, x) throws(StackLensError) in
      graph.add(
        "LSTM", [x[0], x[1], x[2], x[3], nil, x[4], x[5]],
        ["direction": .string("bidirectional")], outputs: 3)
    },
    Case("gru") { (graph, x) throws(StackLensError) in
      graph.add(
        "GRU", [x[0], x[1], x[2], x[3], nil, x[4]],
        ["direction": .string("bidirectional"), "linear_before_reset": .int(1)], outputs: 2)
    },
    Case("attention") { (graph, x) throws(StackLensError) in [graph.add("Attention", x)] },
    Case("grouped_attention") { (graph, x) throws(StackLensError) in
      [graph.add("Attention", x, ["is_causal": .int(1)])]
    },
    Case("masked_attention") { (graph, x) throws(StackLensError) in
      [graph.add("Attention", x, ["scale": .float(0.3)])]
    },
    Case("einsum") { (graph, x) throws(StackLensError) in
      [
        graph.add("Einsum", x, ["equation": .string("ijk,kl,jm->ilm")]),
        graph.add("Einsum", [x[0]], ["equation": .string("ijk->j")]),
      ]
    },
  ]

  private static let selections: [Case] = [
    Case("gather") { (graph, x) throws(StackLensError) in
      let column = try graph.reshape(x[1], [3, 2, 1])
      let places = graph.add("Expand", [column, try graph.ints("shape", [3, 2, 3])])
      let flat = graph.add("Flatten", [x[0]])
      return [
        graph.add("Gather", x), graph.add("GatherElements", [x[0], places]),
        graph.add("TopK", [flat, try graph.ints("k", [3])], outputs: 2)[0],
      ]
    },
    Case("cross_entropy", variables: 1) { (graph, x) throws(StackLensError) in
      [graph.add("SoftmaxCrossEntropyLoss", x, ["ignore_index": .int(2)])]
    },
    Case("movement") { (graph, x) throws(StackLensError) in
      func ints(_ values: [Int64]) throws(StackLensError) -> Edge { try graph.ints("list", values) }
      let turned = graph.transpose(x[0], [2, 1, 0])
      let first = graph.add("Slice", [x[0], try ints([0]), try ints([1])])
      return [
        graph.add(
          "Slice",
          [
            turned, try ints([1, 0]), try ints([.max, .max]), try ints([1, 2]), try ints([1, 2]),
          ]
        ),
        graph.add(
          "Pad", [x[0], try ints([0, 0, 1, 0, 0, 2])], ["mode": .string("reflect")]),
        graph.add("Concat", [x[0], first], ["axis": .int(0)]),
        graph.add("Trilu", x, ["upper": .int(0)]),
        graph.add("Tile", [x[0], try ints([2, 1, 1])]),
      ]
    },
    Case("matrices") { (graph, x) throws(StackLensError) in
      [graph.add("Det", x), graph.add("Inverse", x, domain: "com.microsoft")]
    },
  ]
}
