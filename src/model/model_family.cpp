#include "model/model_family.h"

#include <algorithm>

#include "base/error.h"
#include "model/other_families.h"

namespace finback {
namespace {

// The key of the sparse attention of DeepSeek V3.2, whatever the model is called.
std::string indexer_key(const Json& json) {
  for (const char* key : {"index_topk", "index_n_heads", "index_head_dim"}) {
    const auto found = json.find(key);
    if (found != json.end() && !found->is_null() && *found != 0) return key;
  }
  return "";
}

std::string class_of(const Json& json) {
  const auto found = json.find("architectures");
  const bool named = found != json.end() && found->is_array() && !found->empty() && found->front().is_string();
  return named ? found->front().get<std::string>().substr(0, 60) : "";
}

// deepseek_v4, deepseek_v4_flash, deepseek_v5: other models, which no shape of ours describes.
bool is_later_deepseek(const std::string& name) {
  for (const std::string_view prefix : {"deepseek_v", "DeepseekV"}) {
    if (name.starts_with(prefix) && name.size() > prefix.size() && name[prefix.size()] >= '4' && name[prefix.size()] <= '9') return true;
  }
  return false;
}

bool is_other_family(const std::string& model_type) {
  return std::any_of(other_families().begin(), other_families().end(),
                     [&](const OtherFamily& family) { return family.model_type == model_type; });
}

}  // namespace

std::string model_type_of(const Json& json, const std::string& what) {
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", what, json.type_name());
  const auto found = json.find("model_type");
  if ((found == json.end() || found->is_null()) && !class_of(json).empty()) return class_of(json);
  return json_string(json, "model_type", what).substr(0, 60);
}

std::optional<ModelFamily> model_family(const Json& json, const std::string& what) {
  const std::string type = model_type_of(json, what), by_class = class_of(json);
  FB_CHECK(!is_later_deepseek(type) && !is_later_deepseek(by_class),
           "{}: model_type: expected a model up to DeepSeek V3.2, got \"{}\", which is another architecture and not known", what,
           is_later_deepseek(type) ? type : by_class);
  if (!indexer_key(json).empty() || is_other_family(type)) return std::nullopt;
  if (type == "deepseek_v2") return ModelFamily::kDeepseekV2;
  if (type == "deepseek_v3" || type == "kimi_k2" || by_class == "DeepseekV3ForCausalLM") return ModelFamily::kDeepseekV3;
  if (by_class == "DeepseekV2ForCausalLM") return ModelFamily::kDeepseekV2;
  return std::nullopt;
}

void fail_other_family(const Json& json, const std::string& what) {
  const std::string key = indexer_key(json);
  FB_CHECK(key.empty(),
           "{}: {}: expected none, got {}: the sparse attention of DeepSeek V3.2 is not built. Hint: finback inspect counts it", what, key,
           dump_json_line(json[key]).substr(0, 60));
  FB_FAIL("{}: model_type: expected deepseek_v2, deepseek_v3 or kimi_k2, got \"{}\". Hint: finback inspect counts other transformers", what,
          model_type_of(json, what));
}

}  // namespace finback
