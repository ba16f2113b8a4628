#include "attention.h"

#include "include/slk_gemm.h"
#include "panels.h"

#define SLK_TEMPLATE "attention.inc.h"
#include "tiers.h"

/// Queries of one product; with fewer than PACKED_QUERIES packing the keys costs more than it saves.
enum { QUERY_BLOCK = 32, PACKED_QUERIES = 4 };

/// Sizes of the parts of the scratch memory, each a multiple of 64 bytes.
typedef struct {
  size_t keys, values, scores, sums, queries_bf16, scores_bf16, stride;
} scratch_plan;

static scratch_plan plan_for(size_t key_count, size_t head_size, size_t value_size) {
  scratch_plan plan;
  plan.stride = slk_round_up(key_count, 16);
  const size_t packed_keys = slk_gemm_f32_packed_bytes(head_size + 1, key_count);
  const size_t packed_values = slk_gemm_f32_packed_bytes(key_count + 1, value_size);
  plan.keys = slk_round_up(packed_keys, 64);
  plan.values = slk_round_up(packed_values, 64);
  plan.scores = QUERY_BLOCK * plan.stride * sizeof(float);
  plan.sums = QUERY_BLOCK * sizeof(float);
  plan.queries_bf16 = QUERY_BLOCK * slk_round_up(head_size, 32) * sizeof(uint16_t);
  plan.scores_bf16 = QUERY_BLOCK * slk_round_up(key_count, 32) * sizeof(uint16_t);
  return plan;
}

size_t slk_attention_scratch_bytes(size_t key_count, size_t head_size, size_t value_size) {
  const scratch_plan p = plan_for(key_count, head_size, value_size);
  return p.keys + p.values + p.scores + p.sums + p.queries_bf16 + p.scores_bf16;
}

static void *take(char **scratch, size_t byte_count) {
  void *part = *scratch;
  *scratch += byte_count;
  return part;
}

/// A few queries, each key and value read where it lies.
static void attend_directly(const slk_attention_view *view, const scratch_plan *plan,
                            float *scores, float *inverse_sums) {
  const slk_score_block block = {
      .view = view,
      .scores = scores,
      .stride = plan->stride,
      .first = 0,
      .rows = view->query_count,
      .inverse_sums = inverse_sums,
  };
  SLK_DISPATCH(score_rows, &block);
  SLK_DISPATCH(exponentiate, &block);
  SLK_DISPATCH(mix_rows, &block);
}

void slk_attend(const slk_attention_view *view, void *scratch) {
  const size_t length = view->key_count, size = view->head_size, width = view->value_size;
  const bool half = view->bf16 && slk_cpu_has_bf16();
  const scratch_plan plan = plan_for(length, size, width);
  char *memory = scratch;
  void *keys = take(&memory, plan.keys), *values = take(&memory, plan.values);
  float *scores = take(&memory, plan.scores), *inverse_sums = take(&memory, plan.sums);
  uint16_t *queries_bf16 = take(&memory, plan.queries_bf16);
  uint16_t *scores_bf16 = take(&memory, plan.scores_bf16);
  if (view->query_count < PACKED_QUERIES && !half) {
    attend_directly(view, &plan, scores, inverse_sums);
    return;
  }

  const size_t key_panels = slk_gemm_f32_panel_count(length);
  const size_t value_panels = slk_gemm_f32_panel_count(width);
  if (half) {
    slk_gemm_bf16_pack(view->k, size, length, 1, view->k_stride, keys, 0, key_panels);
    slk_gemm_bf16_pack(view->v, length, width, view->v_stride, 1, values, 0, value_panels);
  } else {
    slk_gemm_f32_pack(view->k, size, length, 1, view->k_stride, keys, 0, key_panels);
    slk_gemm_f32_pack(view->v, length, width, view->v_stride, 1, values, 0, value_panels);
  }

  const slk_epilogue none = slk_epilogue_none();
  const size_t query_stride = slk_round_up(size, 2), weight_stride = slk_round_up(length, 2);
  for (size_t first = 0; first < view->query_count; first += QUERY_BLOCK) {
    const size_t rows = slk_min(QUERY_BLOCK, view->query_count - first);
    const float *queries = view->q + first * view->q_stride;
    float *block_out = view->out + first * view->out_stride;
    if (half) {
      slk_bf16_rows(queries, rows, size, view->q_stride, queries_bf16, query_stride);
      slk_gemm_bf16(size, length, queries_bf16, query_stride, keys, scores, plan.stride, &none, 0,
                    rows, 0, key_panels);
    } else {
      slk_gemm_f32(size, length, queries, view->q_stride, keys, scores, plan.stride, &none, 0,
                   rows, 0, key_panels);
    }
    const slk_score_block block = {
        .view = view,
        .scores = scores,
        .stride = plan.stride,
        .first = first,
        .rows = rows,
        .inverse_sums = inverse_sums,
    };
    SLK_DISPATCH(exponentiate, &block);
    if (half) {
      slk_bf16_rows(scores, rows, length, plan.stride, scores_bf16, weight_stride);
      slk_gemm_bf16(length, width, scores_bf16, weight_stride, values, block_out,
                    view->out_stride, &none, 0, rows, 0, value_panels);
    } else {
      slk_gemm_f32(length, width, scores, plan.stride, values, block_out, view->out_stride, &none,
                   0, rows, 0, value_panels);
    }
    SLK_DISPATCH(scale_rows, block_out, view->out_stride, inverse_sums, rows, width);
  }
}

void slk_attention_head(const slk_attention *attention, size_t begin, size_t end, size_t head,
                        void *scratch) {
  const size_t size = attention->head_size, at = head * size;
  const slk_attention_view view = {
      .q = attention->q + begin * attention->q_stride + at,
      .k = attention->k + begin * attention->k_stride + at,
      .v = attention->v + begin * attention->v_stride + at,
      .q_stride = attention->q_stride,
      .k_stride = attention->k_stride,
      .v_stride = attention->v_stride,
      .out = attention->out + begin * attention->out_stride + at,
      .out_stride = attention->out_stride,
      .query_count = end - begin,
      .key_count = end - begin,
      .head_size = size,
      .value_size = size,
      .scale = attention->scale,
      .bias = attention->bias ? attention->bias + head * attention->bias_head_stride : NULL,
      .bias_row_stride = attention->bias_row_stride,
      .key_mask = attention->key_mask ? attention->key_mask + begin : NULL,
      .before = SIZE_MAX,
      .after = attention->causal ? 0 : SIZE_MAX,
      .empty_is_zero = attention->key_mask != NULL || attention->no_keys_as_zero,
      .bf16 = attention->bf16,
  };
  slk_attend(&view, scratch);
}
