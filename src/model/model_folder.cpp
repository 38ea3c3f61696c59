#include "model/model_folder.h"

#include <charconv>

#include "base/error.h"
#include "base/notice.h"
#include "model/weight_file_names.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

bool holds_model(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "config.json", ignored);
}

// A model folder one or two levels below, as caches of hubs lay them out; empty when there is none.
fs::path model_below(const fs::path& folder, int levels) {
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(folder, ignored)) {
    if (!item.is_directory(ignored)) continue;
    if (holds_model(item.path())) return item.path();
    const fs::path below = levels > 1 ? model_below(item.path(), levels - 1) : fs::path();
    if (!below.empty()) return below;
  }
  return {};
}

// RUN/step-000500 rather than RUN/latest: a run that goes on moves the link. Without the link, which some ways to copy a folder drop, the finished
// checkpoint with the highest number. Empty when there is none.
fs::path newest_checkpoint_of(const fs::path& run) {
  std::error_code error;
  const fs::path target = fs::read_symlink(run / "latest", error);
  if (holds_model(run / "latest")) return error || target.empty() ? run / "latest" : run / target;
  fs::path newest;
  int64_t highest = -1;
  for (const auto& item : fs::directory_iterator(run, error)) {
    const std::string name = item.path().filename().string();
    int64_t step = -1;
    if (!name.starts_with("step-")) continue;
    const auto [end, failed] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    const bool is_step = failed == std::errc() && end == name.data() + name.size() && step > highest;
    if (!is_step || !holds_model(item.path()) || !fs::exists(item.path() / "DONE", error)) continue;
    newest = item.path();
    highest = step;
  }
  return newest;
}

[[noreturn]] void fail_file(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  FB_FAIL("{}: expected a model folder, got a file{}", file.string(),
          holds_model(folder) ? fmt::format(". Hint: did you mean its folder, {}?", folder.string()) : "");
}

}  // namespace

bool has_weights(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "model.safetensors", ignored) || fs::exists(folder / "model.safetensors.index.json", ignored);
}

fs::path find_model_folder(const fs::path& given) {
  std::error_code ignored;
  const fs::file_status status = fs::status(given, ignored);
  if (!fs::exists(status) && given.filename() == "latest" && !newest_checkpoint_of(given.parent_path()).empty())
    return find_model_folder(given.parent_path());
  FB_CHECK(fs::exists(status), "{}: expected a model folder, nothing has that name", given.string());
  if (!fs::is_directory(status)) fail_file(given);
  if (holds_model(given)) return given;
  if (const fs::path newest = newest_checkpoint_of(given); !newest.empty()) {
    notice_once(fmt::format("{}: a run folder; its newest checkpoint {} is read", given.string(), newest.filename().string()));
    return newest;
  }
  FB_CHECK(
      !fs::exists(given / "config.toml"),
      "{}: expected a model folder, got a run folder without a finished checkpoint. Hint: finback train RECIPE --resume goes on with it",
      given.string());
  const fs::path below = model_below(given, 2);
  FB_FAIL("{}: expected a model folder, got one without config.json{}", given.string(),
          below.empty() ? "" : fmt::format(". Hint: did you mean {}?", below.string()));
}

fs::path find_model_or_config(const fs::path& given) {
  std::error_code ignored;
  return fs::is_regular_file(given, ignored) && !is_named_as_weights(given) ? given : find_model_folder(given);
}

fs::path find_tokenizer(const fs::path& given) {
  std::error_code ignored;
  if (fs::exists(given / "tokenizer.json", ignored)) return given;
  const bool lost_link = !fs::exists(given, ignored) && given.filename() == "latest";
  return newest_checkpoint_of(lost_link ? given.parent_path() : given).empty() ? given : find_model_folder(given);
}

}  // namespace finback
