import Base
import Graphs
import Tensors

/// The cache of a GroupQueryAttention, which holds floats, bytes, or two numbers of 4 bits a byte.
extension GroupedAttention {
  /// Which of the two caches, by its inputs, its output and the attribute that says how it is
  /// quantised.
  enum Part {
    case keys, values

    var past: Int { self == .keys ? 3 : 4 }
    var present: Int { self == .keys ? 1 : 2 }
    var scale: Int { self == .keys ? 12 : 13 }
    var form: String { self == .keys ? "k_quant_type" : "v_quant_type" }
  }

  /// The past rows with the new ones behind those of each batch entry, in the type of the new ones.
  mutating func cached(
    _ rows: String, _ part: Part, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let result =
      node.makes(part.present) ? node.node.outputs[part.present] : rewriter.fresh("cache")
    let bits = try quantisedBits(part)
    guard let old = node.input(part.past) else {
      guard bits == nil else { throw .unsupported("a quantised cache without past rows") }
      made.apply("Identity", [rows], to: [result])
      return result
    }
    let missing = made.apply(
      "Sub", [total, made.extent(old, 2, &rewriter)], &rewriter)
    let zero = try rewriter.ints([0], "zero")
    let room = made.apply("Max", [missing, zero], &rewriter)
    let (before, after) = (try rewriter.ints([0, 0, 0, 0, 0, 0], "before"), zero)
    let pads = made.apply("Concat", [before, room, after], ["axis": .int(0)], &rewriter)
    let wide = made.apply("Pad", [old, pads], &rewriter)
    var added = rows
    if let bits { added = try quantised(rows, part, bits, &rewriter) }
    made.apply("TensorScatter", [wide, added, self.before], ["axis": .int(2)], to: [result])
    guard let bits else { return result }
    return try floats(of: result, like: rows, part, bits, &rewriter)
  }

  /// 8 or 4, or nil where the cache holds floats.
  private func quantisedBits(_ part: Part) throws(StackLensError) -> Int? {
    let form = try node.string(part.form)
    switch form {
    case "NONE", "": return nil
    case "PER_TENSOR", "PER_CHANNEL": break
    default:
      throw .invalidArgument(
        "attribute '\(part.form)' is '\(form)', expected NONE, PER_TENSOR or PER_CHANNEL")
    }
    let bits = try node.int("kv_cache_bit_width")
    guard bits == 8 || bits == 4 else {
      throw .unsupported("a cache of \(bits) bits, expected 8 or 4")
    }
    return bits
  }

  /// The scale in the shape that broadcasts to the cache: one number or one for each channel.
  private func scale(_ part: Part) throws(StackLensError) -> String {
    try node.required(part.scale, part == .keys ? "k_scale" : "v_scale")
  }

  /// Floats as what the cache holds: round(x / scale), bounded; of 4 bits two in a byte, the lower
  /// half first, each raised by 8.
  private mutating func quantised(
    _ rows: String, _ part: Part, _ bits: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let wide = made.apply("Cast", [rows], Self.to(.float32), &rewriter)
    let scaled = made.apply("Div", [wide, try scale(part)], &rewriter)
    let limit: Float = bits == 8 ? 128 : 8
    let bounds = [-limit, limit - 1]
    let low = rewriter.constant(try Tensor(scalar: bounds[0]), "low")
    let high = rewriter.constant(try Tensor(scalar: bounds[1]), "high")
    let rounded = made.apply("Round", [scaled], &rewriter)
    let steps = made.apply("Clip", [rounded, low, high], &rewriter)
    guard bits == 4 else { return made.apply("Cast", [steps], Self.to(.int8), &rewriter) }
    let eight = rewriter.constant(try Tensor(scalar: Float(8)), "eight")
    let sixteen = rewriter.constant(try Tensor(scalar: Float(16)), "sixteen")
    let raised = made.apply("Add", [steps, eight], &rewriter)
    let shape = try rewriter.ints([0, 0, 0, -1, 2], "pairs")
    let pairs = made.apply("Reshape", [raised, shape], ["allowzero": .int(0)], &rewriter)
    let halves = made.split(pairs, into: 2, axis: -1, &rewriter)
    let upper = made.apply("Mul", [halves[1], sixteen], &rewriter)
    let both = made.apply("Add", [halves[0], upper], &rewriter)
    let bytes = made.apply("Squeeze", [both, try rewriter.ints([-1], "axes")], &rewriter)
    return made.apply("Cast", [bytes], Self.to(.uint8), &rewriter)
  }

  /// What the cache holds as floats again.
  private mutating func floats(
    of cache: String, like rows: String, _ part: Part, _ bits: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    var steps: String
    if bits == 8 {
      steps = made.apply("Cast", [cache], Self.to(.float32), &rewriter)
    } else {
      let sixteen = rewriter.constant(try Tensor(scalar: UInt8(16)), "sixteen")
      let eight = rewriter.constant(try Tensor(scalar: Float(8)), "eight")
      let axes = try rewriter.ints([-1], "axes")
      var halves: [String] = []
      for operation in ["Mod", "Div"] {
        let half = made.apply(operation, [cache, sixteen], &rewriter)
        halves.append(made.apply("Unsqueeze", [half, axes], &rewriter))
      }
      let pairs = made.apply("Concat", halves, ["axis": .int(-1)], &rewriter)
      let flat = made.apply(
        "Reshape", [pairs, try rewriter.ints([0, 0, 0, -1], "rows")], &rewriter)
      let wide = made.apply("Cast", [flat], Self.to(.float32), &rewriter)
      steps = made.apply("Sub", [wide, eight], &rewriter)
    }
    let numbers = made.apply("Mul", [steps, try scale(part)], &rewriter)
    return made.apply("CastLike", [numbers, rows], &rewriter)
  }

  static func to(_ type: ElementType) -> [String: Attribute] {
    ["to": .int(Int64(type.rawValue))]
  }
}
