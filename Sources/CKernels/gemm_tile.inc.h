// The register tile: rows x vectors accumulators over all of K. The includer defines
//   SLK_TILE       name of the product,
//   SLK_UNIT       type of one unit of K,
//   SLK_ACC        accumulator vector, SLK_B the vector that is loaded from a panel,
//   SLK_LANES      lanes of SLK_B,
//   SLK_SPREAD(p)  the unit at p in every lane,
//   SLK_STEP(acc, a, b)  acc + a * b.

#define slk_accumulate SLK_NAME(SLK_JOIN(accumulate, SLK_TILE))

SLK_INLINE void slk_accumulate(const int rows, const int vectors, size_t units,
                               const SLK_UNIT *restrict a, size_t lda, const SLK_UNIT *restrict b,
                               SLK_ACC acc[SLK_MOST_ROWS][SLK_MOST_VECTORS],
                               slk_ahead ahead) {
  const size_t row = (size_t)vectors * SLK_LANES;
  _Pragma("clang loop unroll(disable)") for (size_t k = 0; k < units; k++, b += row) {
    _Pragma("clang loop unroll(disable)") for (size_t line = 0; line < ahead.lines; line++) {
      __builtin_prefetch(ahead.next + 64 * line, 0, 2);
    }
    ahead.next += ahead.step;
    SLK_B right[SLK_MOST_VECTORS];
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      __builtin_memcpy(&right[j], b + (size_t)j * SLK_LANES, sizeof(SLK_B));
    }
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      SLK_B left = SLK_SPREAD(a + (size_t)i * lda + k);
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = SLK_STEP(acc[i][j], left, right[j]);
    }
  }
}

#undef slk_accumulate
