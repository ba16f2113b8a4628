// Attention against a plain loop in double, and equal bits in every batch.
#include "check.h"

typedef struct {
  size_t length, head_size, heads;
  bool bias, mask, causal, bf16;
} attention_case;

static void one_head(const attention_case *c, const slk_attention *a, size_t begin, size_t head,
                     bool half) {
  double weights[600];
  for (size_t i = 0; i < c->length; i++) {
    const float *q = a->q + (begin + i) * a->q_stride + head * c->head_size;
    double most = -INFINITY, sum = 0, magnitude = 0;
    for (size_t j = 0; j < c->length; j++) {
      const float *k = a->k + (begin + j) * a->k_stride + head * c->head_size;
      double dot = 0, terms = 0;
      for (size_t l = 0; l < c->head_size; l++) {
        dot += (double)q[l] * k[l], terms += fabs((double)q[l] * k[l]);
      }
      magnitude = fmax(magnitude, terms * a->scale + 1);
      dot *= a->scale;
      if (a->bias) dot += a->bias[head * a->bias_head_stride + i * a->bias_row_stride + j];
      if (a->key_mask && !a->key_mask[begin + j]) dot = -INFINITY;
      if (a->causal && j > i) dot = -INFINITY;
      weights[j] = dot;
      most = dot > most ? dot : most;
    }
    for (size_t j = 0; j < c->length; j++) {
      weights[j] = most == -INFINITY ? 0 : exp(weights[j] - most);
      sum += weights[j];
    }
    // A score errs by a few roundings of its terms, a weight by as much relatively, and |v| <= 3.
    const double bound = half ? 6e-2 : 3 * 6e-8 * (4 * magnitude + 8);
    for (size_t l = 0; l < c->head_size; l++) {
      double e = 0;
      for (size_t j = 0; j < c->length; j++) {
        e += weights[j] * a->v[(begin + j) * a->v_stride + head * c->head_size + l];
      }
      if (sum > 0) e /= sum;
      const float found = a->out[(begin + i) * a->out_stride + head * c->head_size + l];
      CHECK(fabs(found - e) < bound,
            "attention length %zu size %zu bf16 %d (%zu, %zu): %g, expected %g", c->length,
                c->head_size, c->bf16, i, l, found, e);
    }
  }
}

static void one_case(const attention_case *c) {
  const size_t before = 5, tokens = c->length + before, width = c->heads * c->head_size;
  float *qkv = block(tokens * 3 * width * 4), *out = block(tokens * width * 4);
  float *alone = block(tokens * width * 4),
      *bias = block(c->heads * c->length * (c->length + 2) * 4);
  uint8_t *mask = block(tokens);
  fill(qkv, tokens * 3 * width, 4), fill(bias, c->heads * c->length * (c->length + 2), 5);
  for (size_t i = 0; i < tokens; i++) mask[i] = i % 3 != 1;
  for (size_t i = 0; i < tokens * 3 * width; i++) qkv[i] *= 3;
  memset(out, 0xff, tokens * width * 4);
  slk_attention a = {
      .q = qkv, .k = qkv + width, .v = qkv + 2 * width,
      .q_stride = 3 * width, .k_stride = 3 * width, .v_stride = 3 * width,
      .out = out, .out_stride = width, .head_size = c->head_size,
      .scale = 1.0f / sqrtf((float)c->head_size),
      .bias = c->bias ? bias : NULL, .bias_head_stride = c->length * (c->length + 2),
      .bias_row_stride = c->length + 2, .key_mask = c->mask ? mask : NULL,
      .causal = c->causal, .bf16 = c->bf16,
  };
  void *scratch = block(slk_attention_scratch_bytes(c->length, c->head_size, c->head_size));
  for (size_t head = 0; head < c->heads; head++) {
    slk_attention_head(&a, before, tokens, head, scratch);
    one_head(c, &a, before, head, c->bf16 && slk_cpu_has_bf16());
  }
  for (size_t i = 0; i < before * width; i++) CHECK(isnan(out[i]), "wrote into another sequence");
  // The same tokens at the start of another buffer, heads in reverse, scratch as it was left.
  memcpy(alone, out, tokens * width * 4);
  float *moved = block(c->length * 3 * width * 4);
  memcpy(moved, qkv + before * 3 * width, c->length * 3 * width * 4);
  a.q = moved, a.k = moved + width, a.v = moved + 2 * width;
  a.key_mask = c->mask ? mask + before : NULL;
  for (size_t head = c->heads; head-- > 0;) slk_attention_head(&a, 0, c->length, head, scratch);
  CHECK(!memcmp(out, alone + before * width, c->length * width * 4),
        "bits depend on the batch, length %zu", c->length);
  free(qkv), free(out), free(alone), free(bias), free(mask), free(scratch), free(moved);
}

typedef struct {
  size_t queries, keys, head_size, value_size;
  ptrdiff_t position;
  size_t before, after;
  float softcap;
  bool bias;
} view_case;

/// Queries and keys of different counts, with windows, against a plain loop.
static void one_view(const view_case *c) {
  const size_t width = c->head_size + 3, value_width = c->value_size + 2;
  float *q = block(c->queries * width * 4), *k = block(c->keys * width * 4);
  float *v = block(c->keys * value_width * 4), *out = block(c->queries * value_width * 4);
  float *bias = block((c->queries * c->keys + 1) * 4);
  fill(q, c->queries * width, 1), fill(k, c->keys * width, 2);
  fill(v, c->keys * value_width, 3), fill(bias, c->queries * c->keys, 4);
  memset(out, 0xff, c->queries * value_width * 4);
  const slk_attention_view view = {
      .q = q, .k = k, .v = v, .q_stride = width, .k_stride = width, .v_stride = value_width,
      .out = out, .out_stride = value_width, .query_count = c->queries, .key_count = c->keys,
      .head_size = c->head_size, .value_size = c->value_size, .scale = 0.7f,
      .softcap = c->softcap, .bias = c->bias ? bias : NULL, .bias_row_stride = c->keys,
      .position = c->position, .before = c->before, .after = c->after, .empty_is_zero = true,
  };
  void *scratch = block(slk_attention_scratch_bytes(c->keys, c->head_size, c->value_size));
  slk_attend(&view, scratch);
  for (size_t i = 0; i < c->queries; i++) {
    double weights[600], sum = 0;
    for (size_t j = 0; j < c->keys; j++) {
      const double place = (double)c->position + (double)i;
      double dot = 0;
      for (size_t l = 0; l < c->head_size; l++) dot += (double)q[i * width + l] * k[j * width + l];
      dot *= view.scale;
      if (c->softcap != 0) dot = c->softcap * tanh(dot / c->softcap);
      if (c->bias) dot += bias[i * c->keys + j];
      const bool seen = (double)j >= place - (double)c->before &&
                        (double)j <= place + (double)c->after;
      weights[j] = seen ? exp(dot) : 0;
      sum += weights[j];
    }
    for (size_t l = 0; l < c->value_size; l++) {
      double e = 0;
      for (size_t j = 0; j < c->keys; j++) e += weights[j] * v[j * value_width + l];
      if (sum > 0) e /= sum;
      const float found = out[i * value_width + l];
      CHECK(fabs(found - e) < 2e-5, "view %zu x %zu (%zu, %zu): %g, expected %g", c->queries,
            c->keys, i, l, found, e);
    }
    for (size_t l = c->value_size; l < value_width; l++) {
      CHECK(isnan(out[i * value_width + l]), "wrote beside its columns");
    }
  }
  free(q), free(k), free(v), free(out), free(bias), free(scratch);
}

static void views(void) {
  const size_t all = SIZE_MAX;
  for (size_t queries = 1; queries < 7; queries++) {
    one_view(&(view_case){queries, 129, 64, 64, 128, all, 0, 0, false});
    one_view(&(view_case){queries, 37, 17, 9, 3, 4, 2, 0, true});
    one_view(&(view_case){queries, 5, 8, 40, -3, all, 0, 2, true});
    one_view(&(view_case){queries, 20, 1, 1, 0, 3, all, 1.5f, false});
    one_view(&(view_case){queries, 0, 8, 8, 0, all, all, 0, false});
  }
  one_view(&(view_case){70, 90, 33, 20, 20, 30, 0, 0, true});
  one_view(&(view_case){70, 90, 32, 70, 0, all - 1, all - 1, 3, false});
  one_view(&(view_case){40, 40, 16, 16, 0, 0, 0, 0, false});
}

/// The gradients of one head against the formula in double.
static void one_gradient(size_t queries, size_t keys, size_t size, size_t width, bool has_bias) {
  const size_t rows = queries > keys ? queries : keys, stride = size + 3, v_stride = width + 5;
  float *q = block(rows * stride * 4), *k = block(rows * stride * 4);
  float *v = block(rows * v_stride * 4), *g = block(rows * v_stride * 4);
  float *dq = block(rows * stride * 4), *dk = block(rows * stride * 4);
  float *dv = block(rows * v_stride * 4), *bias = block(keys * 4);
  fill(q, rows * stride, 1), fill(k, rows * stride, 2), fill(v, rows * v_stride, 3);
  fill(g, rows * v_stride, 4), fill(bias, keys, 5);
  const slk_attention_view view = {
      .q = q, .k = k, .v = v, .q_stride = stride, .k_stride = stride, .v_stride = v_stride,
      .out_stride = v_stride, .query_count = queries, .key_count = keys, .head_size = size,
      .value_size = width, .scale = 0.3f, .bias = has_bias ? bias : NULL, .before = SIZE_MAX,
      .after = SIZE_MAX,
  };
  const slk_attention_flow flow = {.g = g, .dq = dq, .dk = dk, .dv = dv};
  void *scratch = block(slk_attention_gradient_scratch_bytes(keys, size, width));
  slk_attend_back(&view, &flow, scratch);
  double *weights = calloc(keys + 1, sizeof *weights), *back = calloc(keys + 1, sizeof *back);
  double *ek = calloc(keys * size + 1, sizeof *ek), *ev = calloc(keys * width + 1, sizeof *ev);
  for (size_t i = 0; i < queries; i++) {
    double sum = 0, dot = 0;
    for (size_t j = 0; j < keys; j++) {
      double score = has_bias ? bias[j] : 0;
      for (size_t d = 0; d < size; d++) {
        score += 0.3f * (double)q[i * stride + d] * k[j * stride + d];
      }
      sum += weights[j] = exp(score);
    }
    for (size_t j = 0; j < keys; j++) {
      weights[j] /= sum, back[j] = 0;
      for (size_t d = 0; d < width; d++) {
        back[j] += (double)g[i * v_stride + d] * v[j * v_stride + d];
        ev[j * width + d] += weights[j] * g[i * v_stride + d];
      }
      dot += weights[j] * back[j];
    }
    for (size_t d = 0; d < size; d++) {
      double expected = 0;
      for (size_t j = 0; j < keys; j++) {
        const double score = 0.3f * weights[j] * (back[j] - dot);
        expected += score * k[j * stride + d];
        ek[j * size + d] += score * q[i * stride + d];
      }
      CHECK(fabs(dq[i * stride + d] - expected) < 2e-5, "dq (%zu, %zu): %g, expected %g", i, d,
            dq[i * stride + d], expected);
    }
  }
  for (size_t j = 0; j < keys; j++) {
    for (size_t d = 0; d < size; d++) {
      CHECK(fabs(dk[j * stride + d] - ek[j * size + d]) < 5e-5, "dk (%zu, %zu)", j, d);
    }
    for (size_t d = 0; d < width; d++) {
      CHECK(fabs(dv[j * v_stride + d] - ev[j * width + d]) < 5e-5, "dv (%zu, %zu)", j, d);
    }
    CHECK(isnan(dk[j * stride + size]) && isnan(dv[j * v_stride + width]), "wrote beside");
  }
  free(q), free(k), free(v), free(g), free(dq), free(dk), free(dv), free(bias), free(scratch);
  free(weights), free(back), free(ek), free(ev);
}

static void gradients(void) {
  one_gradient(3, 5, 4, 7, true), one_gradient(1, 1, 1, 1, false);
  one_gradient(64, 64, 32, 32, true), one_gradient(150, 77, 33, 20, false);
  one_gradient(0, 5, 8, 8, false), one_gradient(5, 0, 8, 8, false);
}

void test_attention(void) {
  gradients();
  const size_t sizes[] = {32, 64, 7, 48, 1};
  for (size_t length = 1; length <= 70; length++) {
    const unsigned v = (unsigned)length;
    const attention_case c = {length, sizes[length % 5], 2, v & 1, v & 2, v & 4, v & 8};
    one_case(&c);
  }
  for (unsigned v = 0; v < 16; v++) {
    const attention_case c = {37, 32, 3, v & 1, v & 2, v & 4, v & 8};
    one_case(&c);
  }
  one_case(&(attention_case){300, 64, 1, true, false, false, false});
  one_case(&(attention_case){513, 32, 1, false, false, false, true});
  one_case(&(attention_case){0, 32, 1, false, false, false, false});
  views();
}
