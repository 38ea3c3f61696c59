// What a model is and costs a token, from its config alone: parameters by part, FLOPs, bytes of the KV cache, memory to train and to serve it. Computed
// into a struct, then printed: the report of `finback inspect`. Reads no weights.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cost/memory_parts.h"
#include "cost/other_model.h"
#include "cost/parameter_count.h"

namespace finback {

struct ModelReport {
  ModelConfig config;
  int64_t seq_len = 0;  // context of FLOPs and memory; micro-batch of training
  ParameterCount parameters;
  double train_causal = 0, train_full_attention = 0, train_causal_with_mtp = 0, decode = 0;  // FLOPs a token
  int64_t cache_bf16 = 0, cache_f32 = 0, cache_f32_with_mtp = 0;                             // bytes a token
  struct Memory {
    Precision precision;  // of training, or of the stored weights
    std::vector<MemoryPart> parts;
  };
  std::vector<Memory> train;  // f32, bf16, fp8
  std::vector<Memory> serve;  // f32, bf16, int8, fp8
  std::optional<std::string> weights_fingerprint;
};
ModelReport report_model(const ModelConfig& config, int64_t seq_len);

Json model_report_json(const ModelReport& report);
std::string model_report_text(const ModelReport& report);

// Of a model that is counted and not computed: parameters, and what is missing from them.
Json other_model_json(const OtherModel& model);
std::string other_model_text(const OtherModel& model);

}  // namespace finback
