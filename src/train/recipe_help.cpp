#include "train/recipe_help.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/field_list.h"
#include "train/train_config.h"

namespace finback {
namespace {

// What a first run of one's own sets.
constexpr std::array<std::string_view, 12> kFirstKeys = {"run.name",        "data.corpora",       "data.seq_len", "model.config",
                                                         "train.steps",     "train.batch_tokens", "optimizer.lr", "schedule.kind",
                                                         "train.precision", "train.init",         "eval.every",   "checkpoint.every"};

constexpr std::pair<std::string_view, std::string_view> kSectionTitles[] = {{"run", "the run"},
                                                                            {"model", "the model's shape, over model.config"},
                                                                            {"data", "data"},
                                                                            {"train", "training"},
                                                                            {"optimizer", "AdamW"},
                                                                            {"schedule", "learning rate over time"},
                                                                            {"eval", "evaluations and samples"},
                                                                            {"checkpoint", "checkpoints"},
                                                                            {"bill", "the bill"}};

bool is_first(const FieldLine& line) { return std::find(kFirstKeys.begin(), kFirstKeys.end(), line.key) != kFirstKeys.end(); }

std::string line_of(const FieldLine& line) {
  const bool said = line.value.empty() || line.value == "null" || line.value == "\"\"";  // an absent key's help says what that means
  const OnResume change = on_resume(line.key);
  const char mark = change == OnResume::kAlways ? '*' : change == OnResume::kLonger ? '~' : ' ';
  return fmt::format("{} {:<32} {}{}\n", mark, line.key, line.help, said ? "" : " (default " + line.value + ")");
}

}  // namespace

std::string recipe_help() {
  TrainConfig defaults;
  const std::vector<FieldLine> lines = field_lines(defaults);
  std::string text =
      "recipe keys, each also a flag --section.key=value; those that matter first.\n* may change on --resume; ~ may change where no step "
      "so far depended on the run's length\n";
  for (const std::string_view key : kFirstKeys) {
    const auto found = std::find_if(lines.begin(), lines.end(), [&](const FieldLine& line) { return line.key == key; });
    FB_ASSERT(found != lines.end(), "a key of the first group is in the field list");
    text += line_of(*found);
  }
  for (const auto& [section, title] : kSectionTitles) {
    text += fmt::format("\n{} [{}]\n", title, section);
    for (const FieldLine& line : lines) {
      if (line.key.starts_with(std::string(section) + ".") && !is_first(line)) text += line_of(line);
    }
  }
  DataSource source;
  text += "\neach of [[data.corpora]]\n";
  for (const FieldLine& line : field_lines(source)) text += line_of(line);
  return text;
}

std::vector<std::string> recipe_keys() {
  TrainConfig defaults;
  std::vector<std::string> keys;
  for (const FieldLine& line : field_lines(defaults)) keys.push_back(line.key);
  return keys;
}

}  // namespace finback
