import Base
import Graphs
import Tensors

extension OperatorTable {
  static let trees: [OperatorDefinition] = [
    .treeEnsembleClassifier, .treeEnsembleRegressor, .treeEnsemble, .zipMap, .scaler, .normalizer,
    .binarizer, .imputer, .linearRegressor, .linearClassifier, .arrayFeatureExtractor,
    .featureVectorizer, .labelEncoder, .categoryMapper, .oneHotEncoder, .svmClassifier,
    .svmRegressor, .castMap, .dictVectorizer,
  ]
}

/// The domain of classic machine learning.
let machineLearningDomain = "ai.onnx.ml"

/// A matrix of features, one row a sample; a vector is one row.
struct FeatureRows: Sendable {
  static let types: [ElementType] = [.float32, .float64, .int64, .int32]
  let rows: Int
  let columns: Int

  init(_ shape: Shape) throws(StackLensError) {
    guard shape.rank == 1 || shape.rank == 2 else {
      throw .shapeMismatch("features must have rank 1 or 2, found \(shape)")
    }
    rows = shape.rank == 1 ? 1 : shape[0]
    columns = shape[shape.rank - 1]
  }

  /// Row `row` as doubles.
  func load(_ tensor: Tensor, _ row: Int, _ target: UnsafeMutablePointer<Double>) {
    let start = row * columns
    switch tensor.elementType {
    case .float32:
      let x = tensor.floats + start
      for i in 0..<columns { target[i] = Double(x[i]) }
    case .float64:
      target.update(from: tensor.base.assumingMemoryBound(to: Double.self) + start, count: columns)
    case .int64:
      let x = tensor.int64s + start
      for i in 0..<columns { target[i] = Double(x[i]) }
    case .int32:
      let x = tensor.base.assumingMemoryBound(to: Int32.self) + start
      for i in 0..<columns { target[i] = Double(x[i]) }
    case .float16:
      let x = tensor.base.assumingMemoryBound(to: Float16.self) + start
      for i in 0..<columns { target[i] = Double(x[i]) }
    default: break
    }
  }
}

/// Trees with the number of scores they make.
struct TreeEnsemble: Sendable {
  let trees: TreeNodes
  let aggregate: TreeAggregate
  let scoreCount: Int
  /// The form that is quick to walk; nil where the branches ask for more than it has.
  let packed: PackedForest?

  init(
    _ trees: TreeNodes, _ aggregate: TreeAggregate, scoreCount: Int
  ) throws(StackLensError) {
    guard scoreCount > 0, scoreCount < 1 << 24 else {
      throw .invalidArgument("a tree ensemble with \(scoreCount) scores")
    }
    for weight in trees.weights where weight.target >= scoreCount {
      throw .formatError("a leaf adds to score \(weight.target), there are \(scoreCount)")
    }
    self.trees = trees
    self.aggregate = aggregate
    self.scoreCount = scoreCount
    packed = PackedForest(trees, aggregate, scoreCount: scoreCount)
  }

  func check(_ features: FeatureRows) throws(StackLensError) {
    guard trees.lastFeature < features.columns else {
      throw .shapeMismatch(
        "the trees read feature \(trees.lastFeature), the input has \(features.columns)")
    }
  }

  /// Rows that walk a tree before the next tree's turn.
  private static let blockRows = 64

  /// Bytes of work space for `rows` rows of `columns` features.
  func scratch(_ features: FeatureRows, _ plan: inout ScratchPlan) throws(StackLensError) -> Room {
    let scores = try Shape([features.rows, scoreCount]).count
    let values = try Shape([features.rows, features.columns]).count
    return Room(
      values: try plan.reserve(values, of: Double.self),
      scores: try plan.reserve(scores, of: Double.self),
      touched: try plan.reserve(scores, of: Bool.self))
  }

  struct Room: Sendable {
    let values: Int
    let scores: Int
    let touched: Int
  }

  /// Scores every row and hands it on: `finish(row, scores)`.
  func run(
    _ x: Tensor, _ features: FeatureRows, _ room: Room, _ run: Invocation,
    _ finish: (Int, UnsafeMutablePointer<Double>) -> Void
  ) {
    let values = (run.scratch + room.values).assumingMemoryBound(to: Double.self)
    let scores = (run.scratch + room.scores).assumingMemoryBound(to: Double.self)
    let touched = (run.scratch + room.touched).assumingMemoryBound(to: Bool.self)
    let (columns, width) = (features.columns, scoreCount)
    let threads = max(1, run.parallel.threadCount)
    let block = max(1, min(Self.blockRows, (features.rows + threads - 1) / threads))
    let blocks = (features.rows + block - 1) / block
    run.parallel.forEach(blocks) { index in
      let rows = index * block..<min(features.rows, (index + 1) * block)
      for row in rows { features.load(x, row, values + row * columns) }
      (scores + rows.lowerBound * width).update(repeating: 0, count: rows.count * width)
      (touched + rows.lowerBound * width).update(repeating: false, count: rows.count * width)
      trees.nodes.withUnsafeBufferPointer { nodes in
        guard let nodes = nodes.baseAddress else { return }
        for root in trees.roots {
          for row in rows {
            let leaf = trees.leaf(nodes, from: root, values + row * columns)
            for weight in trees.weights[Int(leaf.feature)..<Int(leaf.whenTrue)] {
              let place = row * width + Int(weight.target)
              switch aggregate {
              case .sum, .average: scores[place] += weight.value
              case .min:
                scores[place] = touched[place] ? min(scores[place], weight.value) : weight.value
              case .max:
                scores[place] = touched[place] ? max(scores[place], weight.value) : weight.value
              }
              touched[place] = true
            }
          }
        }
      }
      for row in rows {
        if aggregate == .average {
          for score in 0..<width { scores[row * width + score] /= Double(trees.roots.count) }
        }
        finish(row, scores + row * width)
      }
    }
  }
}
