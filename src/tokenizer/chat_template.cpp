#include "tokenizer/chat_template.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/special_tokens.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

std::string template_text(const Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return "";
  for (const Json& item : *found) {
    if (item.is_object() && item.value("name", Json()) == "default" && item.value("template", Json()).is_string())
      return item.at("template").get<std::string>();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Whether every place where `part` ends satisfies `fits`, given what follows.
template <class Fits>
bool everywhere(const std::string& text, const std::string& part, Fits fits) {
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) {
    if (!fits(std::string_view(text).substr(at + part.size()))) return false;
  }
  return true;
}

// A literal of the template that is empty or begins with a control token, or no literal.
bool adds_no_text(std::string_view rest) {
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" +")));
  const bool literal = rest.starts_with('\'') || rest.starts_with('"');
  return !literal || (rest.size() > 1 && (rest[1] == '<' || rest[1] == rest[0]));
}

// What DeepSeek's templates do not do to a message: trim it, put blanks around it, give a system text of their own.
bool changes_messages(const std::string& text) {
  const auto ends_literal = [](std::string_view rest) { return rest.starts_with('\'') || rest.starts_with('"'); };
  const bool plain = everywhere(text, kUserToken, ends_literal) && everywhere(text, "['content']", adds_no_text) &&
                     everywhere(text, "system_prompt=", adds_no_text) && everywhere(text, "system_prompt =", adds_no_text);
  return !plain || has(text, "trim") || has(text, "strip(");
}

}  // namespace

ChatTemplate recognise_chat_template(std::string text) {
  ChatTemplate found;
  const std::string assistant = kAssistantToken;
  if (has(text, kUserToken) && has(text, assistant) && !changes_messages(text)) {
    // V3 of December 2024 knows no reasoning; R1 opens the assistant's turn with it. V3.1 and later close it at once, which is neither.
    const bool opens = has(text, assistant + "<think>\n") || has(text, assistant + "<think>\\n");
    if (!has(text, "think")) found.format = ChatFormat::kV3;
    if (opens && !has(text, assistant + "</think>")) found.format = ChatFormat::kR1;
  }
  found.of_finback = found.format == ChatFormat::kV3 && has(text, "selectattr('role', 'equalto', 'system')");
  found.text = std::move(text);
  return found;
}

ChatTemplate read_chat_template(const fs::path& folder) {
  if (fs::exists(folder / "chat_template.jinja")) return recognise_chat_template(read_file(folder / "chat_template.jinja"));
  const fs::path config = folder / "tokenizer_config.json";
  if (!fs::exists(config)) return {};
  const Json json = read_json(config);
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", config.string(), json.type_name());
  return recognise_chat_template(template_text(json));
}

}  // namespace finback
