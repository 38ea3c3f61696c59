#include "model/weight_file_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace finback {
namespace fs = std::filesystem;

bool is_named_as_weights(const fs::path& file) {
  std::string name = file.filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  for (const char* state : {"trainer", "optimizer", "scheduler", "rng_state", "training_args", "scaler"}) {
    if (name.starts_with(state)) return false;
  }
  for (const char* end : {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

std::vector<std::string> weight_file_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(folder, ignored)) {
    if (is_named_as_weights(item.path()) && !item.is_directory(ignored)) names.push_back(item.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string shortened_list(const std::vector<std::string>& names) {
  constexpr size_t kShown = 3;
  const std::vector<std::string> first(names.begin(), names.begin() + std::ptrdiff_t(std::min(kShown, names.size())));
  return fmt::format("{}{}", fmt::join(first, ", "), names.size() > kShown ? fmt::format(" and {} more", names.size() - kShown) : "");
}

}  // namespace finback
