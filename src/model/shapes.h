// The letters in tensor names, used in every folder that knows tensors; a tensor is named meaning_SHAPE. No code. The words: docs/glossary.md.
//
//   T  packed tokens of a batch             B  sequences (segments)        L  layers, MTP layers included where said
//   A  balance rows (of the auxiliary loss)
//   D  hidden_size                          W  vocab_size                  H  attention heads
//   N  qk_nope_head_dim                     R  qk_rope_head_dim            V  v_head_dim
//   C  kv_lora_rank                         Q  q_lora_rank                 X  N + R in expanded attention; pages of the cache
//   Y  N + V in expanded attention; C + R in absorbed attention and in the cache
//   E  routed experts                       K  experts per token           F  expert (or dense FFN) width
//   S  permuted rows (T * K rows sorted by expert); positions of a RoPE table
//   P  the 64 tokens of a cache page; all parameters in a flat buffer
//   G  key segments of a batch              M  pages in a row of a block table
//   M, N, K in src/gemm and kernels/linear.h, as in BLAS: C[M, N] = A[M, K] B[K, N]; a weight is [N, K]
#pragma once
