import Base
import CKernels

/// Parameters that share hyperparameters.
struct ParameterGroup: Sendable {
  /// Empty for the group of all others.
  let patterns: [Glob]
  let method: any OptimizerMethod
  let rate: Double
  let l1: Double
  let l2: Double
  /// The largest length of a row; nil for none.
  let maximumNorm: Double?
  private let decay: Double
  private let isDecoupled: Bool

  /// The group of all parameters that no pattern takes.
  init(
    _ type: any OptimizerMethod.Type, _ options: inout OptionReader, patterns: [Glob] = []
  ) throws(StackLensError) {
    self.patterns = patterns
    rate = try options.number("learning_rate", default: type.defaultRate, in: .positive)
    decay = try options.number("weight_decay", default: type.defaultDecay, in: .notNegative)
    isDecoupled = try options.bool("decoupled_weight_decay", default: type.isDecoupled)
    l1 = try options.number("l1", default: 0, in: .notNegative)
    l2 = try options.number("l2", default: 0, in: .notNegative)
    maximumNorm = try options.number("max_norm", in: .positive)
    method = try type.init(&options)
  }

  /// A group of its own: `members` take the place of the common options.
  init(
    _ type: any OptimizerMethod.Type, members: [JSONObject.Member],
    over common: [JSONObject.Member], of owner: String
  ) throws(StackLensError) {
    let keys = Set(members.map(\.key))
    let merged = common.filter { !keys.contains($0.key) } + members
    var options = try OptionReader(.object(JSONObject(merged)), of: owner)
    let texts = try options.strings("parameters") ?? []
    guard !texts.isEmpty else {
      throw .invalidArgument("option 'parameters' of \(owner) names no pattern")
    }
    var patterns: [Glob] = []
    for text in texts {
      do throws(StackLensError) { patterns.append(try Glob(text)) } catch {
        throw error.within(owner)
      }
    }
    try self.init(type, &options, patterns: patterns)
    try options.finish()
  }

  var decoupledDecay: Double { isDecoupled ? decay : 0 }

  func terms(rate: Double, scale: Float, limit: Float) -> slk_gradient_terms {
    slk_gradient_terms(
      scale: scale, limit: limit, l1: Float(l1), l2: Float(l2 + (isDecoupled ? 0 : decay)),
      decay: Float(rate * decoupledDecay))
  }
}

extension ClosedRange<Double> {
  /// What stays above 0 in float32.
  static var positive: Self { 1e-30 ... .greatestFiniteMagnitude }
  static var notNegative: Self { 0 ... .greatestFiniteMagnitude }
  /// A share that leaves something.
  static var belowOne: Self { 0...1.0.nextDown }
  static var share: Self { 0...1 }
}
