import Base
import Glibc
import TestSupport
import Testing

import struct Synchronization.Atomic

struct ThreadPoolTests {
  /// How often each part ran.
  private final class Counts: Sendable {
    private let counts: Mutex<[Int]>
    init(_ count: Int) { counts = Mutex([Int](repeating: 0, count: count)) }
    func add(_ index: Int) { counts.withLock { $0[index] += 1 } }
    var all: [Int] { counts.withLock { $0 } }
  }

  @Test(arguments: [1, 2, 5], [0, 1, 2, 7, 1000, 70_001]) func runsEveryPartOnce(
    threads: Int, count: Int
  ) {
    let counts = Counts(count)
    ThreadPool.withThreads(threads).run(count) { counts.add($0) }
    #expect(counts.all.allSatisfy { $0 == 1 })
  }

  @Test func ignoresNegativeCounts() {
    let counts = Counts(1)
    ThreadPool.withThreads(2).run(-3) { _ in counts.add(0) }
    Parallel.serial.forEach(-3) { _ in counts.add(0) }
    Parallel(ThreadPool.withThreads(2)).ranges(-3, grain: 1) { _ in counts.add(0) }
    #expect(counts.all == [0])
  }

  /// Alerts come from anywhere: before the first job, in a job, and while threads sleep.
  @Test func isAlertedAtAnyTime() {
    let counts = Counts(40)
    let pool = ThreadPool.withThreads(8)
    pool.alert()
    for round in 0..<4 {
      pool.run(10) {
        pool.alert()
        counts.add(round * 10 + $0)
      }
      usleep(1000)
      pool.alert()
    }
    #expect(counts.all.allSatisfy { $0 == 1 })
  }

  @Test func runsInsideItself() {
    let counts = Counts(60)
    let pool = ThreadPool.withThreads(3)
    pool.run(6) { outer in pool.run(10) { inner in counts.add(outer * 10 + inner) } }
    #expect(counts.all.allSatisfy { $0 == 1 })
  }

  @Test func isSharedByManyThreads() {
    let counts = Counts(8)
    let pool = ThreadPool.withThreads(2)
    onThreads(8) { caller in
      for _ in 0..<200 { pool.run(5) { _ in counts.add(caller) } }
    }
    #expect(counts.all == [Int](repeating: 1000, count: 8))
  }

  /// No other test uses pools of these sizes, so they are free.
  @Test(arguments: [1, 6, 7]) func membersMeetAtEveryStep(threads: Int) {
    let steps = 50
    let parallel = Parallel(ThreadPool.withThreads(threads))
    let (sums, members) = (Mutex([Int](repeating: 0, count: steps)), Mutex(0))
    let (early, later) = (Mutex(0), Mutex([Int]()))
    parallel.together { member in
      members.withLock { $0 = member.count }
      for step in 0..<steps {
        sums.withLock { $0[step] += 1 }
        member.meet()
        let sum = sums.withLock { $0[step] }
        if sum != member.count { early.withLock { $0 += 1 } }
      }
      later.withLock { $0 += Array(member.share(of: 10)) }
    }
    let count = members.withLock { $0 }
    #expect(count == threads)
    #expect(early.withLock { $0 } == 0)
    #expect(sums.withLock { $0 } == [Int](repeating: count, count: steps))
    #expect(later.withLock { $0.sorted() } == Array(0..<10))
  }

  @Test func aPoolInUseHasOneMember() {
    let parallel = Parallel(ThreadPool.withThreads(9))
    let counts = Counts(4)
    parallel.forEach(2) { outer in
      parallel.together { member in
        member.meet()
        counts.add(outer * 2 + member.count - 1)
      }
    }
    #expect(counts.all == [1, 0, 1, 0])
  }

  @Test func isOneForEachSize() {
    #expect(ThreadPool.withThreads(2) === ThreadPool.withThreads(2))
    #expect(ThreadPool.withThreads(0).threadCount == ThreadPool.usableProcessorCount)
    #expect(ThreadPool.withThreads(-1).threadCount == ThreadPool.usableProcessorCount)
    #expect(ThreadPool.withThreads(3).threadCount == 3)
    #expect(ThreadPool.usableProcessorCount >= 1)
  }

  @Test func worksInAForkedChild() throws {
    // Swift hides fork, which is what is under test.
    typealias Fork = @convention(c) () -> pid_t
    let fork = unsafeBitCast(try #require(dlsym(nil, "fork")), to: Fork.self)
    let pool = ThreadPool.withThreads(2)
    pool.run(4) { _ in }
    let child = fork()
    if child == 0 {
      alarm(20)
      let sum = Atomic<Int>(0)
      pool.run(100) { sum.add($0, ordering: .relaxed) }
      _exit(sum.load(ordering: .relaxed) == 4950 ? 7 : 1)
    }
    var status: Int32 = 0
    #expect(waitpid(child, &status, 0) == child)
    #expect(status == 7 << 8)
  }

  @Test(arguments: [0, 1, 5, 64, 1000], [1, 3, 64, 5000]) func rangesCoverAllOnce(
    count: Int, grain: Int
  ) {
    for parallel in [Parallel.serial, Parallel(ThreadPool.withThreads(2))] {
      let counts = Counts(count)
      parallel.ranges(count, grain: grain) { range in
        for index in range { counts.add(index) }
      }
      #expect(counts.all.allSatisfy { $0 == 1 })
    }
  }

  @Test func cancellationStays() {
    let cancellation = Cancellation()
    #expect(failure { try cancellation.check() } == nil)
    onThreads(1) { _ in cancellation.cancel() }
    #expect(cancellation.isCancelled)
    #expect(failure { try cancellation.check() }?.status == .cancelled)
  }
}
