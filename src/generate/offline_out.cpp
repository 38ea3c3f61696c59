#include "generate/offline_out.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/file.h"

namespace finback {
namespace fs = std::filesystem;

OfflineOut::OfflineOut(fs::path path)
    : lock_(path.string() + ".lock", std::chrono::milliseconds(0)), path_(std::move(path)), settings_path_(path_.string() + ".run") {
  FB_CHECK(lock_.held(), "{}: expected one batch at a time, another process answers into it. Hint: another --out", path_.string());
  const bool begun = fs::exists(path_) && fs::file_size(path_) > 0;
  if (fs::exists(settings_path_)) {
    settings_ = read_json(settings_path_);
    FB_CHECK(settings_.is_object() && settings_.contains("fingerprint"), "{}: expected what a batch of finback generate --prompts writes",
             settings_path_.string());
  }
  FB_CHECK(!begun || !settings_.is_null(), "{} is there already, without the .run file of a batch that could go on. Hint: another --out",
           path_.string());
  if (begun && read_lines()) drop_errors();
}

// Whether there are errors among them.
bool OfflineOut::read_lines() {
  std::ifstream in(path_, std::ios::binary);
  FB_CHECK(in.good(), "{}: cannot be read: {}", path_.string(), std::strerror(errno));
  uintmax_t whole = 0;
  int64_t number = 0;
  bool errors = false;
  for (std::string line; std::getline(in, line) && !in.eof();) {
    const std::string where = fmt::format("{}:{}", path_.string(), ++number);
    const Json json = parse_json(line, where);
    FB_CHECK(json.is_object() && json.contains("id") && (json.contains("error") || json.contains("index")),
             "{}: expected an answer of finback generate --prompts. Hint: another --out", where);
    whole += line.size() + 1;
    errors |= json.contains("error");
    if (json.contains("error")) continue;
    Done& done = done_[dump_json_line(json["id"])];
    done.choices.insert(json_integer(json, "index", where, 0, INT32_MAX));
    const Json ours = json.value("finback", Json::object());
    if (ours.is_object() && ours.contains("request")) done.request = json_string(ours, "request", where);
  }
  in.close();
  if (whole < fs::file_size(path_)) fs::resize_file(path_, whole);
  return errors;
}

// Line by line: the file may be larger than memory.
void OfflineOut::drop_errors() {
  const fs::path kept = path_.string() + ".tmp";
  std::ifstream in(path_, std::ios::binary);
  std::ofstream out(kept, std::ios::binary | std::ios::trunc);
  for (std::string line; std::getline(in, line);) {
    if (!parse_json(line, path_.string()).contains("error")) out << line << "\n";
  }
  in.close(), out.close();
  FB_CHECK(out.good(), "{}: cannot be written: {}", kept.string(), std::strerror(errno));
  fs::rename(kept, path_);
}

void OfflineOut::check(const Json& settings) const {
  if (settings_.is_null()) return;
  for (const auto& [key, value] : settings.items()) {
    const Json before = settings_.value(key, Json());
    FB_CHECK(before == value, "{}: expected {} {}, as its answers were made with, got {}. Hint: another --out", path_.string(), key,
             dump_json_line(before).substr(0, 80), dump_json_line(value).substr(0, 80));
  }
}

void OfflineOut::go_on_with(const Json& settings) {
  check(settings);
  if (!settings_.is_null()) return;
  settings_ = settings;
  write_file_atomic(settings_path_, dump_json_line(settings) + "\n");
}

bool OfflineOut::has(const std::string& id, int64_t index) const {
  const auto found = done_.find(id);
  return found != done_.end() && found->second.choices.contains(index);
}

std::string OfflineOut::request_of(const std::string& id) const {
  const auto found = done_.find(id);
  return found == done_.end() ? "" : found->second.request;
}

void OfflineOut::append(const Json& line) {
  std::ofstream out(path_, std::ios::binary | std::ios::app);
  out << dump_json_line(line) + "\n";
  out.close();
  FB_CHECK(out.good(), "{}: cannot be written: {}", path_.string(), std::strerror(errno));
}

}  // namespace finback
