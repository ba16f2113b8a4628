import Base
import Graphs
import Tensors
import Testing

@testable import Exchange

struct ImportTests {
  @Test(.enabled(if: ModelFiles.arePresent), arguments: ModelFiles.names)
  func readsPublishedModels(name: String) throws {
    let model = try ONNX.decode(path: ModelFiles.path(name))
    #expect(!model.graph.nodes.isEmpty)
    #expect(!model.graph.inputs.isEmpty && !model.graph.outputs.isEmpty)
    do {
      let lifted = try ONNX.lifted(model)
      #expect(lifted.functions.isEmpty)
    } catch {
      #expect(error.status == .unsupported, "\(error)")
      #expect(error.message.contains("not supported: "), "\(error)")
    }
  }
}
