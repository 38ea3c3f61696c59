#include "model/stored_precision.h"

#include <ATen/ATen.h>

#include "base/json.h"
#include "base/notice.h"
#include "model/fp8_scales.h"
#include "model/safetensors_header.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// Tensors with one fault.
struct Narrow {
  std::string first, dtype;
  int64_t count = 0;
  void add(const TensorEntry& entry) {
    if (count++ == 0) first = entry.name, dtype = stored_dtype(entry);
  }
};

bool is_half(at::ScalarType dtype) { return dtype == at::kBFloat16 || dtype == at::kHalf; }

bool stays_out_of_fp8(const std::string& name) {
  for (const char* end : {"embed_tokens.weight", "lm_head.weight", "shared_head.head.weight", ".mlp.gate.weight", ".eh_proj.weight"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

// What most of the folder claims to be: config.json's word, else the embedding's dtype.
at::ScalarType claimed_dtype(const fs::path& folder, const SafetensorsFolder& files) {
  const fs::path file = folder / "config.json";
  const Json config = fs::exists(file) ? read_json(file) : Json();
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (!config.is_object() || !config.contains(key)) continue;
    if (config[key] == "float32") return at::kFloat;
    if (config[key] == "bfloat16") return at::kBFloat16;
    if (config[key] == "float16") return at::kHalf;
  }
  const std::string embedding = "model.embed_tokens.weight";
  return files.has(embedding) ? files.entry(embedding).dtype : at::kBFloat16;
}

}  // namespace

void say_lost_precision(const fs::path& folder, const SafetensorsFolder& files) {
  Narrow biases, scales, fp8, halves, doubles;
  const at::ScalarType claimed = claimed_dtype(folder, files);
  for (const std::string& name : files.names()) {
    const TensorEntry entry = files.entry(name);
    if (entry.dtype == at::kDouble) doubles.add(entry);
    if (name.ends_with(".e_score_correction_bias")) {
      if (is_half(entry.dtype)) biases.add(entry);
    } else if (name.ends_with(kScaleSuffix)) {
      if (is_half(entry.dtype)) scales.add(entry);
    } else if (entry.dtype == at::kFloat8_e4m3fn) {
      if (stays_out_of_fp8(name)) fp8.add(entry);
    } else if (is_half(entry.dtype) && (claimed == at::kFloat || (claimed == at::kBFloat16 && entry.dtype == at::kHalf))) {
      halves.add(entry);
    }
  }
  const auto say = [&](const Narrow& narrow, const char* what, const std::string& meaning) {
    if (narrow.count == 0) return;
    notice_once(fmt::format("{}: {} {} stored in {} (first: {}): {}", folder.string(), narrow.count, what, narrow.dtype,
                            quoted_name(narrow.first), meaning));
  };
  say(doubles, "tensors are", "rounded to f32");
  say(biases, "expert bias tensors are", "read as they are, they may choose other experts than those that the model was trained with");
  say(scales, "tensors of FP8 scales are", "read as they are, every weight of a block is off by their rounding");
  say(fp8, "tensors are", "the family keeps embedding, head, router and eh_proj in 16 bits or more, so precision was lost on the way");
  say(halves, "tensors are",
      fmt::format("others, or config.json, say {}; read as they are, their last bits were lost on the way",
                  claimed == at::kFloat ? "F32" : "BF16"));
}

}  // namespace finback
