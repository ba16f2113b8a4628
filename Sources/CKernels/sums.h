// Sums over vectors for the templates of tiers.h, which define SLK_WIDTH and vf.
#ifndef STACKLENS_SUMS_H
#define STACKLENS_SUMS_H

// `result` = sum over i of a vector expression in `at` and `left`, the elements that remain from
// `at`: four running sums, then a tree, so that the rounding error grows with n / (4 SLK_WIDTH).
#define SLK_SUM_STEP(total, index, remaining, step) \
  {                                                 \
    const size_t at = index, left = remaining;      \
    const vf s = total;                             \
    total = step;                                   \
  }
#define SLK_SUM_OF(result, step)                                              \
  {                                                                           \
    vf s0 = v_set(0.0f), s1 = s0, s2 = s0, s3 = s0;                           \
    size_t i = 0;                                                             \
    for (; i + 4 * SLK_WIDTH <= n; i += 4 * SLK_WIDTH) {                      \
      SLK_SUM_STEP(s0, i, SLK_WIDTH, step)                                    \
      SLK_SUM_STEP(s1, i + SLK_WIDTH, SLK_WIDTH, step)                        \
      SLK_SUM_STEP(s2, i + 2 * SLK_WIDTH, SLK_WIDTH, step)                    \
      SLK_SUM_STEP(s3, i + 3 * SLK_WIDTH, SLK_WIDTH, step)                    \
    }                                                                         \
    for (; i < n; i += SLK_WIDTH) SLK_SUM_STEP(s0, i, n - i, step)            \
    result = v_sum((s0 + s1) + (s2 + s3));                                    \
  }
#define SLK_AT(x) (left >= SLK_WIDTH ? v_load((x) + at) : v_load_n((x) + at, left))

#endif
