// Speed of the matrix kernels on one thread: kernels [fp32|bf16|int8]. Weights of six layers are
// streamed, as an encoder does, so that small row counts pay for the memory.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "CKernels.h"

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *block(size_t byte_count) {
  void *p = aligned_alloc(64, (byte_count + 127) / 64 * 64);
  if (!p) abort();
  memset(p, 0, byte_count);
  return p;
}

static void random_fill(float *x, size_t n) {
  unsigned state = 1;
  for (size_t i = 0; i < n; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(int)state * (1.0f / 2147483648.0f);
  }
}

enum { LAYERS = 6 };
enum { FP32, BF16, INT8 };

static void one(int kind, size_t m, size_t k, size_t n) {
  float *a = block(m * k * 4), *b = block(k * n * 4), *c = block(m * n * 4), *bias = block(n * 4);
  random_fill(a, m * k), random_fill(b, k * n);
  uint16_t *half = block(m * k * 2 + 4);
  slk_bf16_rows(a, m, k, k, half, k);
  const size_t groups = 2;
  uint8_t *bytes = block(m * slk_gemm_i8_row_bytes(k));
  float *scales = block(m * groups * 4);
  slk_i8_quantise_rows(a, m, k, k, groups, bytes, scales);
  void *packed[LAYERS];
  for (int layer = 0; layer < LAYERS; layer++) {
    if (kind == FP32) {
      packed[layer] = block(slk_gemm_f32_packed_bytes(k, n));
      slk_gemm_f32_pack(b, k, n, n, 1, packed[layer], 0, slk_gemm_f32_panel_count(n));
    } else if (kind == BF16) {
      packed[layer] = block(slk_gemm_bf16_packed_bytes(k, n));
      slk_gemm_bf16_pack(b, k, n, n, 1, packed[layer], 0, slk_gemm_bf16_panel_count(n));
    } else {
      packed[layer] = block(slk_gemm_i8_packed_bytes(k, n, groups));
      slk_gemm_i8_pack(b, k, n, n, 1, groups, packed[layer], 0, slk_gemm_i8_panel_count(n));
    }
  }
  slk_epilogue e = slk_epilogue_none();
  e.bias = bias;
  double best = 1e9, start = seconds(), work = 2.0 * (double)(m * k * n) * LAYERS;
  for (int round = 0; round < 400 && (round < 3 || seconds() - start < 0.6); round++) {
    double t = seconds();
    for (int layer = 0; layer < LAYERS; layer++) {
      if (kind == FP32) {
        slk_gemm_f32(k, n, a, k, packed[layer], c, n, &e, 0, m, 0, slk_gemm_f32_panel_count(n));
      } else if (kind == BF16) {
        slk_gemm_bf16(k, n, half, k, packed[layer], c, n, &e, 0, m, 0,
                      slk_gemm_bf16_panel_count(n));
      } else {
        slk_gemm_i8(k, n, groups, bytes, scales, packed[layer], c, n, &e, 0, m, 0,
                    slk_gemm_i8_panel_count(n));
      }
    }
    t = seconds() - t;
    if (t < best) best = t;
  }
  printf("%s %4zu x %4zu x %4zu  %7.1f GFLOP/s\n",
         kind == FP32 ? "fp32" : kind == BF16 ? "bf16" : "int8", m, k, n, work / best * 1e-9);
  for (int layer = 0; layer < LAYERS; layer++) free(packed[layer]);
  free(a), free(b), free(c), free(bias), free(half), free(bytes), free(scales);
}

int main(int count, char **arguments) {
  const size_t rows[] = {1, 8, 16, 32, 128, 512};
  printf("tier %s\n", slk_cpu_tier_name());
  const char *names[] = {"fp32", "bf16", "int8"};
  for (int kind = FP32; kind <= INT8; kind++) {
    if (count > 1 && strcmp(arguments[1], names[kind])) continue;
    if (kind == BF16 && !slk_cpu_has_bf16()) continue;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
      one(kind, rows[i], 384, 1536), one(kind, rows[i], 1536, 384);
    }
  }
}
