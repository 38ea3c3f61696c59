#include "model/checkpoint_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

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

// What a conversion does not take along: weights that it does not read, a trainer's state, what is hidden or half written.
bool stays_behind(const fs::path& file) {
  const std::string name = file.filename().string(), end = file.extension().string();
  if (name.starts_with(".") || name == "trainer.json" || name == "DONE" || name == "conversion.json") return true;
  if (name.ends_with(".safetensors.index.json") || name.ends_with(".bin.index.json")) return true;
  const char* ends[] = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".npz", ".tmp"};
  return std::find(std::begin(ends), std::end(ends), end) != std::end(ends);
}

// What tokenizers and generation read as JSON.
bool must_be_json(const std::string& name) {
  const char* names[] = {"tokenizer.json",    "tokenizer_config.json",  "special_tokens_map.json",
                         "added_tokens.json", "generation_config.json", "chat_template.json",
                         "vocab.json"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// One object or list from its first bracket to its last, whatever is in it: what a download that was cut off is not.
bool is_whole_json(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n", kMark = "\xef\xbb\xbf";
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  const size_t first = text.find_first_not_of(kSpace), last = text.find_last_not_of(kSpace);
  if (first == text.npos || (text[first] != '{' && text[first] != '[')) return false;
  int64_t depth = 0;
  bool in_string = false;
  for (size_t i = first; i <= last; ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (depth == 0) return i == last;
  }
  return false;
}

void check_companion(const fs::path& path) {
  const MappedFile file(path);  // refuses pointers
  if (!must_be_json(path.filename().string())) return;
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  FB_CHECK(is_whole_json(text), "{}: expected JSON, got {}. Hint: download it again", path.string(),
           text.empty() ? "an empty file" : fmt::format("{} bytes that are none or are cut off", text.size()));
}

// Through a mapping: a file of any size in bounded memory.
void copy_whole(const fs::path& from, const fs::path& to) {
  const MappedFile file(from);
  AtomicFile copy(to);
  copy.write(file.bytes().data(), file.bytes().size());
  copy.commit();
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

Companions find_companions(const fs::path& from, const std::vector<std::string>& shards) {
  Companions companions;
  for (const auto& item : fs::directory_iterator(from)) {
    const std::string name = item.path().filename().string();
    if (name == "config.json" || name == kIndexName || std::find(shards.begin(), shards.end(), name) != shards.end()) continue;
    if (item.is_directory()) {
      companions.left_out.push_back(name + "/");
    } else if (stays_behind(item.path())) {
      companions.left_out.push_back(name);
    } else {
      check_companion(item.path());
      companions.copied.push_back(name);
    }
  }
  std::sort(companions.copied.begin(), companions.copied.end());
  std::sort(companions.left_out.begin(), companions.left_out.end());
  return companions;
}

void copy_companions(const fs::path& from, const fs::path& to, const Companions& companions) {
  for (const std::string& name : companions.copied) copy_whole(from / name, to / name);
}

void remove_model_files(const fs::path& folder) {
  std::vector<fs::path> old;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    const auto& files = tokenizer_files();
    const bool ours = is_weight_file(name) || name == "generation_config.json" || name == "README.md" ||
                      std::find(files.begin(), files.end(), name) != files.end();
    if (ours) old.push_back(item.path());
  }
  for (const fs::path& path : old) fs::remove(path);
}

}  // namespace finback
