#include "base/program_name.h"

#include <algorithm>
#include <utility>

namespace finback {
namespace {

constexpr std::string_view kPlainName = "finback ";

struct Program {
  std::string typed;  // as a shell takes it; empty: the plain name
  std::vector<std::string> verbs;
};
Program& program() {
  static Program started;
  return started;
}

bool in_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }
bool in_path(char c) { return in_word(c) || c == '.' || c == '/'; }

// Whether a command goes on here, behind the program's name.
bool is_command(std::string_view rest) {
  if (rest.starts_with("--")) return true;
  return std::any_of(program().verbs.begin(), program().verbs.end(), [&](const std::string& verb) {
    return rest.starts_with(verb) && (rest.size() == verb.size() || !in_word(rest[verb.size()]));
  });
}

}  // namespace

std::string shell_word(const std::string& word) {
  const auto plain = [](char c) { return in_path(c) || uint8_t(c) >= 0x80 || std::string_view("+,:@%").find(c) != std::string_view::npos; };
  if (std::all_of(word.begin(), word.end(), plain)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

void set_program(std::string typed, std::vector<std::string> verbs) {
  program() = {typed.empty() ? "" : shell_word(typed), std::move(verbs)};
}

std::string as_typed(std::string_view text) {
  std::string out;
  if (program().typed.empty()) return std::string(text);
  for (size_t at; (at = text.find(kPlainName)) != std::string_view::npos;) {
    out += text.substr(0, at);
    const bool begins = out.empty() || !in_path(out.back());
    text.remove_prefix(at + kPlainName.size());
    out += begins && is_command(text) ? program().typed + " " : std::string(kPlainName);
  }
  return out + std::string(text);
}

}  // namespace finback
