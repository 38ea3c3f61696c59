#include "kernels/narrow_linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "gemm/narrow_gemm.h"
#include "gemm/narrow_rows_cpu.h"
#include "kernels/fp8_block.h"
#include "kernels/linear.h"
#include "kernels/rows.h"
#include "kernels/use_ref.h"

// Note [Tiles along tokens]
// dw = dy^T x sums over tokens, so its tiles of one scale run along them: 128 tokens of one column (V3 section 3.3.2). A tile that took tokens
// of two sequence rows would make a gradient depend on which rows share a micro-batch. So tiles begin anew at every cut, the packed rows
// of seq_len tokens, and of an expert's slots at every such row: then micro-batches that consist of whole rows add the same tiles in the same
// order. x comes from its stored 1x128 tiles and is rounded a second time (as in V3); both scales are powers of two, so a value is
// rounded only where the tile's largest magnitude pushes its last bits out. dy comes from f32.

namespace finback {
namespace {

// Readers for narrow_gemm: what one operand's rows are as numbers.

struct GradientRows {  // f32 rows, rounded along K as they are read; f32: as they are
  Rows rows;
  Precision precision;
  static void read(const void* self, int64_t row, int64_t column, int64_t n, float* out) {
    const auto& r = *static_cast<const GradientRows*>(self);
    const float* from = r.rows.at(row) + column;
    if (r.precision == Precision::kF32) return void(std::copy(from, from + n, out));
    if (r.precision == Precision::kBf16) return narrow_loops().round_bf16(n, from, out);
    for (int64_t j = 0; j < n; j += kFp8Block) {
      const int64_t tile = std::min(kFp8Block, n - j);
      narrow_loops().round_e4m3(tile, from + j, fp8_scale(narrow_loops().amax(tile, from + j), true, kFp8TrainingFloor), out + j);
    }
  }
};

struct StoredRows {  // NarrowRows through the slots' rows
  const void* values;
  int64_t stride;
  Precision precision;
  const float* scales;
  int64_t tiles;
  const int64_t* rows;  // may be null
  static void read(const void* self, int64_t slot, int64_t column, int64_t n, float* out) {
    const auto& r = *static_cast<const StoredRows*>(self);
    const int64_t row = r.rows != nullptr ? r.rows[slot] : slot, at = row * r.stride + column;
    if (r.precision == Precision::kBf16) return narrow_loops().widen_bf16(n, static_cast<const uint16_t*>(r.values) + at, out);
    const float* scale = r.scales + row * r.tiles + column / kFp8Block;
    const uint8_t* codes = static_cast<const uint8_t*>(r.values) + at;
    for (int64_t j = 0; j < n; j += kFp8Block) narrow_loops().decode(std::min(kFp8Block, n - j), codes + j, *scale++, out + j);
  }
};

StoredRows stored_rows(const NarrowRows& x, const Slots& slots) {
  FB_ASSERT(x.precision == Precision::kBf16 || x.precision == Precision::kFp8, "rows of bf16 or fp8");
  FB_ASSERT(x.values_TK.stride(1) == 1 || x.columns() <= 1, "rows with unit column stride");
  const bool fp8 = x.precision == Precision::kFp8;
  return {x.values_TK.const_data_ptr(),
          x.values_TK.stride(0),
          x.precision,
          fp8 ? x.scales.const_data_ptr<float>() : nullptr,
          fp8 ? x.scales.size(1) : 0,
          slots.rows_S.defined() ? slots.rows_S.const_data_ptr<int64_t>() : nullptr};
}

void check_slots(const Slots& slots, int64_t groups, int64_t count) {
  FB_ASSERT(int64_t(slots.offsets.size()) == groups + 1 && slots.offsets.front() == 0 && slots.offsets.back() == count,
            "{} offsets from 0 to {}, got {} up to {}", groups + 1, count, slots.offsets.size(),
            slots.offsets.empty() ? -1 : slots.offsets.back());
}

// C rows of every group = A rows (read through `from`) times the group's panels.
void multiply_groups(RowReader from, const Slots& slots, const PackedWeight& w, bool forward, float* c) {
  const WordTile tile = word_tile(w.precision());
  const int64_t k = forward ? w.k() : w.n(), n = forward ? w.n() : w.k();
  std::vector<RowsJob> jobs;
  for (size_t e = 0; e + 1 < slots.offsets.size(); ++e) {
    const int64_t first = slots.offsets[e], rows = slots.offsets[e + 1] - first;
    if (rows == 0) continue;
    const float* panels = forward ? w.forward_panels(int64_t(e)) : w.backward_panels(int64_t(e));
    jobs.push_back({from, first, rows, n, panels, c + first * n});
  }
  multiply_rows(jobs, pieces_along(k, tile), tile);
}

void check_wgrad(const at::Tensor& dw, const at::Tensor& dy_SN, const NarrowRows& x, const Slots& slots) {
  FB_ASSERT(dw.size(-2) == dy_SN.size(1) && dw.size(-1) == x.columns() && dw.stride(-1) == 1, "dw is [{}, {}]", dy_SN.size(1), x.columns());
  check_slots(slots, dw.dim() == 3 ? dw.size(0) : 1, dy_SN.size(0));
  FB_ASSERT(slots.cuts.size() > 1 && slots.cuts.front() == 0 && slots.cuts.back() == dy_SN.size(0), "cuts go from 0 to the last slot");
  FB_ASSERT(std::is_sorted(slots.cuts.begin(), slots.cuts.end()), "cuts ascend");
  for (const int64_t offset : slots.offsets) {
    FB_ASSERT(std::binary_search(slots.cuts.begin(), slots.cuts.end(), offset), "every group begins at a cut");
  }
}

}  // namespace

Slots one_group(int64_t count, std::vector<int64_t> cuts) {
  if (cuts.empty()) cuts = {0, count};
  return {{0, count}, {}, std::move(cuts), {}};
}

at::Tensor narrow_linear(const NarrowRows& x, const PackedWeight& w, const Slots& slots) {
  const int64_t count = slots.rows_S.defined() ? slots.rows_S.size(0) : x.count();
  FB_ASSERT(x.columns() == w.k() && x.precision == w.precision(), "rows of the weight's {} columns in its precision", w.k());
  check_slots(slots, w.groups(), count);
  if (use_ref(x.values_TK)) return narrow_linear_ref(x, w.weight(), w.precision(), slots);
  at::Tensor y_SN = at::empty({count, w.n()}, w.weight().options());
  const StoredRows rows = stored_rows(x, slots);
  multiply_groups(row_reader(rows), slots, w, /*forward=*/true, y_SN.mutable_data_ptr<float>());
  return y_SN;
}

at::Tensor narrow_linear_dgrad(const at::Tensor& dy_SN, const PackedWeight& w, const Slots& slots) {
  FB_ASSERT(dy_SN.dim() == 2 && dy_SN.size(1) == w.n(), "the rows have the weight's {} outputs", w.n());
  check_slots(slots, w.groups(), dy_SN.size(0));
  if (use_ref(dy_SN)) return narrow_linear_dgrad_ref(dy_SN, w.weight(), w.precision(), slots);
  at::Tensor dx_SK = at::empty({dy_SN.size(0), w.k()}, dy_SN.options());
  const GradientRows rows{rows_of(dy_SN), w.precision()};
  multiply_groups(row_reader(rows), slots, w, /*forward=*/false, dx_SK.mutable_data_ptr<float>());
  return dx_SK;
}

void narrow_linear_wgrad_(const at::Tensor& dw, const at::Tensor& dy_SN, const NarrowRows& x, Precision precision, const Slots& slots) {
  check_wgrad(dw, dy_SN, x, slots);
  if (precision == Precision::kF32) {
    const at::Tensor wide = widen_rows(x), x_SK = slots.rows_S.defined() ? wide.index_select(0, slots.rows_S) : wide;
    if (dw.dim() == 2) return linear_wgrad_(dw, dy_SN, x_SK);
    return grouped_linear_wgrad_(dw, dy_SN, x_SK, slots.offsets);
  }
  if (use_ref(dy_SN)) return void(dw.copy_(narrow_linear_wgrad_ref(dw, dy_SN, x, precision, slots)));
  const WordTile tile = word_tile(precision);
  const bool fp8 = precision == Precision::kFp8;
  const GradientRows dy{rows_of(dy_SN), fp8 ? Precision::kF32 : precision};
  const StoredRows stored = stored_rows(x, slots);
  std::vector<ColumnsJob> jobs;
  for (size_t e = 0; e + 1 < slots.offsets.size(); ++e) {
    const at::Tensor dw_NK = dw.dim() == 3 ? dw[int64_t(e)] : dw;
    const int64_t first = slots.offsets[e], end = slots.offsets[e + 1];
    if (first == end) continue;
    jobs.push_back({row_reader(dy), row_reader(stored), dw_NK.size(0), dw_NK.size(1), pieces_between(slots.cuts, first, end, tile),
                    dw_NK.mutable_data_ptr<float>(), dw_NK.stride(0)});
  }
  multiply_columns(jobs, /*round_columns=*/fp8, tile);
}

}  // namespace finback
