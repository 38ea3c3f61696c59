#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/embedding_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "kernels/embedding_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

HWY_ATTR void add_rows(int64_t tokens, int64_t columns, const int64_t* HWY_RESTRICT ids, const float* HWY_RESTRICT dy, int64_t dy_stride,
                       float* HWY_RESTRICT dweight, int64_t dweight_stride) {
  for (int64_t t = 0; t < tokens; ++t) {
    const float* HWY_RESTRICT from = dy + t * dy_stride;
    float* HWY_RESTRICT into = dweight + ids[t] * dweight_stride;
    for (int64_t j = 0; j < columns; j += lanes()) {
      store_some(hn::Add(load_some(into + j, columns - j), load_some(from + j, columns - j)), into + j, columns - j);
    }
  }
}

HWY_ATTR const EmbeddingColumns* get_embedding_columns() {
  static const EmbeddingColumns table = {add_rows};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_embedding_columns);
const EmbeddingColumns& embedding_columns() { return *HWY_DYNAMIC_DISPATCH(get_embedding_columns)(); }
}  // namespace finback
#endif
