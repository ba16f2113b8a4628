// CKernels: the hot loops of StackLens in C, matrix products, attention, row and element kernels.
// It knows nothing of tensors, graphs, threads or files.
//
// Every function trusts its arguments: callers check shapes, strides and indices first. Nothing
// here allocates, prints or keeps state; all functions may run concurrently on disjoint outputs.
// Within one tier (slk_cpu.h) an output element has the same bits whatever the partitioning of the
// work.
#ifndef STACKLENS_CKERNELS_H
#define STACKLENS_CKERNELS_H

#include "slk_attention.h"
#include "slk_columns.h"
#include "slk_convolution.h"
#include "slk_cpu.h"
#include "slk_depthwise.h"
#include "slk_elementwise.h"
#include "slk_gemm.h"
#include "slk_gemm_i8.h"
#include "slk_gemm_nbits.h"
#include "slk_gradients.h"
#include "slk_move.h"
#include "slk_noise.h"
#include "slk_optimizers.h"
#include "slk_pooling.h"
#include "slk_quantise.h"
#include "slk_recurrent.h"
#include "slk_rows.h"
#include "slk_taps.h"
#include "slk_taps_i8.h"
#include "slk_trees.h"
#include "slk_winograd.h"
#include "slk_words.h"

#endif
