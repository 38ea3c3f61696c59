#include "kernels/quantized_linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "gemm/quantize_cpu.h"
#include "gemm/quantized_gemm.h"
#include "kernels/backend.h"
#include "kernels/fp8_block.h"
#include "kernels/host_values.h"
#include "kernels/linear.h"
#include "kernels/rows.h"

// Note [Tiles along tokens]
// dw = dy^T x sums over tokens, so its tiles of one scale run along them: 128 tokens of one column (V3 section 3.3.2). A tile that took tokens
// of two sequence rows would make a gradient depend on which rows share a micro-batch. So tiles begin anew at every boundary, the packed rows
// of seq_len tokens, and within an expert at every such row: then micro-batches that consist of whole rows add the same tiles in the same
// order. x comes from its stored 1x128 tiles and is rounded a second time (as in V3); both scales are powers of two, so a value is
// rounded only where the tile's largest magnitude pushes its last bits out. dy comes from f32.

namespace finback {
namespace {

// Readers for quantized_gemm: what one operand's rows are as numbers.

struct GradientRows {  // f32 rows, rounded along K as they are read; f32: as they are
  Rows rows;
  Precision precision;
  static void read(const void* self, int64_t row, int64_t column, int64_t n, float* out) {
    const auto& r = *static_cast<const GradientRows*>(self);
    const float* from = r.rows.at(row) + column;
    if (r.precision == Precision::kF32) return void(std::copy(from, from + n, out));
    if (r.precision == Precision::kBf16) return quantize_loops().round_bf16(n, from, out);
    for (int64_t j = 0; j < n; j += kFp8Block) {
      const int64_t tile = std::min(kFp8Block, n - j);
      quantize_loops().round_e4m3(tile, from + j, fp8_scale(quantize_loops().amax(tile, from + j), true, kFp8TrainingFloor), out + j);
    }
  }
};

struct StoredRows {  // QuantizedRows, read in the order of source_rows_S
  const void* values;
  int64_t stride;
  Precision precision;
  const float* scales;
  int64_t tiles;
  const int64_t* rows;  // may be null
  static void read(const void* self, int64_t target, int64_t column, int64_t n, float* out) {
    const auto& r = *static_cast<const StoredRows*>(self);
    const int64_t row = r.rows != nullptr ? r.rows[target] : target, at = row * r.stride + column;
    if (r.precision == Precision::kBf16) return quantize_loops().widen_bf16(n, static_cast<const uint16_t*>(r.values) + at, out);
    const float* scale = r.scales + row * r.tiles + column / kFp8Block;
    const uint8_t* codes = static_cast<const uint8_t*>(r.values) + at;
    for (int64_t j = 0; j < n; j += kFp8Block) quantize_loops().decode(std::min(kFp8Block, n - j), codes + j, *scale++, out + j);
  }
};

StoredRows stored_rows(const QuantizedRows& x, const RowGroups& groups) {
  FB_ASSERT(x.precision == Precision::kBf16 || x.precision == Precision::kFp8, "rows of bf16 or fp8");
  FB_ASSERT(x.values_TK.stride(1) == 1 || x.columns() <= 1, "rows with unit column stride");
  const bool fp8 = x.precision == Precision::kFp8;
  return {x.values_TK.const_data_ptr(),
          x.values_TK.stride(0),
          x.precision,
          fp8 ? x.scales.const_data_ptr<float>() : nullptr,
          fp8 ? x.scales.size(1) : 0,
          groups.source_rows_S.defined() ? groups.source_rows_S.const_data_ptr<int64_t>() : nullptr};
}

// The offsets where they lie.
std::span<const int64_t> checked_offsets(const RowGroups& groups, int64_t expected, int64_t count) {
  const std::span<const int64_t> offsets = values_in_place(groups.offsets);
  FB_ASSERT(int64_t(offsets.size()) == expected + 1 && offsets.front() == 0 && offsets.back() == count,
            "{} offsets from 0 to {}, got {} up to {}", expected + 1, count, offsets.size(), offsets.empty() ? -1 : offsets.back());
  return offsets;
}

// C rows of every group = A rows (read through `from`) times the group's
// panels.
void multiply_groups(RowReader from, std::span<const int64_t> offsets, const PackedWeight& w, bool forward, float* c) {
  const QuantizedTile tile = quantized_tile(w.precision());
  const int64_t k = forward ? w.k() : w.n(), n = forward ? w.n() : w.k();
  std::vector<RowsJob> jobs;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t first = offsets[e], rows = offsets[e + 1] - first;
    if (rows == 0) continue;
    const Word* panels = forward ? w.forward_words(int64_t(e)) : w.backward_words(int64_t(e));
    jobs.push_back({from, first, rows, n, panels, c + first * n});
  }
  multiply_rows(jobs, k_ranges_along(k, tile), tile);
}

// The tile boundaries where they lie.
std::span<const int64_t> checked_boundaries(const RowGroups& groups, std::span<const int64_t> offsets, int64_t count) {
  const std::span<const int64_t> boundaries = values_in_place(groups.tile_boundaries);
  FB_ASSERT(boundaries.size() > 1 && boundaries.front() == 0 && boundaries.back() == count, "tile boundaries go from 0 to the last row");
  FB_ASSERT(std::is_sorted(boundaries.begin(), boundaries.end()), "tile boundaries do not descend");
  for (const int64_t offset : offsets) {
    FB_ASSERT(std::binary_search(boundaries.begin(), boundaries.end(), offset), "every group begins at a tile boundary");
  }
  return boundaries;
}

}  // namespace

RowGroups one_group(int64_t count, const at::Tensor& tile_boundaries, at::Device device) {
  const at::Tensor ends = at::tensor({int64_t(0), count}, at::kLong).to(device);
  return {ends, {}, tile_boundaries.defined() ? tile_boundaries : ends, {}};
}

at::Tensor quantized_linear(const QuantizedRows& x, const PackedWeight& w, const RowGroups& groups) {
  const int64_t count = groups.source_rows_S.defined() ? groups.source_rows_S.size(0) : x.count();
  FB_ASSERT(x.columns() == w.k() && x.precision == w.precision(), "rows of the weight's {} columns in its precision", w.k());
  if (backend_of(x.values_TK) == Backend::kRef) return quantized_linear_ref(x, w.weight(), w.precision(), groups);
  at::Tensor y_SN = at::empty({count, w.n()}, w.weight().options());
  const StoredRows rows = stored_rows(x, groups);
  multiply_groups(row_reader(rows), checked_offsets(groups, w.groups(), count), w, /*forward=*/true, y_SN.mutable_data_ptr<float>());
  return y_SN;
}

at::Tensor quantized_linear_dgrad(const at::Tensor& dy_SN, const PackedWeight& w, const RowGroups& groups) {
  FB_ASSERT(dy_SN.dim() == 2 && dy_SN.size(1) == w.n(), "the rows have the weight's {} outputs", w.n());
  if (backend_of(dy_SN) == Backend::kRef) return quantized_linear_dgrad_ref(dy_SN, w.weight(), w.precision(), groups);
  at::Tensor dx_SK = at::empty({dy_SN.size(0), w.k()}, dy_SN.options());
  const GradientRows rows{rows_of(dy_SN), w.precision()};
  multiply_groups(row_reader(rows), checked_offsets(groups, w.groups(), dy_SN.size(0)), w,
                  /*forward=*/false, dx_SK.mutable_data_ptr<float>());
  return dx_SK;
}

void quantized_linear_wgrad_(const at::Tensor& dw, const at::Tensor& dy_SN, const QuantizedRows& x, Precision precision,
                             const RowGroups& groups) {
  FB_ASSERT(dw.size(-2) == dy_SN.size(1) && dw.size(-1) == x.columns() && dw.stride(-1) == 1, "dw is [{}, {}]", dy_SN.size(1), x.columns());
  if (precision == Precision::kF32) {
    const at::Tensor wide = dequantize_rows(x), x_SK = groups.source_rows_S.defined() ? wide.index_select(0, groups.source_rows_S) : wide;
    if (dw.dim() == 2) return linear_wgrad_(dw, dy_SN, x_SK);
    return grouped_linear_wgrad_(dw, dy_SN, x_SK, groups.offsets);
  }
  if (backend_of(dy_SN) == Backend::kRef) return void(dw.copy_(quantized_linear_wgrad_ref(dw, dy_SN, x, precision, groups)));
  const std::span<const int64_t> offsets = checked_offsets(groups, dw.dim() == 3 ? dw.size(0) : 1, dy_SN.size(0)),
                                 boundaries = checked_boundaries(groups, offsets, dy_SN.size(0));
  const QuantizedTile tile = quantized_tile(precision);
  const bool fp8 = precision == Precision::kFp8;
  const GradientRows dy{rows_of(dy_SN), fp8 ? Precision::kF32 : precision};
  const StoredRows stored = stored_rows(x, groups);
  std::vector<ColumnsJob> jobs;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const at::Tensor dw_NK = dw.dim() == 3 ? dw[int64_t(e)] : dw;
    const int64_t first = offsets[e], end = offsets[e + 1];
    if (first == end) continue;
    jobs.push_back({row_reader(dy), row_reader(stored), dw_NK.size(0), dw_NK.size(1), k_ranges_between(boundaries, first, end, tile),
                    dw_NK.mutable_data_ptr<float>(), dw_NK.stride(0)});
  }
  multiply_columns(jobs, /*round_columns=*/fp8, tile);
}

}  // namespace finback
