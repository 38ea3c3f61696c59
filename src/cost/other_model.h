// Parameters of a transformer that this program does not compute, from the shapes in its config.json: DeepSeek V3.2, GLM-4.5 and GLM-5, Llama, Mistral,
// Qwen, under unknown names what has the keys of one of them, and DeepSeek V2 or V3 with keys that are not built (biases, another activation). Says what it
// left out. Counted by parameter_count.h, with the parts beside that no DeepSeek V2 or V3 of ours has.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "cost/model_shape.h"
#include "cost/named_count.h"

namespace finback {

// Parameters of a layer, or of all layers, that a ModelShape does not know.
struct OtherParts {
  int64_t biases = 0;       // of attention and FFN
  int64_t head_norms = 0;   // RMSNorm weights of a head's query and key
  int64_t indexer = 0;      // of sparse attention: its projections and its LayerNorm
  int64_t shared_gate = 0;  // the gate of a shared expert
  int64_t shared_rest = 0;  // of a shared expert whose width is no multiple of the routed ones'
  int64_t total() const { return biases + head_norms + indexer + shared_gate + shared_rest; }
};

struct OtherModel {
  std::string model_type;
  ModelShape shape;
  OtherParts layers, mtp;            // of all layers, of all MTP modules
  std::vector<std::string> missing;  // a line each: what is not in the counts, or is assumed
  std::vector<std::string> unbuilt;  // of a DeepSeek V2 or V3: the keys for which it is not computed
  int64_t total() const { return count_parameters(shape).total() + layers.total(); }
  int64_t total_with_mtp() const { return count_parameters(shape).total_with_mtp() + layers.total() + mtp.total(); }
  int64_t active() const { return count_parameters(shape).active() + layers.total(); }
  std::vector<NamedCount> parts() const;
};

// Whether a config.json is to be counted here: no DeepSeek V2 or V3. Throws Error for what is not known at all.
bool is_other_model(const Json& json, const std::string& what);
// Throws Error that names the key for a config without the shapes of a transformer, or with impossible ones.
OtherModel read_other_model(const Json& json, const std::string& what);
// A DeepSeek V2 or V3 whose config was read by parse_countable_config, which found `unbuilt`.
OtherModel count_unbuilt_model(const ModelConfig& config, std::vector<std::string> unbuilt, const Json& json, const std::string& what);

}  // namespace finback
