#include "data/read_report.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/status_line.h"

namespace finback {
namespace {

constexpr size_t kPlacesKept = 100, kPlacesShown = 5, kBadNamed = 3;
constexpr int64_t kHopeless = 1000;  // so many bad records, and most of all so far: what is read is something else

// Names of files may hold anything: control bytes would reach the terminal, or break the table's lines.
std::string without_controls(const std::string& place) {
  std::string shown;
  for (const char c : place) {
    const uint8_t b = uint8_t(c);
    shown += b < 0x20 || b == 0x7F ? fmt::format("\\x{:02x}", b) : std::string(1, c);
  }
  return shown;
}

std::string joined(const std::vector<std::string>& places, size_t shown, int64_t count) {
  std::string text;
  for (size_t i = 0; i < std::min(places.size(), shown); ++i) text += (i ? ", " : "") + without_controls(places[i]);
  const int64_t more = count - int64_t(std::min(places.size(), shown));
  return more > 0 ? text + fmt::format(" and {} more", more) : text;
}

}  // namespace

BadLimit parse_bad_limit(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const bool number = !text.empty() && end != text.c_str() && std::isfinite(value) && value >= 0;
  const bool count = number && unit.empty() && value == std::floor(value) && value < 1e15;
  const bool share = number && (unit == "%" || unit == " %") && value <= 100;
  FB_CHECK(count || share, "--max-bad: expected a number of records (25) or a share of them (2%), got \"{}\"", text);
  if (count) return {0, int64_t(value)};
  return {value / 100, 0};
}

void ReadReport::file_read(uint64_t stored_bytes) {
  ++files_;
  stored_bytes_ += int64_t(stored_bytes);
}

void ReadReport::note(const char* fate, const std::string& why, const std::string& where) {
  const auto& [root, name] = shown_as_;
  const std::string place = !root.empty() && where.starts_with(root) ? name + where.substr(root.size()) : where;
  const auto [entry, fresh] = index_.try_emplace({fate, why}, notes_.size());
  if (fresh) notes_.push_back({fate, why, 0, {}});
  Note& note = notes_[entry->second];
  ++note.count;
  if (note.places.size() < kPlacesKept) note.places.push_back(place);
}

void ReadReport::left_out(const std::string& why, const std::string& where) { note("left out", why, where); }

void ReadReport::repaired(const std::string& what, const std::string& where) {
  FB_CHECK(!strict(), "{}: {}, and --strict bears no repair. Hint: mend the file, or leave --strict out", without_controls(where), what);
  note("repaired", what, where);
}

void ReadReport::changed(const std::string& what, const std::string& where) { note("changed", what, where); }

void ReadReport::bad_record(bool left_out, const std::string& why, const std::string& where) {
  ++bad_;
  if (first_bad_.size() < kBadNamed) first_bad_.push_back(where + ": " + why);
  const bool counted_out = limit_.share == 0 && bad_ > limit_.count;
  if (counted_out || (bad_ > kHopeless && bad_ > limit_.count && double(bad_) > std::max(0.5, limit_.share) * double(records_))) fail();
  note(left_out ? "left out" : "repaired", why, where);
}

void ReadReport::fail() const {
  if (strict())
    FB_FAIL("{}. Hint: without --strict a record like this is left out or repaired, and counted", without_controls(first_bad_.front()));
  const std::string borne = limit_.share > 0 ? fmt::format("{:g} % of {} records, at least {}", 100 * limit_.share, records_, limit_.count)
                                             : fmt::format("{}", limit_.count);
  FB_FAIL("expected at most {} bad records, got {}: {}. Hint: --max-bad N or P% bears more", borne, bad_,
          joined(first_bad_, kBadNamed, bad_));
}

void ReadReport::check() const {
  const auto borne = std::max(limit_.count, int64_t(std::floor(limit_.share * double(records_) + 1e-9)));
  if (bad_ > borne) fail();
}

std::string ReadReport::table() const {
  std::string read = quiet() ? "" : read_line();
  for (const Note& note : notes_) {
    if (quiet() && note.fate == "changed") continue;
    read += fmt::format("{:<9} {:>8}  {}: {}\n", note.fate, note.count, without_controls(note.why),
                        joined(note.places, kPlacesShown, note.count));
  }
  return read;
}

std::string ReadReport::read_line() const {
  std::string read =
      fmt::format("{:<9} {:>8}  file{}, {:.2f} MB as stored", "read", files_, files_ == 1 ? "" : "s", double(stored_bytes_) / 1e6);
  if (records_ > 0) read += fmt::format(", {} records", records_);
  return read + fmt::format(", {:.2f} MB of text\n", double(text_bytes_) / 1e6);
}

std::string ReadReport::why_nothing() const {
  std::string reasons;
  for (const Note& note : notes_) {
    if (note.fate == "left out" && reasons.size() < 200)
      reasons += fmt::format("{}{} x {}", reasons.empty() ? "" : "; ", note.count, without_controls(note.why));
  }
  return reasons.empty() ? "" : " (left out: " + reasons + ")";
}

Json ReadReport::json() const {
  Json out = {
      {"files", files_}, {"stored_bytes", stored_bytes_}, {"records", records_}, {"text_bytes", text_bytes_}, {"bad_records", bad_}};
  for (const char* fate : {"left out", "repaired", "changed"}) {
    Json list = Json::array();
    for (const Note& note : notes_) {
      if (note.fate == fate) list.push_back({{"why", note.why}, {"count", note.count}, {"first", note.places}});
    }
    out[std::string(fate) == "left out" ? "left_out" : fate] = list;
  }
  return out;
}

}  // namespace finback
