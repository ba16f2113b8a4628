// The system's own mutex: the tools that look for data races know it.
#include <pthread.h>
#include <stdlib.h>

#include "CPlatform.h"

struct slp_lock {
  pthread_mutex_t mutex;
};

slp_lock *slp_lock_create(void) {
  slp_lock *lock = malloc(sizeof *lock);
  if (!lock) return NULL;
  if (pthread_mutex_init(&lock->mutex, NULL) != 0) {
    free(lock);
    return NULL;
  }
  return lock;
}

void slp_lock_destroy(slp_lock *lock) {
  if (!lock) return;
  pthread_mutex_destroy(&lock->mutex);
  free(lock);
}

void slp_lock_acquire(slp_lock *lock) { pthread_mutex_lock(&lock->mutex); }

void slp_lock_release(slp_lock *lock) { pthread_mutex_unlock(&lock->mutex); }
