import Graphs
import Tensors

/// Names that are visible in a graph and where their values are constant.
final class NameScope {
  let parent: NameScope?
  var defined: Set<String>
  var constants: [String: Tensor] = [:]
  /// Types that the graph declares.
  var types: [String: ValueType] = [:]

  init(parent: NameScope?, defined: Set<String>) {
    self.parent = parent
    self.defined = defined
  }

  func isVisible(_ name: String) -> Bool {
    var scope: NameScope? = self
    while let here = scope {
      if here.defined.contains(name) { return true }
      scope = here.parent
    }
    return false
  }

  func constant(_ name: String) -> Tensor? {
    var scope: NameScope? = self
    while let here = scope {
      if let tensor = here.constants[name] { return tensor }
      if here.defined.contains(name) { return nil }
      scope = here.parent
    }
    return nil
  }

  func type(_ name: String) -> ValueType? {
    var scope: NameScope? = self
    while let here = scope {
      if let type = here.types[name] { return type }
      if here.defined.contains(name) { return nil }
      scope = here.parent
    }
    return nil
  }
}
