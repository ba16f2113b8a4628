import Base
import Glibc
import Graphs
import Tensors

/// Positions inside an attention.
extension Network {
  /// Angles of the positions below a length: [length, 1, size / 2], to turn [batch, length, heads,
  /// size].
  func angles(_ length: Edge, _ size: Int, base: Double = 10_000) throws(StackLensError) -> Edge {
    guard size % 2 == 0 else {
      throw .invalidArgument("rotary positions need an even width of heads, not \(size)")
    }
    let rates = (0..<size / 2).map { Float(1 / pow(base, Double(2 * $0) / Double(size))) }
    let places = cast(try positions(length), .float32)
    return try unsqueezed(places, 1, 2) * constant(try Tensor(rates))
  }

  /// Turns feature i together with feature i + size / 2.
  func rotated(_ x: Edge, by angles: Edge) throws(StackLensError) -> Edge {
    let halves = graph.add("Split", [x], ["axis": .int(-1), "num_outputs": .int(2)], outputs: 2)
    let (cosine, sine) = (graph.add("Cos", [angles]), graph.add("Sin", [angles]))
    return joined(
      [halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine], axis: -1)
  }

  /// -slope · |query - key| for each head: [heads, queries, keys].
  func alibi(
    _ heads: Int, _ lengths: (query: Edge, key: Edge)
  ) throws(StackLensError) -> Edge {
    let distance = graph.add("Abs", [cast(try offsets(lengths), .float32)])
    let slopes = Self.alibiSlopes(heads).map { Float(-$0) }
    return distance * constant(try Tensor(slopes, shape: Shape([heads, 1, 1])))
  }

  /// Key position minus query position: int64 [queries, keys].
  func offsets(_ lengths: (query: Edge, key: Edge)) throws(StackLensError) -> Edge {
    try positions(lengths.key) - unsqueezed(positions(lengths.query), 1)
  }

  /// 2^(-8 i / n) for a power of two; for other counts those of the power below, and every second one
  /// of the power above.
  static func alibiSlopes(_ heads: Int) -> [Double] {
    func slopes(_ count: Int) -> [Double] {
      (1...count).map { pow(2, -8 * Double($0) / Double(count)) }
    }
    var power = 1
    while power * 2 <= heads { power *= 2 }
    guard power < heads else { return slopes(heads) }
    let between = slopes(2 * power).enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    return slopes(power) + between.prefix(heads - power)
  }
}

/// Positions that are added to what goes into the layers.
extension Network {
  /// Adds a learned vector for each position. Parameter: weight [length, width].
  public func learnedPositions(
    _ name: String, _ x: Edge, length: Int, width given: Int? = nil,
    weight: WeightInitializer? = nil
  ) throws(StackLensError) -> Edge {
    try check(x, rank: 3...3, "[batch, steps, width]")
    let width = try self.width(of: x, axis: 2, given: given, "embedding_dim")
    return try scope(name) { () throws(StackLensError) in
      let table = try parameter(
        "weight", [length, width], weight ?? .normal(mean: 0, std: 0.02))
      return x + (try firstRows(of: table, as: x))
    }
  }

  /// Adds sines and cosines of the position: of each rate a sine in the even feature and a cosine in
  /// the odd one (Vaswani et al., 2017).
  /// - Parameter length: the longest input.
  public func sinusoidalPositions(
    _ name: String, _ x: Edge, length: Int, width given: Int? = nil
  ) throws(StackLensError) -> Edge {
    try check(x, rank: 3...3, "[batch, steps, width]")
    let width = try self.width(of: x, axis: 2, given: given, "embedding_dim")
    let shape = try Shape([length, width])
    guard shape.count <= 1 << 28 else {
      throw .limitExceeded("a table of \(length) positions of \(width) is too large")
    }
    var table = [Float](repeating: 0, count: shape.count)
    for position in 0..<length {
      for feature in 0..<width {
        let angle = Double(position) / pow(10_000, Double(feature / 2 * 2) / Double(width))
        table[position * width + feature] = Float(feature % 2 == 0 ? sin(angle) : cos(angle))
      }
    }
    return try scope(name) { () throws(StackLensError) in
      x + (try firstRows(of: constant(Tensor(table, shape: shape)), as: x))
    }
  }

  /// As many rows of a table as x has steps.
  private func firstRows(of table: Edge, as x: Edge) throws(StackLensError) -> Edge {
    graph.add("Slice", [table, try ints([0]), extent(x, 1), try ints([0])])
  }

  /// What T5 adds to the scores of its attention: a learned number for each head and bucket of
  /// distances. Parameter: weight [buckets, heads].
  /// - Parameters:
  ///   - query, key: [batch, length, …]; only the lengths matter.
  ///   - isBidirectional: whether keys behind the query have buckets of their own.
  /// - Returns: [1, heads, queries, keys], a mask for attentions.
  public func relativePositionBias(
    _ name: String, _ query: Edge, _ key: Edge? = nil, heads: Int, buckets: Int = 32,
    maximumDistance: Int = 128, isBidirectional: Bool = true,
    weight: WeightInitializer? = nil
  ) throws(StackLensError) -> Edge {
    let least = isBidirectional ? 4 : 2
    guard buckets >= least, buckets % 2 == 0, maximumDistance > buckets / 2,
      maximumDistance <= 1 << 20
    else {
      throw .invalidArgument(
        "\(buckets) buckets cannot hold distances up to \(maximumDistance)")
    }
    return try scope(name) { () throws(StackLensError) in
      let table = try parameter("weight", [buckets, heads], weight ?? .normal(mean: 0, std: 1))
      let offsets = try self.offsets((extent(query, 1), extent(key ?? query, 1)))
      let bound = Int64(maximumDistance)
      let nearest = graph.add(
        "Clip",
        [offsets, constant(try Tensor(scalar: -bound)), constant(try Tensor(scalar: bound))])
      let list = (-maximumDistance...maximumDistance).map {
        Int64(Self.bucket($0, buckets, maximumDistance, isBidirectional))
      }
      let found = graph.add(
        "Gather", [constant(try Tensor(list)), nearest + constant(try Tensor(scalar: bound))])
      let numbers = graph.add("Gather", [table, found])
      return try unsqueezed(transposed(numbers, 2, 0, 1), 0)
    }
  }

  /// The bucket of a distance (key minus query): the near ones have one each, the others share by
  /// the logarithm (Raffel et al., 2020).
  static func bucket(_ offset: Int, _ buckets: Int, _ furthest: Int, _ isBidirectional: Bool) -> Int
  {
    let count = isBidirectional ? buckets / 2 : buckets
    let first = isBidirectional && offset > 0 ? count : 0
    let distance = isBidirectional ? abs(offset) : max(-offset, 0)
    let exact = count / 2
    guard distance >= exact else { return first + distance }
    let share =
      logf(Float(distance) / Float(exact)) / Float(log(Double(furthest) / Double(exact)))
    return first + min(exact + Int(share * Float(count - exact)), count - 1)
  }
}

extension LayerDefinition {
  static let positions: [LayerDefinition] = [
    LayerDefinition(
      "learned_positions", "Adds a learned vector for each position. Parameter: weight.",
      inputs: [Port("x", "[batch, steps, width].")],
      options: [
        .size("max_length", "The longest input.", isRequired: true),
        .size("embedding_dim", "Width; found out where it is known."),
        .initializer("weight_initializer", "Of the table; normal(0, 0.02) otherwise."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.learnedPositions(
          name, inputs.required(0), length: options.integer("max_length"),
          width: options.integerIfAny("embedding_dim"),
          weight: options.initializer("weight_initializer"))
      ]
    },
    LayerDefinition(
      "sinusoidal_positions", "Adds sines and cosines of the position.",
      inputs: [Port("x", "[batch, steps, width].")],
      options: [
        .integer("max_length", 1...1 << 20, default: 512, "The longest input."),
        .size("embedding_dim", "Width; found out where it is known."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.sinusoidalPositions(
          name, inputs.required(0), length: options.integer("max_length"),
          width: options.integerIfAny("embedding_dim"))
      ]
    },
    LayerDefinition(
      "rotary_positions",
      "Turns feature i together with feature i + width / 2 by an angle that grows with the position.",
      inputs: [Port("x", "[batch, steps, heads, width].")],
      options: [.number("base", 1...1e12, default: 10_000, "The slowest rate is about 1 / base.")]
    ) { (network, name, inputs, options) throws(StackLensError) in
      let x = try inputs.required(0)
      try network.check(x, rank: 4...4, "[batch, steps, heads, width]")
      let (width, base) = (
        try network.width(of: x, axis: 3, given: nil, "width"), try options.number("base")
      )
      return [
        try network.scope(name) { () throws(StackLensError) in
          try network.rotated(x, by: network.angles(network.extent(x, 1), width, base: base))
        }
      ]
    },
    LayerDefinition(
      "alibi_bias", "-slope · |query - key| for each head, a mask for attentions.",
      inputs: [
        Port("query", "[batch, queries, …]."),
        Port("key", isOptional: true, "[batch, keys, …]; the query if left out."),
      ], outputs: [Port("bias", "[1, heads, queries, keys].")],
      options: [.integer("num_heads", 1...1 << 16, default: 8, "Heads.")]
    ) { (network, name, inputs, options) throws(StackLensError) in
      let query = try inputs.required(0)
      let key = inputs[1] ?? query
      let heads = try options.integer("num_heads")
      return [
        try network.scope(name) { () throws(StackLensError) in
          let lengths = (network.extent(query, 1), network.extent(key, 1))
          return try network.unsqueezed(network.alibi(heads, lengths), 0)
        }
      ]
    },
    LayerDefinition(
      "relative_position_bias",
      "A learned number for each head and bucket of distances, a mask for attentions. Parameter: "
        + "weight [buckets, heads].",
      inputs: [
        Port("query", "[batch, queries, …]."),
        Port("key", isOptional: true, "[batch, keys, …]; the query if left out."),
      ], outputs: [Port("bias", "[1, heads, queries, keys].")],
      options: [
        .size("num_heads", "Heads.", isRequired: true),
        .integer("num_buckets", 2...1 << 20, default: 32, "Buckets, an even number."),
        .integer("max_distance", 2...1 << 20, default: 128, "From here on all are one bucket."),
        .flag("bidirectional", default: true, "Whether keys behind the query have their own."),
        .initializer("weight_initializer", "Of the table; normal otherwise."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.relativePositionBias(
          name, inputs.required(0), inputs[1], heads: options.integer("num_heads"),
          buckets: options.integer("num_buckets"),
          maximumDistance: options.integer("max_distance"),
          isBidirectional: options.flag("bidirectional"),
          weight: options.initializer("weight_initializer"))
      ]
    },
  ]
}
