import Base
import Graphs
import Operators
import Tensors

/// A model under construction: a graph whose parameters have names, initial values and a seed.
///
///     let network = Network("mlp")
///     let x = network.input("x", .float32, [.named("batch"), .fixed(4)])
///     let w = try network.parameter("fc.weight", [8, 4]) { … }
///     network.output(network.graph.add("Gemm", [x, w], ["transB": .int(1)]), "y")
///     let model = try network.model()
///
/// Not safe to use from several threads.
public final class Network {
  public let graph: GraphBuilder
  private var scopes: [String] = []

  public init(_ name: String) { graph = GraphBuilder(name) }

  /// Nodes and parameters made by `body` get names that start with the scope.
  public func scope<Result>(
    _ name: String, _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    scopes.append(name)
    defer { scopes.removeLast() }
    return try graph.scope(name, body)
  }
}
