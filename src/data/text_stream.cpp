#include "data/text_stream.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

using namespace std::string_view_literals;

constexpr size_t kBlockBytes = size_t(256) << 10;
constexpr std::string_view kMark = "\xEF\xBB\xBF"sv, kReplacement = "\xEF\xBF\xBD"sv;

// Bytes that go in unchanged: all but CR, NUL and the first byte of a byte order mark.
size_t untouched(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && text[n] != '\r' && text[n] != '\0' && text[n] != '\xEF') ++n;
  return n;
}

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return extension;
}

}  // namespace

void clean_line_ends_and_marks(std::string& text, const TextRules& rules, TextChanges& changes) {
  if (rules.exact) return;
  const auto replace_all = [&](std::string_view from, std::string_view to) {
    int64_t count = 0;
    size_t at = text.find(from);
    if (at == std::string::npos) return count;
    std::string out;
    size_t begin = 0;
    for (; at != std::string::npos; at = text.find(from, begin), ++count) {
      out.append(text, begin, at - begin).append(to);
      begin = at + from.size();
    }
    text = out.append(text, begin);
    return count;
  };
  changes.marks += replace_all(kMark, "");
  if (!rules.keep_crlf) changes.crlf += replace_all("\r\n", "\n");
}

TextStream::TextStream(const fs::path& path, const TextRules& rules) : rules_(rules), bytes_(path) {
  while (raw_.size() < kFirstBytes && fill()) {
  }
  if (!rules_.exact) check_text();
  if (rules_.exact) {
    encoding_ = TextEncoding::kUtf8;
  } else if (rules_.encoding != "auto") {
    encoding_ = encoding_of_name(rules_.encoding);
  } else {
    encoding_ = recognise_encoding(raw_);
    undecided_ = encoding_ == TextEncoding::kUtf8;
  }
  if (encoding_ != TextEncoding::kUtf8 && encoding_ != TextEncoding::kWindows1252) wide_.emplace(encoding_);
  if (!rules_.exact && rules_.encoding == "auto") check_decoded();
  const size_t cr = raw_.find('\r');
  single_crs_ = !rules_.keep_crlf && !rules_.exact && !wide_ && cr != std::string::npos && cr + 1 < raw_.size() &&
                raw_.find('\n') == std::string::npos;
}

// Whether the first bytes read as text in the encoding that was recognised.
void TextStream::check_decoded() {
  std::string text(raw_, 0, kFirstBytes);
  if (wide_) {
    std::vector<size_t> repaired;
    text.clear();
    WideDecoder(encoding_).decode(std::string_view(raw_).substr(0, kFirstBytes), /*last=*/false, text, repaired);
  }
  const std::string against = not_like_text(text);
  if (against.empty()) return;
  throw NoTextError(path().string(), against, ". Hint: encoding = \"...\" in a recipe, or iconv -f ENCODING -t UTF-8, if it is text");
}

void TextStream::check_text() {
  const std::string name = path().string(), ending = lower_extension(path());
  if (bytes_.packing() == Packing::kPlain && !raw_.empty() && (ending == ".gz" || ending == ".zst")) {
    const std::string binary = known_binary(raw_);
    throw NoTextError(name, (binary.empty() ? "a file" : binary) + fmt::format(" that is named {} and is neither gzip nor zstd", ending),
                      ". Hint: rename it");
  }
  const std::string binary = known_binary(raw_);
  if (binary.empty()) return;
  const bool packed = binary.find("xz") != std::string::npos || binary.find("bzip2") != std::string::npos ||
                      binary.find("lz") != std::string::npos || binary.find(".Z") != std::string::npos;
  throw NoTextError(name, binary, packed ? ". Hint: unpack it, or pack it as .gz or .zst" : ". Hint: make .txt or .jsonl of it");
}

bool TextStream::fill() {
  if (ended_) return false;
  const size_t size = raw_.size();
  raw_.resize(size + kBlockBytes);
  const size_t n = bytes_.read(raw_.data() + size, kBlockBytes);
  raw_.resize(size + n);
  ended_ = n == 0;
  return !ended_;
}

bool TextStream::read(std::string& block) {
  block.clear();
  repaired_.clear();
  while (block.empty()) {
    if (raw_.empty() || raw_.size() < 4) fill();
    const bool nothing_left = ended_ && raw_.empty() && !wide_;
    if (!nothing_left) decode(block);
    if (ended_ && raw_.empty() && std::exchange(held_cr_, false)) block += '\r';
    if (ended_ && raw_.empty() && block.empty()) return false;
  }
  return true;
}

void TextStream::decode(std::string& block) {
  if (wide_) {
    std::string text;
    std::vector<size_t> places;
    wide_->decode(std::exchange(raw_, std::string()), ended_, text, places);
    changes_.broken += int64_t(places.size());
    size_t begin = 0;
    for (const size_t place : places) {  // each U+FFFD that the decoder put in is three bytes long
      append_clean(std::string_view(text).substr(begin, place - begin), block);
      append_clean(kReplacement, block);
      repaired_.push_back(block.size() - kReplacement.size());
      begin = place + kReplacement.size();
    }
    append_clean(std::string_view(text).substr(begin), block);
  } else if (encoding_ == TextEncoding::kWindows1252) {
    std::string text;
    append_windows_1252(text, std::exchange(raw_, std::string()));
    append_clean(text, block);
  } else {
    repair_utf8(block);
  }
}

void TextStream::repair_utf8(std::string& block) {
  std::string_view rest = raw_;
  while (!rest.empty()) {
    const size_t valid = utf8_valid_prefix(rest);
    const std::string_view good = rest.substr(0, valid);
    undecided_ = undecided_ && std::none_of(good.begin(), good.end(), [](char c) { return uint8_t(c) >= 0x80; });
    append_clean(good, block);
    rest.remove_prefix(valid);
    if (rest.empty()) break;
    const BrokenUtf8 part = utf8_broken_part(rest);
    if (part.incomplete && !ended_) break;  // the next bytes may complete it
    if (undecided_) {
      raw_.erase(0, raw_.size() - rest.size());
      while (raw_.size() < kFirstBytes && fill()) {
      }
      undecided_ = false;
      // The byte before gives the first one its neighbour.
      const std::string sample = (block.empty() ? "" : block.substr(block.size() - 1)) + raw_.substr(0, kFirstBytes);
      if (!(part.incomplete && ended_ && raw_.size() == part.length) && reads_as_windows_1252(sample)) {
        encoding_ = TextEncoding::kWindows1252;
        return decode(block);
      }
      rest = raw_;
    }
    ++changes_.broken;
    append_clean(kReplacement, block);
    repaired_.push_back(block.size() - kReplacement.size());
    rest.remove_prefix(part.length);
  }
  raw_.erase(0, raw_.size() - rest.size());
}

// Valid UTF-8 into the block, without byte order marks and NULs, with LF for CRLF.
void TextStream::append_clean(std::string_view valid, std::string& block) {
  if (rules_.exact) {
    block.append(valid);
    return;
  }
  if (valid.empty()) return;
  if (std::exchange(held_cr_, false)) {
    const bool pair = valid.front() == '\n';
    changes_.crlf += pair;
    if (!pair) block += '\r';
  }
  while (true) {
    const size_t clean = untouched(valid);
    block.append(valid.substr(0, clean));
    valid.remove_prefix(clean);
    if (valid.empty()) return;
    size_t taken = 1;
    if (valid.front() == '\0') {
      ++changes_.broken;
      repaired_.push_back(block.size());
      block.append(kReplacement);
    } else if (valid.starts_with(kMark)) {
      ++changes_.marks;
      taken = kMark.size();
    } else if (valid.front() == '\r' && single_crs_) {
      ++changes_.crlf;
      block += '\n';
    } else if (valid.front() == '\r' && !rules_.keep_crlf) {
      if (valid.size() == 1) {
        held_cr_ = true;
        return;
      }
      const bool pair = valid[1] == '\n';
      changes_.crlf += pair;
      if (!pair) block += '\r';
    } else {
      block += valid.front();
    }
    valid.remove_prefix(taken);
  }
}

}  // namespace finback
