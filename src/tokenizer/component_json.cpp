#include "tokenizer/component_json.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

using Kind = PreTokenizerStep::Kind;

std::string type_of(const WideJson& json, const std::string& where) {
  FB_CHECK(json.is_object(), "{}: expected an object with a \"type\", got {}", where, json.type_name());
  return string_of(json, "type", where);
}

const WideJson& list_of(const WideJson& json, const char* key, const std::string& where) {
  const WideJson& list = part_of(json, key);
  FB_CHECK(list.is_array(), "{}: expected a list at \"{}\", got {}", where, key, list.type_name());
  return list;
}

void read_normalizer(const WideJson& json, const std::string& where, std::vector<NormalForm>& forms) {
  const std::string type = type_of(json, where);
  if (type == "Sequence") {
    for (const WideJson& inner : list_of(json, "normalizers", where)) read_normalizer(inner, where, forms);
    return;
  }
  constexpr std::pair<const char*, NormalForm> kForms[] = {
      {"NFC", NormalForm::kNfc}, {"NFD", NormalForm::kNfd}, {"NFKC", NormalForm::kNfkc}, {"NFKD", NormalForm::kNfkd}};
  for (const auto& [name, form] : kForms) {
    if (type == name) return forms.push_back(form);
  }
  FB_FAIL("{}: {} is not supported. Hint: NFC, NFD, NFKC, NFKD and Sequence are", where, type);
}

SplitBehavior behavior_of(const std::string& name, const std::string& where) {
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  FB_FAIL("{}: expected behavior Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous, got \"{}\"", where, name);
}

PreTokenizerStep split_step(const WideJson& json, const std::string& where) {
  PreTokenizerStep step{.kind = Kind::kRegex, .pattern = "", .regex = nullptr};
  step.behavior = behavior_of(string_of(json, "behavior", where), where);
  step.invert = bool_of(json, "invert", false, where);
  const WideJson& pattern = part_of(json, "pattern");
  FB_CHECK(pattern.is_object() && pattern.size() == 1, "{}: expected {{\"Regex\": ...}} or {{\"String\": ...}} at \"pattern\"", where);
  const std::string key = pattern.begin().key();
  FB_CHECK(key == "Regex" || key == "String", "{}: expected a pattern of kind Regex or String, got \"{}\"", where, key);
  step.kind = key == "Regex" ? Kind::kRegex : Kind::kLiteral;
  step.pattern = string_of(pattern, key.c_str(), where);
  FB_CHECK(!step.pattern.empty(), "{}: expected a pattern, got an empty one", where);
  return step;
}

// `seen`: whether ByteLevel came. It maps bytes to symbols, and nothing that looks at text may follow it.
void read_pre_tokenizer(const WideJson& json, const std::string& where, std::vector<PreTokenizerStep>& steps, bool& seen) {
  const std::string type = type_of(json, where);
  if (type == "Sequence") {
    for (const WideJson& inner : list_of(json, "pretokenizers", where)) read_pre_tokenizer(inner, where, steps, seen);
    return;
  }
  FB_CHECK(!seen, "{}: {} after ByteLevel is not supported", where, type);
  if (type == "Split") {
    steps.push_back(split_step(json, where + ": Split"));
  } else if (type == "Digits") {
    const bool single = bool_of(json, "individual_digits", false, where + ": Digits");
    steps.push_back({.kind = Kind::kDigit,
                     .behavior = single ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
                     .pattern = "",
                     .regex = nullptr});
  } else if (type == "ByteLevel") {
    seen = true;
    if (bool_of(json, "add_prefix_space", true, where)) steps.push_back({.kind = Kind::kPrefixSpace, .pattern = "", .regex = nullptr});
    if (!bool_of(json, "use_regex", true, where)) return;
    steps.push_back({.kind = Kind::kRegex, .pattern = std::string(kGpt2Regex), .regex = nullptr});
  } else {
    FB_FAIL("{}: {} is not supported. Hint: Split, Digits, ByteLevel and Sequence are", where, type);
  }
}

std::vector<int32_t> ids_of(const WideJson& special_tokens, const std::string& name, const std::string& where) {
  const WideJson& token = part_of(special_tokens, name.c_str());
  FB_CHECK(token.is_object(), "{}: expected \"{}\" among special_tokens", where, name);
  std::vector<int32_t> ids;
  for (const WideJson& id : list_of(token, "ids", where)) {
    FB_CHECK(id.is_number_unsigned() && id.get<uint64_t>() < uint64_t(INT32_MAX), "{}: expected ids of \"{}\" to be integers", where, name);
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

std::vector<int32_t> read_template(const WideJson& json, const std::string& where) {
  std::vector<int32_t> ids;
  for (const WideJson& piece : list_of(json, "single", where)) {
    FB_CHECK(piece.is_object() && piece.size() == 1, "{}: expected pieces Sequence and SpecialToken", where);
    const std::string key = piece.begin().key();
    const std::string name = string_of(piece.begin().value(), "id", where);
    if (key == "Sequence") {
      FB_CHECK(name == "A", "{}: expected Sequence A in \"single\", got \"{}\"", where, name);
      ids.push_back(-1);
    } else {
      FB_CHECK(key == "SpecialToken", "{}: expected pieces Sequence and SpecialToken, got \"{}\"", where, key);
      const std::vector<int32_t> special = ids_of(part_of(json, "special_tokens"), name, where);
      ids.insert(ids.end(), special.begin(), special.end());
    }
  }
  FB_CHECK(std::count(ids.begin(), ids.end(), -1) == 1, "{}: expected Sequence A once in \"single\"", where);
  return ids;
}

void read_post_processor(const WideJson& json, const std::string& where, std::vector<std::vector<int32_t>>& templates) {
  const std::string type = type_of(json, where);
  if (type == "Sequence") {
    for (const WideJson& inner : list_of(json, "processors", where)) read_post_processor(inner, where, templates);
  } else if (type == "TemplateProcessing") {
    templates.push_back(read_template(json, where + ": TemplateProcessing"));
  } else {
    FB_CHECK(type == "ByteLevel", "{}: {} is not supported. Hint: ByteLevel, TemplateProcessing and Sequence are", where, type);
  }
}

constexpr int kMaxDepth = 64;

std::string one_line(std::string text) {
  for (char& c : text) c = c == '\n' || c == '\r' ? ' ' : c;
  return text.size() <= 200 ? text : text.substr(0, 200);
}

}  // namespace

WideJson parse_wide_json(std::string_view text, const std::string& where) {
  FB_CHECK(utf8_valid_prefix(text) == text.size(), "{}: expected UTF-8, got a stray byte at {}", where, utf8_valid_prefix(text));
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, WideJson::parse_event_t event, WideJson& parsed) {
    FB_CHECK(depth <= kMaxDepth, "{}: JSON nested deeper than {} levels", where, kMaxDepth);
    if (event == WideJson::parse_event_t::object_start) keys.emplace_back();
    if (event == WideJson::parse_event_t::object_end) keys.pop_back();
    if (event != WideJson::parse_event_t::key) return true;
    const std::string& key = parsed.get_ref<const std::string&>();
    FB_CHECK(keys.back().insert(key).second, "{}: the key \"{}\" comes twice in one object", where, one_line(key));
    return true;
  };
  try {
    return WideJson::parse(text, check);
  } catch (const nlohmann::json::exception& e) {
    std::string reason = e.what();
    if (const size_t bracket = reason.find("] "); bracket != std::string::npos) reason = reason.substr(bracket + 2);
    FB_FAIL("{}: expected JSON, got {}", where, one_line(reason));
  }
}

AddedToken parse_added_token(const WideJson& json, const std::string& where, bool normalized) {
  AddedToken token;
  token.content = string_of(json, "content", where);
  token.single_word = bool_of(json, "single_word", false, where);
  token.lstrip = bool_of(json, "lstrip", false, where);
  token.rstrip = bool_of(json, "rstrip", false, where);
  token.normalized = bool_of(json, "normalized", normalized, where);
  token.special = bool_of(json, "special", false, where);
  return token;
}

const WideJson& part_of(const WideJson& object, const char* key) {
  static const WideJson kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::optional<std::string> optional_string(const WideJson& object, const char* key, const std::string& where) {
  if (part_of(object, key).is_null()) return std::nullopt;
  return string_of(object, key, where);
}

std::string string_of(const WideJson& object, const char* key, const std::string& where) {
  const WideJson& value = part_of(object, key);
  FB_CHECK(value.is_string(), "{}: expected a string at \"{}\", got {}", where, key, value.type_name());
  return value.get<std::string>();
}

bool bool_of(const WideJson& object, const char* key, bool fallback, const std::string& where) {
  const WideJson& value = part_of(object, key);
  if (value.is_null()) return fallback;
  FB_CHECK(value.is_boolean(), "{}: expected true or false at \"{}\", got {}", where, key, value.type_name());
  return value.get<bool>();
}

std::vector<NormalForm> parse_normalizer(const WideJson& json, const std::string& where) {
  std::vector<NormalForm> forms;
  if (!json.is_null()) read_normalizer(json, where + ": normalizer", forms);
  return forms;
}

std::vector<PreTokenizerStep> parse_pre_tokenizer(const WideJson& json, const std::string& where) {
  std::vector<PreTokenizerStep> steps;
  bool seen = false;
  if (!json.is_null()) read_pre_tokenizer(json, where + ": pre_tokenizer", steps, seen);
  FB_CHECK(seen, "{}: pre_tokenizer: expected ByteLevel at its end, got none. Hint: only byte-level BPE is supported", where);
  return steps;
}

std::vector<std::vector<int32_t>> parse_post_processor(const WideJson& json, const std::string& where) {
  std::vector<std::vector<int32_t>> templates;
  if (!json.is_null()) read_post_processor(json, where + ": post_processor", templates);
  return templates;
}

void check_decoder(const WideJson& json, const std::string& where) {
  FB_CHECK(!json.is_null(), "{}: decoder: expected ByteLevel, got none", where);
  const std::string type = type_of(json, where + ": decoder");
  if (type == "Sequence") {
    const WideJson& list = list_of(json, "decoders", where + ": decoder");
    FB_CHECK(list.size() == 1, "{}: decoder: a Sequence of {} is not supported. Hint: ByteLevel is", where, list.size());
    return check_decoder(list[0], where);
  }
  FB_CHECK(type == "ByteLevel", "{}: decoder: {} is not supported. Hint: ByteLevel is", where, type);
}

}  // namespace finback
