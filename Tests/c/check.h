/* What the C tests share: a check that counts, and the program's exit status. */
#ifndef STACKLENS_TESTS_CHECK_H
#define STACKLENS_TESTS_CHECK_H

#include <stdio.h>

#include "stacklens_easy.h"

static int failure_count = 0;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      failure_count++;                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                 \
  } while (0)

/* The call gives this status, and a message when it fails. */
#define CHECK_STATUS(call, expected)                                                          \
  do {                                                                                        \
    sl_status found_ = (call);                                                                \
    if (found_ != (expected) || (found_ != SL_OK && sl_last_error_message()[0] == 0)) {       \
      failure_count++;                                                                        \
      fprintf(stderr, "%s:%d: %s gave %s (%s), expected %s\n", __FILE__, __LINE__, #call,     \
              sl_status_name(found_), sl_last_error_message(), #expected);                    \
    }                                                                                         \
  } while (0)

#endif
