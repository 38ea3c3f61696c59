// The SIMD code, compiled per instruction set, of embedding_backward_: a range of columns. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct EmbeddingColumns {
  // dweight[tokens[t]][0, columns) += dy[t][0, columns), t in order.
  void (*add_rows)(int64_t tokens, int64_t columns, const int64_t* ids, const float* dy, int64_t dy_stride, float* dweight,
                   int64_t dweight_stride);
};
const EmbeddingColumns& embedding_columns();

}  // namespace finback
