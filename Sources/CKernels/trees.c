#include "include/slk_trees.h"

#include "simd_names.h"

#define SLK_TEMPLATE "trees.inc.h"
#include "tiers.h"

SLK_INLINE void walk(const slk_tree_node *nodes, const bool tracks_missing, const float *x,
                     size_t stride, const int32_t *places, size_t count, int32_t *leaves) {
  int32_t at[SLK_TREE_BLOCK], walks[SLK_TREE_BLOCK];
  size_t open = 0;
  for (size_t i = 0; i < count; i++) {
    const int32_t next = nodes[places[i]].next;
    leaves[i] = ~next;
    at[open] = places[i];
    walks[open] = (int32_t)i;
    open += next >= 0;
  }
  // Those that have not arrived are kept side by side, without a branch to guess.
  while (open > 0) {
    size_t kept = 0;
    for (size_t i = 0; i < open; i++) {
      const int32_t walk = walks[i];
      const slk_tree_node node = nodes[at[i]];
      const float value = x[(size_t)walk * stride + (size_t)node.feature];
      int aside = !(value <= node.threshold);
      if (tracks_missing) aside &= !((value != value) & node.missing);
      const int32_t place = node.next + aside;
      const int32_t next = nodes[place].next;
      leaves[walk] = ~next;
      at[kept] = place;
      walks[kept] = walk;
      kept += next >= 0;
    }
    open = kept;
  }
}

void slk_tree_walk(const slk_tree_node *nodes, bool tracks_missing, const float *x, size_t stride,
                   const int32_t *places, size_t count, int32_t *leaves) {
  if (tracks_missing) {
    walk(nodes, true, x, stride, places, count, leaves);
  } else {
    walk(nodes, false, x, stride, places, count, leaves);
  }
}

void slk_tree_exits(const slk_tree_top *top, const float *columns, size_t count, int32_t *places) {
  SLK_DISPATCH(tree_exits, top, columns, count, places);
}

void slk_tree_add(const int32_t *leaves, size_t count, const float *values, size_t width, float *y,
                  size_t stride) {
  for (size_t i = 0; i < count; i++) {
    const float *source = values + (size_t)leaves[i] * width;
    float *target = y + i * stride;
    for (size_t c = 0; c < width; c++) target[c] += source[c];
  }
}
