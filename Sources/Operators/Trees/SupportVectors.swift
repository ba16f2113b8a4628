import Base
import Glibc
import Graphs
import Tensors

/// How near a row is to a support vector.
struct SupportKernel: Sendable {
  private enum Kind: String, Sendable {
    case linear = "LINEAR"
    case polynomial = "POLY"
    case radial = "RBF"
    case sigmoid = "SIGMOID"
  }
  private let kind: Kind
  private let gamma: Double
  private let offset: Double
  private let degree: Double

  static let attributes: [AttributeSpec] = [
    .optional("coefficients", .floats), .optional("kernel_params", .floats),
    .string("kernel_type", default: "LINEAR"), .string("post_transform", default: "NONE"),
    .optional("rho", .floats), .optional("support_vectors", .floats),
  ]

  init(_ view: some NodeView) throws(StackLensError) {
    let name = try view.string("kernel_type")
    guard let kind = Kind(rawValue: name) else {
      throw .invalidArgument(
        "attribute 'kernel_type' is '\(name)', expected LINEAR, POLY, RBF or SIGMOID")
    }
    let parameters = try view.floats("kernel_params") ?? []
    guard parameters.isEmpty || parameters.count == 3 else {
      throw .invalidArgument("kernel_params has \(parameters.count) entries, expected 3")
    }
    self.kind = kind
    gamma = Double(parameters.first ?? 0)
    offset = Double(parameters.isEmpty ? 0 : parameters[1])
    degree = Double(parameters.isEmpty ? 0 : parameters[2])
  }

  /// The plain product.
  static let linear = SupportKernel()

  private init() { (kind, gamma, offset, degree) = (.linear, 0, 0, 0) }

  fileprivate var isDistance: Bool { kind == .radial }

  /// From the product of a row and a vector, or their squared distance.
  fileprivate func apply(_ x: Double) -> Double {
    switch kind {
    case .linear: x
    case .polynomial: pow(gamma * x + offset, degree)
    case .radial: exp(-gamma * x)
    case .sigmoid: tanh(gamma * x + offset)
    }
  }
}

/// Support vectors, one feature of all of them after another.
struct SupportVectors: Sendable {
  let count: Int
  private let columns: Int
  private let features: [Double]
  private let kernel: SupportKernel

  init(
    _ values: [Float], count: Int, columns: Int, _ kernel: SupportKernel
  ) throws(StackLensError) {
    let (expected, overflow) = count.multipliedReportingOverflow(by: columns)
    guard !overflow, values.count == expected else {
      throw .shapeMismatch(
        "\(values.count) entries of support_vectors for \(count) vectors of \(columns) features")
    }
    self.count = count
    self.columns = columns
    self.kernel = kernel
    var features = [Double](repeating: 0, count: expected)
    for vector in 0..<count {
      for column in 0..<columns {
        features[column * count + vector] = Double(values[vector * columns + column])
      }
    }
    self.features = features
  }

  /// The kernel's value for a row and each vector.
  func evaluate(
    _ row: UnsafePointer<Double>, _ result: UnsafeMutablePointer<Double>
  ) {
    result.update(repeating: 0, count: count)
    features.withUnsafeBufferPointer { features in
      guard var feature = features.baseAddress else { return }
      for column in 0..<columns {
        let x = row[column]
        if kernel.isDistance {
          for i in 0..<count {
            let distance = x - feature[i]
            result[i] += distance * distance
          }
        } else {
          for i in 0..<count { result[i] += x * feature[i] }
        }
        feature += count
      }
    }
    for i in 0..<count { result[i] = kernel.apply(result[i]) }
  }

  /// Calls `body` with each row's values of the kernel.
  func run(
    _ x: Tensor, _ rows: FeatureRows, _ parallel: Parallel,
    _ body: (Int, UnsafePointer<Double>) -> Void
  ) {
    let (columns, count) = (columns, count)
    parallel.ranges(rows.rows, grain: max(1, (1 << 14) / max(1, columns * count))) { range in
      var room = [Double](repeating: 0, count: max(1, columns + count))
      room.withUnsafeMutableBufferPointer { room in
        guard let row = room.baseAddress else { return }
        for index in range {
          rows.load(x, index, row)
          evaluate(row, row + columns)
          body(index, row + columns)
        }
      }
    }
  }
}
