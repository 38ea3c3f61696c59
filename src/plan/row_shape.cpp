#include "plan/row_shape.h"

#include <algorithm>
#include <cmath>

#include "cost/parameter_count.h"
#include "plan/row_text.h"
#include "plan/shape_table.h"

namespace finback {
namespace {

// Parameters that a row states in its columns or in the name of its model; 0: not stated.
struct Sizes {
  double total = 0, active = 0;
  bool in_columns = false;
};
Sizes row_sizes(const CsvTable& t, size_t row, std::string& reason) {
  const auto named = sizes_in_name(t.cell(row, "model"));
  Sizes s{1e9 * t.number(row, "params_total_B"), 1e9 * t.number(row, "params_active_B")};
  const double either = 1e9 * t.number(row, "params_B");
  s.in_columns = s.total > 0 || s.active > 0 || either > 0;
  const bool named_sparse = named && named->first > named->second, sparse = named_sparse || t.number(row, "EP") > 1;
  // One figure of a sparse model is its total.
  if (either > 0) {
    double& said = sparse && s.total <= 0 ? s.total : s.active;
    if (said <= 0) said = either;
  }
  if (!s.in_columns && named) s.total = named->first, s.active = named->second;
  if (!sparse || (s.total <= 0 && s.active <= 0)) return s;
  if (s.active <= 0) s.active = named_sparse ? named->second : s.total;
  if (s.total <= 0) s.total = named_sparse ? named->first : s.active;
  if (s.total <= s.active) {  // expert parallel of what would be a dense model
    reason += "a sparse model whose sizes are not both said: active parameters taken for an eighth; ";
    if (s.in_columns && t.number(row, "params_active_B") <= 0) {
      s.active = s.total / 8;
    } else {
      s.total = 8 * s.active;
    }
  }
  return s;
}

// A name that contains a known model's may be another member of that family, so the stated sizes have to agree.
bool has_sizes(const ModelShape& shape, const Sizes& said) {
  const ParameterCount count = count_parameters(shape);
  const double total = double(count.total()), active = double(count.active());
  const auto near = [](double a, double b) { return std::abs(std::log(a / b)) < std::log(1.3); };
  if (said.total <= 0 && said.active <= 0) return true;
  const double one = said.active > 0 ? said.active : said.total;
  if (said.total > 0 && said.active > 0 && said.total > said.active) return near(said.total, total) || near(said.active, active);
  return near(one, total) || near(one, active);
}

bool is_key(const std::string& key) {
  const auto& table = shape_table();
  return std::any_of(table.begin(), table.end(), [&](const NamedShape& row) { return row.key == key; });
}

}  // namespace

std::optional<ModelShape> row_shape(const CsvTable& t, size_t row, std::string& reason) {
  const std::string name = t.cell(row, "model"), key = t.cell(row, "arch_key");
  if (t.number(row, "n_layers") > 0 && t.number(row, "d_model") > 0) {
    if (const auto written = written_shape(t, row)) return written;
  }
  const auto known = find_shape(key, name);
  if (known && is_key(key)) return known;
  std::string about_sizes;
  const Sizes sizes = row_sizes(t, row, about_sizes);
  if (known && has_sizes(*known, sizes)) {
    reason += "shape of " + known->name + "; ";
    return known;
  }
  if (sizes.active > 0 || sizes.total > 0) {
    reason += (sizes.in_columns ? "shape from parameter counts; " : "shape from the sizes in its name; ") + about_sizes;
    return shape_from_sizes(name, sizes.total, sizes.active > 0 ? sizes.active : sizes.total, t.integer(row, "vocab"));
  }
  // FLOPs per token are a property of the model, about six for each parameter.
  const double flops = 1e9 * t.number(row, "gflop_per_token_computed_causal", t.number(row, "gflop_per_token_arch_causal"));
  if (flops <= 0) return std::nullopt;
  reason += "shape from its FLOPs per token; ";
  return shape_from_sizes(name, 0, 0.95 * flops / 6, 0);
}

}  // namespace finback
