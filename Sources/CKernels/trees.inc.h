// Template (tiers.h): the first branches of a tree for rows side by side.

static void SLK_NAME(tree_exits)(const slk_tree_top *top, const float *columns, size_t count,
                                 int32_t *places) {
  // Two vectors share the loads of a branch; a block is a whole number of both.
  for (size_t row = 0; row < count; row += 2 * SLK_WIDTH) {
    vi first = (vi)-1, second = (vi)-1;
    for (int32_t i = 0; i < top->count; i++) {
      const float *x = columns + (size_t)top->feature[i] * SLK_TREE_BLOCK + row;
      const vf threshold = v_set(top->threshold[i]);
      const vi left = (vi)(int32_t)top->left[i];
      first &= ~(~(v_load(x) <= threshold) & left);
      second &= ~(~(v_load(x + SLK_WIDTH) <= threshold) & left);
    }
    for (size_t lane = 0; lane < SLK_WIDTH; lane++) {
      places[row + lane] = top->exits[__builtin_ctz((unsigned)first[lane])];
      places[row + SLK_WIDTH + lane] = top->exits[__builtin_ctz((unsigned)second[lane])];
    }
  }
}
