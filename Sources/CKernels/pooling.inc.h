#if SLK_WIDTH == 16
#define SLK_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define SLK_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define SLK_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SLK_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif SLK_WIDTH == 8
#define SLK_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define SLK_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define SLK_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define SLK_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define SLK_EVEN 0, 2, 4, 6
#define SLK_ODD 1, 3, 5, 7
#define SLK_LOW 0, 4, 1, 5
#define SLK_HIGH 2, 6, 3, 7
#endif

/// Two vectors of a row: `count` elements of it are left.
SLK_INLINE void SLK_NAME(load_pairs)(const float *row, size_t count, vf *even, vf *odd) {
  const vf low = v_load_n(row, count);
  const vf high = count > SLK_WIDTH ? v_load_n(row + SLK_WIDTH, count - SLK_WIDTH) : v_set(0.0f);
  *even = __builtin_shufflevector(low, high, SLK_EVEN);
  *odd = __builtin_shufflevector(low, high, SLK_ODD);
}

SLK_INLINE void SLK_NAME(store_pairs)(float *row, size_t count, vf even, vf odd) {
  v_store_n(row, __builtin_shufflevector(even, odd, SLK_LOW), count);
  if (count > SLK_WIDTH) {
    v_store_n(row + SLK_WIDTH, __builtin_shufflevector(even, odd, SLK_HIGH), count - SLK_WIDTH);
  }
}

/// Moves the place of the largest element to the next one where that is larger.
SLK_INLINE void SLK_NAME(take_larger)(vf next, int index, vf *best, vi *place) {
  const vi takes = (next > *best) | ((next != next) & (*best == *best));
  *best = takes ? next : *best;
  *place = takes ? (vi)(int32_t)index : *place;
}

static void SLK_NAME(max_pool_back)(const float *g, const float *x, float *dx, size_t height,
                                    size_t width) {
  const size_t columns = width / 2;
  for (size_t row = 0; row + 1 < height; row += 2, g += columns, x += 2 * width, dx += 2 * width) {
    for (size_t at = 0; at < columns; at += SLK_WIDTH) {
      const size_t left = columns - at;
      vf first[2], second[2];
      SLK_NAME(load_pairs)(x + 2 * at, 2 * left, &first[0], &first[1]);
      SLK_NAME(load_pairs)(x + width + 2 * at, 2 * left, &second[0], &second[1]);
      vf best = first[0];
      vi place = (vi)0;
      SLK_NAME(take_larger)(first[1], 1, &best, &place);
      SLK_NAME(take_larger)(second[0], 2, &best, &place);
      SLK_NAME(take_larger)(second[1], 3, &best, &place);
      const vf flowing = v_load_n(g + at, left), zero = v_set(0.0f);
      SLK_NAME(store_pairs)(dx + 2 * at, 2 * left, place == 0 ? flowing : zero,
                            place == 1 ? flowing : zero);
      SLK_NAME(store_pairs)(dx + width + 2 * at, 2 * left, place == 2 ? flowing : zero,
                            place == 3 ? flowing : zero);
    }
    if (width % 2) dx[width - 1] = dx[2 * width - 1] = 0.0f;
  }
  if (height % 2) memset(dx, 0, width * sizeof *dx);
}

#undef SLK_EVEN
#undef SLK_ODD
#undef SLK_LOW
#undef SLK_HIGH
