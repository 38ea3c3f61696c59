#include "data/folder_walk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  return text;
}

using FileIdentity = std::pair<dev_t, ino_t>;

class FolderWalk {
 public:
  FolderWalk(const fs::path& root, const WalkRules& rules, ReadReport& report) : root_(root), rules_(rules), report_(report) {}

  std::vector<fs::path> run() {
    struct stat at;
    FB_CHECK(::stat(root_.c_str(), &at) == 0 && S_ISDIR(at.st_mode), "{}: expected a folder", root_.string());
    folders_.insert({at.st_dev, at.st_ino});
    walk(root_);
    // Links come after everything that has its own place here, so that a file keeps its own name. A linked folder may bring more links.
    for (; !links_.empty(); links_.pop_front()) follow(links_.front());
    std::sort(found_.begin(), found_.end());
    for (const auto& [ending, places] : other_endings_) {
      for (const std::string& place : places) report_.left_out(fmt::format("ending {} is not taken", ending), place);
    }
    return std::move(found_);
  }

 private:
  void walk(const fs::path& folder) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    if (error) return report_.left_out("a folder that cannot be opened", folder.string());
    std::vector<fs::path> names;
    for (const fs::directory_entry& entry : entries) names.push_back(entry.path());
    std::sort(names.begin(), names.end());
    for (const fs::path& path : names) visit(path);
  }

  void visit(const fs::path& path) {
    struct stat at;
    if (is_skipped(path)) return;
    if (::lstat(path.c_str(), &at) != 0) return report_.left_out("gone while the folder was read", path.string());
    if (S_ISLNK(at.st_mode)) {
      if (rules_.follow_links) return links_.push_back(path);
      return report_.left_out("a link, which is not followed in a package", path.string());
    }
    S_ISDIR(at.st_mode) ? enter(path, at) : take(path, at, /*linked=*/false);
  }

  void follow(const fs::path& link) {
    struct stat at;
    if (::stat(link.c_str(), &at) != 0) return report_.left_out("a link that leads nowhere", link.string());
    S_ISDIR(at.st_mode) ? enter(link, at) : take(link, at, /*linked=*/true);
  }

  void enter(const fs::path& folder, const struct stat& at) {
    std::error_code none;
    if (!rules_.output.empty() && fs::equivalent(folder, rules_.output, none))
      return report_.left_out("the output folder", folder.string());
    if (is_corpus_folder(folder)) return report_.left_out("a corpus that finback has built", folder.string());
    if (!folders_.insert({at.st_dev, at.st_ino}).second)
      return report_.left_out("a link to a folder that is read already", folder.string());
    walk(folder);
  }

  void take(const fs::path& path, const struct stat& at, bool linked) {
    const std::string inside = path.lexically_relative(root_).string();
    const auto ends = [&](const std::string& suffix) { return inside.ends_with(suffix); };
    const bool wanted = rules_.suffixes.empty() ? has_text_ending(path) : std::any_of(rules_.suffixes.begin(), rules_.suffixes.end(), ends);
    if (!S_ISREG(at.st_mode)) return report_.left_out("no regular file (a pipe, socket or device)", path.string());
    if (!wanted) {
      const std::string last = lower(path.extension().string()), inner = inner_ending(path);
      const std::string ending = inner == last ? last : inner + last;  // .yaml.gz
      return other_endings_[ending.empty() ? "(none)" : ending].push_back(path.string());
    }
    if (::access(path.c_str(), R_OK) != 0) return report_.left_out("a file that cannot be opened", path.string());
    if (!files_.insert({at.st_dev, at.st_ino}).second) {
      return report_.left_out(linked ? "a link to a file that is read already" : "another name of a file that is read already",
                              path.string());
    }
    found_.push_back(path);
  }

  bool is_skipped(const fs::path& path) {
    const std::string name = path.filename().string();
    const std::string inside = path.lexically_relative(rules_.base.empty() ? root_ : rules_.base).string();
    for (const std::string& fragment : rules_.skip) {
      if (inside.find(fragment) == std::string::npos) continue;
      report_.left_out("skip of the recipe", path.string());
      return true;
    }
    const bool fork = name == "__MACOSX" || name.starts_with("._");
    if (!fork && !name.starts_with('.')) return false;
    report_.left_out(fork ? "resource forks of macOS" : "hidden (a dot in front)", path.string());
    return true;
  }

  const fs::path root_;
  const WalkRules& rules_;
  ReadReport& report_;
  std::set<FileIdentity> folders_, files_;
  std::deque<fs::path> links_;
  std::vector<fs::path> found_;
  std::map<std::string, std::vector<std::string>> other_endings_;
};

}  // namespace

std::string inner_ending(const fs::path& path) {
  const std::string last = lower(path.extension().string());
  return last == ".gz" || last == ".zst" ? lower(path.stem().extension().string()) : last;
}

bool has_record_ending(const fs::path& path) {
  const std::string ending = inner_ending(path);
  return ending == ".jsonl" || ending == ".ndjson";
}

bool has_text_ending(const fs::path& path) {
  constexpr std::array kEndings = {".txt", ".text", ".md", ".markdown", ".rst", ".org", ".adoc", ".tex"};
  return has_record_ending(path) || std::find(kEndings.begin(), kEndings.end(), inner_ending(path)) != kEndings.end();
}

std::vector<fs::path> walk_folder(const fs::path& root, const WalkRules& rules, ReadReport& report) {
  return FolderWalk(root, rules, report).run();
}

bool is_corpus_folder(const fs::path& path) { return fs::exists(path / "manifest.json") && fs::exists(path / "train.jsonl.zst"); }

}  // namespace finback
