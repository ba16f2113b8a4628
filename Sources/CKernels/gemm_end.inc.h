// Forgets what a product defined, so that the next tier can define it again.
#undef SLK_TILE
#undef SLK_UNIT
#undef SLK_ACC
#undef SLK_B
#undef SLK_LANES
#undef SLK_SPREAD
#undef SLK_STEP
#undef SLK_OUT
#undef SLK_PRODUCT_C
#undef SLK_EPILOGUE
#undef SLK_IS_PLAIN
#undef SLK_FINISH
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS
