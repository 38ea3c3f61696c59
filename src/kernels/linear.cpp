#include "kernels/linear.h"

#include <ATen/ATen.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "gemm/gemm.h"
#include "kernels/backend.h"
#include "kernels/host_values.h"
#include "kernels/rows.h"

namespace finback {
namespace {

// A row operand (rows may be strided, a column slice) and its transpose.
Operand as_rows(const at::Tensor& x) {
  const Rows rows = rows_of(x);
  return {rows.data, rows.stride, 1};
}
Operand transposed(const at::Tensor& x) {
  const Rows rows = rows_of(x);
  return {rows.data, 1, rows.stride};
}

void check_columns(const at::Tensor& x, int64_t columns) {
  FB_ASSERT(x.dim() == 2 && x.size(1) == columns, "the rows have the weight's {} columns, got {}", columns, x.size(-1));
}

// dw [N, K] of dy [T, N] and x [T, K].
void check_wgrad(const at::Tensor& dw_NK, const at::Tensor& dy_TN, const at::Tensor& x_TK) {
  FB_ASSERT(dy_TN.size(0) == x_TK.size(0), "a row of dy for each row of x: {} and {}", dy_TN.size(0), x_TK.size(0));
  FB_ASSERT(dw_NK.size(-2) == dy_TN.size(1) && dw_NK.size(-1) == x_TK.size(1) && dw_NK.stride(-1) == 1, "dw is [{}, {}], got [{}, {}]",
            dy_TN.size(1), x_TK.size(1), dw_NK.size(-2), dw_NK.size(-1));
}

// Where they lie.
std::span<const int64_t> checked_offsets(const at::Tensor& offsets_E1, int64_t groups, int64_t rows) {
  const std::span<const int64_t> offsets = values_in_place(offsets_E1);
  FB_ASSERT(int64_t(offsets.size()) == groups + 1 && offsets.front() == 0 && offsets.back() == rows,
            "{} offsets from 0 to {}, got {} up to {}", groups + 1, rows, offsets.size(), offsets.empty() ? 0 : offsets.back());
  return offsets;
}

void check_heads(const at::Tensor& x, int64_t heads, int64_t columns) {
  FB_ASSERT(x.dim() == 3 && x.size(1) == heads && x.size(2) == columns, "x is [T, {}, {}], got [T, {}, {}]", heads, columns, x.size(1),
            x.size(-1));
}

// One job a group: `job(e, first row, rows)`; groups without rows have none.
template <class MakeJob>
void add_groups(std::span<const int64_t> offsets, const MakeJob& job, std::vector<GemmJob>& jobs) {
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    if (offsets[e] < offsets[e + 1]) jobs.push_back(job(int64_t(e), offsets[e], offsets[e + 1] - offsets[e]));
  }
}
template <class MakeJob>
void run_groups(std::span<const int64_t> offsets, bool accumulate, const MakeJob& job) {
  std::vector<GemmJob> jobs;
  add_groups(offsets, job, jobs);
  gemm_all(jobs, accumulate);
}

// y [T, H, n] of x [T, H, k], one matrix of panels a head.
template <class PanelsOf>
at::Tensor multiply_heads(const at::Tensor& x_THK, int64_t n, const PanelsOf& panels_of) {
  const int64_t tokens = x_THK.size(0), heads = x_THK.size(1), k = x_THK.size(2);
  at::Tensor y_THN = at::empty({tokens, heads, n}, x_THK.options());
  FB_ASSERT(x_THK.scalar_type() == at::kFloat && (k == 1 || x_THK.stride(2) == 1), "f32 channels with unit stride");
  const float* x = x_THK.const_data_ptr<float>();
  float* y = y_THN.mutable_data_ptr<float>();
  std::vector<GemmJob> jobs;  // no views of heads: a view costs as much as a decode step's product
  for (int64_t h = 0; h < heads; ++h) {
    jobs.push_back({tokens, n, k, {x + h * x_THK.stride(1), x_THK.stride(0), 1}, {}, panels_of(h), y + h * n, heads * n});
  }
  gemm_all(jobs, false);
  return y_THN;
}

}  // namespace

std::vector<at::Tensor> linear_all(std::span<const LinearCall> calls) {
  std::vector<at::Tensor> outputs;
  std::vector<GemmJob> jobs;
  for (const LinearCall& call : calls) {
    const at::Tensor& x_SK = *call.x;
    const WeightOperand& w = call.w;
    check_columns(x_SK, w.k());
    if (backend_of(x_SK) == Backend::kRef) {
      const at::Tensor input_SK = w.input_numbers(x_SK), values = w.forward_numbers();
      outputs.push_back(call.offsets_E1 == nullptr ? linear_ref(input_SK, values) : grouped_linear_ref(input_SK, values, *call.offsets_E1));
      continue;
    }
    const Rows x = rows_of(x_SK);
    const std::array<int64_t, 2> all = {0, x.count};
    const std::span<const int64_t> offsets = call.offsets_E1 != nullptr ? checked_offsets(*call.offsets_E1, w.groups(), x.count) : all;
    outputs.push_back(at::empty({x_SK.size(0), w.n()}, x_SK.options()));
    float* y = outputs.back().mutable_data_ptr<float>();
    add_groups(
        offsets,
        [&](int64_t e, int64_t first, int64_t rows) {
          return GemmJob{rows, w.n(), w.k(), {x.at(first), x.stride, 1}, {}, w.forward(e), y + first * w.n(), w.n()};
        },
        jobs);
  }
  gemm_all(jobs, false);
  return outputs;
}

at::Tensor linear(const at::Tensor& x_TK, const WeightOperand& w) {
  const LinearCall call = {&x_TK, w};
  return linear_all({&call, 1}).front();
}

at::Tensor linear_dgrad(const at::Tensor& dy_TN, const WeightOperand& w) {
  check_columns(dy_TN, w.n());
  if (backend_of(dy_TN) == Backend::kRef) return at::matmul(w.input_numbers(dy_TN), w.backward_numbers());
  at::Tensor dx_TK = at::empty({dy_TN.size(0), w.k()}, dy_TN.options());
  gemm_packed(dy_TN.size(0), w.k(), w.n(), as_rows(dy_TN), w.backward(), dx_TK.mutable_data_ptr<float>(), w.k(), false);
  return dx_TK;
}

void linear_wgrad_(const at::Tensor& dw_NK, const at::Tensor& dy_TN, const at::Tensor& x_TK) {
  check_wgrad(dw_NK, dy_TN, x_TK);
  if (backend_of(dy_TN) == Backend::kRef) {
    dw_NK.add_(at::matmul(dy_TN.t(), x_TK));
    return;
  }
  gemm(dw_NK.size(0), dw_NK.size(1), dy_TN.size(0), transposed(dy_TN), as_rows(x_TK), dw_NK.mutable_data_ptr<float>(), dw_NK.stride(0),
       true);
}

at::Tensor grouped_linear(const at::Tensor& x_SK, const WeightOperand& w, const at::Tensor& offsets_E1) {
  const LinearCall call = {&x_SK, w, &offsets_E1};
  return linear_all({&call, 1}).front();
}

at::Tensor grouped_linear_dgrad(const at::Tensor& dy_SN, const WeightOperand& w, const at::Tensor& offsets_E1) {
  check_columns(dy_SN, w.n());
  if (backend_of(dy_SN) == Backend::kRef)
    return grouped_linear_ref(w.input_numbers(dy_SN), w.backward_numbers().transpose(1, 2), offsets_E1);
  at::Tensor dx_SK = at::empty({dy_SN.size(0), w.k()}, dy_SN.options());
  const Rows dy = rows_of(dy_SN);
  float* dx = dx_SK.mutable_data_ptr<float>();
  run_groups(checked_offsets(offsets_E1, w.groups(), dy.count), false, [&](int64_t e, int64_t first, int64_t rows) {
    return GemmJob{rows, w.k(), w.n(), {dy.at(first), dy.stride, 1}, {}, w.backward(e), dx + first * w.k(), w.k()};
  });
  return dx_SK;
}

void grouped_linear_wgrad_(const at::Tensor& dw_ENK, const at::Tensor& dy_SN, const at::Tensor& x_SK, const at::Tensor& offsets_E1) {
  check_wgrad(dw_ENK, dy_SN, x_SK);
  if (backend_of(dy_SN) == Backend::kRef) {
    const std::vector<int64_t> offsets = fetched_values(offsets_E1);
    for (int64_t e = 0; e < dw_ENK.size(0); ++e) {
      const int64_t begin = offsets[size_t(e)], end = offsets[size_t(e) + 1];
      if (begin < end) linear_wgrad_(dw_ENK[e], dy_SN.slice(0, begin, end), x_SK.slice(0, begin, end));
    }
    return;
  }
  const Rows dy = rows_of(dy_SN), x = rows_of(x_SK);
  run_groups(checked_offsets(offsets_E1, dw_ENK.size(0), x.count), true, [&](int64_t e, int64_t first, int64_t rows) {
    return GemmJob{
        dy.columns,      x.columns, rows, {dy.at(first), 1, dy.stride}, {x.at(first), x.stride, 1}, {}, dw_ENK[e].mutable_data_ptr<float>(),
        dw_ENK.stride(1)};
  });
}

at::Tensor heads_linear(const at::Tensor& x_THK, const WeightOperand& w) {
  check_heads(x_THK, w.groups(), w.k());
  if (backend_of(x_THK) == Backend::kRef) return heads_linear_ref(w.input_numbers(x_THK), w.forward_numbers());
  return multiply_heads(x_THK, w.n(), [&](int64_t h) { return w.forward(h); });
}

at::Tensor heads_linear_t(const at::Tensor& x_THN, const WeightOperand& w) {
  check_heads(x_THN, w.groups(), w.n());
  if (backend_of(x_THN) == Backend::kRef) return heads_linear_ref(w.input_numbers(x_THN), w.backward_numbers().transpose(1, 2));
  return multiply_heads(x_THN, w.k(), [&](int64_t h) { return w.backward(h); });
}

void heads_linear_wgrad_(const at::Tensor& dw_HNK, const at::Tensor& dy_THN, const at::Tensor& x_THK) {
  check_heads(dy_THN, dw_HNK.size(0), dw_HNK.size(1));
  check_heads(x_THK, dw_HNK.size(0), dw_HNK.size(2));
  FB_ASSERT(dy_THN.size(0) == x_THK.size(0), "a row of dy for each row of x: {} and {}", dy_THN.size(0), x_THK.size(0));
  if (backend_of(dy_THN) == Backend::kRef) {
    dw_HNK.add_(at::einsum("thn,thk->hnk", {dy_THN, x_THK}));
    return;
  }
  std::vector<GemmJob> jobs;
  for (int64_t h = 0; h < dw_HNK.size(0); ++h) {
    jobs.push_back({dw_HNK.size(1),
                    dw_HNK.size(2),
                    dy_THN.size(0),
                    transposed(dy_THN.select(1, h)),
                    as_rows(x_THK.select(1, h)),
                    {},
                    dw_HNK[h].mutable_data_ptr<float>(),
                    dw_HNK.stride(1)});
  }
  gemm_all(jobs, true);
}

}  // namespace finback
