#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// Replaced by the new run's, never removed before: it may have been started from them.
bool is_recipe_file(const std::string& name) { return name == "config.toml" || name == "model.json"; }

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  FB_CHECK(!error, "{}: cannot remove: {}", path.string(), error.message());
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The number of "step-000500"; nothing for other names.
std::optional<int64_t> step_of(const std::string& name) {
  int64_t step = 0;
  const char *begin = name.data() + 5, *end = name.data() + name.size();
  if (!name.starts_with("step-") || begin == end) return std::nullopt;
  const auto [stop, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || stop != end || step_name(step) != name) return std::nullopt;
  return step;
}

// Whether a finished checkpoint of the run is what `folder` holds: the position of the run and its fingerprints are the same bytes.
bool is_copied_checkpoint(const fs::path& root, const fs::path& folder) {
  if (!fs::exists(folder / "trainer.json")) return false;
  const std::string position = read_file(folder / "trainer.json");
  for (const int64_t step : finished_steps(root)) {
    const fs::path own = root / step_name(step) / "trainer.json";
    if (fs::exists(own) && read_file(own) == position) return true;
  }
  return false;
}

}  // namespace

bool is_run_file(const std::string& name) {
  static const std::vector<std::string> fixed = {"config.toml",    "model.json",    "metrics.jsonl", "attempts.jsonl", "log.txt",
                                                 "bill.json",      "plan.json",     "latest",        "latest.tmp",     "config.toml.tmp",
                                                 "model.json.tmp", "bill.json.tmp", "plan.json.tmp"};
  return name.starts_with("step-") || name.starts_with("events.out.tfevents.") ||
         std::find(fixed.begin(), fixed.end(), name) != fixed.end();
}

bool run_is_held(const fs::path& root) {
  const int fd = ::open((root / ".lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return held;
}

bool has_trained(const fs::path& root) {
  if (!finished_steps(root).empty()) return true;
  std::ifstream metrics(root / "metrics.jsonl");
  for (std::string line; std::getline(metrics, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.value("kind", "") == "step") return true;
  }
  return false;
}

RunFolder::RunFolder(fs::path root, OpenMode mode) : root_(std::move(root)), mode_(mode) {
  if (mode == OpenMode::kNew && fs::exists(root_)) {
    FB_CHECK(fs::is_directory(root_), "{}: expected a folder, got a file", root_.string());
    const bool trained = has_trained(root_);
    for (const std::string& name : names_in(root_)) {
      FB_CHECK(name == ".lock" || (is_run_file(name) && !trained),
               "{}: expected a new run, got a folder with {} in it. Hint: --resume goes on, --overwrite starts again, --run.name=NAME",
               root_.string(), name);
    }
  }
  make_directories(root_);
  lock_.emplace(root_ / ".lock", std::chrono::milliseconds(50));  // run_is_held holds the lock for an instant
  FB_CHECK(lock_->held(), "{}: another process is training in this folder. Hint: wait for it, or --run.name=NAME", root_.string());
}

void RunFolder::clear() {
  remove_unfinished(root_);
  if (mode_ == OpenMode::kResume) return;
  const std::vector<std::string> names = names_in(root_);
  for (const std::string& name : names) {  // first, so that a removal cut short leaves unfinished checkpoints, not broken ones
    if (name.starts_with("step-")) remove_tree(root_ / name / "DONE");
  }
  for (const std::string& name : names) {
    const bool hours = mode_ == OpenMode::kNew && name == "attempts.jsonl";
    if (is_run_file(name) && !is_recipe_file(name) && !hours) remove_tree(root_ / name);
  }
}

std::string step_name(int64_t step) { return fmt::format("step-{:06}", step); }

std::vector<int64_t> finished_steps(const fs::path& root) {
  std::vector<int64_t> steps;
  for (const std::string& name : names_in(root)) {
    const std::optional<int64_t> step = step_of(name);
    if (step && fs::exists(root / name / "DONE")) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void remove_unfinished(const fs::path& root) {
  for (const std::string& name : names_in(root)) {
    if (name.starts_with("step-") && !(step_of(name) && fs::exists(root / name / "DONE"))) remove_tree(root / name);
    if (name == "latest.tmp") remove_tree(root / name);
  }
}

void point_latest(const fs::path& root, int64_t step) {
  const fs::path temporary = root / "latest.tmp";
  remove_tree(temporary);
  if (fs::is_directory(fs::symlink_status(root / "latest"))) {
    FB_CHECK(is_copied_checkpoint(root, root / "latest"),
             "{}: expected a link to the newest checkpoint, got a folder that is no copy of one. Hint: rename it",
             (root / "latest").string());
    remove_tree(root / "latest");  // cut short, the run has no latest, and its newest checkpoint is found by its number
  }
  FB_CHECK(::symlink(step_name(step).c_str(), temporary.c_str()) == 0, "{}: cannot make the link: {}", temporary.string(),
           std::strerror(errno));
  failpoint("before-latest");
  if (::rename(temporary.c_str(), (root / "latest").c_str()) != 0) {
    const std::string why = std::strerror(errno);
    ::unlink(temporary.c_str());
    FB_FAIL("{}: cannot rename: {}", temporary.string(), why);
  }
  sync_directory(root);
}

std::vector<int64_t> kept_steps(const std::vector<int64_t>& steps, int64_t keep_last, int64_t keep_every) {
  std::vector<int64_t> kept;
  for (size_t i = 0; i < steps.size(); ++i) {
    const bool recent = int64_t(steps.size() - i) <= keep_last;
    const bool milestone = keep_every > 0 && steps[i] > 0 && steps[i] % keep_every == 0;
    if (recent || milestone) kept.push_back(steps[i]);
  }
  return kept;
}

void retain(const fs::path& root, int64_t keep_last, int64_t keep_every) {
  const std::vector<int64_t> steps = finished_steps(root);
  const std::vector<int64_t> kept = kept_steps(steps, keep_last, keep_every);
  for (const int64_t step : steps) {
    if (std::find(kept.begin(), kept.end(), step) != kept.end()) continue;
    remove_tree(root / step_name(step) / "DONE");
    failpoint("mid-removal");
    remove_tree(root / step_name(step));
  }
}

}  // namespace finback
