#include "model/conversion.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "base/output_place.h"
#include "base/progress.h"
#include "model/checkpoint.h"
#include "model/checkpoint_files.h"
#include "model/conversion_folder.h"
#include "model/model_folder.h"
#include "model/panel_folder.h"
#include "model/safetensors_header.h"
#include "model/stored_mtp.h"
#include "model/stored_precision.h"
#include "model/stored_quantization.h"
#include "model/tensor_change.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

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
    SafetensorsWriter writer(path, entries[i], conversion_metadata());
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
  FB_CHECK(!fs::exists(to) || fs::is_directory(to), "{}: expected a folder to write, got a file", to.string());
  ResultFolder target_folder(to);  // held by one process from the first look at what is in it
  const bool goes_on = check_target(to, plan, options.overwrite);
  done.mtp_modules = stored_mtp_modules(folder, done.config);
  std::optional<PanelWriter> panels;
  Shards changes;
  if (target.panels) {
    ModelConfig stored = done.config;
    stored.num_nextn_predict_layers = done.mtp_modules;
    check_weights(from, stored);
    panels.emplace(folder, layout, stored);
    for (const std::string& name : folder.names()) done.bytes_before += folder.entry(name).end - folder.entry(name).begin;
    done.bytes_after = panels->bytes();
  } else {
    changes = changes_by_shard(folder, target, layout, done);
  }
  done.fp8_remark = fp8_remark(changes, target, layout);
  const Companions companions = find_companions(from, folder.shards());
  done.left_out = companions.left_out;
  const std::string card = options.card ? options.card(done) : "";
  say_lost_precision(from, folder);
  target_folder.keep();
  begin_target(to, plan, goes_on);  // behind every check: a refusal leaves what was there
  if (panels) {
    done.kept_shards = panels->write(to, goes_on);
    done.shards = panels->shards();
  } else {
    write_shards(folder, changes, to, goes_on, layout, done);
  }
  copy_companions(from, to, companions);
  if (options.card) write_file_atomic(to / "README.md", card);
  end_target(to, converted_config(read_json(from / "config.json"), done.config, target));
  return done;
}

}  // namespace finback
