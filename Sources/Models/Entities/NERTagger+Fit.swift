import Base
import Layers
import Tensors
import Training

extension NERTagger {
  func fit(_ fitting: Fitting) throws(StackLensError) {
    let arguments = fitting.arguments
    let isGiven = LabelledEntities.areGiven(arguments, "validation_")
    let (data, held) = try fitting.divided(
      labelled(fitting, ""), given: isGiven ? labelled(fitting, "validation_") : nil)
    let isFrozen = try fitting.options.flag("freeze_encoder")
    let session =
      isFrozen
      ? try fitting.compiled(
        encoder.running(fitting.knowledge, .fp32, averaging: averages), level: 0) : nil
    func source(_ rows: TaggedPieces, isShuffled: Bool) throws(StackLensError) -> TaggedBatches {
      TaggedBatches(
        rows,
        states: try session.map { (session) throws(StackLensError) in
          try EncoderStates(of: rows.texts, session, width: encoder.settings.width)
        }, hasWords: buckets > 0,
        order: try fitting.order(rows.count, rows.texts.lengths, isShuffled: isShuffled))
    }
    let judged = try held.map { (held) throws(StackLensError) in
      try source(held, isShuffled: false)
    }
    try fitting.train(
      training(seed: fitting.seed, isFrozen: isFrozen), recipe(fitting.options, isFrozen),
      on: source(data, isShuffled: true), validation: judged,
      judge: judged.map { judged in
        Judge("val_f1") { (trainer) throws(StackLensError) in
          try Self.figure(trainer, judged)
        }
      })
    fitting.knowledge.facts["crf"] = try tables(fitting.knowledge)
  }

  /// The micro F1 of what a trainer's network finds in labelled batches.
  private static func figure(
    _ trainer: Trainer, _ batches: TaggedBatches
  ) throws(StackLensError) -> Double {
    var counts = EntityCounts()
    var index = 0
    while let batch = try batches.batch(index, ofEpoch: 0) {
      let found = try trainer.predict(batch)[0].tensor()
      try counts.add(found, batch.tensor("tags"))
      index += 1
    }
    return counts.f1
  }

  private func recipe(
    _ options: OptionValues, _ isFrozen: Bool
  ) throws(StackLensError) -> [String: JSON] {
    [
      "optimizer": try EncoderPart.optimizer(
        options, isFrozen: isFrozen, plain: ["*bias", "lstm.B*", "crf.*"]),
      "schedule": .string(try options.text("schedule")), "clip_norm": .number(1),
    ]
  }

  // Data ---------------------------------------------------------------------------------------

  /// - Throws: `.invalidArgument` for texts and pieces at once or neither.
  private func labelled(
    _ fitting: Fitting, _ prefix: String
  ) throws(StackLensError) -> TaggedPieces {
    let arguments = fitting.arguments
    switch (arguments.has(prefix + "text"), arguments.has(prefix + "input_ids")) {
    case (true, false):
      let texts = try arguments.texts(prefix + "text")
      let entities = try LabelledEntities(
        arguments, prefix, texts, typeCount: tags.types.count)
      var pieces = TaggedPieces()
      for window in try reader(fitting.knowledge).read(texts) {
        pieces.append(window, tags: entities.tags(of: window))
      }
      return pieces
    case (false, true):
      let inputs = try inputs(arguments, prefix)
      let labels = try arguments.integers(
        prefix + "tags", inputs.tensor("input_ids").shape.dims, in: 0..<tags.count,
        missing: Int(Network.missingLabel))
      return try TaggedPieces(inputs, tags: labels)
    default:
      throw .invalidArgument("expected one of '\(prefix)text' and '\(prefix)input_ids'")
    }
  }

  /// The network's inputs as arrays, held against the sizes of the model.
  func inputs(
    _ arguments: Arguments, _ prefix: String
  ) throws(StackLensError) -> [String: Tensor] {
    var inputs = try encoder.pieces(arguments, prefix)
    let ids = try inputs.tensor("input_ids")
    let (rows, steps) = (ids.shape[0], ids.shape[1])
    inputs["shapes"] = try arguments.reals(prefix + "shapes", [rows, steps, WordShape.count])
    if buckets > 0 {
      inputs["word_ids"] = try arguments.integers(
        prefix + "word_ids", [rows, steps, WordBuckets.width], in: 0..<buckets)
    } else if arguments.has(prefix + "word_ids") {
      throw .invalidArgument("the model has no table of words and takes no '\(prefix)word_ids'")
    }
    return inputs
  }

  /// - Throws: `.notFitted` for a model without a tokenizer; `.formatError` for one that knows more
  ///   pieces than the encoder.
  func reader(_ knowledge: Knowledge) throws(StackLensError) -> PieceReader {
    PieceReader(
      tokenizer: try encoder.tokenizer(knowledge), words: words, length: length,
      overlap: overlap, buckets: buckets)
  }
}
