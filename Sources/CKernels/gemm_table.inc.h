// Defines the tiles of every shape that a tier has, and the table [rows - 1][vectors - 1] of them.

#if defined(SLK_IS_AVX512)
#define SLK_TILE_ROWS 8
#define SLK_TILE_VECTORS 3
#elif defined(SLK_IS_AVX2)
#define SLK_TILE_ROWS 6
#define SLK_TILE_VECTORS 2
#else
#define SLK_TILE_ROWS 4
#define SLK_TILE_VECTORS 2
#endif

#if SLK_TILE_VECTORS == 3
#define SLK_DEFINE_ROW(rows) \
  SLK_DEFINE_TILE(rows, 1) SLK_DEFINE_TILE(rows, 2) SLK_DEFINE_TILE(rows, 3)
#define SLK_NAME_ROW(rows) \
  {SLK_NAME_TILE(rows, 1), SLK_NAME_TILE(rows, 2), SLK_NAME_TILE(rows, 3)}
#else
#define SLK_DEFINE_ROW(rows) SLK_DEFINE_TILE(rows, 1) SLK_DEFINE_TILE(rows, 2)
#define SLK_NAME_ROW(rows) {SLK_NAME_TILE(rows, 1), SLK_NAME_TILE(rows, 2)}
#endif

SLK_DEFINE_ROW(1) SLK_DEFINE_ROW(2) SLK_DEFINE_ROW(3) SLK_DEFINE_ROW(4)
#if SLK_TILE_ROWS >= 6
SLK_DEFINE_ROW(5) SLK_DEFINE_ROW(6)
#endif
#if SLK_TILE_ROWS >= 8
SLK_DEFINE_ROW(7) SLK_DEFINE_ROW(8)
#endif

static __typeof__(&SLK_NAME_TILE(1, 1)) const
    SLK_NAME(SLK_JOIN(table, SLK_TILE))[SLK_TILE_ROWS][SLK_TILE_VECTORS] = {
        SLK_NAME_ROW(1), SLK_NAME_ROW(2), SLK_NAME_ROW(3), SLK_NAME_ROW(4),
#if SLK_TILE_ROWS >= 6
        SLK_NAME_ROW(5), SLK_NAME_ROW(6),
#endif
#if SLK_TILE_ROWS >= 8
        SLK_NAME_ROW(7), SLK_NAME_ROW(8),
#endif
};

#undef SLK_DEFINE_ROW
#undef SLK_NAME_ROW
