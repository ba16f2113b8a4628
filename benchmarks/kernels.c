// Speed of the matrix kernels on one thread: kernels [fp32|bf16|int8|rest]. Weights of six layers
// are streamed, as an encoder does, so that small row counts pay for the memory.
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

/// Seconds of the fastest of many calls.
#define BEST(seconds_out, call)                                                   \
  {                                                                               \
    double best_time = 1e9, began = seconds();                                    \
    for (int turn = 0; turn < 2000 && (turn < 3 || seconds() - began < 0.3); turn++) { \
      double start_time = seconds();                                              \
      call;                                                                       \
      start_time = seconds() - start_time;                                        \
      if (start_time < best_time) best_time = start_time;                         \
    }                                                                             \
    seconds_out = best_time;                                                      \
  }

static void attention(size_t length, size_t size, size_t heads, bool bf16) {
  const size_t width = size * heads;
  float *qkv = block(length * 3 * width * 4), *out = block(length * width * 4);
  random_fill(qkv, length * 3 * width);
  void *scratch = block(slk_attention_scratch_bytes(length, size));
  const slk_attention a = {.q = qkv, .k = qkv + width, .v = qkv + 2 * width, .q_stride = 3 * width,
                           .k_stride = 3 * width, .v_stride = 3 * width, .out = out,
                           .out_stride = width, .head_size = size, .scale = 0.17f, .bf16 = bf16};
  double t;
  BEST(t, for (size_t h = 0; h < heads; h++) slk_attention_head(&a, 0, length, h, scratch))
  printf("attention %s %4zu tokens, %zu heads of %zu  %8.1f us  %6.1f GFLOP/s\n",
         bf16 ? "bf16" : "fp32", length, heads, size, t * 1e6,
         4.0 * (double)(length * length * width) / t * 1e-9);
  free(qkv), free(out), free(scratch);
}

static void rows_and_elements(void) {
  enum { ROWS = 32, WIDTH = 384, COUNT = ROWS * WIDTH };
  float *x = block(COUNT * 4), *r = block(COUNT * 4), *y = block(COUNT * 4), *g = block(WIDTH * 4);
  void *bytes = block(COUNT * 2);
  float scales[ROWS * 2];
  random_fill(x, COUNT), random_fill(r, COUNT), random_fill(g, WIDTH);
  double t;
  BEST(t, slk_layer_norm(x, WIDTH, r, WIDTH, g, g, 1e-12f, y, WIDTH, ROWS, WIDTH, NULL, NULL))
  printf("layer norm + residual   %6.3f ns/element\n", t / COUNT * 1e9);
  BEST(t, slk_softmax_rows(x, WIDTH, y, WIDTH, ROWS, WIDTH))
  printf("softmax                 %6.3f ns/element\n", t / COUNT * 1e9);
  BEST(t, slk_i8_quantise_rows(x, ROWS, WIDTH, WIDTH, 2, bytes, scales))
  printf("quantise to int8        %6.3f ns/element\n", t / COUNT * 1e9);
  BEST(t, slk_bf16_from_f32(x, bytes, COUNT))
  printf("round to bf16           %6.3f ns/element\n", t / COUNT * 1e9);
  const struct {
    int32_t op;
    const char *name;
  } ops[] = {{SLK_UNARY_EXP, "exp"}, {SLK_UNARY_LOG, "log"}, {SLK_UNARY_TANH, "tanh"},
             {SLK_UNARY_SIGMOID, "sigmoid"}, {SLK_UNARY_ERF, "erf"}, {SLK_UNARY_GELU_ERF, "gelu"},
             {SLK_UNARY_RELU, "relu"}};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    BEST(t, slk_unary_f32(ops[i].op, x, y, COUNT, 1, 1))
    printf("%-23s %6.3f ns/element\n", ops[i].name, t / COUNT * 1e9);
  }
  BEST(t, slk_binary_f32(SLK_BINARY_ADD, x, 1, r, 1, y, COUNT))
  printf("add                     %6.3f ns/element\n", t / COUNT * 1e9);
  enum { K = 384, N = 1536 };
  float *w = block(K * N * 4);
  void *packed = block(slk_gemm_f32_packed_bytes(K, N) + slk_gemm_i8_packed_bytes(K, N, 2));
  random_fill(w, K * N);
  BEST(t, slk_gemm_f32_pack(w, K, N, 1, K, packed, 0, slk_gemm_f32_panel_count(N)))
  printf("pack fp32, transposed   %6.3f ns/element\n", t / (K * N) * 1e9);
  BEST(t, slk_gemm_i8_pack(w, K, N, 1, K, 2, packed, 0, slk_gemm_i8_panel_count(N)))
  printf("pack int8, transposed   %6.3f ns/element\n", t / (K * N) * 1e9);
  if (slk_cpu_has_bf16()) {
    BEST(t, slk_gemm_bf16_pack(w, K, N, 1, K, packed, 0, slk_gemm_bf16_panel_count(N)))
    printf("pack bf16, transposed   %6.3f ns/element\n", t / (K * N) * 1e9);
  }
  free(x), free(r), free(y), free(g), free(bytes), free(w), free(packed);
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
  if (count > 1 && strcmp(arguments[1], "rest")) return 0;
  const size_t lengths[] = {16, 32, 64, 128, 256};
  for (int half = 0; half <= slk_cpu_has_bf16(); half++) {
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
      attention(lengths[i], 32, 12, half);
    }
  }
  rows_and_elements();
}
