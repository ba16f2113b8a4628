import Base
import Tensors
import Training

/// Windows of sessions in batches, each as often as it occurs; those of a batch that are equal run
/// once, with how often each class followed them: the same steps for a fraction of the work.
struct KeyBatches: BatchSource {
  private let windows: KeyWindows
  /// Of every place that is judged: the window before it and the class that came.
  private let places: [(window: Int32, next: Int32)]
  private let classCount: Int
  /// Numbers of places, batch by batch.
  private let order: ArraySource

  /// - Throws: `.invalidArgument` where no session has a window.
  init(
    _ sessions: KeySessions, _ layout: KeyLayout, _ fitting: Fitting, isShuffled: Bool = true
  ) throws(StackLensError) {
    var windows = KeyWindows(layout, seen: sessions.keys)
    let steps = sessions.distinct.map { session in
      windows.steps(of: session).compactMap(\.expected).map { (Int32($0.window), Int32($0.next)) }
    }
    guard windows.count > 0 else {
      throw .invalidArgument("no session is longer than the window of \(layout.window) keys")
    }
    self.windows = windows
    places = sessions.places.flatMap { steps[$0] }
    classCount = layout.classCount
    order = try fitting.batches(
      ["place": try Tensor((0..<places.count).map(Int64.init))], isShuffled: isShuffled)
  }

  var batchCount: Int? { order.batchCount }

  /// Its windows, equal ones counted one by one.
  func exampleCount(of batch: Batch) -> Int {
    let followers = try? batch["followers"]?.elements(as: Float.self)
    return Int((followers ?? []).reduce(0, +))
  }

  func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
    guard let chosen = try order.batch(index, ofEpoch: epoch) else { return nil }
    var rows: [Int] = []
    var rowOf: [Int32: Int] = [:]
    var followers: [Float] = []
    for place in try chosen.tensor("place").integers() {
      let (window, next) = places[place]
      let row = rowOf[window] ?? rows.count
      if row == rows.count {
        rowOf[window] = row
        rows.append(Int(window))
        followers += repeatElement(0, count: classCount)
      }
      followers[row * classCount + Int(next)] += 1
    }
    var batch = try windows.inputs(rows)
    batch["followers"] = try Tensor(followers, shape: Shape([rows.count, classCount]))
    return batch
  }
}
