#include "model/stored_quantization.h"

#include <algorithm>

#include "model/config_json.h"
#include "model/config_keys.h"

namespace finback {
namespace {

constexpr int64_t kMaxBlock = int64_t{1} << 20;
constexpr const char* kPlaces[] = {"quantization_config", "compression_config"};

// An object that asks for nothing: empty, without a method, or bitsandbytes with both of its switches off.
bool asks_for_none(const Json& quantization) {
  const auto off = [&](const char* key) {
    return !quantization.value(key, Json(false)).is_boolean() || quantization.value(key, Json(false)) == false;
  };
  const Json method = quantization.value("quant_method", Json());
  const bool none = quantization.empty() || (quantization.contains("quant_method") && method.is_null());
  return none || (method == "bitsandbytes" && quantization.contains("load_in_4bit") && off("load_in_4bit") && off("load_in_8bit"));
}

std::string fault_of(const Json& quantization) {
  const auto differs = [&](const char* key, const Json& expected) -> std::string {
    const auto found = quantization.find(key);
    if (found != quantization.end() && *found == expected) return "";
    return fmt::format("{}: expected {}, got {}", key, shown(expected), found == quantization.end() ? "none" : shown(*found));
  };
  if (const std::string method = differs("quant_method", "fp8"); !method.empty()) return method;
  if (quantization.contains("fmt") && !quantization["fmt"].is_null() && quantization["fmt"] != "e4m3") return differs("fmt", "e4m3");
  const auto block = quantization.find("weight_block_size");
  const bool sizes =
      block != quantization.end() && block->is_array() && block->size() == 2 &&
      std::all_of(block->begin(), block->end(), [](const Json& n) { return n.is_number_integer() && n > 0 && n <= kMaxBlock; });
  return sizes ? "" : differs("weight_block_size", Json({128, 128}));  // the scales' shapes say which size it is
}

}  // namespace

std::optional<std::string> quantization_fault(const Json& config, const std::string& what) {
  std::optional<std::string> fault;
  for (const char* key : kPlaces) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) continue;
    FB_CHECK(found->is_object(), "{}: {}: expected an object or null, got {}", what, key, shown(*found));
    if (asks_for_none(*found)) continue;
    const std::string here = fault_of(*found);
    if (!fault || fault->empty()) fault = here.empty() ? "" : fmt::format("{}: {}", key, here);
  }
  return fault;
}

const Json& fp8_quantization(const Json& config) {
  const Json* asking = nullptr;
  for (const char* key : kPlaces) {
    const auto found = config.find(key);
    if (!asking && found != config.end() && !found->is_null() && !asks_for_none(*found)) asking = &*found;
  }
  FB_ASSERT(asking, "a config whose quantization has no fault asks for one");
  return *asking;
}

Json panel_quantization() { return {{"quant_method", "finback"}, {"weights", "int8"}, {"format", 1}}; }

bool is_panel_folder(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / "config.json")) return false;
  const Json config = read_config_json(folder);
  const auto found = config.find("quantization_config");
  return found != config.end() && found->is_object() && found->value("quant_method", Json()) == "finback";
}

void check_stored_quantization(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / "config.json")) return;
  const std::string what = (folder / "config.json").string();
  const std::string fault = quantization_fault(read_config_json(folder), what).value_or("");
  FB_CHECK(!is_panel_folder(folder),
           "{}: int8 panels are for serving: generate, chat, doctor, bench decode. Hint: use the folder that they were converted from",
           what);
  FB_CHECK(fault.empty(), "{}: {}. Hint: finback inspect counts such a model; its weights are not read", what, fault);
}

}  // namespace finback
