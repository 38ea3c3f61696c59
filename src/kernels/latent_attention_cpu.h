// The SIMD code, compiled per instruction set, of latent_attention: a few consecutive query rows of one sequence and some of its heads at a time.
// Knows no tensors and no threads.
#pragma once
#include <cstdint>

namespace finback {

// Where the keys of one sequence lie: see LatentKeys. Strides in floats.
struct LatentKeyPlaces {
  const float* pages;
  int64_t page_stride, row_stride, page_rows;
  const int64_t* block_table;
  int64_t first_slot, cached;
  const float* self;
  int64_t self_stride;
  const int64_t* segments;  // pairs: first row, rows
};
struct LatentRows {
  const float* q;  // element (row, head, i) at q[row * q_row + head * q_head + i], C + R floats
  int64_t q_row, q_head;
  int64_t rows, heads;
  LatentKeyPlaces keys;
  int64_t seen;  // keys that the first row sees; each row sees one more than the row before
  int64_t c, y;  // C and C + R
  float scale;
};
// Writes o[row * o_row + head * o_head + i], C floats, and lse[row * lse_row + head].
struct LatentTarget {
  float* o;
  int64_t o_row, o_head;
  float* lse;
  int64_t lse_row;
};
void latent_rows_forward(const LatentRows& x, const LatentTarget& out);

struct LatentRowsGrad {
  const float *d_o, *o;  // both [row][head][C] with o_head floats between heads and o_row between rows
  int64_t o_row, o_head;
  const float* lse;
  int64_t lse_row;
  float* dq;  // written, with strides dq_row and dq_head
  int64_t dq_row, dq_head;
  float* dkeys;  // added to: [seen + rows - 1][dkeys_row], dkeys_row >= C + R rounded up to 16
  int64_t dkeys_row;
};
void latent_rows_backward(const LatentRows& x, const LatentRowsGrad& grad);

}  // namespace finback
