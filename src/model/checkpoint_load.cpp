#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/progress.h"
#include "model/checkpoint.h"
#include "model/fp8_scales.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"
#include "model/stored_mtp.h"
#include "model/stored_precision.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

using Shape = std::vector<int64_t>;
using Shapes = std::map<std::string, Shape>;

const std::string kFusedGateUp = "gate_up_proj", kFusedDown = "down_proj";

// The tensors that the folder must hold. Experts may be stored one by one or fused, as transformers holds them.
Shapes expected_shapes(const SafetensorsFolder& folder, const ModelConfig& config) {
  Shapes expected;
  for (const ParameterSpec& spec : parameter_specs(config)) expected[spec.name] = spec.shape;
  for (const ParameterSpec& spec : buffer_specs(config)) expected[spec.name] = spec.shape;
  const int64_t experts = config.n_routed_experts, d = config.hidden_size, f = config.moe_intermediate_size;
  for (int64_t layer = 0; layer < config.total_layers(); ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.mlp.experts.", layer);
    if (!config.is_moe_layer(layer) || !folder.has(prefix + kFusedGateUp)) continue;
    for (int64_t e = 0; e < experts; ++e) {
      for (const char* part : {"gate", "up", "down"}) expected.erase(fmt::format("{}{}.{}_proj.weight", prefix, e, part));
    }
    expected[prefix + kFusedGateUp] = {experts, 2 * f, d};
    expected[prefix + kFusedDown] = {experts, d, f};
  }
  return expected;
}

bool is_held(const Parameters& parameters, const std::string& name) {
  if (name.ends_with(kFusedGateUp) || name.ends_with(kFusedDown)) {
    const std::string experts = name.substr(0, name.rfind('.') + 1);
    return parameters.has(experts + "0.gate_proj.weight");
  }
  return parameters.has(name) || parameters.has_buffer(name);
}

// Where an expected tensor goes: a view of the flat buffers.
at::Tensor destination(const Parameters& parameters, const std::string& name) {
  const auto prefix = [&](const std::string& fused) { return name.substr(0, name.size() - fused.size()); };
  if (parameters.has(name)) return parameters.value(name);
  if (name.ends_with(kFusedGateUp)) return parameters.stacked_gate_up(prefix(kFusedGateUp), false);
  if (name.ends_with(kFusedDown)) return parameters.stacked_down(prefix(kFusedDown), false);
  return parameters.buffer(name);
}

bool is_readable(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kFloat8_e4m3fn || dtype == at::kDouble;
}

const std::string kEmbedding = "model.embed_tokens.weight", kHead = "lm_head.weight";

// Which tensor a copy must equal: those of the embedding and head under an MTP layer, and the head of a tied model. Empty for other names.
std::string original_of(const std::string& name, const ModelConfig& config) {
  const std::string head = config.tie_word_embeddings ? kEmbedding : kHead;
  if (name == kHead && config.tie_word_embeddings) return kEmbedding;
  for (int64_t layer = config.num_hidden_layers; layer < config.total_layers(); ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    if (name == prefix + "embed_tokens.weight") return kEmbedding;
    if (name == prefix + "shared_head.head.weight") return head;
  }
  return "";
}

// Names that other software writes and that say nothing new: copies, rotary tables.
bool is_redundant(const std::string& name, const ModelConfig& config) {
  return name.ends_with(".rotary_emb.inv_freq") || !original_of(name, config).empty();
}

at::Tensor read_tensor(const SafetensorsFolder& files, const std::string& name, const Fp8Layout& layout) {
  return files.entry(name).dtype == at::kFloat8_e4m3fn ? read_fp8_weight(files, name, layout) : files.tensor(name);
}

// The model has one embedding and one head: a folder in which an MTP layer has others holds another model. A copy in a narrower dtype is one.
void check_copy(const SafetensorsFolder& files, const std::string& name, const std::string& original, const Fp8Layout& layout,
                const std::string& what) {
  constexpr int64_t kRows = 4096;  // compared at a time: the two tensors are views of mapped files
  const std::string quoted = quoted_name(name);
  const TensorEntry copy_entry = files.entry(name), entry = files.entry(original);
  FB_CHECK(copy_entry.shape == entry.shape, "{}: {}: expected the shape [{}] of {}, got [{}]", what, quoted, fmt::join(entry.shape, ", "),
           original, fmt::join(copy_entry.shape, ", "));
  FB_CHECK(is_readable(copy_entry.dtype), "{}: {}: expected F64, F32, BF16, F16 or F8_E4M3, got {}", what, quoted,
           stored_dtype(copy_entry));
  const at::Tensor main_WD = read_tensor(files, original, layout), copy_WD = read_tensor(files, name, layout);
  for (int64_t row = 0; row < main_WD.size(0); row += kRows) {
    const at::Tensor a = main_WD.slice(0, row, row + kRows), b = copy_WD.slice(0, row, row + kRows);
    const bool same = a.to(b.scalar_type()).equal(b) || b.to(a.scalar_type()).equal(a);
    FB_CHECK(same, "{}: {}: expected the values of {}, got others from row {} on. Hint: {}", what, quoted, original, row,
             name == kHead ? "a model with a head of its own has tie_word_embeddings false in config.json"
                           : "MTP modules with an embedding or a head of their own are not supported; num_nextn_predict_layers = 0 and a "
                             "folder without their tensors loads the main model");
  }
}

struct Problems {
  std::string first;
  int64_t count = 0, absent_mtp = 0;  // absent_mtp: those that are a tensor missing under an MTP layer
  void note(std::string problem) {
    if (count++ == 0) first = std::move(problem);
  }
};

// A stored tensor against its destination; FP8 ones are remembered.
void check_tensor(const TensorEntry& entry, const Shape& shape, std::set<std::string>& fp8, Problems& problems) {
  const std::string name = quoted_name(entry.name);
  if (entry.shape != shape) {
    problems.note(fmt::format("{}: expected shape [{}], got [{}]", name, fmt::join(shape, ", "), fmt::join(entry.shape, ", ")));
  } else if (!is_readable(entry.dtype)) {
    problems.note(fmt::format("{}: expected F64, F32, BF16, F16 or F8_E4M3, got {}", name, stored_dtype(entry)));
  } else if (entry.dtype == at::kFloat8_e4m3fn) {
    if (entry.shape.size() != 2) problems.note(fmt::format("{}: expected a matrix for F8_E4M3", name));
    fp8.insert(entry.name);
  }
}

// What transformers writes for parts that this config has none of: tensors without a number, expert biases of zero.
bool says_nothing(const SafetensorsFolder& folder, const std::string& name) {
  const TensorEntry entry = folder.entry(name);
  if (std::find(entry.shape.begin(), entry.shape.end(), 0) != entry.shape.end()) return true;
  return name.ends_with("gate.e_score_correction_bias") && is_readable(entry.dtype) && entry.dtype != at::kFloat8_e4m3fn &&
         folder.tensor(name).count_nonzero().item<int64_t>() == 0;
}

// Of weights with more layers than config.json says, which are no MTP modules.
std::string layers_hint(const SafetensorsFolder& folder, const ModelConfig& config) {
  constexpr std::string_view kLayers = "model.layers.";
  int64_t layers = 0;
  for (const std::string& name : folder.names()) {
    if (name.starts_with(kLayers)) layers = std::max<int64_t>(layers, std::atoll(name.c_str() + kLayers.size()) + 1);
  }
  if (layers <= config.num_hidden_layers || folder.has(fmt::format("{}{}.eh_proj.weight", kLayers, config.num_hidden_layers))) return "";
  return fmt::format(". Hint: the weights have {} layers, config.json says num_hidden_layers = {}", layers, config.num_hidden_layers);
}

// Compares names, shapes and dtypes before anything is written.
void check_folder(const SafetensorsFolder& folder, const ModelConfig& config, const Shapes& expected, const Fp8Layout& layout,
                  const std::string& what) {
  Problems problems;
  std::set<std::string> fp8, scales;
  for (const auto& [name, shape] : expected) {
    if (folder.has(name)) continue;
    problems.note(fmt::format("expected tensor \"{}\" [{}], not there", name, fmt::join(shape, ", ")));
    if (is_of_mtp(name, config)) ++problems.absent_mtp;
  }
  for (const std::string& name : folder.names()) {
    const auto found = expected.find(name);
    if (found != expected.end()) {
      check_tensor(folder.entry(name), found->second, fp8, problems);
    } else if (name.ends_with(kScaleSuffix)) {
      scales.insert(name);
    } else if (!is_redundant(name, config) && !says_nothing(folder, name)) {
      problems.note(fmt::format("tensor {} is not one of this config's", quoted_name(name)));
    }
  }
  for (const std::string& weight : fp8) {
    if (problems.count > 0) break;
    if (std::string problem = fp8_scale_problem(folder, weight, expected.at(weight), layout); !problem.empty())
      problems.note(std::move(problem));
  }
  for (const std::string& name : scales) {
    const std::string weight = name.substr(0, name.size() - kScaleSuffix.size());
    if (!fp8.contains(weight) && !is_redundant(weight, config))
      problems.note(fmt::format("{}: its weight is not F8_E4M3", quoted_name(name)));
  }
  const bool only_mtp = problems.absent_mtp == problems.count;  // transformers saves none of it
  if (problems.count == 0) return;
  const std::string layers = layers_hint(folder, config);
  FB_FAIL("{}: {}{}{}", what, problems.first, problems.count > 1 ? fmt::format(" (and {} more such problems)", problems.count - 1) : "",
          !layers.empty() ? layers
          : only_mtp      ? ". Hint: only MTP modules are missing; --model.num_nextn_predict_layers=0 (the key of config.json) goes without"
                          : "");
}

}  // namespace

void check_weights(const fs::path& folder, const ModelConfig& config) {
  const SafetensorsFolder files(folder);
  check_folder(files, config, expected_shapes(files, config), read_fp8_layout(folder), folder.string());
}

void load_parameters(const fs::path& folder, const ModelConfig& config, Parameters& parameters) {
  const SafetensorsFolder files(folder);
  const Fp8Layout layout = read_fp8_layout(folder);
  const Shapes expected = expected_shapes(files, config);
  check_folder(files, config, expected, layout, folder.string());
  for (const std::string& name : files.names()) {
    const std::string original = original_of(name, config);
    if (original.empty()) continue;
    if (const TensorEntry copy = files.entry(name); copy.dtype == at::kFloat8_e4m3fn) {
      const std::string problem = fp8_scale_problem(files, name, copy.shape, layout);
      FB_CHECK(problem.empty(), "{}: {}", folder.string(), problem);
    }
    check_copy(files, name, original, layout, folder.string());
  }
  say_lost_precision(folder, files);
  const auto megabytes = [&](const std::string& name) { return double(files.entry(name).end - files.entry(name).begin) / 1e6; };
  double total = 0, done = 0;
  const auto is_read = [&](const std::string& name) { return expected.contains(name) && is_held(parameters, name); };
  for (const std::string& name : files.names()) total += is_read(name) ? megabytes(name) : 0;
  Progress progress("reading weights of " + folder.string(), total, "MB");
  for (const std::string& name : files.names()) {
    if (!is_read(name)) continue;
    destination(parameters, name).copy_(read_tensor(files, name, layout));
    progress.update(done += megabytes(name));
  }
  progress.vanish();
  parameters.touch();
}

}  // namespace finback
