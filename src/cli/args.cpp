#include "cli/args.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/fields.h"
#include "base/pool.h"
#include "base/program_name.h"
#include "cli/process_flags.h"

namespace finback {
namespace {

bool is_flag(const std::string& word) { return word.size() > 2 && word.starts_with("--"); }
// "-" is standard input and "-5" a number; any other single dash is a flag that nobody declares.
bool is_short_flag(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && word[1] != '-' && !(word[1] >= '0' && word[1] <= '9');
}
VerbFlags* collected = nullptr;

// --name=value without the dashes and the value.
std::string flag_name(const std::string& word) { return word.substr(2, word.find('=') - 2); }

}  // namespace

Args::Args(std::string usage, std::string about, std::string example)
    : usage_(std::move(usage)),
      about_(std::move(about)),
      example_(std::move(example)),
      declared_(process_flags()),
      of_every_verb_(declared_.size()) {}

Args& Args::flag(const std::string& name, const std::string& value_name, const std::string& help) {
  FB_ASSERT(!find(name), "a flag is declared once");
  declared_.push_back({name, value_name, help});
  return *this;
}

Args& Args::repeatable(const std::string& name, const std::string& value_name, const std::string& help) {
  flag(name, value_name, help);
  declared_.back().repeatable = true;
  return *this;
}

Args& Args::toggle(const std::string& name, const std::string& help) { return flag(name, "", help); }

Args& Args::developer() {
  declared_.back().developer = true;
  return *this;
}

Args& Args::only_of(std::vector<std::string> modes) {
  declared_.back().modes = std::move(modes);
  return *this;
}

Args& Args::accept_overrides(const std::string& help_text, std::vector<std::string> keys) {
  accepts_overrides_ = true;
  override_help_ = help_text;
  override_keys_ = std::move(keys);
  return *this;
}

void Args::collect_into(VerbFlags* table) { collected = table; }

const Args::Declared* Args::find(const std::string& name) const {
  for (const Declared& declared : declared_) {
    if (declared.name == name) return &declared;
  }
  return nullptr;
}

bool Args::parse(std::span<const std::string> words) {
  if (collected) {
    *collected = {declared_, override_keys_};
    return false;
  }
  bool flags = true;  // until "--"
  while (!words.empty()) {
    const std::string& word = words.front();
    size_t taken = 1;
    if (flags && word == "--") {
      flags = false;
    } else if (flags && (word == "--help" || word == "--help-all" || word == "-h")) {
      fmt::print("{}", as_typed(help(word == "--help-all")));
      return false;
    } else if (flags && is_short_flag(word)) {
      throw UsageError(fmt::format("unknown flag {}. Hint: flags have two dashes; finback {} --help", word, verb()));
    } else if (flags && is_flag(word)) {
      taken = take_flag(words);
    } else {
      positional_.push_back(word);
    }
    words = words.subspan(taken);
  }
  apply_process_flags({.quiet = has("quiet"),
                       .poison = has("poison"),
                       .failpoint = get("failpoint"),
                       .threads = integer("threads", available_cores(), 1, 1024),
                       .kernels = get_or("kernels", "auto")});
  return true;
}

// The flag in front; how many words it took.
size_t Args::take_flag(std::span<const std::string> words) {
  const std::string& word = words.front();
  const std::string name = flag_name(word);
  const size_t equals = word.find('=');
  const Declared* declared = find(name);
  if (!declared && !(accepts_overrides_ && equals != std::string::npos)) {
    std::vector<std::string> known;
    for (const Declared& candidate : declared_) known.push_back(candidate.name);
    // How weights are kept is --weights in every verb.
    const bool weights = (name == "dtype" || name == "precision") && find("weights");
    std::string near = weights ? "weights" : nearest_word(name, known);
    if (const std::string key = nearest_dotted(name, override_keys_); !key.empty() && (near.empty() || key.ends_with("." + name)))
      near = key + "=VALUE";
    throw UsageError(
        fmt::format("unknown flag --{}{}. Hint: finback {} --help", name, near.empty() ? "" : " (did you mean --" + near + "?)", verb()));
  }
  check_once(name, declared);
  const bool valued = !declared || !declared->value_name.empty();
  if (equals != std::string::npos) {
    if (!valued) throw UsageError(fmt::format("--{} takes no value, got \"{}\"", name, word.substr(equals + 1)));
    (declared ? given_ : overrides_).emplace_back(name, word.substr(equals + 1));
    check_path(word.substr(equals + 1), declared);
    return 1;
  }
  if (valued && words.size() < 2) throw UsageError(fmt::format("--{} expects a value: {}", name, declared->value_name));
  given_.emplace_back(name, valued ? words[1] : "");
  check_path(given_.back().second, declared);
  return valued ? 2 : 1;
}

// An empty text names no file, and would be the working folder or an error of the system.
void Args::check_path(const std::string& value, const Declared* declared) {
  const bool is_path = declared && (declared->value_name.starts_with("DIR") || declared->value_name.starts_with("FILE"));
  if (is_path && value.empty()) throw UsageError(fmt::format("--{} expects {}, got an empty text", declared->name, declared->value_name));
}

// The one that came first would be forgotten without a word.
void Args::check_once(const std::string& name, const Declared* declared) const {
  if (declared && declared->repeatable) return;
  for (const auto* list : {&given_, &overrides_}) {
    for (const auto& [before, value] : *list) {
      if (before != name) continue;
      throw UsageError(fmt::format("--{} comes twice{}. Hint: keep one", name, value.empty() ? "" : ", first with \"" + value + "\""));
    }
  }
}

size_t Args::leading_flags(std::span<const std::string> words) const {
  size_t count = 0;
  while (count < words.size() && is_flag(words[count])) {
    const Declared* declared = find(flag_name(words[count]));
    if (!declared) break;
    const bool value_follows = !declared->value_name.empty() && words[count].find('=') == std::string::npos;
    count = std::min(words.size(), count + (value_follows ? 2 : 1));
  }
  return count;
}

std::string Args::verb() const { return usage_.substr(0, usage_.find(' ')); }

const std::string& Args::required(size_t index, const std::string& what) const {
  if (index >= positional_.size()) throw UsageError(fmt::format("expected {}. Usage: finback {}", what, usage_));
  if (positional_[index].empty()) throw UsageError(fmt::format("expected {}, got an empty word. Usage: finback {}", what, usage_));
  return positional_[index];
}

void Args::check_mode(const std::string& mode) const {
  for (const auto& [name, value] : given_) {
    const Declared* declared = find(name);
    if (!declared || declared->modes.empty() || std::find(declared->modes.begin(), declared->modes.end(), mode) != declared->modes.end())
      continue;
    throw UsageError(
        fmt::format("--{0} belongs to {1} {2}: it has no effect with {1} {3}", name, verb(), fmt::join(declared->modes, " and "), mode));
  }
}

void Args::at_most(size_t count) const {
  if (positional_.size() > count) throw UsageError(fmt::format("unexpected word \"{}\". Usage: finback {}", positional_[count], usage_));
}

bool Args::has(const std::string& name) const { return get(name).has_value(); }

std::optional<std::string> Args::get(const std::string& name) const {
  for (const auto& [given, value] : given_) {
    if (given == name) return value;
  }
  return std::nullopt;
}

std::vector<std::string> Args::all(const std::string& name) const {
  std::vector<std::string> values;
  for (const auto& [given, value] : given_) {
    if (given == name) values.push_back(value);
  }
  return values;
}

std::string Args::get_or(const std::string& name, const std::string& fallback) const { return get(name).value_or(fallback); }

double Args::number(const std::string& name, double fallback, double low, double high) const {
  const auto text = get(name);
  if (!text) return fallback;
  char* end = nullptr;
  const double value = std::strtod(text->c_str(), &end);
  const bool whole = !text->empty() && *end == '\0' && !std::isnan(value);
  FB_CHECK(whole, "--{}: expected a number, got \"{}\"", name, *text);
  FB_CHECK(value >= low && value <= high, "--{}: expected {} to {}, got {}", name, low, high, *text);
  return value;
}

int64_t Args::integer(const std::string& name, int64_t fallback, int64_t low, int64_t high) const {
  if (!get(name)) return fallback;
  const double value = number(name, 0, double(low), double(high));
  FB_CHECK(value == std::floor(value), "--{}: expected an integer, got \"{}\"", name, *get(name));
  return int64_t(value);
}

std::string Args::help(bool all) const {
  std::string text = "usage: finback " + usage_ + "\n\n" + about_ + "\n";
  const auto add = [&](const char* title, auto begin, auto end, bool developer) {
    for (auto flag = begin; flag != end; ++flag) {
      if (flag->developer != developer) continue;
      text += title;
      title = "";
      text += fmt::format("  {:<28} {}\n", "--" + flag->name + (flag->value_name.empty() ? "" : " " + flag->value_name), flag->help);
    }
  };
  const auto own = declared_.begin() + ptrdiff_t(of_every_verb_);
  add("\nflags\n", own, declared_.end(), false);
  if (accepts_overrides_) text += "\n" + override_help_;
  add("\nevery verb also takes\n", declared_.begin(), own, false);
  text += fmt::format("  {:<28} {}\n", "--help-all", all ? "this text" : "this text and the flags for tests and developers");
  if (all) add("\nfor tests and developers\n", declared_.begin(), declared_.end(), true);
  return text + "\nexample\n  " + example_ + "\n";
}

}  // namespace finback
