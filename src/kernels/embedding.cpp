#include "kernels/embedding.h"

#include <ATen/ATen.h>

#include <cstring>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/embedding_cpu.h"
#include "kernels/rows.h"

namespace finback {
namespace {

constexpr int64_t kEmbeddingTokens = 256;
constexpr int64_t kColumnsAChunk = 64;

void check_ids(const at::Tensor& tokens_T, int64_t vocabulary) {
  const at::Tensor ids_T = tokens_T.to(at::kCPU).contiguous();
  const int64_t* ids = ids_T.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < ids_T.size(0); ++t) {
    FB_CHECK(ids[t] >= 0 && ids[t] < vocabulary, "token {}: expected an id from 0 to {}, got {}. Hint: is this the model's tokenizer?", t,
             vocabulary - 1, ids[t]);
  }
}

}  // namespace

at::Tensor embedding(const at::Tensor& tokens_T, const at::Tensor& weight_WD) {
  check_ids(tokens_T, weight_WD.size(0));
  if (backend_of(weight_WD) == Backend::kRef) return embedding_ref(tokens_T, weight_WD);
  const Rows weight = rows_of(weight_WD);
  const at::Tensor ids_T = tokens_T.contiguous();
  at::Tensor y_TD = at::empty({ids_T.size(0), weight.columns}, weight_WD.options());
  const int64_t* ids = ids_T.const_data_ptr<int64_t>();
  float* y = y_TD.mutable_data_ptr<float>();
  parallel_ranges(ids_T.size(0), kEmbeddingTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) std::memcpy(y + t * weight.columns, weight.at(ids[t]), size_t(weight.columns) * sizeof(float));
  });
  return y_TD;
}

void embedding_backward_(const at::Tensor& dweight_WD, const at::Tensor& tokens_T, const at::Tensor& dy_TD) {
  if (backend_of(dweight_WD) == Backend::kRef) {
    dweight_WD.index_add_(0, tokens_T, dy_TD);
    return;
  }
  const Rows dweight = rows_of(dweight_WD), dy = rows_of(dy_TD);
  const at::Tensor ids_T = tokens_T.contiguous();
  FB_ASSERT(ids_T.size(0) == dy.count && dy.columns == dweight.columns, "a row of dy a token");
  const int64_t* ids = ids_T.const_data_ptr<int64_t>();
  float* into = dweight_WD.mutable_data_ptr<float>();
  // Every chunk walks all tokens over columns of its own: no two meet at an element, and its sum has the tokens' order.
  parallel_ranges(dy.columns, kColumnsAChunk, [&](int64_t begin, int64_t end) {
    embedding_columns().add_rows(dy.count, end - begin, ids, dy.data + begin, dy.stride, into + begin, dweight.stride);
  });
}

}  // namespace finback
