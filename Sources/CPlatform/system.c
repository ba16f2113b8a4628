#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "CPlatform.h"

int64_t slp_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const char *slp_environment(const char *name) { return getenv(name); }

int64_t slp_thread_id(void) { return (int64_t)syscall(SYS_gettid); }

static size_t affinity_count(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
    return (size_t)CPU_COUNT(&set);
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (size_t)online : 1;
}

static bool read_line(const char *path, char *line, size_t capacity) {
  FILE *file = fopen(path, "re");
  if (!file) return false;
  bool found = fgets(line, (int)capacity, file) != NULL;
  fclose(file);
  return found;
}

// The smallest quota / period on the way from the process's group up to the root, 0 if unlimited.
static double cgroup_quota(void) {
  char group[512] = "", line[512], path[1200];
  double smallest = 0;
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (file) {
    while (fgets(line, sizeof line, file)) {
      if (strncmp(line, "0::", 3) == 0) {
        snprintf(group, sizeof group, "%s", line + 3);
        group[strcspn(group, "\n")] = 0;
      }
    }
    fclose(file);
  }
  while (1) {
    long long quota, period;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    if (read_line(path, line, sizeof line) && sscanf(line, "%lld %lld", &quota, &period) == 2 &&
        quota > 0 && period > 0) {
      double share = (double)quota / (double)period;
      if (smallest == 0 || share < smallest) smallest = share;
    }
    char *slash = strrchr(group, '/');
    if (!slash) break;
    *slash = 0;
  }
  long long quota = 0, period = 0;
  if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof line) &&
      sscanf(line, "%lld", &quota) == 1 && quota > 0 &&
      read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", line, sizeof line) &&
      sscanf(line, "%lld", &period) == 1 && period > 0) {
    double share = (double)quota / (double)period;
    if (smallest == 0 || share < smallest) smallest = share;
  }
  return smallest;
}

size_t slp_usable_processors(void) {
  size_t count = affinity_count();
  double quota = cgroup_quota();
  if (quota > 0) {
    size_t whole = (size_t)quota;
    if ((double)whole < quota) whole += 1;
    if (whole < count) count = whole;
  }
  return count > 0 ? count : 1;
}

size_t slp_usable_memory(void) {
  static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                       "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
  size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
  char line[64];
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    unsigned long long limit;
    if (read_line(limits[i], line, sizeof line) && sscanf(line, "%llu", &limit) == 1 &&
        limit > 0 && limit < bytes) {
      bytes = (size_t)limit;
    }
  }
  return bytes;
}

static _Thread_local char *last_error;
static _Thread_local size_t last_error_capacity;

void slp_set_last_error(const char *message) {
  size_t needed = message ? strlen(message) + 1 : 1;
  if (needed > last_error_capacity) {
    char *grown = realloc(last_error, needed);
    if (!grown) return;
    last_error = grown;
    last_error_capacity = needed;
  }
  memcpy(last_error, message ? message : "", needed);
}

const char *slp_last_error(void) { return last_error ? last_error : ""; }

void *slp_library_open(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }

void *slp_library_symbol(void *library, const char *name) { return dlsym(library, name); }

size_t slp_library_folder(const void *address, char *buffer, size_t capacity) {
  Dl_info info;
  if (!dladdr(address, &info) || !info.dli_fname) return 0;
  const char *slash = strrchr(info.dli_fname, '/');
  size_t length = slash ? (size_t)(slash - info.dli_fname) : 0;
  if (length == 0 || length + 1 > capacity) return 0;
  memcpy(buffer, info.dli_fname, length);
  buffer[length] = 0;
  return length;
}
