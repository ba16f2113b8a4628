#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "CPlatform.h"

enum { huge_page = 2 << 20 };

void *slp_aligned_alloc(size_t byte_count) {
  void *memory = NULL;
  if (byte_count == 0) byte_count = 1;
  if (byte_count > SIZE_MAX / 2) return NULL;
  size_t alignment = byte_count >= 2 * (size_t)huge_page ? huge_page : 64;
  if (posix_memalign(&memory, alignment, byte_count) != 0) return NULL;
  if (alignment == huge_page) madvise(memory, byte_count, MADV_HUGEPAGE);
  return memory;
}

void slp_aligned_free(void *memory) { free(memory); }

void slp_trim_heap(void) { malloc_trim(0); }
