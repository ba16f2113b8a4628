#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CPlatform.h"

static int map_descriptor(int descriptor, size_t offset, size_t length, slp_mapping *out,
                          size_t *slack) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if (!S_ISREG(info.st_mode)) return EINVAL;
  size_t size = (size_t)info.st_size;
  if (offset > size) return ERANGE;
  if (length == SIZE_MAX) length = size - offset;
  if (length > size - offset) return ERANGE;
  *slack = offset % (size_t)sysconf(_SC_PAGESIZE);
  out->base = NULL;
  out->byte_count = 0;
  if (length == 0) return 0;
  void *base = mmap(NULL, length + *slack, PROT_READ, MAP_PRIVATE, descriptor,
                    (off_t)(offset - *slack));
  if (base == MAP_FAILED) return errno;
  out->base = base;
  out->byte_count = length + *slack;
  return 0;
}

int slp_map_file(const char *path, slp_mapping *out_mapping) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return errno;
  size_t slack;
  int error = map_descriptor(descriptor, 0, SIZE_MAX, out_mapping, &slack);
  close(descriptor);
  return error;
}

// openat2 is absent before Linux 5.6 and in some sandboxes: then each path part is opened in turn
// with O_NOFOLLOW, and "..", "." and absolute paths are refused.
static int open_below(const char *directory, const char *relative) {
  int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -errno;
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  int found = (int)syscall(SYS_openat2, root, relative, &how, sizeof how);
  if (found >= 0 || (errno != ENOSYS && errno != EPERM)) {
    int error = found < 0 ? -errno : 0;
    close(root);
    return error ? error : found;
  }
  int here = root;
  const char *part = relative;
  if (*part == '/') {
    close(root);
    return -EXDEV;
  }
  while (1) {
    size_t length = strcspn(part, "/");
    char name[256];
    if (length == 0 || length >= sizeof name || (length == 1 && part[0] == '.') ||
        (length == 2 && part[0] == '.' && part[1] == '.')) {
      close(here);
      return -EXDEV;
    }
    memcpy(name, part, length);
    name[length] = 0;
    int last = part[length] == 0;
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
    int next = openat(here, name, flags);
    int error = errno;
    close(here);
    if (next < 0) return -error;
    if (last) return next;
    here = next;
    part += length + 1;
  }
}

int slp_map_file_below(const char *directory, const char *relative, size_t offset, size_t length,
                       slp_mapping *out_mapping, size_t *out_page_slack) {
  int descriptor = open_below(directory, relative);
  if (descriptor < 0) return -descriptor;
  struct stat info;
  int error = 0;
  // A second name for the file may lie outside the folder.
  if (fstat(descriptor, &info) == 0 && info.st_nlink > 1) error = EMLINK;
  if (!error) error = map_descriptor(descriptor, offset, length, out_mapping, out_page_slack);
  close(descriptor);
  return error;
}

void slp_unmap(void *base, size_t byte_count) {
  if (base) munmap(base, byte_count);
}

void slp_drop_pages(void *base, size_t byte_count) {
  if (base) madvise(base, byte_count, MADV_DONTNEED);
}

struct slp_atomic_file {
  FILE *stream;
  char *target;
  char *temporary;
};

static void discard(slp_atomic_file *file) {
  free(file->target);
  free(file->temporary);
  free(file);
}

int slp_atomic_file_open(const char *path, slp_atomic_file **out_file) {
  static const char suffix[] = ".XXXXXX";
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return EISDIR;
  slp_atomic_file *file = calloc(1, sizeof *file);
  if (!file) return ENOMEM;
  size_t length = strlen(path);
  file->target = malloc(length + 1);
  file->temporary = malloc(length + sizeof suffix);
  if (!file->target || !file->temporary) {
    discard(file);
    return ENOMEM;
  }
  memcpy(file->target, path, length + 1);
  memcpy(file->temporary, path, length);
  memcpy(file->temporary + length, suffix, sizeof suffix);
  int descriptor = mkostemp(file->temporary, O_CLOEXEC);
  if (descriptor < 0) {
    int error = errno;
    discard(file);
    return error;
  }
  mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);
  file->stream = fdopen(descriptor, "wb");
  if (!file->stream) {
    int error = errno;
    close(descriptor);
    unlink(file->temporary);
    discard(file);
    return error;
  }
  *out_file = file;
  return 0;
}

int slp_atomic_file_write(slp_atomic_file *file, const void *bytes, size_t byte_count) {
  if (byte_count == 0) return 0;
  return fwrite(bytes, 1, byte_count, file->stream) == byte_count ? 0 : (errno ? errno : EIO);
}

int slp_atomic_file_finish(slp_atomic_file *file) {
  return fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0 ? errno : 0;
}

int slp_atomic_file_commit(slp_atomic_file *file) {
  int error = slp_atomic_file_finish(file);
  if (fclose(file->stream) != 0 && !error) error = errno;
  if (!error && rename(file->temporary, file->target) != 0) error = errno;
  if (error) unlink(file->temporary);
  discard(file);
  return error;
}

void slp_atomic_file_abort(slp_atomic_file *file) {
  if (!file) return;
  fclose(file->stream);
  unlink(file->temporary);
  discard(file);
}

int slp_path_kind(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return 0;
  return S_ISREG(info.st_mode) ? 1 : S_ISDIR(info.st_mode) ? 2 : 3;
}

void slp_error_text(int error_number, char *buffer, size_t capacity) {
  if (capacity == 0) return;
  char local[256];
  const char *text = strerror_r(error_number, local, sizeof local);
  snprintf(buffer, capacity, "%s", text);
}
