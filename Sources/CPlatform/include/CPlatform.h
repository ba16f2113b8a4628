// CPlatform: the operating system behind one small C surface: memory, files, threads, processors,
// shared libraries and the per-thread error text. It knows nothing of tensors.
#ifndef STACKLENS_CPLATFORM_H
#define STACKLENS_CPLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slp_dlpack.h"

// Memory ------------------------------------------------------------------------------------

/// `byte_count` bytes aligned to 64, or NULL. Large blocks ask for huge pages.
void *slp_aligned_alloc(size_t byte_count);
void slp_aligned_free(void *memory);
/// Gives free heap pages back to the system.
void slp_trim_heap(void);

/// Bytes of memory this process may use: physical memory and cgroup limits.
size_t slp_usable_memory(void);

// Files -------------------------------------------------------------------------------------

typedef struct {
  void *base;
  size_t byte_count;
} slp_mapping;

/// Maps a regular file read-only. Returns 0 or an errno value; an empty file maps to NULL, 0.
int slp_map_file(const char *path, slp_mapping *out_mapping);
void slp_unmap(void *base, size_t byte_count);
/// Drops the resident pages of a mapping; they are read again on the next touch.
void slp_drop_pages(void *base, size_t byte_count);

/// A file that appears under its name only when `slp_atomic_file_commit` succeeds.
typedef struct slp_atomic_file slp_atomic_file;
int slp_atomic_file_open(const char *path, slp_atomic_file **out_file);
int slp_atomic_file_write(slp_atomic_file *file, const void *bytes, size_t byte_count);
/// Flushes and syncs; more may be written.
int slp_atomic_file_finish(slp_atomic_file *file);
/// Flushes, syncs and renames. The handle is gone afterwards, whatever the result.
int slp_atomic_file_commit(slp_atomic_file *file);
void slp_atomic_file_abort(slp_atomic_file *file);

/// Opens `relative` below `directory` without leaving it: symbolic links, `..` and absolute paths
/// are refused (EXDEV/ELOOP). Maps the bytes [offset, offset + length); length SIZE_MAX = to the end.
int slp_map_file_below(const char *directory, const char *relative, size_t offset, size_t length,
                       slp_mapping *out_mapping, size_t *out_page_slack);

/// 0 nothing there, 1 a regular file, 2 a folder, 3 something else.
int slp_path_kind(const char *path);
/// The text of an errno value, written to `buffer`.
void slp_error_text(int error_number, char *buffer, size_t capacity);

// Time and environment ----------------------------------------------------------------------

int64_t slp_monotonic_nanoseconds(void);
const char *slp_environment(const char *name);
/// Number of the calling thread, as the system counts.
int64_t slp_thread_id(void);

// Processors --------------------------------------------------------------------------------

/// Processors this process may use: affinity mask and cgroup quota (v1 and v2), at least 1.
size_t slp_usable_processors(void);

// Thread pool -------------------------------------------------------------------------------

typedef struct slp_pool slp_pool;
typedef void (*slp_task)(void *context, size_t index);

/// A pool of `thread_count` threads, the caller of `slp_pool_run` being one of them.
slp_pool *slp_pool_create(size_t thread_count);
void slp_pool_destroy(slp_pool *pool);
/// Calls task(context, i) once for each i in [0, count), on the pool's threads and the caller's,
/// and returns when all are done. While another thread uses the pool, and inside a task, it runs
/// everything on the calling thread. Survives fork: the child's first call starts new workers.
void slp_pool_run(slp_pool *pool, size_t count, slp_task task, void *context);
/// Calls task(context, i) for each thread i of the pool, each on a thread of its own, so that they
/// may meet. False, and nothing has run, while the pool is in use or where its threads could not
/// all be started.
bool slp_pool_run_together(slp_pool *pool, slp_task task, void *context);
/// Wakes workers that sleep, for a job that comes within some 100 µs: they are awake then.
void slp_pool_alert(slp_pool *pool);
/// Inside such tasks: waits until all of them have called it.
void slp_pool_meet(slp_pool *pool);

// Locks -------------------------------------------------------------------------------------

typedef struct slp_lock slp_lock;

/// A lock that is not recursive, or NULL when memory is short.
slp_lock *slp_lock_create(void);
void slp_lock_destroy(slp_lock *lock);
void slp_lock_acquire(slp_lock *lock);
void slp_lock_release(slp_lock *lock);

// Error slot --------------------------------------------------------------------------------

/// Stores a copy of the message for the calling thread; NULL clears it.
void slp_set_last_error(const char *message);
/// The calling thread's message, "" if there is none. Valid until its next slp_set_last_error.
const char *slp_last_error(void);

// Shared libraries --------------------------------------------------------------------------

/// dlopen(name, RTLD_NOW | RTLD_LOCAL), or NULL.
void *slp_library_open(const char *name);
void *slp_library_symbol(void *library, const char *name);
/// The folder of the library that contains `address`, with no slash at the end; 0 on failure.
size_t slp_library_folder(const void *address, char *buffer, size_t capacity);

#endif
