#include "kernels/rope.h"

#include <ATen/ATen.h>

#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/rope_cpu.h"

namespace finback {
namespace {

constexpr int64_t kRopeTokens = 64;

// The angle's row of the table, cosines then sines, spread over the r channels: see RopeRows.
void spread_angle(const float* cos_sin, int64_t r, bool rotate_half, bool inverse, float* cos_r, float* sin_r) {
  const int64_t half = r / 2;
  for (int64_t i = 0; i < half; ++i) {
    const int64_t first = rotate_half ? i : 2 * i, second = rotate_half ? half + i : 2 * i + 1;
    const float sine = inverse ? -cos_sin[half + i] : cos_sin[half + i];
    cos_r[first] = cos_r[second] = cos_sin[i];
    sin_r[first] = -sine, sin_r[second] = sine;
  }
}

}  // namespace

void rope_(const at::Tensor& x_THR, const at::Tensor& positions_T, const at::Tensor& cos_sin_SR, bool rotate_half, bool inverse) {
  if (backend_of(x_THR) == Backend::kRef) {
    x_THR.copy_(rope_ref(x_THR, positions_T, cos_sin_SR, rotate_half, inverse));
    return;
  }
  const int64_t tokens = x_THR.size(0), r = x_THR.size(-1), heads = x_THR.dim() == 3 ? x_THR.size(1) : 1;
  FB_ASSERT(x_THR.scalar_type() == at::kFloat && x_THR.stride(-1) == 1 && r % 2 == 0, "f32 channels in pairs with unit stride");
  FB_ASSERT(positions_T.is_contiguous() && positions_T.size(0) == tokens && cos_sin_SR.is_contiguous() && cos_sin_SR.size(1) == r,
            "an angle a token");
  const int64_t token_stride = x_THR.stride(0), head_stride = x_THR.dim() == 3 ? x_THR.stride(1) : 0;
  const int64_t* positions = positions_T.const_data_ptr<int64_t>();
  const float* table = cos_sin_SR.const_data_ptr<float>();
  float* x = x_THR.mutable_data_ptr<float>();
  parallel_ranges(tokens, kRopeTokens, [&](int64_t begin, int64_t end) {
    std::vector<float> angle(size_t(2 * r));
    const auto rotate = rotate_half ? rope_rows().rotate_half : rope_rows().interleaved;
    for (int64_t t = begin; t < end; ++t) {
      FB_ASSERT(positions[t] >= 0 && positions[t] < cos_sin_SR.size(0), "positions lie within the table");
      spread_angle(table + positions[t] * r, r, rotate_half, inverse, angle.data(), angle.data() + r);
      rotate(heads, r, x + t * token_stride, head_stride, angle.data(), angle.data() + r);
    }
  });
}

}  // namespace finback
