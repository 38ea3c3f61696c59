#include <ATen/ATen.h>

#include <algorithm>

#include "base/json.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxIndexBytes = 200'000'000;

// name -> file of model.safetensors.index.json. nlohmann's sorted type: V3 has 92 thousand keys, and Json looks them up one by one.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const MappedFile file(path);
  const std::string what = path.string();
  FB_CHECK(file.bytes().size() <= kMaxIndexBytes, "{}: expected at most {} bytes, got {}", what, kMaxIndexBytes, file.bytes().size());
  const char* text = reinterpret_cast<const char*>(file.bytes().data());
  const nlohmann::json index = nlohmann::json::parse(text, text + file.bytes().size(), nullptr, /*allow_exceptions=*/false);
  FB_CHECK(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object(),
           "{}: expected a JSON object with an object \"weight_map\"", what);
  std::map<std::string, std::string> file_of;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    FB_CHECK(shard.is_string(), "{}: {}: expected a file name, got {}", what, quoted_name(name), shard.type_name());
    const std::string value = shard.get<std::string>();
    const bool plain = value.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos && value.ends_with(".safetensors");
    FB_CHECK(plain, "{}: {}: expected a plain name that ends in .safetensors, got {}", what, quoted_name(name), quoted_name(value));
    file_of[name] = value;
  }
  FB_CHECK(!file_of.empty(), "{}: expected tensors in \"weight_map\", got none", what);
  return file_of;
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const fs::path& folder) : folder_(folder) {
  FB_CHECK(fs::is_directory(folder), "{}: expected a model folder", folder.string());
  const fs::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (fs::exists(single)) {  // first, as transformers looks
    auto file = std::make_unique<SafetensorsFile>(single);
    for (const auto& [name, entry] : file->entries()) file_of_[name] = "model.safetensors";
    open_name_ = "model.safetensors";
    open_ = std::move(file);
    return;
  }
  FB_CHECK(fs::exists(index), "{}: expected model.safetensors or model.safetensors.index.json, neither is there", folder.string());
  file_of_ = read_index(index);
  for (const auto& [name, file] : file_of_) {
    if (file == open_name_) continue;
    open_name_ = file;  // only remembers what was looked at: most neighbours share a shard
    std::error_code absent;
    FB_CHECK(fs::exists(folder / file, absent), "{}: {} is in {}, which is not there. Hint: the download may be incomplete", index.string(),
             quoted_name(name), quoted_name(file));
  }
  open_name_.clear();
}

bool SafetensorsFolder::has(const std::string& name) const { return file_of_.contains(name); }

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::pair<std::string, std::string>> by_shard;
  for (const auto& [name, file] : file_of_) by_shard.emplace_back(file, name);
  std::sort(by_shard.begin(), by_shard.end());
  std::vector<std::string> names;
  for (auto& [file, name] : by_shard) names.push_back(std::move(name));
  return names;
}

std::vector<std::string> SafetensorsFolder::shards() const {
  std::vector<std::string> files;
  for (const auto& [name, file] : file_of_) files.push_back(file);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

const SafetensorsFile& SafetensorsFolder::shard_of(const std::string& name) const {
  const auto found = file_of_.find(name);
  FB_CHECK(found != file_of_.end(), "{}: expected tensor {}, not there", folder_.string(), quoted_name(name));
  if (found->second != open_name_) {
    open_ = std::make_unique<SafetensorsFile>(folder_ / found->second);
    open_name_ = found->second;
  }
  return *open_;
}

TensorEntry SafetensorsFolder::entry(const std::string& name) const {
  const SafetensorsFile& shard = shard_of(name);
  FB_CHECK(shard.has(name), "{}: expected tensor {} in {} as the index says, not there", folder_.string(), quoted_name(name), open_name_);
  return shard.entries().at(name);
}

at::Tensor SafetensorsFolder::tensor(const std::string& name) const {
  entry(name);
  return open_->tensor(name);
}

}  // namespace finback
