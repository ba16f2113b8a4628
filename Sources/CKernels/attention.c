#include "attention.h"

#include "include/slk_gemm.h"
#include "panels.h"

#define SLK_TEMPLATE "attention.inc.h"
#include "tiers.h"

/// Queries of one product; with fewer than PACKED_QUERIES packing the keys costs more than it saves.
enum { QUERY_BLOCK = 32, PACKED_QUERIES = 4 };

/// Sizes of the parts of the scratch memory, each a multiple of 64 bytes.
typedef struct {
  size_t keys, values, scores, sums, halves, stride;
} scratch_plan;

/// Rows of a left factor in bfloat16, whichever of the products it belongs to.
static size_t halves_bytes(size_t rows, size_t key_count, size_t head_size, size_t value_size) {
  size_t most = key_count > head_size ? key_count : head_size;
  if (value_size > most) most = value_size;
  return rows * slk_round_up(most, 32) * sizeof(uint16_t);
}

static scratch_plan plan_for(size_t key_count, size_t head_size, size_t value_size) {
  scratch_plan plan;
  plan.stride = slk_round_up(key_count, 16);
  const size_t packed_keys = slk_gemm_f32_packed_bytes(head_size + 1, key_count);
  const size_t packed_values = slk_gemm_f32_packed_bytes(key_count + 1, value_size);
  plan.keys = slk_round_up(packed_keys, 64);
  plan.values = slk_round_up(packed_values, 64);
  plan.scores = QUERY_BLOCK * plan.stride * sizeof(float);
  plan.sums = QUERY_BLOCK * sizeof(float);
  plan.halves = halves_bytes(QUERY_BLOCK, key_count, head_size, value_size);
  return plan;
}

size_t slk_attention_scratch_bytes(size_t key_count, size_t head_size, size_t value_size) {
  const scratch_plan p = plan_for(key_count, head_size, value_size);
  return p.keys + p.values + p.scores + p.sums + p.halves;
}

static void *take(char **scratch, size_t byte_count) {
  void *part = *scratch;
  *scratch += byte_count;
  return part;
}

/// The right factor [k, n] of a product, packed; `half`: in bfloat16.
static void pack_factor(bool half, const float *b, size_t k, size_t n, size_t row_stride,
                        size_t column_stride, void *packed) {
  (half ? slk_gemm_bf16_pack : slk_gemm_f32_pack)(b, k, n, row_stride, column_stride, packed, 0,
                                                  slk_gemm_f32_panel_count(n));
}

/// C = A B for the rows of A and a packed B; `half`: A is rounded to bfloat16 in `room` first.
static void multiply(bool half, size_t k, size_t n, const float *a, size_t a_stride, size_t rows,
                     uint16_t *room, const void *packed, float *c, size_t c_stride) {
  const slk_epilogue none = slk_epilogue_none();
  const size_t panels = slk_gemm_f32_panel_count(n), stride = slk_round_up(k, 2);
  if (half) {
    slk_bf16_rows(a, rows, k, a_stride, room, stride);
    slk_gemm_bf16(k, n, room, stride, packed, c, c_stride, &none, 0, rows, 0, panels);
  } else {
    slk_gemm_f32(k, n, a, a_stride, packed, c, c_stride, &none, 0, rows, 0, panels);
  }
}

/// What a dropout leaves of values that stand for the weights of a block.
static void drop_rows(const slk_score_block *block, float *values) {
  const slk_attention_view *view = block->view;
  if (view->dropping.scale == 0.0f) return;
  for (size_t row = 0; row < block->rows; row++) {
    float *own = values + row * block->stride;
    slk_drop(own, own, view->key_count, &view->dropping, (block->first + row) * view->key_count);
  }
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
  drop_rows(&block, scores);
  SLK_DISPATCH(mix_rows, &block);
}

void slk_attend(const slk_attention_view *view, void *scratch) {
  const size_t length = view->key_count, size = view->head_size, width = view->value_size;
  const bool half = view->bf16 && slk_cpu_has_bf16();
  const scratch_plan plan = plan_for(length, size, width);
  char *memory = scratch;
  void *keys = take(&memory, plan.keys), *values = take(&memory, plan.values);
  float *scores = take(&memory, plan.scores), *inverse_sums = take(&memory, plan.sums);
  uint16_t *halves = take(&memory, plan.halves);
  if (view->query_count < PACKED_QUERIES && !half) {
    attend_directly(view, &plan, scores, inverse_sums);
    return;
  }
  pack_factor(half, view->k, size, length, 1, view->k_stride, keys);
  pack_factor(half, view->v, length, width, view->v_stride, 1, values);
  for (size_t first = 0; first < view->query_count; first += QUERY_BLOCK) {
    const size_t rows = slk_min(QUERY_BLOCK, view->query_count - first);
    float *block_out = view->out + first * view->out_stride;
    multiply(half, size, length, view->q + first * view->q_stride, view->q_stride, rows, halves,
             keys, scores, plan.stride);
    const slk_score_block block = {
        .view = view,
        .scores = scores,
        .stride = plan.stride,
        .first = first,
        .rows = rows,
        .inverse_sums = inverse_sums,
    };
    SLK_DISPATCH(exponentiate, &block);
    drop_rows(&block, scores);
    multiply(half, length, width, scores, plan.stride, rows, halves, values, block_out,
             view->out_stride);
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
      .dropping = attention->dropping,
  };
  slk_attend(&view, scratch);
}

/// Queries of one block on the way back.
enum { BACK_BLOCK = 64 };

typedef struct {
  size_t keys, values, key_rows, queries, flow, scores, sums, halves, tiles, stride;
} back_plan;

static back_plan plan_back(size_t key_count, size_t head_size, size_t value_size) {
  back_plan plan;
  plan.stride = slk_round_up(key_count, 16);
  plan.keys = slk_round_up(slk_gemm_f32_packed_bytes(head_size, key_count), 64);
  plan.values = slk_round_up(slk_gemm_f32_packed_bytes(value_size, key_count), 64);
  plan.key_rows = slk_round_up(slk_gemm_f32_packed_bytes(key_count, head_size), 64);
  plan.queries = slk_round_up(slk_gemm_f32_packed_bytes(BACK_BLOCK, head_size), 64);
  plan.flow = slk_round_up(slk_gemm_f32_packed_bytes(BACK_BLOCK, value_size), 64);
  plan.scores = BACK_BLOCK * plan.stride * sizeof(float);
  plan.sums = BACK_BLOCK * sizeof(float);
  plan.halves = halves_bytes(BACK_BLOCK, key_count, head_size, value_size);
  plan.tiles = slk_round_up(key_count, 64) * BACK_BLOCK * sizeof(uint16_t);
  return plan;
}

size_t slk_attention_gradient_scratch_bytes(size_t key_count, size_t head_size,
                                            size_t value_size) {
  const back_plan p = plan_back(key_count, head_size, value_size);
  return p.keys + p.values + p.key_rows + p.queries + p.flow + 2 * p.scores + p.sums + p.halves +
         p.tiles;
}

/// A block of weights [rows, keys], which products read turned: W^T X.
typedef struct {
  bool half;
  const float *weights;
  size_t stride, rows, keys;
  void *tiles;  ///< Room for the weights in bfloat16.
} turned_block;

/// target (+)= W^T X for X [rows, width].
static void add_turned(const turned_block *block, const float *x, size_t x_stride, size_t width,
                       void *room, float *target, size_t target_stride, bool is_first) {
  const size_t panels = slk_gemm_f32_panel_count(width), rows = block->rows;
  pack_factor(block->half, x, rows, width, x_stride, 1, room);
  slk_epilogue epilogue = slk_epilogue_none();
  if (!is_first) {
    epilogue.residual = target, epilogue.residual_first = true;
    epilogue.residual_row_stride = target_stride, epilogue.residual_column_stride = 1;
  }
  if (block->half) {
    slk_gemm_bf16_pack_turned(block->weights, rows, block->stride, block->tiles, 0, block->keys);
    slk_gemm_bf16_turned(rows, width, block->tiles, room, target, target_stride, &epilogue, 0,
                         block->keys, 0, panels);
  } else {
    slk_gemm_f32_turned(rows, width, block->weights, block->stride, 1, room, target, target_stride,
                        &epilogue, 0, block->keys, 0, panels);
  }
}

static void clear_rows(float *x, size_t stride, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; row++) memset(x + row * stride, 0, width * sizeof *x);
}

void slk_attend_back(const slk_attention_view *view, const slk_attention_flow *flow,
                     void *scratch) {
  const size_t length = view->key_count, size = view->head_size, width = view->value_size;
  const bool half = view->bf16 && slk_cpu_has_bf16();
  const back_plan plan = plan_back(length, size, width);
  char *memory = scratch;
  void *keys = take(&memory, plan.keys), *values = take(&memory, plan.values);
  void *key_rows = take(&memory, plan.key_rows), *queries = take(&memory, plan.queries);
  void *flowing = take(&memory, plan.flow);
  float *scores = take(&memory, plan.scores), *back = take(&memory, plan.scores);
  float *inverse_sums = take(&memory, plan.sums);
  uint16_t *halves = take(&memory, plan.halves);
  void *tiles = take(&memory, plan.tiles);
  if (!length || !view->query_count) {
    clear_rows(flow->dq, view->q_stride, view->query_count, size);
    clear_rows(flow->dk, view->k_stride, length, size);
    clear_rows(flow->dv, view->v_stride, length, width);
    return;
  }
  pack_factor(half, view->k, size, length, 1, view->k_stride, keys);
  pack_factor(half, view->v, width, length, 1, view->v_stride, values);
  pack_factor(half, view->k, length, size, view->k_stride, 1, key_rows);
  for (size_t first = 0; first < view->query_count; first += BACK_BLOCK) {
    const size_t rows = slk_min(BACK_BLOCK, view->query_count - first);
    const float *own = view->q + first * view->q_stride;
    const float *arriving = flow->g + first * view->out_stride;
    multiply(half, size, length, own, view->q_stride, rows, halves, keys, scores, plan.stride);
    multiply(half, width, length, arriving, view->out_stride, rows, halves, values, back,
             plan.stride);
    const slk_score_block block = {
        .view = view,
        .scores = scores,
        .stride = plan.stride,
        .first = first,
        .rows = rows,
        .inverse_sums = inverse_sums,
    };
    SLK_DISPATCH(exponentiate, &block);
    drop_rows(&block, back);
    SLK_DISPATCH(weights_back, &block, back);
    drop_rows(&block, scores);
    multiply(half, length, size, back, plan.stride, rows, halves, key_rows,
             flow->dq + first * view->q_stride, view->q_stride);
    turned_block turned = {half, back, plan.stride, rows, length, tiles};
    add_turned(&turned, own, view->q_stride, size, queries, flow->dk, view->k_stride, first == 0);
    turned.weights = scores;
    add_turned(&turned, arriving, view->out_stride, width, flowing, flow->dv, view->v_stride,
               first == 0);
  }
}
