#include "model/stored_mtp.h"

#include <charconv>
#include <set>

namespace finback {
namespace {

// "model.layers.61.enorm.weight" -> 61; -1 for what is outside the layers.
int64_t layer_of(const std::string& name) {
  const std::string prefix = "model.layers.";
  int64_t layer = -1;
  if (!name.starts_with(prefix)) return -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, layer);
  return error == std::errc() && stop != end && *stop == '.' ? layer : -1;
}

}  // namespace

bool is_of_mtp(const std::string& name, const ModelConfig& config) { return layer_of(name) >= config.num_hidden_layers; }

int64_t stored_mtp_modules(const SafetensorsFolder& files, const ModelConfig& config) {
  std::set<int64_t> layers;
  for (const std::string& name : files.names()) {
    if (is_of_mtp(name, config)) layers.insert(layer_of(name));
  }
  return int64_t(layers.size());
}

}  // namespace finback
