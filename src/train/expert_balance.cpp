#include "train/expert_balance.h"

#include <ATen/ATen.h>

#include <numeric>

#include "base/error.h"

namespace finback {

std::string expert_bias_name(int64_t layer) { return fmt::format("model.layers.{}.mlp.gate.e_score_correction_bias", layer); }

void add_counts(std::vector<LayerLoad>& loads, const RouterLog& log) {
  if (loads.empty()) {
    for (const RouterLog::Layer& seen : log.layers) loads.push_back({seen.layer, std::vector<int64_t>(size_t(seen.counts_E.numel()), 0)});
  }
  FB_ASSERT(loads.size() == log.layers.size(), "every micro-batch of a step passes the same MoE layers");
  for (size_t i = 0; i < loads.size(); ++i) {
    const at::Tensor counts_E = log.layers[i].counts_E.to(at::kCPU, at::kLong).contiguous();
    FB_ASSERT(loads[i].layer == log.layers[i].layer && int64_t(loads[i].counts.size()) == counts_E.numel(), "layers come in one order");
    const int64_t* counts = counts_E.const_data_ptr<int64_t>();
    for (size_t e = 0; e < loads[i].counts.size(); ++e) loads[i].counts[e] += counts[e];
  }
}

std::vector<float> centred_bias_update(const std::vector<int64_t>& counts, double gamma) {
  const int64_t experts = int64_t(counts.size());
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  std::vector<int64_t> signs;
  for (const int64_t count : counts) signs.push_back((total > count * experts) - (total < count * experts));  // sign(mean - c)
  const double mean = double(std::accumulate(signs.begin(), signs.end(), int64_t{0})) / double(experts);
  std::vector<float> update;
  for (const int64_t sign : signs) update.push_back(float(gamma * (double(sign) - mean)));
  return update;
}

void update_expert_bias(Parameters& parameters, const std::vector<LayerLoad>& loads, double gamma) {
  if (gamma == 0) return;
  for (const LayerLoad& load : loads) {
    std::vector<float> update = centred_bias_update(load.counts, gamma);
    at::Tensor bias_E = parameters.buffer(expert_bias_name(load.layer));
    bias_E.add_(at::from_blob(update.data(), {int64_t(update.size())}, at::kFloat).to(bias_E.device()));
  }
  parameters.touch();
}

}  // namespace finback
