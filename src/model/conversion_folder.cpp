#include "model/conversion_folder.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "model/checkpoint_files.h"
#include "model/safetensors_header.h"
#include "model/stored_quantization.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// In `to` while it is not whole: which files become what.
constexpr const char* kPlanFile = "conversion.json";

std::string first_name_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(folder, ignored)) {
    const fs::path name = item.path().filename();
    if (name.extension() != ".tmp" && name != ".lock") names.push_back(name.string());  // what a kill may leave
  }
  return names.empty() ? "" : *std::min_element(names.begin(), names.end());
}

}  // namespace

const std::map<std::string, std::string>& conversion_metadata() {
  static const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  return metadata;
}

bool check_target(const fs::path& to, const Json& plan, bool overwrite) {
  for (const char* name : {"trainer.json", "config.toml"}) {
    FB_CHECK(!fs::exists(to / name), "{}: expected a folder of its own for the converted model, got a run's ({} is in it)", to.string(),
             name);
  }
  const std::string first = first_name_in(to);
  if (first.empty() || overwrite) return false;
  FB_CHECK(fs::exists(to / kPlanFile), "{}: expected a new folder, got one with {} in it. Hint: --overwrite replaces the model there",
           to.string(), first);
  FB_CHECK(
      read_json(to / kPlanFile) == plan,
      "{}: expected to go on with the conversion that was begun there, got other files or another format. Hint: --overwrite begins anew",
      to.string());
  return true;
}

void begin_target(const fs::path& to, const Json& plan, bool goes_on) {
  begin_model_folder(to);
  if (goes_on) return;
  remove_model_files(to);
  write_file_atomic(to / kPlanFile, dump_json(plan));
}

// Files appear whole, so one that begins with the very header that would be written and has its length is the one that would be written.
bool is_written(const fs::path& path, const std::vector<TensorEntry>& entries) {
  if (!fs::exists(path)) return false;
  const std::string header = write_safetensors_header(entries, conversion_metadata());
  const MappedFile file(path);
  const uint64_t data = entries.empty() ? 0 : entries.back().end;
  return file.bytes().size() == header.size() + data && std::memcmp(file.bytes().data(), header.data(), header.size()) == 0;
}

void end_target(const fs::path& to, const Json& config) {
  write_file_atomic(to / "config.json", dump_json(config));
  fs::remove(to / kPlanFile);
}

Json converted_config(Json config, const ModelConfig& shape, const ConversionTarget& target) {
  config.erase("compression_config");  // the same under another name
  const char* dtype = target.dtype == at::kFloat ? "float32" : "bfloat16";
  const bool newer_name = config.contains("dtype");
  if (newer_name) config["dtype"] = dtype;
  if (!newer_name || config.contains("torch_dtype")) config["torch_dtype"] = dtype;
  const Json ours = dump_model_config(shape);
  for (const char* key : {"architectures", "model_type", "first_k_dense_replace"}) config[key] = ours.at(key);
  const auto found = config.find("quantization_config");
  if (target.panels) {
    config["quantization_config"] = panel_quantization();
  } else if (!target.fp8) {
    config.erase("quantization_config");
  } else if (found == config.end() || found->is_null()) {
    config["quantization_config"] = {
        {"quant_method", "fp8"}, {"fmt", "e4m3"}, {"activation_scheme", "dynamic"}, {"weight_block_size", {kFp8Block, kFp8Block}}};
  }
  return config;
}

}  // namespace finback
