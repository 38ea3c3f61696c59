#include "train/router_view.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace finback {

RouterStats router_stats(const LayerLoad& load, const std::vector<float>& bias) {
  FB_ASSERT(!load.counts.empty(), "a MoE layer has experts");
  std::vector<int64_t> sorted = load.counts;
  std::sort(sorted.begin(), sorted.end());
  const double mean = double(std::accumulate(sorted.begin(), sorted.end(), int64_t{0})) / double(sorted.size());
  const auto share = [&](double quantile) {  // nearest rank: the smallest value with at least this share at or below it
    const size_t rank = std::max<size_t>(1, size_t(std::ceil(quantile * double(sorted.size()))));
    return mean > 0 ? double(sorted[rank - 1]) / mean : 0;
  };
  RouterStats stats{load.layer, share(0.1), share(0.5), share(0.9), share(1.0)};
  stats.max_vio = mean > 0 ? stats.load_max - 1 : 0;
  stats.dead = std::count(sorted.begin(), sorted.end(), int64_t{0});
  if (!bias.empty()) {
    const auto [low, high] = std::minmax_element(bias.begin(), bias.end());
    stats.bias_min = double(*low);
    stats.bias_max = double(*high);
  }
  return stats;
}

std::vector<RouterStats> router_view(const std::vector<LayerLoad>& loads, const Parameters& parameters) {
  std::vector<RouterStats> view;
  for (const LayerLoad& load : loads) {
    std::vector<float> bias;
    if (!parameters.buffers().empty()) {
      const at::Tensor bias_E = parameters.buffer(expert_bias_name(load.layer)).to(at::kCPU).contiguous();
      bias.assign(bias_E.const_data_ptr<float>(), bias_E.const_data_ptr<float>() + bias_E.numel());
    }
    view.push_back(router_stats(load, bias));
  }
  return view;
}

Json router_json(const std::vector<RouterStats>& stats) {
  Json json = Json::object();
  for (const char* name : {"layer", "load_p10", "load_p50", "load_p90", "load_max", "max_vio", "dead", "bias_min", "bias_max"}) {
    json[name] = Json::array();
  }
  for (const RouterStats& s : stats) {
    json["layer"].push_back(s.layer);
    json["load_p10"].push_back(s.load_p10);
    json["load_p50"].push_back(s.load_p50);
    json["load_p90"].push_back(s.load_p90);
    json["load_max"].push_back(s.load_max);
    json["max_vio"].push_back(s.max_vio);
    json["dead"].push_back(s.dead);
    json["bias_min"].push_back(s.bias_min);
    json["bias_max"].push_back(s.bias_max);
  }
  return json;
}

std::string router_table(const std::vector<RouterStats>& stats) {
  std::string text = "router: load of an expert as a share of the mean\n  layer    p10    p50    p90    max  dead  bias\n";
  for (const RouterStats& s : stats) {
    text += fmt::format("  {:>5} {:>6.2f} {:>6.2f} {:>6.2f} {:>6.2f} {:>5}  {:+.4f} .. {:+.4f}\n", s.layer, s.load_p10, s.load_p50,
                        s.load_p90, s.load_max, s.dead, s.bias_min, s.bias_max);
  }
  return text;
}

}  // namespace finback
