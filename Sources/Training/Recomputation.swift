import Graphs

/// Training in less memory: of each segment of the forward pass only what later segments read is
/// kept, the rest is computed again when the backward pass reaches it (Chen et al., 2016).
struct Recomputation {
  /// Forward nodes, then backward nodes with the repeated ones before their first reader.
  let nodes: [Node]

  init(forward: [Node], back: [Node], _ segments: Int) {
    let length = max(1, (forward.count + segments - 1) / segments)
    var segment: [String: Int] = [:]
    for (index, node) in forward.enumerated() {
      for name in node.outputs where !name.isEmpty { segment[name] = index / length }
    }
    // What crosses a border is kept; the last segment is in memory when the way back begins.
    let last = (forward.count - 1) / length
    var kept: Set<String> = []
    for (index, node) in forward.enumerated() {
      for name in node.reads {
        if let origin = segment[name], origin != index / length { kept.insert(name) }
      }
    }
    for node in forward + back {
      for (_, graph) in node.subgraphs { kept.formUnion(graph.captures) }
    }
    func isRepeated(_ name: String) -> Bool {
      guard let origin = segment[name] else { return false }
      return origin < last && !kept.contains(name)
    }
    func repeated(_ name: String) -> String { isRepeated(name) ? name + " again" : name }
    var result = forward
    var done: Set<Int> = []
    for node in back {
      for name in node.reads where isRepeated(name) {
        guard let origin = segment[name], done.insert(origin).inserted else { continue }
        let end = min(forward.count, (origin + 1) * length)
        for part in forward[origin * length..<end]
        where part.outputs.contains(where: isRepeated) {
          var copy = part.renamingReads(repeated)
          copy.outputs = part.outputs.map(repeated)
          // What is kept has its name already.
          for index in copy.outputs.indices where copy.outputs[index] == part.outputs[index] {
            if !copy.outputs[index].isEmpty { copy.outputs[index] += " again, unread" }
          }
          copy.name = part.name.isEmpty ? "" : part.name + " again"
          result.append(copy)
        }
      }
      result.append(node.renamingReads(repeated))
    }
    nodes = result
  }
}

extension Node {
  fileprivate func renamingReads(_ rename: (String) -> String) -> Node {
    var node = self
    node.inputs = inputs.map(rename)
    return node
  }
}
