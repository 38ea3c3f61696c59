// Which model a config.json describes: by its model_type, compared whole; where that is a name of its own, by the class in `architectures` (Kimi-K2 is
// DeepSeek-V3 under another name); and by the keys of parts that no DeepSeek V2 or V3 has. Reads no values.
#pragma once
#include <optional>
#include <string>

#include "base/json.h"

namespace finback {

enum class ModelFamily { kDeepseekV2, kDeepseekV3 };
// None for a transformer that finback inspect counts and nothing computes. Throws Error for a config without a name, and for DeepSeek V4 and later.
std::optional<ModelFamily> model_family(const Json& json, const std::string& what);
// model_type, or the class when there is none.
std::string model_type_of(const Json& json, const std::string& what);
// "c.json: model_type: expected deepseek_v2, deepseek_v3 or kimi_k2, got "llama" ..."
[[noreturn]] void fail_other_family(const Json& json, const std::string& what);

}  // namespace finback
