#include "model/inherited_files.h"

#include <algorithm>

#include "base/file.h"
#include "tokenizer/chat_template.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

const std::string kGeneration = "generation_config.json", kTemplate = "chat_template.jinja";

// One id, a list of them, or null.
Json as_list(const Json& ids) { return ids.is_array() ? ids : ids.is_null() ? Json::array() : Json::array({ids}); }

}  // namespace

InheritedFiles inherited_files(const fs::path& folder) {
  InheritedFiles files;
  if (const fs::path file = folder / kGeneration; fs::exists(file)) {
    const Json json = read_json(file);
    FB_CHECK(json.is_object(), "{}: expected an object, got {}", file.string(), json.type_name());
    files[kGeneration] = dump_json(json);
  }
  if (const ChatTemplate found = read_chat_template(folder); !found.text.empty()) files[kTemplate] = found.text;
  return files;
}

std::string generation_config_text(const ModelConfig& config, const InheritedFiles& inherited) {
  const auto found = inherited.find(kGeneration);
  // Without do_sample finback samples and transformers is greedy: said to those.
  Json json = found == inherited.end() ? Json{{"do_sample", true}} : parse_json(found->second, kGeneration);
  if (config.bos_token_id) json["bos_token_id"] = *config.bos_token_id;
  Json ours = config.eos_token_id ? Json(*config.eos_token_id) : Json();
  if (config.other.contains("eos_token_id")) ours = config.other["eos_token_id"];  // a list
  const Json before = json.value("eos_token_id", Json());
  Json ends = as_list(before);
  for (const Json& id : as_list(ours)) {
    if (std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
  }
  if (before.is_null() && !ours.is_null()) json["eos_token_id"] = ours;
  if (!before.is_null() && ends != as_list(before)) json["eos_token_id"] = ends;
  return dump_json(json);
}

}  // namespace finback
