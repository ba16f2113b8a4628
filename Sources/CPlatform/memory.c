#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "CPlatform.h"

enum {
  huge_page = 2 << 20,
  /// Blocks of these sizes are kept when they are freed, at most so many bytes of them: memory that
  /// comes fresh from the system costs a page fault for every 4 KB.
  least_kept = 64 << 10,
  most_kept = 4 << 20,
  kept_limit = 32 << 20,
  kept_count = 64,
};

static struct {
  void *memory;
  size_t byte_count;
} kept[kept_count];
static size_t kept_number, kept_bytes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/// A kept block of at least `byte_count` bytes and at most an eighth more, or NULL.
static void *take_kept(size_t byte_count) {
  // Whoever finds the lock taken does without: a fork may have left it so.
  if (pthread_mutex_trylock(&lock) != 0) return NULL;
  void *memory = NULL;
  for (size_t i = kept_number; i-- > 0;) {
    const size_t found = kept[i].byte_count;
    if (found < byte_count || found - byte_count > byte_count / 8) continue;
    memory = kept[i].memory;
    kept_bytes -= found;
    kept[i] = kept[--kept_number];
    break;
  }
  pthread_mutex_unlock(&lock);
  return memory;
}

void *slp_aligned_alloc(size_t byte_count) {
  void *memory = NULL;
  if (byte_count == 0) byte_count = 1;
  if (byte_count > SIZE_MAX / 2) return NULL;
  size_t alignment = byte_count >= 2 * (size_t)huge_page ? huge_page : 64;
  if (byte_count >= least_kept && alignment != huge_page) {
    memory = take_kept(byte_count);
    if (memory) return memory;
  }
  if (posix_memalign(&memory, alignment, byte_count) != 0) return NULL;
  if (alignment == huge_page) madvise(memory, byte_count, MADV_HUGEPAGE);
  return memory;
}

void slp_aligned_free(void *memory) {
  if (!memory) return;
  const size_t byte_count = malloc_usable_size(memory);
  if (byte_count >= least_kept && byte_count < most_kept && pthread_mutex_trylock(&lock) == 0) {
    const bool fits = kept_number < kept_count && kept_bytes + byte_count <= kept_limit;
    if (fits) {
      kept[kept_number].memory = memory;
      kept[kept_number++].byte_count = byte_count;
      kept_bytes += byte_count;
    }
    pthread_mutex_unlock(&lock);
    if (fits) return;
  }
  free(memory);
}

void slp_trim_heap(void) {
  if (pthread_mutex_trylock(&lock) == 0) {
    while (kept_number > 0) free(kept[--kept_number].memory);
    kept_bytes = 0;
    pthread_mutex_unlock(&lock);
  }
  malloc_trim(0);
}
