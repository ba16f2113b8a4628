import Base
import CStackLens
import Glibc
import Training

private func trainer(_ handle: OpaquePointer?) throws(StackLensError) -> Trainer {
  try Handles.object(handle, as: Trainer.self, "trainer")
}

@_cdecl("sl_trainer_create") @implementation
public func sl_trainer_create(
  _ handle: OpaquePointer?, _ options: UnsafePointer<CChar>?,
  _ outTrainer: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let model = try model(handle)
    let options = try TrainerOptions(json(options, "options"))
    let out = try required(outTrainer, "out_trainer")
    out.pointee = Handles.create(try Trainer(model, options))
  }
}

@_cdecl("sl_trainer_release") @implementation
public func sl_trainer_release(_ trainer: OpaquePointer?) { Handles.release(trainer) }

@_cdecl("sl_trainer_step") @implementation
public func sl_trainer_step(
  _ handle: OpaquePointer?, _ names: UnsafePointer<UnsafePointer<CChar>?>?,
  _ values: UnsafePointer<OpaquePointer?>?, _ count: Int,
  _ outEvent: UnsafeMutablePointer<sl_training_event>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let report = try trainer(handle).step(batch(names, values, count))
    outEvent?.pointee = sl_training_event(report)
  }
}

@_cdecl("sl_trainer_step_arrays") @implementation
public func sl_trainer_step_arrays(
  _ handle: OpaquePointer?, _ names: UnsafePointer<UnsafePointer<CChar>?>?,
  _ arrays: UnsafePointer<sl_array>?, _ count: Int,
  _ outEvent: UnsafeMutablePointer<sl_training_event>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let report = try trainer(handle).step(batch(names, arrays, count))
    outEvent?.pointee = sl_training_event(report)
  }
}

@_cdecl("sl_trainer_fit") @implementation
public func sl_trainer_fit(
  _ handle: OpaquePointer?, _ data: OpaquePointer?, _ validation: OpaquePointer?,
  _ options: UnsafePointer<CChar>?, _ callback: sl_training_callback?,
  _ userData: UnsafeMutableRawPointer?, _ outHistory: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let trainer = try trainer(handle)
    let source = try dataset(data)
    var fit = try FitOptions(json(options, "options"))
    if validation != nil { fit.validation = try dataset(validation, "validation") }
    let history = try trainer.fit(source, fit) { event in
      guard let callback else { return true }
      return event.withC { callback($0, userData) == 0 }
    }
    if let outHistory {
      outHistory.pointee = Handles.create(try ByteBuffer(history.json.encoded()))
    }
  }
}

@_cdecl("sl_trainer_stop") @implementation
public func sl_trainer_stop(_ handle: OpaquePointer?) -> sl_status {
  boundary { () throws(StackLensError) in try trainer(handle).stop() }
}

@_cdecl("sl_trainer_evaluate") @implementation
public func sl_trainer_evaluate(
  _ handle: OpaquePointer?, _ data: OpaquePointer?,
  _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let trainer = try trainer(handle)
    let source = try dataset(data)
    let out = try required(outJSON, "out_json")
    let figures = try trainer.evaluate(source).map {
      JSONObject.Member(key: $0.name, value: .number($0.value))
    }
    out.pointee = Handles.create(try ByteBuffer(JSON.object(JSONObject(figures)).encoded()))
  }
}

@_cdecl("sl_trainer_predict") @implementation
public func sl_trainer_predict(
  _ handle: OpaquePointer?, _ names: UnsafePointer<UnsafePointer<CChar>?>?,
  _ values: UnsafePointer<OpaquePointer?>?, _ count: Int, _ outputCount: Int,
  _ outOutputs: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let trainer = try trainer(handle)
    let inputs = try batch(names, values, count)
    let out = try output(outOutputs, needed: outputCount, capacity: outputCount, "out_outputs")
    let outputs = try trainer.predict(inputs)
    guard outputs.count == outputCount else {
      throw .invalidArgument(
        "output_count is \(outputCount), the model has \(outputs.count) outputs")
    }
    for (index, value) in outputs.enumerated() { out[index] = CABI.handle(value) }
  }
}

@_cdecl("sl_trainer_model") @implementation
public func sl_trainer_model(
  _ handle: OpaquePointer?, _ averaged: Int32, _ outModel: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let trainer = try trainer(handle)
    let out = try required(outModel, "out_model")
    out.pointee = Handles.create(ModelBox(try trainer.model(averaged: averaged != 0)))
  }
}

@_cdecl("sl_trainer_save") @implementation
public func sl_trainer_save(_ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> sl_status {
  boundary { () throws(StackLensError) in try trainer(handle).save(to: text(path, "path")) }
}

@_cdecl("sl_trainer_load") @implementation
public func sl_trainer_load(_ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> sl_status {
  boundary { () throws(StackLensError) in try trainer(handle).load(from: text(path, "path")) }
}

@_cdecl("sl_trainer_describe") @implementation
public func sl_trainer_describe(
  _ handle: OpaquePointer?, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let trainer = try trainer(handle)
    let out = try required(outJSON, "out_json")
    out.pointee = Handles.create(try ByteBuffer(trainer.described().encoded()))
  }
}

@_cdecl("sl_trainer_gradients") @implementation
public func sl_trainer_gradients(
  _ handle: OpaquePointer?, _ outJSON: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let trainer = try trainer(handle)
    let out = try required(outJSON, "out_json")
    out.pointee = Handles.create(try ByteBuffer(trainer.gradientReport().json.encoded()))
  }
}

extension sl_training_event {
  fileprivate init(_ report: StepReport) {
    self.init()
    kind = SL_TRAINING_STEP
    step = report.step
    epoch = report.epoch
    batch = report.batch
    batch_count = report.batchCount ?? 0
    loss = report.loss
    gradient_norm = report.gradientNorm
    learning_rate = report.learningRate
  }

  fileprivate init(_ report: EpochReport) {
    self.init()
    kind = SL_TRAINING_EPOCH
    epoch = report.epoch
    loss = report.loss
    gradient_norm = report.gradientNorm
    learning_rate = report.learningRate
    seconds = report.seconds
    is_best = report.isBest ? 1 : 0
  }
}

extension TrainingEvent {
  /// Lends the event as C sees it.
  func withC<Result>(
    _ body: (UnsafePointer<sl_training_event>) -> Result
  ) -> Result {
    var event = sl_training_event()
    switch self {
    case .step(let report):
      event = sl_training_event(report)
      return body(&event)
    case .epoch(let report):
      event = sl_training_event(report)
      return Self.withFigures(report.validation) { figures in
        (event.figures, event.figure_count) = (figures.baseAddress, figures.count)
        return body(&event)
      }
    case .warning(let text):
      event.kind = SL_TRAINING_WARNING
      return text.withCString {
        event.text = $0
        return body(&event)
      }
    case .checkpoint(let path):
      event.kind = SL_TRAINING_CHECKPOINT
      return path.withCString {
        event.text = $0
        return body(&event)
      }
    }
  }

  private static func withFigures<Result>(
    _ values: [(name: String, value: Double)], _ body: (UnsafeBufferPointer<sl_figure>) -> Result
  ) -> Result {
    let names = values.map { strdup($0.name) }
    defer { for name in names { free(name) } }
    let figures = zip(names, values).map { sl_figure(name: $0, value: $1.value) }
    return figures.withUnsafeBufferPointer(body)
  }
}
