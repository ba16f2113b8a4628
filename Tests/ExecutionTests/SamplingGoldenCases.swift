import Base
import Graphs
import Operators
import Tensors

extension GradientGoldenTests {
  static let samplings: [Case] = [
    Case("grid_sample") { (graph, x) throws(StackLensError) in
      func sampled(_ mode: String, _ padding: String, _ aligned: Int64, by factor: Float = 1)
        throws(StackLensError) -> Edge
      {
        let grid = x[1] * (try graph.scalar("factor", factor))
        return graph.add(
          "GridSample", [x[0], grid],
          [
            "mode": .string(mode), "padding_mode": .string(padding),
            "align_corners": .int(aligned),
          ])
      }
      return [
        try sampled("linear", "zeros", 0), try sampled("linear", "border", 1),
        try sampled("linear", "reflection", 0), try sampled("cubic", "border", 0, by: 0.7),
        try sampled("nearest", "zeros", 1),
      ]
    },
    Case("grid_sample_3d") { (graph, x) throws(StackLensError) in
      [
        graph.add("GridSample", x),
        graph.add(
          "GridSample", x, ["padding_mode": .string("reflection"), "align_corners": .int(1)]),
      ]
    },
    Case("roi_align") { (graph, x) throws(StackLensError) in
      let regions = graph.add(
        "Cast", [x[1]], ["to": .int(Int64(ElementType.float32.rawValue))])
      let size: [String: Attribute] = [
        "output_height": .int(2), "output_width": .int(3), "spatial_scale": .float(0.5),
      ]
      let old: [String: Attribute] = [
        "coordinate_transformation_mode": .string("output_half_pixel")
      ]
      return [
        graph.add(
          "RoiAlign", [x[0], regions, x[2]], size.merging(["sampling_ratio": .int(2)]) { $1 }),
        graph.add("RoiAlign", [x[0], regions, x[2]], size.merging(old) { $1 }),
      ]
    },
    Case("deform_conv") { (graph, x) throws(StackLensError) in
      let settings: [String: Attribute] = [
        "strides": .ints([2, 1]), "pads": .ints([1, 1, 1, 1]), "group": .int(2),
        "offset_group": .int(2),
      ]
      return [graph.add("DeformConv", x, settings)]
    },
    Case("fold") { (graph, x) throws(StackLensError) in
      let settings: [String: Attribute] = [
        "strides": .ints([2, 1]), "pads": .ints([1, 0, 1, 0]), "dilations": .ints([1, 2]),
      ]
      return [
        graph.add(
          "Col2Im", [x[0], try graph.ints("image", [5, 6]), try graph.ints("block", [2, 2])],
          settings)
      ]
    },
    Case("fft") { (graph, x) throws(StackLensError) in
      func transformed(
        _ edge: Edge, _ length: Int64?, axis: Int64, inverse: Int64 = 0, onesided: Int64 = 0
      ) throws(StackLensError) -> Edge {
        var count: Edge?
        if let length { count = graph.constant(try Tensor(scalar: length)) }
        return graph.add(
          "DFT", [edge, count, graph.constant(try Tensor(scalar: axis))],
          ["inverse": .int(inverse), "onesided": .int(onesided)])
      }
      let real = graph.add("Unsqueeze", [x[1], try graph.ints("axes", [2])])
      return [
        try transformed(x[0], nil, axis: 1), try transformed(x[0], 11, axis: 2, inverse: 1),
        try transformed(x[0], 7, axis: 2, inverse: 1, onesided: 1),
        try transformed(x[0], 14, axis: -2, inverse: 1, onesided: 1),
        try transformed(real, 6, axis: 1, onesided: 1),
        try transformed(real, nil, axis: -2, onesided: 1),
      ]
    },
    Case("stft") { (graph, x) throws(StackLensError) in
      let signal = graph.add("Unsqueeze", [x[0], try graph.ints("axes", [2])])
      return [graph.add("STFT", [signal, graph.constant(try Tensor(scalar: Int64(5))), x[1]])]
    },
  ]
}
