#include "include/slk_trees.h"

#include "simd_names.h"

#define SLK_TEMPLATE "trees.inc.h"
#include "tiers.h"

/// Walks that step side by side: enough that none waits for another, few enough for the registers.
enum { walks_at_once = 10 };

SLK_INLINE void walk_together(const int walks, const bool tracks_missing,
                              const slk_tree_node *nodes, const float *x, size_t stride,
                              const int32_t *places, int32_t *leaves) {
  const slk_tree_node *at[walks_at_once];
  SLK_UNROLL for (int i = 0; i < walks; i++) at[i] = nodes + places[i];
  // Those that have arrived stay where they are, without a branch to guess.
  for (int32_t arrived = 0; arrived >= 0;) {
    arrived = -1;
    SLK_UNROLL for (int i = 0; i < walks; i++) {
      const slk_tree_node *node = at[i];
      const float value = x[(size_t)i * stride + (size_t)node->feature];
      int aside = !(value <= node->threshold);
      if (tracks_missing) aside &= !((value != value) & node->missing);
      arrived &= node->next;
      at[i] = node->next < 0 ? node : nodes + (node->next + aside);
    }
  }
  SLK_UNROLL for (int i = 0; i < walks; i++) leaves[i] = ~at[i]->next;
}

SLK_INLINE void walk(const bool tracks_missing, const slk_tree_node *nodes, const float *x,
                     size_t stride, const int32_t *places, size_t count, int32_t *leaves) {
  size_t i = 0;
  for (; i + walks_at_once <= count; i += walks_at_once) {
    walk_together(walks_at_once, tracks_missing, nodes, x + i * stride, stride, places + i,
                  leaves + i);
  }
  for (; i + 2 <= count; i += 2) {
    walk_together(2, tracks_missing, nodes, x + i * stride, stride, places + i, leaves + i);
  }
  for (; i < count; i++) {
    walk_together(1, tracks_missing, nodes, x + i * stride, stride, places + i, leaves + i);
  }
}

void slk_tree_walk(const slk_tree_node *nodes, bool tracks_missing, const float *x, size_t stride,
                   const int32_t *places, size_t count, int32_t *leaves) {
  if (tracks_missing) {
    walk(true, nodes, x, stride, places, count, leaves);
  } else {
    walk(false, nodes, x, stride, places, count, leaves);
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
