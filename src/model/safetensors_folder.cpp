#include <ATen/ATen.h>
#include <strings.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/notice.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"
#include "model/weight_file_names.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxIndexBytes = 200'000'000;
const std::string kSingle = "model.safetensors", kIndex = "model.safetensors.index.json";

// Hears every key of the index as it is parsed: nlohmann keeps the last of two equal ones without a word.
struct IndexKeys {
  std::string what;
  std::vector<std::set<std::string>> open;  // keys of the objects around the current place

  bool operator()(int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) open.emplace_back();
    if (event == Event::object_end) open.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      FB_CHECK(open.back().insert(key).second, "{}: {} appears twice", what, quoted_name(key));
    }
    return true;
  }
};

// name -> file of model.safetensors.index.json. nlohmann's sorted type: V3 has 92 thousand keys, and Json looks them up one by one.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const MappedFile file(path);
  const std::string what = path.string();
  FB_CHECK(file.bytes().size() <= kMaxIndexBytes, "{}: expected at most {} bytes, got {}", what, kMaxIndexBytes, file.bytes().size());
  const char* text = reinterpret_cast<const char*>(file.bytes().data());
  const nlohmann::json index = nlohmann::json::parse(text, text + file.bytes().size(), IndexKeys{what, {}}, /*allow_exceptions=*/false);
  FB_CHECK(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object(),
           "{}: expected a JSON object with an object \"weight_map\"{}", what,
           index.is_discarded() ? ", got a syntax error. Hint: the file may be cut off" : "");
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

// Two truths in one folder: which of them is read is said.
void say_what_is_not_read(const fs::path& folder, const std::vector<std::string>& shards) {
  std::vector<std::string> others;
  for (const std::string& name : weight_file_names(folder)) {
    if (!std::binary_search(shards.begin(), shards.end(), name)) others.push_back(name);
  }
  if (others.empty()) return;
  notice_once(fmt::format("{}: {} read; not read: {}", folder.string(),
                          shards.size() == 1 ? shards[0] + " is" : fmt::format("the {} shards of {} are", shards.size(), kIndex),
                          shortened_list(others)));
}

[[noreturn]] void fail_without_weights(const fs::path& folder) {
  std::string got = "neither is there";
  for (const std::string& name : {kSingle, kIndex}) {
    if (fs::is_symlink(folder / name)) got = name + " is a link that leads nowhere. Hint: it was not fetched";
  }
  std::vector<std::string> others = weight_file_names(folder);
  std::erase(others, kSingle);  // the link
  if (!others.empty()) {
    const bool ours = others[0].ends_with(".safetensors");
    const bool capitals = !ours && std::any_of(others.begin(), others.end(), [](const std::string& name) {
      return strcasecmp(fs::path(name).extension().c_str(), ".safetensors") == 0;
    });
    got += fmt::format(", got {}. Hint: {}", shortened_list(others),
                       ours       ? "an index says which tensor lies in which file"
                       : capitals ? "a file of that name in small letters is read"
                                  : "save_pretrained of transformers writes safetensors");
  }
  FB_FAIL("{}: expected {} or {}, {}", folder.string(), kSingle, kIndex, got);
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const fs::path& folder) : folder_(folder) {
  FB_CHECK(fs::is_directory(folder), "{}: expected a model folder", folder.string());
  const fs::path single = folder / kSingle, index = folder / kIndex;
  if (fs::exists(single)) {  // first, as transformers looks
    auto file = std::make_unique<SafetensorsFile>(single);
    for (const auto& [name, entry] : file->entries()) file_of_[name] = kSingle;
    open_name_ = kSingle;
    open_ = std::move(file);
    say_what_is_not_read(folder, {kSingle});
    return;
  }
  if (!fs::exists(index)) fail_without_weights(folder);
  file_of_ = read_index(index);
  for (const auto& [name, file] : file_of_) {
    if (file == open_name_) continue;
    open_name_ = file;  // only remembers what was looked at: most neighbours share a shard
    std::error_code absent;
    FB_CHECK(fs::exists(folder / file, absent), "{}: {} is in {}, which is not there. Hint: the download may be incomplete", index.string(),
             quoted_name(name), quoted_name(file));
  }
  open_name_.clear();
  say_what_is_not_read(folder, shards());
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
    say_what_the_index_hides();
  }
  return *open_;
}

// Tensors of the open shard that the index leaves out or places in another one.
void SafetensorsFolder::say_what_the_index_hides() const {
  std::vector<std::string> hidden;
  for (const auto& [name, entry] : open_->entries()) {
    const auto found = file_of_.find(name);
    if (found == file_of_.end() || found->second != open_name_) hidden.push_back(quoted_name(name));
  }
  if (hidden.empty()) return;
  notice_once(fmt::format("{}: {} not read from there: the index names another file or none", (folder_ / open_name_).string(),
                          shortened_list(hidden)));
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
