// Every loop below has `at`, the element it is at, and `left`, how many remain from there.
#define SLK_LOOP                                             \
  for (size_t at = 0, left = n; at < n; at += SLK_WIDTH, left = n - at)
#define SLK_PUT(target, value)                               \
  {                                                          \
    if (left >= SLK_WIDTH) {                                 \
      v_store((target) + at, value);                         \
    } else {                                                 \
      v_store_n((target) + at, value, left);                 \
    }                                                        \
  }

SLK_INLINE vf SLK_NAME(root_of)(vf x) { return __builtin_elementwise_sqrt(x); }

/// -1, 0 or 1.
SLK_INLINE vf SLK_NAME(sign_of)(vf x) {
  return x == 0.0f ? v_set(0.0f) : v_copysign(v_set(1.0f), x);
}

/// The gradient as a method sees it.
SLK_INLINE vf SLK_NAME(terms_of)(const slk_gradient_terms *terms, vf g, vf w) {
  const vf limit = v_set(terms->limit);
  vf x = g * terms->scale;
  x = x > limit ? limit : x;
  x = x < -limit ? -limit : x;
  return v_fma(v_set(terms->l2), w, x) + terms->l1 * SLK_NAME(sign_of)(w);
}

/// w without the share that decays, less a step.
SLK_INLINE vf SLK_NAME(moved)(const slk_gradient_terms *terms, vf w, vf rate, vf direction) {
  return v_fma(-rate, direction, v_fma(v_set(-terms->decay), w, w));
}

// Gradient descent ----------------------------------------------------------------------------

static void SLK_NAME(sgd)(const slk_gradient_terms *terms, float rate, float momentum, float fresh,
                          bool nesterov, float *w, const float *g, float *velocity, size_t n) {
  if (!velocity) {
    SLK_LOOP {
      const vf weight = SLK_AT(w);
      const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
      SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(rate), flow))
    }
    return;
  }
  SLK_LOOP {
    const vf weight = SLK_AT(w);
    const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
    const vf u = v_fma(v_set(momentum), SLK_AT(velocity), fresh * flow);
    SLK_PUT(velocity, u)
    const vf direction = nesterov ? v_fma(v_set(momentum), u, flow) : u;
    SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(rate), direction))
  }
}

// Adaptive moments ----------------------------------------------------------------------------

SLK_INLINE void SLK_NAME(adam_of)(const slk_gradient_terms *terms, const slk_adam_step *step,
                                  float *w, const float *g, float *m, float *v, float *largest,
                                  const bool is_direct, const bool is_plain, size_t n) {
  SLK_LOOP {
    const vf weight = SLK_AT(w), past = SLK_AT(m), given = SLK_AT(g);
    const vf flow =
        is_plain ? given * terms->scale : SLK_NAME(terms_of)(terms, given, weight);
    const vf mean = v_fma(v_set(step->first), flow - past, past);
    const vf square = v_fma(v_set(step->kept), SLK_AT(v), step->fresh * flow * flow);
    SLK_PUT(m, mean)
    SLK_PUT(v, square)
    vf under = square;
    if (largest) {
      const vf before = SLK_AT(largest);
      under = before > square ? before : square;
      SLK_PUT(largest, under)
    }
    const vf length = v_fma(v_set(step->root), SLK_NAME(root_of)(under), v_set(step->epsilon));
    vf direction = step->rate * mean;
    if (is_direct) direction = v_fma(v_set(step->direct), flow, direction);
    SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(1.0f), direction / length))
  }
}

static void SLK_NAME(adam)(const slk_gradient_terms *terms, const slk_adam_step *step, float *w,
                           const float *g, float *m, float *v, float *largest, size_t n) {
  if (step->direct != 0.0f) {
    SLK_NAME(adam_of)(terms, step, w, g, m, v, largest, true, false, n);
  } else if (largest) {
    SLK_NAME(adam_of)(terms, step, w, g, m, v, largest, false, false, n);
  } else if (terms->l1 != 0.0f || terms->l2 != 0.0f || terms->limit != INFINITY) {
    SLK_NAME(adam_of)(terms, step, w, g, m, v, NULL, false, false, n);
  } else {
    // The usual case, where weights that lie in the cache are as fast as the arithmetic.
    SLK_NAME(adam_of)(terms, step, w, g, m, v, NULL, false, true, n);
  }
}

static void SLK_NAME(adamax)(const slk_gradient_terms *terms, float rate, float first, float kept,
                             float epsilon, float *w, const float *g, float *m, float *u,
                             size_t n) {
  SLK_LOOP {
    const vf weight = SLK_AT(w), past = SLK_AT(m);
    const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
    const vf mean = v_fma(v_set(first), flow - past, past);
    const vf before = kept * SLK_AT(u), now = v_abs(flow) + epsilon;
    const vf largest = before > now ? before : now;
    SLK_PUT(m, mean)
    SLK_PUT(u, largest)
    SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(rate), mean / largest))
  }
}

static void SLK_NAME(lion)(const slk_gradient_terms *terms, float rate, float first, float second,
                           float *w, const float *g, float *m, size_t n) {
  SLK_LOOP {
    const vf weight = SLK_AT(w), past = SLK_AT(m);
    const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
    const vf news = flow - past;
    const vf direction = SLK_NAME(sign_of)(v_fma(v_set(first), news, past));
    SLK_PUT(m, v_fma(v_set(second), news, past))
    SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(rate), direction))
  }
}

// Adaptive rates ------------------------------------------------------------------------------

SLK_INLINE void SLK_NAME(rmsprop_of)(const slk_gradient_terms *terms, const slk_rmsprop_step *step,
                                     float *w, const float *g, float *v, float *mean,
                                     float *velocity, size_t n) {
  SLK_LOOP {
    const vf weight = SLK_AT(w);
    const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
    const vf square = v_fma(v_set(step->kept), SLK_AT(v), step->fresh * flow * flow);
    SLK_PUT(v, square)
    vf spread = square;
    if (mean) {
      const vf past = SLK_AT(mean), about = v_fma(v_set(step->fresh), flow - past, past);
      SLK_PUT(mean, about)
      spread = v_fma(-about, about, square);
      spread = spread < 0.0f ? v_set(0.0f) : spread;
    }
    vf direction = flow / (SLK_NAME(root_of)(spread) + step->epsilon);
    if (velocity) {
      direction = v_fma(v_set(step->momentum), SLK_AT(velocity), direction);
      SLK_PUT(velocity, direction)
    }
    SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(step->rate), direction))
  }
}

static void SLK_NAME(rmsprop)(const slk_gradient_terms *terms, const slk_rmsprop_step *step,
                              float *w, const float *g, float *v, float *mean, float *velocity,
                              size_t n) {
  if (mean) {
    SLK_NAME(rmsprop_of)(terms, step, w, g, v, mean, velocity, n);
  } else {
    SLK_NAME(rmsprop_of)(terms, step, w, g, v, NULL, velocity, n);
  }
}

static void SLK_NAME(adagrad)(const slk_gradient_terms *terms, float rate, float epsilon, float *w,
                              const float *g, float *s, size_t n) {
  SLK_LOOP {
    const vf weight = SLK_AT(w);
    const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
    const vf sum = v_fma(flow, flow, SLK_AT(s));
    SLK_PUT(s, sum)
    const vf direction = flow / (SLK_NAME(root_of)(sum) + epsilon);
    SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(rate), direction))
  }
}

static void SLK_NAME(adadelta)(const slk_gradient_terms *terms, float rate, float kept, float fresh,
                               float epsilon, float *w, const float *g, float *v, float *e,
                               size_t n) {
  SLK_LOOP {
    const vf weight = SLK_AT(w), past = SLK_AT(e);
    const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
    const vf square = v_fma(v_set(kept), SLK_AT(v), fresh * flow * flow);
    const vf ratio = SLK_NAME(root_of)(past + epsilon) / SLK_NAME(root_of)(square + epsilon);
    const vf direction = ratio * flow;
    SLK_PUT(v, square)
    SLK_PUT(e, v_fma(v_set(kept), past, fresh * direction * direction))
    SLK_PUT(w, SLK_NAME(moved)(terms, weight, v_set(rate), direction))
  }
}

// Sums in double precision --------------------------------------------------------------------

SLK_INLINE double SLK_NAME(wide_sum)(vd v) {
  double sum = 0.0;
  SLK_UNROLL for (int i = 0; i < SLK_WIDTH / 2; i++) sum += v[i];
  return sum;
}

/// total + x^2, in the halves of x.
SLK_INLINE void SLK_NAME(add_squares)(vd total[2], vf x) {
  const vd low = __builtin_convertvector(x.lo, vd), high = __builtin_convertvector(x.hi, vd);
  total[0] += low * low;
  total[1] += high * high;
}

static void SLK_NAME(norm_sums)(const float *x, size_t n, double sums[2]) {
  vd absolute[2] = {(vd)0.0, (vd)0.0}, squares[2] = {(vd)0.0, (vd)0.0};
  SLK_LOOP {
    const vf value = SLK_AT(x), size = v_abs(value);
    absolute[0] += __builtin_convertvector(size.lo, vd);
    absolute[1] += __builtin_convertvector(size.hi, vd);
    SLK_NAME(add_squares)(squares, size);
  }
  sums[0] = SLK_NAME(wide_sum)(absolute[0] + absolute[1]);
  sums[1] = SLK_NAME(wide_sum)(squares[0] + squares[1]);
}

/// Four chains: one alone would wait for its sums.
static double SLK_NAME(square_sum)(const float *x, size_t n) {
  vd sums[4] = {(vd)0.0, (vd)0.0, (vd)0.0, (vd)0.0};
  size_t at = 0;
  for (; at + 2 * SLK_WIDTH <= n; at += 2 * SLK_WIDTH) {
    SLK_NAME(add_squares)(sums, v_load(x + at));
    SLK_NAME(add_squares)(sums + 2, v_load(x + at + SLK_WIDTH));
  }
  for (; at < n; at += SLK_WIDTH) SLK_NAME(add_squares)(sums, v_load_n(x + at, n - at));
  return SLK_NAME(wide_sum)((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Layerwise rates -----------------------------------------------------------------------------

SLK_INLINE vf SLK_NAME(lamb_direction)(const slk_adam_step *step, float decay, vf w, vf m, vf v) {
  const vf length = v_fma(v_set(step->root), SLK_NAME(root_of)(v), v_set(step->epsilon));
  return v_fma(v_set(decay), w, step->rate * m / length);
}

static void SLK_NAME(lamb_moments)(const slk_gradient_terms *terms, const slk_adam_step *step,
                                   float decay, const float *w, const float *g, float *m, float *v,
                                   double sums[2], size_t n) {
  vd weights[2] = {(vd)0.0, (vd)0.0}, directions[2] = {(vd)0.0, (vd)0.0};
  SLK_LOOP {
    const vf weight = SLK_AT(w), past = SLK_AT(m);
    const vf flow = SLK_NAME(terms_of)(terms, SLK_AT(g), weight);
    const vf mean = v_fma(v_set(step->first), flow - past, past);
    const vf square = v_fma(v_set(step->kept), SLK_AT(v), step->fresh * flow * flow);
    SLK_PUT(m, mean)
    SLK_PUT(v, square)
    SLK_NAME(add_squares)(weights, weight);
    const vf direction = SLK_NAME(lamb_direction)(step, decay, weight, mean, square);
    SLK_NAME(add_squares)(directions, direction);
  }
  sums[0] += SLK_NAME(wide_sum)(weights[0] + weights[1]);
  sums[1] += SLK_NAME(wide_sum)(directions[0] + directions[1]);
}

static void SLK_NAME(lamb_apply)(const slk_adam_step *step, float decay, float rate, float *w,
                                 const float *m, const float *v, size_t n) {
  SLK_LOOP {
    const vf weight = SLK_AT(w);
    const vf direction = SLK_NAME(lamb_direction)(step, decay, weight, SLK_AT(m), SLK_AT(v));
    SLK_PUT(w, v_fma(v_set(-rate), direction, weight))
  }
}

static void SLK_NAME(lerp)(float weight, const float *x, float *y, size_t n) {
  SLK_LOOP {
    const vf past = SLK_AT(y);
    SLK_PUT(y, v_fma(v_set(weight), SLK_AT(x) - past, past))
  }
}

#undef SLK_LOOP
#undef SLK_PUT
