/// Walks through decision trees.
#ifndef SLK_TREES_H
#define SLK_TREES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A branch, or a leaf where `next` is negative.
typedef struct {
  float threshold;
  int32_t feature;
  /// The node for x <= threshold; the one for anything else follows it. A leaf: ~its number.
  int32_t next;
  /// 1 where NaN goes to `next` itself.
  int32_t missing;
} slk_tree_node;

enum { SLK_TREE_BLOCK = 256 };

/// Takes `count` walks down to their leaves: walk i starts at nodes[places[i]] and reads features at
/// x + i * stride. A leaf's feature must be one that can be read.
/// @param tracks_missing  Whether any node's `missing` is 1.
/// @param leaves          Receives the number of each walk's leaf.
void slk_tree_walk(const slk_tree_node *nodes, bool tracks_missing, const float *x, size_t stride,
                   const int32_t *places, size_t count, int32_t *leaves);

enum { SLK_TREE_TOP = 31 };

/// The first branches of a tree, each with the exits to its left as bits.
typedef struct {
  int32_t count;
  int32_t feature[SLK_TREE_TOP];
  float threshold[SLK_TREE_TOP];
  uint32_t left[SLK_TREE_TOP];
  /// The node behind each exit, exits counted from the left.
  int32_t exits[SLK_TREE_TOP + 1];
} slk_tree_top;

/// Where rows leave the top of a tree without missing values. All branches are asked side by side: a
/// row that goes right at one cannot leave at the exits to its left, and the first that remains is
/// its exit.
/// @param columns  Features one after another, SLK_TREE_BLOCK rows each.
/// @param count    Rows, SLK_TREE_BLOCK at most; more may be written up to there.
void slk_tree_exits(const slk_tree_top *top, const float *columns, size_t count, int32_t *places);

/// y[i * stride + c] += values[leaves[i] * width + c], for i in order.
void slk_tree_add(const int32_t *leaves, size_t count, const float *values, size_t width, float *y,
                  size_t stride);

#endif
