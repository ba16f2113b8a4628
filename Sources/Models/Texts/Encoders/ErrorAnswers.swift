import Base
import Execution
import Glibc
import Graphs
import Tensors
import Training

/// What a model says of texts.
struct ErrorAnswers {
  private let texts: EncodedTexts
  private let columns: [String: Tensor]

  private static let names = [
    "severity_logits", "category_logits", "severity_probabilities", "category_probabilities",
    "confidence_logit", "confidence", "embeddings",
  ]

  /// - Parameter session: of the form that runs without padding.
  init(
    _ session: Session, _ texts: EncodedTexts, _ kind: StackLensTransformer
  ) throws(StackLensError) {
    self.texts = texts
    var columns: [String: Tensor] = [:]
    for output in session.outputs where Self.names.contains(output.name) {
      guard case .tensor(_, let dims) = output.type, case .fixed(let width)? = dims?.last else {
        continue
      }
      columns[output.name] = try Tensor(uninitialized: .float32, Shape([texts.count, width]))
    }
    try texts.packed(session) { (_, rows, outputs) throws(StackLensError) in
      for (name, column) in columns {
        let width = column.shape[1]
        let found = try outputs.tensor(name)
        (column.base.assumingMemoryBound(to: Float.self) + rows.lowerBound * width).update(
          from: found.base.assumingMemoryBound(to: Float.self), count: rows.count * width)
      }
    }
    self.columns = columns
  }

  func column(_ name: String) throws(StackLensError) -> Tensor { try columns.tensor(name) }

  /// The outputs of "classify".
  func values() throws(StackLensError) -> [Value] {
    let confidence = try column("confidence")
    let trust = try Tensor(
      zip(confidence.elements(as: Float.self), texts.isEmpty).map { $1 ? 0 : $0 },
      shape: Shape([texts.count]))
    let tensors = [
      try column("severity_logits").largest(), try column("category_logits").largest(),
      try column("severity_probabilities"), try column("category_probabilities"), trust,
      try column("embeddings"), try Tensor(texts.isEmpty), try Tensor(texts.isTruncated),
      try Tensor(texts.unknownRatio),
    ]
    return tensors.map { .tensor($0) }
  }
}

/// How good a model is on labelled errors.
struct ErrorFigures {
  private var severity, category: ClassCounts
  /// The confidence's logit and whether what it stands for is right.
  private var trust: [(logit: Double, isRight: Double)] = []

  /// The classes that a trainer's network finds in labelled batches.
  init(_ trainer: Trainer, _ batches: ErrorBatches) throws(StackLensError) {
    (severity, category) = (ClassCounts(), ClassCounts())
    var index = 0
    while let batch = try batches.batch(index, ofEpoch: 0) {
      let outputs = try trainer.predict(batch)
      severity.add(try outputs[0].tensor().largest(), try batch.tensor("severity"))
      category.add(try outputs[1].tensor().largest(), try batch.tensor("category"))
      index += 1
    }
  }

  /// The answers of a model on labelled errors.
  init(
    _ model: Model, _ rows: LabelledErrors, _ fitting: Fitting, _ kind: StackLensTransformer
  ) throws(StackLensError) {
    (severity, category) = (ClassCounts(), ClassCounts())
    let answers = try ErrorAnswers(fitting.compiled(model, level: 0), rows.texts, kind)
    let found = (
      severity: try answers.column("severity_logits").largest().elements(as: Int64.self),
      category: try answers.column("category_logits").largest().elements(as: Int64.self)
    )
    let logits = try answers.column("confidence_logit").elements(as: Float.self)
    for row in 0..<rows.count {
      let isKnown = rows.severity[row] >= 0 || rows.category[row] >= 0
      let isRight =
        (rows.severity[row] < 0 || rows.severity[row] == found.severity[row])
        && (rows.category[row] < 0 || rows.category[row] == found.category[row])
      if rows.reliability[row] >= 0 {
        trust.append((Double(logits[row]), Double(rows.reliability[row])))
      } else if isKnown {
        trust.append((Double(logits[row]), isRight ? 1 : 0))
      }
    }
  }

  /// The mean over the tasks that have labels.
  var macroF1: Double {
    let figures = [severity, category].filter { !$0.isEmpty }.map(\.macroF1)
    return figures.isEmpty ? 0 : figures.reduce(0, +) / Double(figures.count)
  }

  /// The T in 0.05 … 20 with the least cross-entropy of σ(logit / T); 1 where nothing is known.
  var temperature: Double {
    guard !trust.isEmpty else { return 1 }
    func loss(_ logarithm: Double) -> Double {
      let scale = exp(-logarithm)
      var sum = 0.0
      for row in trust {
        let z = row.logit * scale
        sum += max(z, 0) - z * row.isRight + log(1 + exp(-abs(z)))
      }
      return sum
    }
    // Golden-section search.
    let ratio = (5.0.squareRoot() - 1) / 2
    var (low, high): (Double, Double) = (log(0.05), log(20.0))
    for _ in 0..<60 {
      let (a, b) = (high - ratio * (high - low), low + ratio * (high - low))
      if loss(a) <= loss(b) { high = b } else { low = a }
    }
    return exp((low + high) / 2)
  }
}

/// Hits and misses of each class.
private struct ClassCounts {
  private var hits: [Int64: Int] = [:]
  private var found: [Int64: Int] = [:]
  private var real: [Int64: Int] = [:]

  var isEmpty: Bool { real.isEmpty }

  mutating func add(_ predictions: Tensor, _ labels: Tensor) {
    let p = predictions.base.assumingMemoryBound(to: Int64.self)
    let y = labels.base.assumingMemoryBound(to: Int64.self)
    for row in 0..<labels.count where y[row] >= 0 {
      found[p[row], default: 0] += 1
      real[y[row], default: 0] += 1
      if p[row] == y[row] { hits[y[row], default: 0] += 1 }
    }
  }

  /// The mean F1 of the classes that occur or were found.
  var macroF1: Double {
    let classes = Set(real.keys).union(found.keys)
    let sum = classes.sorted().reduce(0.0) { sum, label in
      let both = found[label, default: 0] + real[label, default: 0]
      return sum + 2 * Double(hits[label, default: 0]) / Double(both)
    }
    return sum / Double(max(1, classes.count))
  }
}

extension Tensor {
  /// The first of the largest numbers of each row of float32 [rows, classes]: int64 [rows].
  func largest() throws(StackLensError) -> Tensor {
    let width = shape[1]
    let numbers = base.assumingMemoryBound(to: Float.self)
    return try Tensor(
      (0..<shape[0]).map { row in
        var best = 0
        for label in 1..<max(width, 1)
        where numbers[row * width + label] > numbers[row * width + best] {
          best = label
        }
        return Int64(best)
      }, shape: Shape([shape[0]]))
  }
}
