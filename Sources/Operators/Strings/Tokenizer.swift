import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The tokens of each text: what matches an expression, what separators leave, or the
  /// characters; between marks where asked for, filled up to a common count. com.microsoft
  /// Tokenizer-1.
  static let contribTokenizer = OperatorDefinition(
    "Tokenizer", domain: "com.microsoft", versions: [1], inputs: 1...1,
    attributes: [
      .required("mark", .int), .required("mincharnum", .int), .required("pad_value", .string),
      .optional("separators", .strings), .optional("stopwords", .strings),
      .optional("tokenexp", .string),
    ],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (evaluation) throws(StackLensError) in
      let x = try evaluation.tensor(0)
      guard x.elementType == .string, x.rank == 1 || x.rank == 2 else {
        throw .typeMismatch("Tokenizer takes strings of rank 1 or 2, found \(TensorType(x))")
      }
      let cutter = try TokenCutter(evaluation)
      let isMarked = try evaluation.flag("mark")
      let padding = try evaluation.string("pad_value")
      var rows: [[String]] = []
      rows.reserveCapacity(x.count)
      for index in 0..<x.count { rows.append(cutter.tokens(x.texts[index])) }
      let longest = rows.reduce(0) { max($0, $1.count) }
      let width = longest + (isMarked && longest > 0 ? 2 : 0)
      let shape = try Shape(x.shape.dims + [width])
      try evaluation.requireRoom(shape.count, byteCount: MemoryLayout<String>.stride, "tokens")
      let y = try Tensor(uninitialized: .string, shape)
      guard width > 0 else { return [.tensor(y)] }
      for (index, row) in rows.enumerated() {
        // Marks are the control characters for the start and the end of a text.
        let tokens = isMarked ? ["\u{2}"] + row + ["\u{3}"] : row
        for place in 0..<width {
          y.texts[index * width + place] = place < tokens.count ? tokens[place] : padding
        }
      }
      return [.tensor(y)]
    },
    samples: [
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a cat's dog", "", "été"]) }],
        [
          "mark": .int(1), "mincharnum": .int(2), "pad_value": .string("#"),
          "tokenexp": .string("[a-z]+"),
        ]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a,b c"], shape: Shape([1, 1])) }],
        [
          "mark": .int(0), "mincharnum": .int(1), "pad_value": .string(""),
          "separators": .strings([",", " "]),
        ]),
    ])
}

/// Cuts texts into tokens.
private struct TokenCutter {
  private enum Rule {
    case characters
    case expression(RegexProgram)
    case separators([RegexProgram])
  }
  private let rule: Rule
  private let minimum: Int

  init(_ view: some NodeView) throws(StackLensError) {
    minimum = try view.int("mincharnum")
    guard minimum > 0 else {
      throw .invalidArgument("mincharnum is \(minimum), expected 1 or more")
    }
    let separators = try view.strings("separators") ?? []
    if separators.isEmpty {
      let expression = view.has("tokenexp") ? try view.string("tokenexp") : ""
      guard !expression.isEmpty else {
        throw .invalidArgument("neither separators nor tokenexp says what a token is")
      }
      rule = .expression(try RegexProgram(expression))
    } else if separators.count == 1, separators[0].isEmpty {
      guard minimum == 1 else {
        throw .invalidArgument("mincharnum is \(minimum), tokens of one character cannot have more")
      }
      rule = .characters
    } else {
      var programs: [RegexProgram] = []
      for separator in separators { programs.append(try RegexProgram(separator)) }
      rule = .separators(programs)
    }
  }

  func tokens(_ text: String) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var ranges: [Range<Int>] = []
    switch rule {
    case .characters: ranges = scalars.indices.map { $0..<$0 + 1 }
    case .expression(let program): ranges = matches(program, scalars)
    case .separators(let programs):
      ranges = [scalars.indices]
      for program in programs { ranges = ranges.flatMap { rest(program, scalars, $0) } }
      ranges = ranges.filter { $0.count >= minimum }
    }
    return ranges.map { range in
      var token = String.UnicodeScalarView()
      token.append(contentsOf: scalars[range])
      return String(token)
    }
  }

  private func matches(_ program: RegexProgram, _ scalars: [Unicode.Scalar]) -> [Range<Int>] {
    let classes = scalars.map { program.classOf($0.value) }
    var search = RegexSearch(program)
    var result: [Range<Int>] = []
    var start = 0
    while let match = search.match(in: classes, from: start) {
      if match.count >= minimum {
        result.append(match)
        start = match.upperBound
      } else {
        start = match.lowerBound + 1
      }
      if start > classes.count { break }
    }
    return result
  }

  /// What a separator leaves of a piece. Where it matches nothing at all, one character is lost, as
  /// in ONNX Runtime.
  private func rest(
    _ program: RegexProgram, _ scalars: [Unicode.Scalar], _ piece: Range<Int>
  ) -> [Range<Int>] {
    let classes = scalars[piece].map { program.classOf($0.value) }
    var search = RegexSearch(program)
    var result: [Range<Int>] = []
    var start = 0
    while start <= classes.count, let match = search.match(in: classes, from: start) {
      if match.isEmpty {
        start = match.lowerBound + 1
      } else {
        result.append(start..<match.lowerBound)
        start = match.upperBound
      }
    }
    if start < classes.count { result.append(start..<classes.count) }
    return result.filter { !$0.isEmpty }.map {
      $0.lowerBound + piece.lowerBound..<$0.upperBound + piece.lowerBound
    }
  }
}
