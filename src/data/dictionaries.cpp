#include "data/dictionaries.h"

#include <map>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "data/byte_stream.h"
#include "data/line_reader.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

const TextRules kAsItIs = {.exact = true};  // offsets and marks are the format's own

// dictd's numbers: base 64, most significant digit first.
std::optional<uint64_t> base64_number(std::string_view digits) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (digits.empty() || digits.size() > 8) return std::nullopt;
  uint64_t number = 0;
  for (const char c : digits) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    number = number * 64 + digit;
  }
  return number;
}

bool describes_itself(std::string_view headword) { return headword.starts_with("00database") || headword.starts_with("00-database"); }

}  // namespace

std::vector<DictionaryEntry> read_dictd(const fs::path& path) {
  fs::path index = path;
  if (index.extension() == ".dz" || index.extension() == ".gz") index.replace_extension();
  index.replace_extension(".index");
  const std::string text = read_decompressed(path);
  struct Place {
    uint64_t length;
    std::string headword;
  };
  std::map<uint64_t, Place> places;  // by offset: the order of the file, one entry a place
  LineReader lines(index, kAsItIs);
  for (std::string line; lines.next(line);) {
    const size_t first = line.find('\t'), second = line.find('\t', first + 1);
    const bool shaped = first != std::string::npos && second != std::string::npos;
    const auto offset = shaped ? base64_number(std::string_view(line).substr(first + 1, second - first - 1)) : std::nullopt;
    const auto length = shaped ? base64_number(std::string_view(line).substr(second + 1)) : std::nullopt;
    FB_CHECK(offset && length, "{}: line {}: expected headword, offset and length in base 64 with tabs between", index.string(),
             lines.line_number());
    FB_CHECK(*offset + *length <= text.size(), "{}: line {}: expected an entry inside {} bytes, got {} bytes at {}", index.string(),
             lines.line_number(), text.size(), *length, *offset);
    places.try_emplace(*offset, Place{*length, line.substr(0, first)});
  }
  std::vector<DictionaryEntry> entries;
  for (const auto& [offset, place] : places) {
    if (!describes_itself(place.headword)) entries.push_back({place.headword, text.substr(offset, place.length)});
  }
  return entries;
}

std::vector<DictionaryEntry> read_wordnet(const fs::path& path) {
  std::vector<DictionaryEntry> entries;
  LineReader lines(path, kAsItIs);
  for (std::string line; lines.next(line);) {
    if (line.starts_with("  ")) continue;  // the licence at the top of each file
    const size_t bar = line.find("| ");
    if (bar == std::string::npos) continue;
    std::istringstream fields(line);  // offset, file number, kind, count of words, first word
    std::string word;
    for (int i = 0; i < 5; ++i) fields >> word;
    const size_t end = line.find_last_not_of(" \r");
    if (end < bar + 2) continue;  // a bar and nothing behind it
    entries.push_back({word, line.substr(bar + 2, end - bar - 1) + "\n"});
  }
  FB_CHECK(!entries.empty(), "{}: expected WordNet glosses behind \"| \", got none", path.string());
  return entries;
}

}  // namespace finback
