/// What a word looks like in the original text, which a tokenizer that lower-cases does not tell.
struct WordShape: OptionSet, Sendable {
  let rawValue: UInt16

  static let initialCapital = WordShape(rawValue: 1 << 0)
  /// At least two letters, all of them capitals.
  static let allCapitals = WordShape(rawValue: 1 << 1)
  /// Small letters, and a capital behind the first letter.
  static let mixedCase = WordShape(rawValue: 1 << 2)
  static let digits = WordShape(rawValue: 1 << 3)
  static let onlyDigits = WordShape(rawValue: 1 << 4)
  static let underscore = WordShape(rawValue: 1 << 5)
  static let dot = WordShape(rawValue: 1 << 6)
  /// Either one.
  static let slash = WordShape(rawValue: 1 << 7)
  static let hyphen = WordShape(rawValue: 1 << 8)
  static let colon = WordShape(rawValue: 1 << 9)
  /// Right behind the word an opening parenthesis stands.
  static let parenthesis = WordShape(rawValue: 1 << 10)
  /// Quotation marks stand right before and right behind the word.
  static let quoted = WordShape(rawValue: 1 << 11)
  static let hexadecimal = WordShape(rawValue: 1 << 12)
  /// It begins with one of $ @ % & #.
  static let sigil = WordShape(rawValue: 1 << 13)
  static let fileExtension = WordShape(rawValue: 1 << 14)
  /// More than 20 characters.
  static let long = WordShape(rawValue: 1 << 15)

  static let count = 16

  /// 1 for each that it is, else 0, in the order above.
  var features: [Float] { (0..<Self.count).map { rawValue >> $0 & 1 == 1 ? 1 : 0 } }
}

extension WordShape {
  init(
    _ word: ArraySlice<Unicode.Scalar>, before: Unicode.Scalar?, after: Unicode.Scalar?
  ) {
    self = []
    var (letters, capitals, digits) = (0, 0, 0)
    for scalar in word {
      if scalar.properties.isUppercase { capitals += 1 }
      if scalar.properties.isAlphabetic { letters += 1 }
      if ("0"..."9").contains(scalar) { digits += 1 }
      switch scalar {
      case "_": insert(.underscore)
      case ".": insert(.dot)
      case "/", "\\": insert(.slash)
      case "-": insert(.hyphen)
      case ":": insert(.colon)
      default: break
      }
    }
    let isCapital = word.first?.properties.isUppercase ?? false
    if isCapital { insert(.initialCapital) }
    if capitals >= 2, capitals == letters { insert(.allCapitals) }
    if letters > capitals, capitals > (isCapital ? 1 : 0) { insert(.mixedCase) }
    if digits > 0 { insert(.digits) }
    if digits == word.count, digits > 0 { insert(.onlyDigits) }
    if after == "(" { insert(.parenthesis) }
    if let before, let after, Self.isQuote(before), Self.isQuote(after) { insert(.quoted) }
    let start = word.prefix(3)
    if start.count == 3, start.first == "0", ["x", "X"].contains(start[start.startIndex + 1]) {
      insert(.hexadecimal)
    }
    if let first = word.first, ["$", "@", "%", "&", "#"].contains(first) { insert(.sigil) }
    if let dot = word.lastIndex(of: "."), Self.extensions.contains(Self.lower(word[(dot + 1)...])) {
      insert(.fileExtension)
    }
    if word.count > 20 { insert(.long) }
  }

  private static func lower(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view).lowercased()
  }

  static func isQuote(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "\"", "'", "`": true
    case "\u{2018}", "\u{2019}", "\u{201C}", "\u{201D}", "\u{00AB}", "\u{00BB}": true
    default: false
    }
  }

  private static let extensions = Set(
    """
    asp aspx avi bak bash bat bin bmp c cc cer cfg class cmd conf cpp crt cs csproj css csv dat db dll \
    doc docx dylib erb exe gif go gradle groovy gz h hpp htm html ico ini ipynb jar java jpeg jpg js \
    json jsp jsx kt key less lock log lua m md mm mov mp3 mp4 o out pdf pem php pid pl plist png ppt \
    properties ps1 psd py pyc r rar rb rs rst s scala scss sh sln so sql sqlite svg swift tar tex tgz \
    tif tmp toml ts tsx ttf txt vb vue war wav xaml xhtml xls xlsx xml xsd xsl yaml yml zip
    """.split(separator: " ").map(String.init))
}
