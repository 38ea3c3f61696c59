// What the router does, in numbers for people: per layer the load percentiles, the worst overload, dead experts and the range of the
// selection biases, over one optimizer step. Reads counts, changes nothing.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "train/expert_balance.h"

namespace finback {

struct RouterStats {
  int64_t layer = 0;
  double load_p10 = 0, load_p50 = 0, load_p90 = 0, load_max = 0;  // tokens of an expert as a share of the mean (1 = balanced)
  double max_vio = 0;                                             // (max - mean) / mean: MaxVio of the aux-loss-free paper
  int64_t dead = 0;                                               // experts without a token in the step
  double bias_min = 0, bias_max = 0;
};

// Nearest-rank percentiles. `bias` may be empty (a gate without biases).
RouterStats router_stats(const LayerLoad& load, const std::vector<float>& bias);
std::vector<RouterStats> router_view(const std::vector<LayerLoad>& loads, const Parameters& parameters);

// {"layer": [...], "load_p10": [...], ...}: one list a number, an entry a layer.
Json router_json(const std::vector<RouterStats>& stats);
// A table, one line a layer.
std::string router_table(const std::vector<RouterStats>& stats);

}  // namespace finback
