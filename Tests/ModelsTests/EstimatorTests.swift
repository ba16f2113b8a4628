import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Models

@Suite struct EstimatorTests {
  @Test func namesWhatThereIs() throws {
    let unknown = #expect(throws: StackLensError.self) { try Estimator("crystal_ball") }
    #expect(unknown?.message.contains("anomaly_vae") == true)
    let wrong = #expect(throws: StackLensError.self) {
      try Estimator(
        "anomaly_vae", options: .object(JSONObject([.init(key: "widht", value: .integer(3))])))
    }
    #expect(wrong?.message.contains("width") == true)
  }

  @Test func quantilesLieBetweenNeighbours() {
    #expect(quantile([3, 1, 2], 0.5) == 2)
    #expect(quantile([0, 1], 0.25) == 0.25)
    #expect(quantile([5], 0.95) == 5)
  }

  @Test func constantFeaturesAreDividedByOne() throws {
    let x = try Tensor([Float(1), 7, 3, 7], shape: Shape([2, 2]))
    let moments = try Moments(of: x)
    #expect(try moments.mean.elements(as: Float.self) == [2, 7])
    #expect(try moments.deviation.elements(as: Float.self) == [1, 1])
    #expect(try moments.standardised(x).elements(as: Float.self) == [-1, 0, 1, 0])
  }
}
