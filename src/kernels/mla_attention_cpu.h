// The SIMD code, compiled per instruction set, of mla_attention: one document and head at a time. Knows no tensors and no threads.
#pragma once
#include <cstdint>

namespace finback {

// Rows of one document as one head sees them: element (t, i) at data[t * stride + i].
struct MlaRows {
  const float* data;
  int64_t stride;
};
struct MlaTarget {
  float* data;
  int64_t stride;
};
struct MlaHead {
  MlaRows q, kv, k_rope;  // [rows, N + R], [rows, N + V], [rows, R]
  int64_t rows;           // tokens of the document
  int64_t n, r, v;
  float scale;
};

// Query rows [first, last) of the document: o [rows, V], lse [rows, 1].
void mla_head_forward(const MlaHead& x, int64_t first, int64_t last, MlaTarget o, MlaTarget lse);

struct MlaHeadGrad {
  MlaRows d_o, o, lse;         // of the forward pass
  MlaTarget dq, dkv, dk_rope;  // written; dk_rope is this head's share [rows, R]
};
void mla_head_backward(const MlaHead& x, const MlaHeadGrad& grad);

}  // namespace finback
