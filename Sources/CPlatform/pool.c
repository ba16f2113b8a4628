// A pool of spinning, then parking, workers.
//
// One 64-bit word carries the number of the job and how many of its parts were claimed from either
// end. A thread reads the job, then claims a part by compare-and-swap on that word: success proves
// that the job it read is still the current one, so a worker that wakes late can never touch a
// finished job, and nobody has to wait for it.
//
// The caller claims from the front and the workers from the back. Jobs that walk over the same memory
// in the same order, such as the products with some weights and the update of these weights, then
// find most of it where they left it, in the caches of their own processor: to write to what another
// one has read takes several times as long.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CPlatform.h"

#if defined(__x86_64__)
#define relax() __builtin_ia32_pause()
#else
#define relax() sched_yield()
#endif

enum { end_bits = 16, job_shift = 2 * end_bits, spin_nanoseconds = 100000 };
static const uint64_t job_mask = 0xffffffffu, end_mask = 0xffff, claims_mask = 0xffffffffu;

struct slp_pool {
  _Alignas(64) _Atomic uint64_t state;  // job number << 32 | parts from the back << 16 | the front
  _Alignas(64) _Atomic uint64_t completed;
  _Alignas(64) _Atomic(slp_task) task;
  _Atomic(void *) context;
  _Atomic size_t count;
  _Atomic size_t length;  // indices of a part, so that 16 bits count the parts
  _Atomic int caller_processor;
  _Alignas(64) _Atomic uint32_t arrived;  // at the present meeting
  _Alignas(64) _Atomic uint32_t round;    // meetings held
  _Alignas(64) atomic_flag busy;
  _Atomic uint32_t wake;  // futex word
  _Atomic uint32_t parked;
  _Atomic bool stopping;
  size_t worker_count;
  size_t started;
  pid_t owner;
  pthread_t *threads;
};

static void work(slp_pool *pool, uint64_t job, bool from_front) {
  while (1) {
    uint64_t state = atomic_load_explicit(&pool->state, memory_order_acquire);
    if (state >> job_shift != job) return;
    slp_task task = atomic_load_explicit(&pool->task, memory_order_relaxed);
    void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
    const size_t count = atomic_load_explicit(&pool->count, memory_order_relaxed);
    const size_t length = atomic_load_explicit(&pool->length, memory_order_relaxed);
    const size_t parts = (count + length - 1) / length;
    const size_t front = state & end_mask, back = state >> end_bits & end_mask;
    if (front + back >= parts) return;
    const uint64_t claim = from_front ? 1 : (uint64_t)1 << end_bits;
    if (!atomic_compare_exchange_weak_explicit(&pool->state, &state, state + claim,
                                               memory_order_acq_rel, memory_order_acquire)) {
      continue;
    }
    const size_t begin = (from_front ? front : parts - 1 - back) * length;
    const size_t end = count - begin < length ? count : begin + length;
    for (size_t index = begin; index < end; index++) task(context, index);
    atomic_fetch_add_explicit(&pool->completed, end - begin, memory_order_release);
  }
}

static void park(slp_pool *pool, uint64_t seen) {
  uint32_t ticket = atomic_load(&pool->wake);
  atomic_fetch_add(&pool->parked, 1);
  if (atomic_load(&pool->state) >> job_shift == seen && !atomic_load(&pool->stopping)) {
    syscall(SYS_futex, &pool->wake, FUTEX_WAIT_PRIVATE, ticket, NULL, NULL, 0);
  }
  atomic_fetch_sub(&pool->parked, 1);
}

/// Moves a worker off the processor of its caller, where the system tends to wake it: there it would
/// only run while the caller does not. The threads are ours, so their affinity is ours to use.
static void leave_processor(int processor) {
  cpu_set_t allowed, others;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  others = allowed;
  CPU_CLR(processor, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  sched_setaffinity(0, sizeof allowed, &allowed);
}

/// Moves a worker that finds itself where its caller runs.
static void leave_caller(slp_pool *pool) {
  const int caller = atomic_load_explicit(&pool->caller_processor, memory_order_relaxed);
  if (caller >= 0 && caller < CPU_SETSIZE && sched_getcpu() == caller) leave_processor(caller);
}

static void *worker(void *argument) {
  slp_pool *pool = argument;
  uint64_t seen = 0;
  while (!atomic_load_explicit(&pool->stopping, memory_order_relaxed)) {
    int64_t deadline = 0;
    uint32_t spins = 0;
    uint64_t job;
    while ((job = atomic_load_explicit(&pool->state, memory_order_acquire) >> job_shift) == seen) {
      if (atomic_load_explicit(&pool->stopping, memory_order_relaxed)) return NULL;
      relax();
      if ((++spins & 255) != 0) continue;
      int64_t now = slp_monotonic_nanoseconds();
      if (deadline == 0) deadline = now + spin_nanoseconds;
      if (now > deadline) {
        park(pool, seen);
        leave_caller(pool);
        deadline = 0;
      }
    }
    seen = job;
    leave_caller(pool);
    work(pool, job, false);
  }
  return NULL;
}

static void start_workers(slp_pool *pool) {
  pool->owner = getpid();
  pool->started = 0;
  atomic_store(&pool->parked, 0);
  for (size_t i = 0; i < pool->worker_count; i++) {
    if (pthread_create(&pool->threads[i], NULL, worker, pool) != 0) break;
    pool->started += 1;
  }
}

slp_pool *slp_pool_create(size_t thread_count) {
  slp_pool *pool = slp_aligned_alloc(sizeof *pool);
  if (!pool) return NULL;
  *pool = (slp_pool){.length = 1, .worker_count = thread_count > 1 ? thread_count - 1 : 0};
  atomic_flag_clear(&pool->busy);
  pool->threads = calloc(pool->worker_count + 1, sizeof *pool->threads);
  if (!pool->threads) {
    slp_aligned_free(pool);
    return NULL;
  }
  pool->owner = 0;  // workers start with the first job
  return pool;
}

static void wake_all(slp_pool *pool) {
  atomic_fetch_add(&pool->wake, 1);
  if (atomic_load(&pool->parked) > 0) {
    syscall(SYS_futex, &pool->wake, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0);
  }
}

void slp_pool_destroy(slp_pool *pool) {
  if (!pool) return;
  atomic_store(&pool->stopping, true);
  wake_all(pool);
  if (pool->owner == getpid()) {
    for (size_t i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
  }
  free(pool->threads);
  slp_aligned_free(pool);
}

/// Takes the pool for one job. False while another thread has it, or inside a task.
static bool take(slp_pool *pool) {
  if (!pool || pool->worker_count == 0 ||
      atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) {
    return false;
  }
  if (pool->owner != getpid()) start_workers(pool);
  return true;
}

/// One turn of waiting for another thread; now and then the processor goes to others.
static void wait_a_turn(uint32_t *turns) {
  relax();
  if (++*turns % 2000 == 0) sched_yield();
}

/// Runs one job on a pool that was taken, and gives the pool back.
static void run_taken(slp_pool *pool, size_t count, slp_task task, void *context) {
  uint64_t job = (atomic_load_explicit(&pool->state, memory_order_relaxed) >> job_shift) + 1;
  job &= job_mask;
  // Close the old job under a new number without claimable parts, write the fields, then open.
  atomic_store_explicit(&pool->state, job << job_shift | claims_mask, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);
  atomic_store_explicit(&pool->task, task, memory_order_relaxed);
  atomic_store_explicit(&pool->context, context, memory_order_relaxed);
  atomic_store_explicit(&pool->count, count, memory_order_relaxed);
  atomic_store_explicit(&pool->length, count / end_mask + 1, memory_order_relaxed);
  atomic_store_explicit(&pool->caller_processor, sched_getcpu(), memory_order_relaxed);
  atomic_store_explicit(&pool->completed, 0, memory_order_relaxed);
  job = (job + 1) & job_mask;
  atomic_store(&pool->state, job << job_shift);
  wake_all(pool);
  work(pool, job, true);
  uint32_t turns = 0;
  while (atomic_load_explicit(&pool->completed, memory_order_acquire) < count) {
    wait_a_turn(&turns);
  }
  atomic_flag_clear_explicit(&pool->busy, memory_order_release);
}

void slp_pool_run(slp_pool *pool, size_t count, slp_task task, void *context) {
  if (count == 0) return;
  if (count > 1 && take(pool)) {
    run_taken(pool, count, task, context);
  } else {
    for (size_t i = 0; i < count; i++) task(context, i);
  }
}

bool slp_pool_run_together(slp_pool *pool, slp_task task, void *context) {
  if (!take(pool)) return false;
  if (pool->started < pool->worker_count) {
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
    return false;
  }
  run_taken(pool, pool->worker_count + 1, task, context);
  return true;
}

void slp_pool_alert(slp_pool *pool) {
  if (!pool || atomic_load_explicit(&pool->parked, memory_order_relaxed) == 0) return;
  atomic_store_explicit(&pool->caller_processor, sched_getcpu(), memory_order_relaxed);
  wake_all(pool);
}

void slp_pool_meet(slp_pool *pool) {
  const uint32_t round = atomic_load_explicit(&pool->round, memory_order_relaxed);
  const size_t arrived = atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1;
  if (arrived > pool->worker_count) {
    atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->round, round + 1, memory_order_release);
    return;
  }
  uint32_t turns = 0;
  while (atomic_load_explicit(&pool->round, memory_order_acquire) == round) wait_a_turn(&turns);
}
