#include "cli/args.h"

#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/fields.h"

namespace finback {

Args::Args(std::string usage, std::string about, std::string example)
    : usage_(std::move(usage)), about_(std::move(about)), example_(std::move(example)) {}

Args& Args::flag(const std::string& name, const std::string& value_name, const std::string& help) {
  declared_.push_back({name, value_name, help});
  return *this;
}

Args& Args::toggle(const std::string& name, const std::string& help) { return flag(name, "", help); }

Args& Args::accept_overrides(const std::string& help_text) {
  accepts_overrides_ = true;
  override_help_ = help_text;
  return *this;
}

bool Args::parse(std::span<const std::string> words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      fmt::print("{}", help());
      return false;
    }
    // "-" is standard input and "-5" a number; any other single dash is a flag that nobody declared.
    const bool short_flag = word.size() > 1 && word[0] == '-' && word[1] != '-' && !(word[1] >= '0' && word[1] <= '9');
    if (short_flag) throw UsageError(fmt::format("unknown flag {}. Hint: flags have two dashes; finback {} --help", word, verb()));
    if (word.size() < 3 || word.substr(0, 2) != "--") {
      positional_.push_back(word);
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? std::string::npos : equals - 2);
    const Declared* declared = nullptr;
    std::vector<std::string> known;
    for (const Declared& candidate : declared_) {
      known.push_back(candidate.name);
      if (candidate.name == name) declared = &candidate;
    }
    const bool override_shaped = accepts_overrides_ && !declared && equals != std::string::npos;
    if (!declared && !override_shaped) {
      const std::string near = nearest_word(name, known);
      throw UsageError(
          fmt::format("unknown flag --{}{}. Hint: finback {} --help", name, near.empty() ? "" : " (did you mean --" + near + "?)", verb()));
    }
    std::string value;
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
      if (declared && declared->value_name.empty()) throw UsageError(fmt::format("--{} takes no value, got \"{}\"", name, value));
    } else if (declared && !declared->value_name.empty()) {
      if (i + 1 >= words.size()) throw UsageError(fmt::format("--{} expects a value: {}", name, declared->value_name));
      value = words[++i];
    }
    (declared ? given_ : overrides_).emplace_back(name, value);
  }
  return true;
}

std::string Args::verb() const { return usage_.substr(0, usage_.find(' ')); }

const std::string& Args::required(size_t index, const std::string& what) const {
  if (index >= positional_.size()) throw UsageError(fmt::format("expected {}. Usage: finback {}", what, usage_));
  return positional_[index];
}

void Args::at_most(size_t count) const {
  if (positional_.size() > count) throw UsageError(fmt::format("unexpected word \"{}\". Usage: finback {}", positional_[count], usage_));
}

bool Args::has(const std::string& name) const { return get(name).has_value(); }

std::optional<std::string> Args::get(const std::string& name) const {
  for (auto it = given_.rbegin(); it != given_.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return std::nullopt;
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

std::string Args::help() const {
  std::string text = "usage: finback " + usage_ + "\n\n" + about_ + "\n";
  if (!declared_.empty()) text += "\nflags\n";
  for (const Declared& flag : declared_) {
    text += fmt::format("  {:<28} {}\n", "--" + flag.name + (flag.value_name.empty() ? "" : " " + flag.value_name), flag.help);
  }
  if (accepts_overrides_) text += "\nrecipe keys, each also a flag --section.key=value\n" + override_help_;
  text +=
      "\nevery verb also takes\n"
      "  --threads N                  threads of the kernel pool (default: the cores of this process)\n"
      "  --kernels NAME               auto, ref, portable, avx2, avx512, avx512_bf16 or avx512_fp16\n"
      "  --poison                     tests: memory not yet written reads as NaN\n"
      "  --failpoint NAME:COUNT:WHAT  tests: at passage COUNT of NAME, WHAT is kill, full or short\n";
  return text + "\nexample\n  " + example_ + "\n";
}

}  // namespace finback
