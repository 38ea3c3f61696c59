#include "kernels/stored_panels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/ceil_div.h"
#include "kernels/fp8_block.h"

namespace finback {
namespace {

// A number beyond this could not be told from infinity by its storage.
float largest(Precision precision) {
  if (precision == Precision::kBf16) return 3.38e38f;  // bf16's largest is 3.3895e38
  if (precision == Precision::kFp8) return 1e4f;       // its scale times 2^120 is a f32 number
  return 1e36f;
}

void check_range(const at::Tensor& w_NK, Precision precision) {
  const float* w = w_NK.const_data_ptr<float>();
  const float limit = largest(precision);
  parallel_ranges(w_NK.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
    bool fits = true;
    for (int64_t i = begin; i < end; ++i) fits &= std::fabs(w[i]) <= limit;  // false for NaN
    FB_CHECK(fits, "expected finite weights up to {} to store them in 8 or 16 bits, got another", limit);
  });
}

// The codes of a matrix, row by row, and its scales.
struct Codes {
  at::Tensor values_NK, scales;
};
Codes encode(const at::Tensor& w_NK, Precision precision) {
  if (precision == Precision::kBf16) return {w_NK.to(at::kBFloat16), {}};
  if (precision == Precision::kFp8) {
    Fp8Blocks blocks = fp8_quantize_weight(w_NK);
    return {blocks.values, blocks.scales};
  }
  Int8Rows rows = int8_quantize_rows(w_NK);
  return {rows.codes, rows.scales};
}

// panels[p][i][c] = rows[p * width + c][i], zeros beyond the last row.
template <class T>
void to_panels(const at::Tensor& rows_NI, const at::Tensor& panels) {
  const int64_t rows = rows_NI.size(0), columns = rows_NI.size(1), width = panels.size(2);
  const T* from = static_cast<const T*>(rows_NI.const_data_ptr());
  T* to = static_cast<T*>(panels.mutable_data_ptr());
  parallel_for(panels.size(0), [&](int64_t panel) {
    for (int64_t c = 0; c < width; ++c) {
      const int64_t row = panel * width + c;
      for (int64_t i = 0; i < columns; ++i) to[(panel * columns + i) * width + c] = row < rows ? from[row * columns + i] : T(0);
    }
  });
}

// panels[p][i / 4][c][i % 4] = rows[p * width + c][i] + 128, code 0 beyond the last row and column.
void to_int8_panels(const at::Tensor& rows_NI, const at::Tensor& panels) {
  const int64_t rows = rows_NI.size(0), columns = rows_NI.size(1), steps = panels.size(1), width = panels.size(2);
  const int8_t* from = rows_NI.const_data_ptr<int8_t>();
  auto* to = static_cast<uint8_t*>(panels.mutable_data_ptr());
  parallel_for(panels.size(0), [&](int64_t panel) {
    for (int64_t c = 0; c < width; ++c) {
      const int64_t row = panel * width + c;
      for (int64_t i = 0; i < steps * kInt8Step; ++i) {
        const int code = row < rows && i < columns ? from[row * columns + i] : 0;
        to[((panel * steps + i / kInt8Step) * width + c) * kInt8Step + i % kInt8Step] = uint8_t(code + 128);
      }
    }
  });
}

// A panel's scale of each of its 128x128 blocks: a panel lies within one row of blocks.
void to_panel_scales(const at::Tensor& scales, const at::Tensor& panels, int64_t width) {
  for (int64_t panel = 0; panel < panels.size(0); ++panel) panels[panel].copy_(scales[panel * width / kFp8Block]);
}

void store_group(const at::Tensor& w_NK, const StoredPanels& stored, int64_t group) {
  check_range(w_NK, stored.precision);
  const Codes codes = encode(w_NK, stored.precision);
  const at::Tensor values = stored.values[group];
  if (stored.precision == Precision::kBf16) to_panels<uint16_t>(codes.values_NK, values);
  if (stored.precision == Precision::kFp8) to_panels<uint8_t>(codes.values_NK, values);
  if (stored.precision == Precision::kInt8) {
    to_int8_panels(codes.values_NK, values);
    to_panels<uint16_t>(codes.scales, stored.scales[group]);
  }
  if (stored.precision == Precision::kFp8) to_panel_scales(codes.scales, stored.scales[group], values.size(2));
}

}  // namespace

Panels StoredPanels::of(int64_t group) const {
  const auto start = [&](const at::Tensor& t) {
    return t.defined() ? static_cast<const uint8_t*>(t.const_data_ptr()) + group * t.stride(0) * t.element_size() : nullptr;
  };
  return {start(values), precision, start(scales)};
}

int64_t StoredPanels::bytes() const { return int64_t(values.nbytes()) + (scales.defined() ? int64_t(scales.nbytes()) : 0); }

StoredPanels store_panels(const at::Tensor& weight, Precision precision, bool backward) {
  FB_ASSERT(precision != Precision::kF32 && weight.is_cpu() && weight.scalar_type() == at::kFloat,
            "an f32 weight to be stored in 16 or 8 bits");
  const at::Tensor w_ENK = weight.dim() == 3 ? weight : weight.unsqueeze(0);
  const int64_t groups = w_ENK.size(0), width = panel_width(), k = w_ENK.size(backward ? 1 : 2), n = w_ENK.size(backward ? 2 : 1);
  const int64_t panels = ceil_div(n, width);
  FB_ASSERT(kFp8Block % width == 0, "a panel lies within one row of 128x128 blocks");
  StoredPanels stored{precision, k, {}, {}};
  stored.values = precision == Precision::kInt8
                      ? at::zeros({groups, panels, ceil_div(k, kInt8Step), width, kInt8Step}, at::kByte)
                      : at::zeros({groups, panels, k, width}, precision == Precision::kBf16 ? at::kBFloat16 : at::kChar);
  if (precision == Precision::kInt8) stored.scales = at::zeros({groups, panels, ceil_div(k, kInt8Block), width}, at::kBFloat16);
  if (precision == Precision::kFp8) stored.scales = at::zeros({groups, panels, ceil_div(k, kFp8Block)}, at::kFloat);
  for (int64_t e = 0; e < groups; ++e) store_group((backward ? w_ENK[e].t() : w_ENK[e]).contiguous(), stored, e);
  return stored;
}

Int8Rows int8_quantize_rows(const at::Tensor& w_NK) {
  const int64_t rows = w_NK.size(0), k = w_NK.size(1), blocks = ceil_div(k, kInt8Block);
  const at::Tensor contiguous = w_NK.contiguous(), scales_f32 = at::empty({rows, blocks}, at::kFloat);
  const float* w = contiguous.const_data_ptr<float>();
  float* scale = scales_f32.mutable_data_ptr<float>();
  parallel_ranges(rows * blocks, 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* block = w + i / blocks * k + i % blocks * kInt8Block;
      float amax = 0;
      for (int64_t j = 0; j < std::min(kInt8Block, k - i % blocks * kInt8Block); ++j) amax = std::max(amax, std::fabs(block[j]));
      scale[i] = amax / 127.0f;
    }
  });
  Int8Rows out{at::empty({rows, k}, at::kChar), scales_f32.to(at::kBFloat16)};
  const at::Tensor rounded = out.scales.to(at::kFloat);
  const float* s = rounded.const_data_ptr<float>();
  int8_t* codes = out.codes.mutable_data_ptr<int8_t>();
  parallel_ranges(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * k; i < end * k; ++i) {
      const float by = s[i / k * blocks + i % k / kInt8Block];
      codes[i] = int8_t(by == 0 ? 0.0f : std::clamp(std::nearbyint(w[i] / by), -127.0f, 127.0f));
    }
  });
  return out;
}

}  // namespace finback
