#include "model/checkpoint_files.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/side_files.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

const std::string kIndexName = "model.safetensors.index.json";

// The names that shard_file_name makes, and the index's.
bool is_weight_file(const std::string& name) {
  std::string form = name;
  for (char& c : form) {
    if (c >= '0' && c <= '9') c = '0';
  }
  return name == "model.safetensors" || name == kIndexName || form == "model-00000-of-00000.safetensors";
}

}  // namespace

void begin_model_folder(const fs::path& folder) {
  make_directories(folder);
  std::error_code error;
  fs::remove(folder / "config.json", error);
  FB_CHECK(!error, "{}: cannot remove the old config.json: {}", folder.string(), error.message());
}

std::string shard_file_name(size_t index, size_t count) {
  return count == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

void WeightIndex::add(const std::string& name, const std::string& file, uint64_t bytes) {
  file_of_[name] = file;
  total_bytes_ += bytes;
}

void WeightIndex::finish(const fs::path& folder) const {
  std::set<std::string> files;
  for (const auto& [name, file] : file_of_) files.insert(file);
  if (files.size() > 1 || !files.contains("model.safetensors")) {
    // nlohmann's sorted type: the ordered one looks keys up one by one, and V3 has 92 thousand.
    const nlohmann::json index = {{"metadata", {{"total_size", total_bytes_}}}, {"weight_map", file_of_}};
    write_file_atomic(folder / kIndexName, index.dump(2) + "\n");
    files.insert(kIndexName);
  }
  std::vector<fs::path> stale;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    if (is_weight_file(name) && !files.contains(name)) stale.push_back(item.path());
  }
  for (const fs::path& path : stale) fs::remove(path);
}

const std::vector<std::string>& tokenizer_files() { return tokenizer_file_names(); }

void copy_side_files(const fs::path& from, const fs::path& to, const std::vector<std::string>& names) {
  std::error_code ignored;
  if (fs::equivalent(from, to, ignored)) return;
  for (const std::string& name : names) {
    if (fs::exists(from / name)) write_file_atomic(to / name, read_file(from / name));
  }
}

}  // namespace finback
