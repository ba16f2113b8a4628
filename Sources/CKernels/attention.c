#include "attention.h"

#include "include/slk_gemm.h"
#include "panels.h"

#define SLK_TEMPLATE "attention.inc.h"
#include "tiers.h"

enum { QUERY_BLOCK = 32 };

/// Sizes of the parts of the scratch memory, each a multiple of 64 bytes.
typedef struct {
  size_t keys, values, scores, sums, queries_bf16, scores_bf16, stride;
} scratch_plan;

static scratch_plan plan_for(size_t length, size_t head_size) {
  scratch_plan plan;
  plan.stride = slk_round_up(length, 16);
  const size_t packed_keys = slk_gemm_f32_packed_bytes(head_size + 1, length);
  const size_t packed_values = slk_gemm_f32_packed_bytes(length + 1, head_size);
  plan.keys = slk_round_up(packed_keys, 64);
  plan.values = slk_round_up(packed_values, 64);
  plan.scores = QUERY_BLOCK * plan.stride * sizeof(float);
  plan.sums = QUERY_BLOCK * sizeof(float);
  plan.queries_bf16 = QUERY_BLOCK * slk_round_up(head_size, 32) * sizeof(uint16_t);
  plan.scores_bf16 = QUERY_BLOCK * slk_round_up(length, 32) * sizeof(uint16_t);
  return plan;
}

size_t slk_attention_scratch_bytes(size_t length, size_t head_size) {
  const scratch_plan p = plan_for(length, head_size);
  return p.keys + p.values + p.scores + p.sums + p.queries_bf16 + p.scores_bf16;
}

static void *take(char **scratch, size_t byte_count) {
  void *part = *scratch;
  *scratch += byte_count;
  return part;
}

void slk_attention_head(const slk_attention *attention, size_t begin, size_t end, size_t head,
                        void *scratch) {
  const size_t length = end - begin, size = attention->head_size, at = head * size;
  const bool half = attention->bf16 && slk_cpu_has_bf16();
  const scratch_plan plan = plan_for(length, size);
  char *memory = scratch;
  void *keys = take(&memory, plan.keys), *values = take(&memory, plan.values);
  float *scores = take(&memory, plan.scores), *inverse_sums = take(&memory, plan.sums);
  uint16_t *queries_bf16 = take(&memory, plan.queries_bf16);
  uint16_t *scores_bf16 = take(&memory, plan.scores_bf16);

  const float *q = attention->q + begin * attention->q_stride + at;
  const float *k = attention->k + begin * attention->k_stride + at;
  const float *v = attention->v + begin * attention->v_stride + at;
  float *out = attention->out + begin * attention->out_stride + at;
  const size_t key_panels = slk_gemm_f32_panel_count(length);
  const size_t value_panels = slk_gemm_f32_panel_count(size);
  if (half) {
    slk_gemm_bf16_pack(k, size, length, 1, attention->k_stride, keys, 0, key_panels);
    slk_gemm_bf16_pack(v, length, size, attention->v_stride, 1, values, 0, value_panels);
  } else {
    slk_gemm_f32_pack(k, size, length, 1, attention->k_stride, keys, 0, key_panels);
    slk_gemm_f32_pack(v, length, size, attention->v_stride, 1, values, 0, value_panels);
  }

  const slk_epilogue none = slk_epilogue_none();
  const size_t query_stride = slk_round_up(size, 2), weight_stride = slk_round_up(length, 2);
  for (size_t first = 0; first < length; first += QUERY_BLOCK) {
    const size_t rows = slk_min(QUERY_BLOCK, length - first);
    const float *queries = q + first * attention->q_stride;
    float *block_out = out + first * attention->out_stride;
    if (half) {
      slk_bf16_rows(queries, rows, size, attention->q_stride, queries_bf16, query_stride);
      slk_gemm_bf16(size, length, queries_bf16, query_stride, keys, scores, plan.stride, &none, 0,
                    rows, 0, key_panels);
    } else {
      slk_gemm_f32(size, length, queries, attention->q_stride, keys, scores, plan.stride, &none, 0,
                   rows, 0, key_panels);
    }
    const slk_score_block block = {
        .attention = attention,
        .bias = attention->bias ? attention->bias + head * attention->bias_head_stride : NULL,
        .key_mask = attention->key_mask ? attention->key_mask + begin : NULL,
        .scores = scores,
        .stride = plan.stride,
        .first = first,
        .rows = rows,
        .length = length,
        .inverse_sums = inverse_sums,
    };
    SLK_DISPATCH(exponentiate, &block);
    if (half) {
      slk_bf16_rows(scores, rows, length, plan.stride, scores_bf16, weight_stride);
      slk_gemm_bf16(length, size, scores_bf16, weight_stride, values, block_out,
                    attention->out_stride, &none, 0, rows, 0, value_panels);
    } else {
      slk_gemm_f32(length, size, scores, plan.stride, values, block_out, attention->out_stride,
                   &none, 0, rows, 0, value_panels);
    }
    SLK_DISPATCH(scale_rows, block_out, attention->out_stride, inverse_sums, rows, size);
  }
}
