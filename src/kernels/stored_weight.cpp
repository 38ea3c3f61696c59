#include "kernels/stored_weight.h"

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

StoredCodes encode_matrix(const at::Tensor& w_NK, Precision precision) {
  check_range(w_NK, precision);
  if (precision == Precision::kBf16) return {precision, w_NK.to(at::kBFloat16), {}};
  if (precision == Precision::kFp8) {
    Fp8Blocks blocks = fp8_quantize_weight(w_NK);
    return {precision, blocks.values, blocks.scales};
  }
  Int8Rows rows = int8_quantize_rows(w_NK);
  return {precision, rows.codes, rows.scales};
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

// A panel's scale of each of its blocks.
void to_panel_scales(const StoredCodes& codes, const at::Tensor& panels, int64_t width) {
  FB_ASSERT(codes.scale_rows % width == 0, "a panel lies within one row of blocks");
  for (int64_t panel = 0; panel < panels.size(0); ++panel) panels[panel].copy_(codes.scales[panel * width / codes.scale_rows]);
}

// [panels][k][width] (or [panels][k], one a panel) as the rows that were packed: [rows, k].
at::Tensor from_panels(const at::Tensor& panels_EPKW, int64_t rows) { return panels_EPKW.transpose(2, 3).flatten(1, 2).slice(1, 0, rows); }

// [.., blocks] -> [.., k]: what a block of `size` numbers along K shares.
at::Tensor spread(const at::Tensor& blocks, int64_t size, int64_t k) { return blocks.repeat_interleave(size, -1).slice(-1, 0, k); }

}  // namespace

StoredCodes encode_weight(const at::Tensor& weight, Precision precision, bool transposed) {
  FB_ASSERT(precision != Precision::kF32 && weight.is_cpu() && weight.scalar_type() == at::kFloat,
            "an f32 weight to be stored in 16 or 8 bits");
  const auto rows_of = [&](const at::Tensor& w_NK) { return (transposed ? w_NK.t() : w_NK).contiguous(); };
  if (weight.dim() == 2) return encode_matrix(rows_of(weight), precision);
  StoredCodes stacked{precision, {}, {}};
  for (int64_t e = 0; e < weight.size(0); ++e) {
    const StoredCodes codes = encode_matrix(rows_of(weight[e]), precision);
    const auto put = [&](const at::Tensor& one, at::Tensor& all) {
      if (!one.defined()) return;
      if (!all.defined()) all = at::empty({weight.size(0), one.size(0), one.size(1)}, one.options());
      all[e].copy_(one);
    };
    put(codes.values, stacked.values), put(codes.scales, stacked.scales);
  }
  return stacked;
}

StoredWeight::StoredWeight(const StoredCodes& codes, bool transposed)
    : StoredWeight({codes.values.dim() == 3 ? codes.values.size(0) : 0, codes.values.size(transposed ? -1 : -2),
                    codes.values.size(transposed ? -2 : -1), codes.precision, transposed},
                   [&](int64_t group, int64_t first_row, int64_t rows) {
                     const auto part = [&](const at::Tensor& all, int64_t rows_a_scale) {
                       if (!all.defined()) return all;
                       const int64_t begin = first_row / rows_a_scale, end = ceil_div(first_row + rows, rows_a_scale);
                       return (all.dim() == 3 ? all[group] : all).slice(0, begin, end);
                     };
                     const int64_t rows_a_scale = codes.precision == Precision::kFp8 ? codes.scale_rows : 1;
                     return StoredCodes{codes.precision, part(codes.values, 1), part(codes.scales, rows_a_scale), codes.scale_rows};
                   }) {}

PanelSizes panel_sizes(const StoredShape& shape) {
  FB_ASSERT(shape.precision == Precision::kInt8, "panels that every variant reads");
  const int64_t rows = shape.transposed ? shape.k : shape.n, k = shape.transposed ? shape.n : shape.k;
  const int64_t groups = std::max<int64_t>(1, shape.groups), panels = ceil_div(rows, kInt8Width);
  return {{groups, panels, ceil_div(k, kInt8Step), kInt8Width, kInt8Step}, {groups, panels, ceil_div(k, kInt8Block), kInt8Width}};
}

StoredWeight::StoredWeight(const StoredShape& shape)
    : precision_(shape.precision),
      transposed_(shape.transposed),
      stacked_(shape.groups > 0),
      rows_(shape.transposed ? shape.k : shape.n),
      k_(shape.transposed ? shape.n : shape.k) {}

StoredWeight::StoredWeight(const StoredShape& shape, const at::Tensor& values, const at::Tensor& scales) : StoredWeight(shape) {
  const PanelSizes sizes = panel_sizes(shape);
  FB_ASSERT(values.scalar_type() == at::kByte && values.sizes() == sizes.values && values.is_contiguous(), "int8 panels");
  FB_ASSERT(scales.scalar_type() == at::kBFloat16 && scales.sizes() == sizes.scales && scales.is_contiguous(), "their scales");
  values_ = values, scales_ = scales;
}

StoredWeight::StoredWeight(const StoredShape& shape, const CodesOf& codes_of) : StoredWeight(shape) {
  const int64_t groups = std::max<int64_t>(1, shape.groups), width = panel_width(precision_), panels = ceil_div(rows_, width);
  FB_ASSERT(kFp8Block % width == 0, "128 rows are whole panels");
  const bool bf16 = precision_ == Precision::kBf16, int8 = precision_ == Precision::kInt8;
  values_ =
      int8 ? at::zeros(panel_sizes(shape).values, at::kByte) : at::zeros({groups, panels, k_, width}, bf16 ? at::kBFloat16 : at::kChar);
  if (int8) scales_ = at::zeros(panel_sizes(shape).scales, at::kBFloat16);
  if (precision_ == Precision::kFp8) scales_ = at::zeros({groups, panels, ceil_div(k_, kFp8Block)}, at::kFloat);
  const int64_t some_rows = std::max<int64_t>(1, kCodesAtOnce / std::max<int64_t>(1, k_) / kFp8Block) * kFp8Block;
  const int64_t rows_at_once = transposed_ ? rows_ : some_rows;  // columns of W lie apart
  for (int64_t e = 0; e < groups; ++e) {
    for (int64_t row = 0; row < rows_; row += rows_at_once) put(e, row, codes_of(e, row, std::min(rows_at_once, rows_ - row)));
  }
}

void StoredWeight::put(int64_t e, int64_t first_row, const StoredCodes& codes) {
  const bool bf16 = precision_ == Precision::kBf16, int8 = precision_ == Precision::kInt8;
  FB_ASSERT(codes.values.scalar_type() == (bf16 ? at::kBFloat16 : int8 ? at::kChar : at::kFloat8_e4m3fn), "codes of the storage's type");
  FB_ASSERT(codes.values.size(1) == k_, "rows of the multiplication");
  const at::Tensor codes_MK = codes.values.contiguous();
  const int64_t width = panel_width(precision_), panel = first_row / width, panels = ceil_div(codes_MK.size(0), width);
  const at::Tensor values = values_[e].narrow(0, panel, panels), scales = scales_.defined() ? scales_[e].narrow(0, panel, panels) : scales_;
  if (bf16) to_panels<uint16_t>(codes_MK, values);
  if (precision_ == Precision::kFp8) {
    to_panels<uint8_t>(codes_MK, values);
    to_panel_scales(codes, scales, width);
  }
  if (int8) {
    to_int8_panels(codes_MK, values);
    to_panels<uint16_t>(codes.scales.contiguous(), scales);
  }
}

Panels StoredWeight::panels(int64_t group) const {
  FB_ASSERT(values_.size(3) == panel_width(precision_), "a stored weight is read under the kernel variant that it was made for");
  const auto start = [&](const at::Tensor& t) {
    return t.defined() ? static_cast<const uint8_t*>(t.const_data_ptr()) + group * t.stride(0) * t.element_size() : nullptr;
  };
  return {start(values_), precision_, start(scales_)};
}

at::Tensor StoredWeight::numbers() const {
  at::Tensor numbers_EMK;
  if (precision_ == Precision::kBf16) {
    numbers_EMK = from_panels(values_, rows_).to(at::kFloat);
  } else if (precision_ == Precision::kFp8) {
    const at::Tensor scales_EMK = spread(scales_.repeat_interleave(values_.size(3), 1).slice(1, 0, rows_), kFp8Block, k_);
    numbers_EMK = from_panels(values_, rows_).contiguous().view(at::kFloat8_e4m3fn).to(at::kFloat) * scales_EMK;
  } else {
    const at::Tensor codes_EMK = values_.transpose(2, 3).flatten(3, 4).flatten(1, 2).slice(1, 0, rows_).slice(2, 0, k_);
    numbers_EMK = (codes_EMK.to(at::kFloat) - 128) * spread(from_panels(scales_, rows_).to(at::kFloat), kInt8Block, k_);
  }
  if (transposed_) numbers_EMK = numbers_EMK.transpose(1, 2);
  return stacked_ ? numbers_EMK : numbers_EMK[0];
}

int64_t StoredWeight::bytes() const { return int64_t(values_.nbytes()) + (scales_.defined() ? int64_t(scales_.nbytes()) : 0); }

StoredWeight store_weight(const at::Tensor& weight, Precision precision, bool transposed) {
  const bool stacked = weight.dim() == 3;
  return StoredWeight({stacked ? weight.size(0) : 0, weight.size(-2), weight.size(-1), precision, transposed},
                      [&](int64_t e, int64_t first_row, int64_t rows) {
                        const at::Tensor w_NK = stacked ? weight[e] : weight;
                        return encode_weight(w_NK.narrow(transposed ? 1 : 0, first_row, rows), precision, transposed);
                      });
}

bool are_storable(const StoredCodes& codes) {
  const bool bf16 = codes.precision == Precision::kBf16;
  const at::Tensor numbers = bf16 ? codes.values : codes.scales;
  // A block's largest number is at most 448 scales; E4M3 has NaN, and no infinity.
  const float limit = bf16 ? largest(codes.precision) : largest(codes.precision) / 448;
  const bool codes_are_numbers = bf16 || !codes.values.view(at::kByte).bitwise_and(0x7f).eq(0x7f).any().item<bool>();
  return codes_are_numbers && numbers.abs().le(limit).all().item<bool>();  // false for NaN
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
