#include "model/conversion.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "model/checkpoint_files.h"
#include "model/model_folder.h"
#include "model/safetensors_header.h"
#include "model/stored_mtp.h"
#include "model/stored_precision.h"
#include "model/stored_quantization.h"
#include "model/tensor_change.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// In `to` while it is not whole: which files become what. A second conversion that would write the same goes on.
constexpr const char* kPlanFile = "conversion.json";
const std::map<std::string, std::string> kMetadata = {{"format", "pt"}};

using Shards = std::vector<std::vector<TensorChange>>;

Json plan_of(const fs::path& from, const std::vector<std::string>& shards, const std::string& weights) {
  Json plan = {{"format_version", 1}, {"weights", weights}, {"config", fmt::format("{:016x}", hash_file(from / "config.json"))}};
  plan["files"] = Json::array();
  for (const std::string& name : shards) {
    const fs::path file = from / name;
    plan["files"].push_back({name, fs::file_size(file), fs::last_write_time(file).time_since_epoch().count()});
  }
  return plan;
}

std::string first_name_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(folder, ignored)) {
    if (item.path().extension() != ".tmp") names.push_back(item.path().filename().string());  // what a kill may leave
  }
  return names.empty() ? "" : *std::min_element(names.begin(), names.end());
}

// Whether the conversion goes on where an earlier one stopped. Writes nothing.
bool check_target(const fs::path& to, const Json& plan, bool overwrite) {
  FB_CHECK(!fs::exists(to) || fs::is_directory(to), "{}: expected a folder to write, got a file", to.string());
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
  const std::string header = write_safetensors_header(entries, kMetadata);
  const MappedFile file(path);
  const uint64_t data = entries.empty() ? 0 : entries.back().end;
  return file.bytes().size() == header.size() + data && std::memcmp(file.bytes().data(), header.data(), header.size()) == 0;
}

Shards changes_by_shard(const SafetensorsFolder& folder, const ConversionTarget& target, const Fp8Layout& layout, Conversion& done) {
  std::vector<std::vector<TensorEntry>> shards;
  std::string last;
  for (const std::string& name : folder.names()) {
    if (folder.shard_name(name) != last) shards.emplace_back();
    last = folder.shard_name(name);
    shards.back().push_back(folder.entry(name));
    done.bytes_before += shards.back().back().end - shards.back().back().begin;
  }
  Shards changes;
  for (std::vector<TensorEntry>& shard : shards) changes.push_back(changes_of(folder, std::move(shard), target, layout));
  for (const auto& shard : changes) {
    for (const TensorEntry& entry : entries_after(shard)) done.bytes_after += entry.end - entry.begin;
  }
  std::erase_if(changes, [](const auto& shard) { return shard.empty(); });  // a shard of nothing but scales
  return changes;
}

void write_shards(const SafetensorsFolder& folder, const Shards& changes, const fs::path& to, bool goes_on, const Fp8Layout& layout,
                  Conversion& done) {
  WeightIndex index;
  std::vector<std::vector<TensorEntry>> entries;
  for (const auto& shard : changes) entries.push_back(entries_after(shard));
  Progress progress("convert", double(done.bytes_after) / 1e6, "MB");
  double written = 0;
  for (size_t i = 0; i < changes.size(); ++i) {
    const fs::path path = to / shard_file_name(i, changes.size());
    for (const TensorEntry& entry : entries[i]) index.add(entry.name, path.filename().string(), entry.end - entry.begin);
    if (goes_on && is_written(path, entries[i])) {
      ++done.kept_shards;
      written += double(entries[i].back().end) / 1e6;
      continue;
    }
    SafetensorsWriter writer(path, entries[i], kMetadata);
    for (const TensorChange& change : changes[i]) {
      write_change(writer, folder, change, layout);
      written += double(tensor_bytes(change.from.shape, change.to, change.from.name)) / 1e6;
      progress.update(written, fmt::format("shard {} of {}", i + 1, changes.size()));
    }
    writer.commit();
  }
  progress.finish();
  done.shards = changes.size();
  index.finish(to);
}

// Blocks of another size than ours are no mistake, and yet not what was asked for.
std::string fp8_remark(const Shards& changes, const ConversionTarget& target, const Fp8Layout& layout) {
  if (!target.fp8 || layout.is_deepseeks()) return "";
  int64_t wide = 0;
  for (const auto& shard : changes) wide += linears_kept_wide(shard);
  return fmt::format("FP8 in blocks of {} x {} is copied as it is{}", layout.block_rows, layout.block_columns,
                     wide == 0 ? "" : fmt::format("; {} linears in more bits stay BF16, as only blocks of 128 x 128 are made", wide));
}

// Every key as it was, but for those that say how weights are stored, and those without which transformers builds another model.
Json converted_config(Json config, const ModelConfig& shape, const ConversionTarget& target) {
  const char* dtype = target.dtype == at::kFloat ? "float32" : "bfloat16";
  const bool newer_name = config.contains("dtype");
  if (newer_name) config["dtype"] = dtype;
  if (!newer_name || config.contains("torch_dtype")) config["torch_dtype"] = dtype;
  const Json ours = dump_model_config(shape);
  for (const char* key : {"architectures", "model_type", "first_k_dense_replace"}) config[key] = ours.at(key);
  const auto found = config.find("quantization_config");
  if (!target.fp8) {
    config.erase("quantization_config");
  } else if (found == config.end() || found->is_null()) {
    config["quantization_config"] = {
        {"quant_method", "fp8"}, {"fmt", "e4m3"}, {"activation_scheme", "dynamic"}, {"weight_block_size", {kFp8Block, kFp8Block}}};
  }
  return config;
}

}  // namespace

Conversion convert_model(const fs::path& given, const fs::path& to, const std::string& weights, const ConvertOptions& options) {
  const ConversionTarget target = conversion_target(weights);
  const fs::path from = find_model_folder(given);
  std::error_code absent;
  FB_CHECK(!fs::equivalent(from, to, absent), "{}: expected another folder than the one that is read", to.string());
  const fs::path inside = fs::weakly_canonical(to).lexically_relative(fs::weakly_canonical(from));
  FB_CHECK(inside.empty() || *inside.begin() == "..", "{}: expected a folder outside {}, which is read", to.string(), from.string());
  Conversion done;
  done.config = load_model_config(from);
  done.weights = weights;
  const SafetensorsFolder folder(from);
  check_stored_quantization(from);
  const Fp8Layout layout = read_fp8_layout(from);
  const Json plan = plan_of(from, folder.shards(), weights);
  const bool goes_on = check_target(to, plan, options.overwrite);
  const Shards changes = changes_by_shard(folder, target, layout, done);
  done.mtp_modules = stored_mtp_modules(folder, done.config);
  done.fp8_remark = fp8_remark(changes, target, layout);
  const Companions companions = find_companions(from, folder.shards());
  done.left_out = companions.left_out;
  const std::string card = options.card ? options.card(done) : "";
  say_lost_precision(from, folder);
  begin_target(to, plan, goes_on);  // behind every check: a refusal leaves what was there
  write_shards(folder, changes, to, goes_on, layout, done);
  copy_companions(from, to, companions);
  if (options.card) write_file_atomic(to / "README.md", card);
  const Json config = converted_config(read_json(from / "config.json"), done.config, target);
  write_file_atomic(to / "config.json", dump_json(config));
  fs::remove(to / kPlanFile);
  return done;
}

}  // namespace finback
