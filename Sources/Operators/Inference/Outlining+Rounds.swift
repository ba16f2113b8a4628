import Base
import Graphs

extension Outlining {
  /// What values have after any number of rounds through a subgraph.
  /// - Parameters:
  ///   - starts: the values before the first round.
  ///   - before: inputs of the subgraph in front of the carried ones.
  ///   - after: inputs of the subgraph behind the carried ones.
  ///   - skipping: outputs of the subgraph in front of the carried ones.
  /// - Returns: the carried values, and all outputs of the subgraph.
  func carried(
    _ starts: [AbstractValue], _ attribute: String, before: [AbstractValue] = [],
    after: [AbstractValue] = [], skipping skipped: Int = 0
  ) throws(StackLensError) -> (states: [AbstractValue], outputs: [AbstractValue]) {
    var states = starts.map(\.forgetting)
    for round in 0... {
      let outputs = subgraph(attribute, before + states + after)
      guard outputs.count >= skipped + states.count else {
        throw .invalidArgument(
          "attribute '\(attribute)' gives \(outputs.count) values, which do not fit "
            + "\(states.count) carried ones")
      }
      var next: [AbstractValue] = []
      for (index, state) in states.enumerated() {
        let joined = try join(state, outputs[skipped + index].forgetting, "carried\(index)")
        // What still changes is given up.
        next.append(round < 3 || joined.hasSameType(as: state) ? joined : joined.rankless)
      }
      if zip(next, states).allSatisfy({ $0.hasSameType(as: $1) }) || round > 5 {
        return (next, outputs.map(\.forgetting))
      }
      states = next
    }
    return (states, [])
  }
}

extension AbstractValue {
  /// Only the element type.
  var rankless: AbstractValue { elementType.map { .elements($0) } ?? .unknown }

  /// Values of this type put behind one another along a new axis.
  func stacked(_ count: Int, axis: Int) throws(StackLensError) -> AbstractValue {
    guard let type else { return rankless }
    guard axis >= -(type.rank + 1), axis <= type.rank else {
      throw .invalidArgument("axis \(axis) is outside [-\(type.rank + 1), \(type.rank)]")
    }
    var dims = type.shape.dims
    dims.insert(count, at: axis < 0 ? axis + type.rank + 1 : axis)
    return try .tensor(type.elementType, dims)
  }
}
