#include "model/precision_audit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/host_values.h"

namespace finback {
namespace {

// The sampled rows: the first `count` of one group.
struct Sample {
  int64_t group = 0, first = 0, count = 0;

  explicit Sample(const RowGroups& groups) {
    if (!groups.sampled_E.defined()) return;
    const std::vector<int64_t> sampled = fetched_values(groups.sampled_E);
    const auto most = std::max_element(sampled.begin(), sampled.end());
    group = most - sampled.begin(), first = fetched_values(groups.offsets)[size_t(group)], count = *most;
  }
  at::Tensor of(const at::Tensor& permuted) const { return permuted.slice(0, first, first + count); }
  // Of a tensor in the order of the input's rows, through source_rows_S.
  at::Tensor of_rows(const at::Tensor& by_row, const RowGroups& groups) const {
    return groups.source_rows_S.defined() ? by_row.index_select(0, of(groups.source_rows_S)) : of(by_row);
  }
  QuantizedRows of_rows(const QuantizedRows& rows, const RowGroups& groups) const {
    const at::ScalarType type = rows.values_TK.scalar_type();
    const bool bytes = type == at::kFloat8_e4m3fn;  // no index_select of its own
    const at::Tensor values = of_rows(bytes ? rows.values_TK.view(at::kByte) : rows.values_TK, groups).contiguous();
    return {rows.precision, bytes ? values.view(type) : values, bytes ? of_rows(rows.scales, groups).contiguous() : at::Tensor()};
  }
  at::Tensor of_groups(const at::Tensor& weight) const { return weight.dim() == 3 ? weight[group] : weight; }
};

at::Tensor wide(const at::Tensor& x) { return x.to(at::kDouble); }

std::optional<double> decibels(const at::Tensor& got, const at::Tensor& exact) {
  const double signal = wide(exact).square().sum().item<double>(), noise = (wide(got) - wide(exact)).square().sum().item<double>();
  if (signal == 0) return std::nullopt;
  const double ratio = 10 * std::log10(signal / std::max(noise, 1e-20 * signal));
  return std::isnan(ratio) ? -200 : std::round(100 * ratio) / 100;
}

bool is_audited(const AuditedLinear& linear) { return linear.precision == Precision::kFp8; }

// "model.layers.3.mlp" of "model.layers.3.mlp.experts.down_proj".
std::string sub_layer_of(const std::string& linear) {
  size_t end = 0;
  for (int dots = 0; dots < 4; ++dots) end = linear.find('.', end) + 1;
  return linear.substr(0, end - 1);
}

}  // namespace

void PrecisionAudit::forward(const AuditedLinear& linear, const LinearInput& x, const RowGroups& groups, const at::Tensor& y_SN) {
  const Sample sample(groups);
  if (!is_audited(linear) || sample.count == 0) return;
  PrecisionFigures& f = figures_[linear.name];
  const at::Tensor x_SK = sample.of_rows(x.exact, groups), w_NK = sample.of_groups(linear.weight);
  f.x = decibels(dequantize_rows(sample.of_rows(x.rows, groups)), x_SK);
  f.w = decibels(quantized_weight_ref(w_NK, linear.precision), w_NK);
  f.y = decibels(sample.of(y_SN), at::matmul(wide(x_SK), wide(w_NK).t()));
}

void PrecisionAudit::backward(const AuditedLinear& linear, const at::Tensor& dy_SN, const LinearInput& x, const RowGroups& groups,
                              const at::Tensor& dx_SK) {
  const Sample sample(groups);
  if (!is_audited(linear) || sample.count == 0) return;
  PrecisionFigures& f = figures_[linear.name];
  const at::Tensor dy = sample.of(dy_SN).contiguous(), x_SK = sample.of_rows(x.exact, groups), w_NK = sample.of_groups(linear.weight);
  f.dy = decibels(quantized_rows_ref(dy, linear.precision), dy);
  f.dx = decibels(sample.of(dx_SK), at::matmul(wide(dy), wide(w_NK)));
  const at::Tensor dw_NK = at::zeros(w_NK.sizes(), w_NK.options());
  quantized_linear_wgrad_(dw_NK, dy, sample.of_rows(x.rows, groups), linear.wgrad, one_group(sample.count));
  f.dw = decibels(dw_NK, at::matmul(wide(dy).t(), wide(x_SK)));
}

std::vector<std::string> PrecisionAudit::below(const PrecisionThresholds& thresholds) const {
  std::set<std::string> names;
  const auto lower = [](const std::optional<double>& figure, double threshold) { return figure.has_value() && *figure < threshold; };
  for (const auto& [linear, f] : figures_) {
    bool fails = lower(f.dy, thresholds.gradient_db);
    for (const auto& figure : {f.x, f.w, f.y, f.dx}) fails |= lower(figure, thresholds.forward_db);
    if (fails) names.insert(sub_layer_of(linear));
  }
  return {names.begin(), names.end()};
}

}  // namespace finback
