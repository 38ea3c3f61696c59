#include <ATen/ATen.h>

#include <map>
#include <set>

#include "kernels/fp8_block.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

const std::string kScaleSuffix = "_scale_inv";

using Destinations = std::map<std::string, at::Tensor>;

// Where each tensor of the folder goes: views of the flat buffers. Experts may be stored one by one or fused, as transformers holds them.
Destinations destinations(const SafetensorsFolder& folder, const ModelConfig& config, const Parameters& parameters) {
  Destinations into;
  for (const ParameterSpec& spec : parameters.specs()) into[spec.name] = parameters.value(spec.name);
  for (const ParameterSpec& spec : parameters.buffers()) into[spec.name] = parameters.buffer(spec.name);
  for (int64_t layer = 0; layer < config.total_layers(); ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.mlp.experts.", layer);
    if (!config.is_moe_layer(layer) || !folder.has(prefix + "gate_up_proj")) continue;
    for (int64_t e = 0; e < config.n_routed_experts; ++e) {
      for (const char* part : {"gate", "up", "down"}) into.erase(fmt::format("{}{}.{}_proj.weight", prefix, e, part));
    }
    into[prefix + "gate_up_proj"] = parameters.stacked_gate_up(prefix, false);
    into[prefix + "down_proj"] = parameters.stacked_down(prefix, false);
  }
  return into;
}

// Names that other software writes and that say nothing new: copies of the embedding and head under an MTP layer, the head of a tied model,
// rotary tables.
bool is_redundant(const std::string& name, const ModelConfig& config) {
  if (name == "lm_head.weight") return config.tie_word_embeddings;
  if (name.ends_with(".rotary_emb.inv_freq")) return true;
  for (int64_t layer = config.num_hidden_layers; layer < config.total_layers(); ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    if (name == prefix + "embed_tokens.weight" || name == prefix + "shared_head.head.weight") return true;
  }
  return false;
}

struct Problems {
  std::string first;
  int64_t count = 0;
  void note(std::string problem) {
    if (count++ == 0) first = std::move(problem);
  }
};

bool is_readable(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kFloat8_e4m3fn;
}

// A stored tensor against its destination; FP8 ones are remembered.
void check_tensor(const TensorEntry& entry, const at::Tensor& into, std::set<std::string>& fp8, Problems& problems) {
  const std::string name = quoted_name(entry.name);
  if (into.sizes() != at::IntArrayRef(entry.shape)) {
    problems.note(fmt::format("{}: expected shape [{}], got [{}]", name, fmt::join(into.sizes(), ", "), fmt::join(entry.shape, ", ")));
  } else if (!is_readable(entry.dtype)) {
    problems.note(fmt::format("{}: expected F32, BF16, F16 or F8_E4M3, got {}", name, safetensors_dtype(entry.dtype)));
  } else if (entry.dtype == at::kFloat8_e4m3fn) {
    if (entry.shape.size() != 2) problems.note(fmt::format("{}: expected a matrix for F8_E4M3", name));
    fp8.insert(entry.name);
  }
}

void check_scale(const SafetensorsFolder& folder, const std::string& weight, const at::Tensor& into, Problems& problems) {
  const std::string name = weight + kScaleSuffix;
  if (!folder.has(name)) return problems.note(fmt::format("{}: expected its scales {}, not there", quoted_name(weight), quoted_name(name)));
  const TensorEntry scale = folder.entry(name);
  const std::vector<int64_t> shape = {(into.size(0) + kFp8Block - 1) / kFp8Block, (into.size(1) + kFp8Block - 1) / kFp8Block};
  if (scale.shape != shape || scale.dtype != at::kFloat) {
    problems.note(fmt::format("{}: expected F32 [{}], got {} [{}]", quoted_name(name), fmt::join(shape, ", "),
                              safetensors_dtype(scale.dtype), fmt::join(scale.shape, ", ")));
  }
}

// Compares names, shapes and dtypes before anything is written.
void check_folder(const SafetensorsFolder& folder, const ModelConfig& config, const Destinations& into, const std::string& what) {
  Problems problems;
  std::set<std::string> fp8, scales;
  for (const auto& [name, tensor] : into) {
    if (!folder.has(name)) problems.note(fmt::format("expected tensor \"{}\" [{}], not there", name, fmt::join(tensor.sizes(), ", ")));
  }
  for (const std::string& name : folder.names()) {
    const auto found = into.find(name);
    if (found != into.end()) {
      check_tensor(folder.entry(name), found->second, fp8, problems);
    } else if (name.ends_with(kScaleSuffix)) {
      scales.insert(name);
    } else if (!is_redundant(name, config)) {
      problems.note(fmt::format("tensor {} is not one of this config's", quoted_name(name)));
    }
  }
  for (const std::string& weight : fp8) {
    if (problems.count == 0) check_scale(folder, weight, into.at(weight), problems);
  }
  for (const std::string& name : scales) {
    const std::string weight = name.substr(0, name.size() - kScaleSuffix.size());
    if (!fp8.contains(weight) && !is_redundant(weight, config))
      problems.note(fmt::format("{}: its weight is not F8_E4M3", quoted_name(name)));
  }
  FB_CHECK(problems.count == 0, "{}: {}{}", what, problems.first,
           problems.count > 1 ? fmt::format(" (and {} more such problems)", problems.count - 1) : "");
}

}  // namespace

void load_parameters(const fs::path& folder, const ModelConfig& config, Parameters& parameters) {
  const SafetensorsFolder files(folder);
  const Destinations into = destinations(files, config, parameters);
  check_folder(files, config, into, folder.string());
  for (const std::string& name : files.names()) {
    const auto found = into.find(name);
    if (found == into.end()) continue;
    at::Tensor stored = files.tensor(name);
    if (stored.scalar_type() == at::kFloat8_e4m3fn) stored = fp8_dequantize_weight(stored, files.tensor(name + kScaleSuffix));
    found->second.copy_(stored);
  }
  parameters.touch();
}

}  // namespace finback
