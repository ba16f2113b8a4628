import Base
import CKernels
import Tensors

/// Moves parameters along their gradients by one of the methods of `Optimizer.methods`.
///
/// Options that all methods know:
/// - `learning_rate`;
/// - `weight_decay`, and `decoupled_weight_decay`: whether it takes rate · decay of each weight before
///   the step (Loshchilov and Hutter, 2019), or else adds decay · weight to the gradient;
/// - `l1`, `l2`: what a penalty l1 Σ|w| + l2/2 Σ w² of the loss adds to the gradient, after clipping;
/// - `max_norm`: the largest Euclidean length of what flows into one output: rows of a parameter along
///   its first axis (Srebro and Shraibman, 2005); parameters of fewer than two axes stay as they are;
/// - `groups`: a list of objects with `parameters`, a glob pattern or a list of them, and any other
///   options; a parameter belongs to the first group with a pattern that fits, and has that group's
///   options in place of the common ones.
public struct Optimizer: Sendable {
  /// The name that it was made by.
  public let name: String
  /// What the schedule's factor multiplies.
  public let learningRate: Double
  /// What is kept between steps, under the names that PyTorch has for it.
  public let stateNames: [String]
  /// Group 0 has all parameters that belong to no other.
  let groups: [ParameterGroup]
  /// For each state of the method its place among `stateNames`.
  private let places: [Int?]

  /// Flat buffers that the caller keeps for it.
  public var stateCount: Int { stateNames.count }

  private static let methods: [(name: String, type: any OptimizerMethod.Type)] = [
    ("sgd", SGD.self), ("adam", Adam.self), ("adamw", AdamW.self), ("adamax", Adamax.self),
    ("nadam", NAdam.self), ("rmsprop", RMSprop.self), ("adagrad", Adagrad.self),
    ("adadelta", Adadelta.self), ("lamb", LAMB.self), ("lion", Lion.self),
  ]

  /// The methods there are.
  public static var names: [String] { methods.map(\.name) }

  /// - Throws: `.invalidArgument` for a name or an option that is not known, or a value that is not
  ///   taken.
  package init(named name: String, options json: JSON = .null) throws(StackLensError) {
    guard let type = Self.methods.first(where: { $0.name == name })?.type else {
      throw .invalidArgument(
        "there is no optimizer '\(name)'; known are \(Self.names.joined(separator: ", "))")
    }
    let owner = "optimizer '\(name)'"
    var reader = try OptionReader(json, of: owner)
    let lists = try Self.groupObjects(&reader, of: owner)
    let base = try ParameterGroup(type, &reader)
    try reader.finish()
    let common = (json.objectValue?.members ?? []).filter { $0.key != "groups" }
    var groups = [base]
    for (index, object) in lists.enumerated() {
      groups.append(
        try ParameterGroup(
          type, members: object.members, over: common, of: "group \(index) of \(owner)"))
    }
    self.name = name
    self.groups = groups
    learningRate = base.rate
    var (stateNames, places) = ([String](), [Int?]())
    for (index, state) in type.stateNames.enumerated() {
      let isUsed = groups.contains { $0.method.usedStates[index] }
      places.append(isUsed ? stateNames.count : nil)
      if isUsed { stateNames.append(state) }
    }
    (self.stateNames, self.places) = (stateNames, places)
  }

  private static func groupObjects(
    _ reader: inout OptionReader, of owner: String
  ) throws(StackLensError) -> [JSONObject] {
    guard let value = reader.json("groups") else { return [] }
    var objects: [JSONObject] = []
    for element in value.arrayValue ?? [value] {
      guard let object = element.objectValue else {
        throw .invalidArgument(
          "option 'groups' of \(owner) must be a list of objects, found \(element.kind)")
      }
      objects.append(object)
    }
    return objects
  }

  /// Parameters by the group that they belong to.
  public struct GroupedParameters: Sendable {
    let members: [GroupMembers]
  }

  /// The parameters of each group, as `update` takes them.
  public func grouped(_ spans: [ParameterSpan]) -> GroupedParameters {
    let places = spans.map { span in groups.firstIndex { $0.patterns.match(span.name) } ?? 0 }
    let members = groups.enumerated().map { (index, group) in
      let own = zip(spans, places).filter { $1 == index }.map(\.0)
      return GroupMembers(
        spans: own, chunks: FlatChunks(own, throughGaps: group.method.keepsZeros))
    }
    return GroupedParameters(members: members)
  }

  /// The states before the first step.
  public func makeStates(_ space: ParameterSpace) throws(StackLensError) -> [FlatBuffer] {
    var states: [FlatBuffer] = []
    let members = grouped(space.spans).members
    for (index, place) in places.enumerated() where place != nil {
      let state = try FlatBuffer(space)
      for (group, own) in zip(groups, members) {
        let start = group.method.start(ofState: index)
        for span in own.spans {
          (state.values + span.offset).update(repeating: start, count: span.count)
        }
      }
      states.append(state)
    }
    return states
  }

  /// Takes one step, a single parallel walk over the buffers. The same for any number of threads.
  /// - Parameters:
  ///   - parameters: what `grouped` made of the parameters at `weights`.
  ///   - rate: what `learningRate` has become by the schedule; groups with a rate of their own scale
  ///     with it.
  ///   - gradientScale: a factor of all gradients (`GlobalNorm.scale`, shares of accumulated batches).
  ///   - gradientLimit: what each gradient is clipped to after that.
  ///   - step: the number of the step, from 1 on.
  public func update(
    _ weights: FlatBuffer, gradients: FlatBuffer, states: [FlatBuffer],
    parameters: GroupedParameters, rate: Double, gradientScale: Float = 1,
    gradientLimit: Float = .infinity, step: Int, parallel: Parallel
  ) {
    precondition(states.count == stateCount && parameters.members.count == groups.count)
    precondition((states + [gradients]).allSatisfy { $0.count == weights.count })
    for (group, members) in zip(groups, parameters.members) where !members.spans.isEmpty {
      let used = group.method.usedStates
      let memory = OptimizerMemory(
        weights: weights.values, gradients: UnsafePointer(gradients.values),
        states: places.enumerated().map { state, place in
          used[state] ? place.map { states[$0].values } : nil
        })
      let own = rate * (group.rate / learningRate)
      group.method.update(
        members,
        OptimizerStep(
          memory: memory,
          terms: group.terms(rate: own, scale: gradientScale, limit: gradientLimit),
          rate: own, decay: group.decoupledDecay, number: step, parallel: parallel))
      if let limit = group.maximumNorm {
        MaxNorm.project(weights, members.spans, limit: limit, parallel)
      }
    }
  }

  /// The value of the penalties l1 Σ|w| + l2/2 Σ w² that the gradients of `update` include.
  public func penalty(
    _ weights: FlatBuffer, parameters: GroupedParameters, parallel: Parallel
  ) -> Double {
    var total = 0.0
    for (group, members) in zip(groups, parameters.members) where group.l1 != 0 || group.l2 != 0 {
      for span in members.spans {
        let sums = GlobalNorm.sums(weights, span.range, parallel)
        total += group.l1 * sums.absolute + group.l2 / 2 * sums.squares
      }
    }
    return total
  }
}
