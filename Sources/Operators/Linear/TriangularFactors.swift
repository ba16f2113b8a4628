/// Gaussian elimination with partial pivoting of a square matrix, in place.
struct TriangularFactors {
  /// Row-major; below the diagonal the multipliers, on and above it the upper triangle.
  let values: UnsafeMutablePointer<Double>
  let size: Int
  /// The row of the matrix that each row came from.
  private(set) var rows: [Int]
  private(set) var determinant = 1.0

  init(_ values: UnsafeMutablePointer<Double>, size: Int) {
    self.values = values
    self.size = size
    rows = Array(0..<size)
    for column in 0..<size { eliminate(column) }
  }

  private mutating func eliminate(_ column: Int) {
    var best = column
    for row in column..<size
    where values[row * size + column].magnitude > values[best * size + column].magnitude {
      best = row
    }
    if best != column {
      for i in 0..<size {
        let value = values[best * size + i]
        values[best * size + i] = values[column * size + i]
        values[column * size + i] = value
      }
      rows.swapAt(best, column)
      determinant = -determinant
    }
    let pivot = values[column * size + column]
    determinant *= pivot
    guard pivot != 0 else { return }
    for row in column + 1..<max(size, column + 1) {
      let factor = values[row * size + column] / pivot
      values[row * size + column] = factor
      guard factor != 0 else { continue }
      for i in column + 1..<size {
        values[row * size + i] -= factor * values[column * size + i]
      }
    }
  }

  /// Solves for every column of the unit matrix; the matrix must not be singular.
  func invert(into inverse: UnsafeMutablePointer<Double>) {
    for column in 0..<size {
      for row in 0..<size {
        var sum = rows[row] == column ? 1.0 : 0
        for i in 0..<row { sum -= values[row * size + i] * inverse[i * size + column] }
        inverse[row * size + column] = sum
      }
      for row in (0..<size).reversed() {
        var sum = inverse[row * size + column]
        for i in row + 1..<max(size, row + 1) {
          sum -= values[row * size + i] * inverse[i * size + column]
        }
        inverse[row * size + column] = sum / values[row * size + row]
      }
    }
  }
}
