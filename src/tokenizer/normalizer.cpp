#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

struct Range {
  char32_t first, last;
};
// Code points assigned after Unicode 9.0 that have a decomposition, a combining class or a composition.
constexpr Range kNewerThanUnicode9[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},     {0xD3B, 0xD3C},
    {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},
    {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0},
    {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97},
    {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool newer_than_unicode9(char32_t c) {
  const auto* after = std::upper_bound(std::begin(kNewerThanUnicode9), std::end(kNewerThanUnicode9), c,
                                       [](char32_t x, const Range& r) { return x < r.first; });
  return after != std::begin(kNewerThanUnicode9) && c <= (after - 1)->last;
}

// utf8proc's canonical ordering is an insertion sort, quadratic on a long run of marks; this one is a stable sort of each run.
void order_marks(std::vector<utf8proc_int32_t>& chars) {
  const auto combining_class = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (size_t i = 0; i < chars.size();) {
    if (combining_class(chars[i]) == 0) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < chars.size() && combining_class(chars[end]) != 0) ++end;
    std::stable_sort(chars.begin() + ptrdiff_t(i), chars.begin() + ptrdiff_t(end),
                     [&](utf8proc_int32_t a, utf8proc_int32_t b) { return combining_class(a) < combining_class(b); });
    i = end;
  }
}

// Orders and composes one stretch without newer characters, which act as walls: they neither move nor compose.
void flush(std::vector<utf8proc_int32_t>& chars, bool compose, std::string& out) {
  if (chars.empty()) return;
  if (chars.size() > 1) order_marks(chars);
  utf8proc_ssize_t length = utf8proc_ssize_t(chars.size());
  if (compose && length > 1) {
    length = utf8proc_normalize_utf32(chars.data(), length, utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    FB_ASSERT(length >= 0, "composition of a decomposed text cannot fail");
  }
  for (utf8proc_ssize_t i = 0; i < length; ++i) append_utf8(out, char32_t(chars[size_t(i)]));
  chars.clear();
}

utf8proc_option_t decompose_options(NormalForm form) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  return utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
}

bool composes(NormalForm form) { return form == NormalForm::kNfc || form == NormalForm::kNfkc; }

// The full decomposition of `c`; the longest has 18 characters (U+FDFA).
struct Decomposition {
  Decomposition(char32_t c, NormalForm form) {
    int boundary_class = 0;
    count = utf8proc_decompose_char(utf8proc_int32_t(c), parts, 32, decompose_options(form), &boundary_class);
    FB_ASSERT(count >= 0 && count <= 32, "a decomposition has at most 18 characters");
  }
  utf8proc_int32_t parts[32];
  utf8proc_ssize_t count;
};

// By code point: true if the form leaves the character as it is and nothing before it can combine with it or pass it. A text of such
// characters is already normal; elsewhere each one starts a new stretch.
std::vector<bool> find_stable_starters(NormalForm form) {
  std::vector<bool> stable(0x110000, true);
  for (char32_t c = 0x80; c < stable.size(); ++c) {
    if ((c >= 0xD800 && c < 0xE000) || newer_than_unicode9(c)) continue;
    const auto* property = utf8proc_get_property(utf8proc_int32_t(c));
    const Decomposition alone(c, form);
    const bool unchanged = alone.count == 1 && alone.parts[0] == utf8proc_int32_t(c);
    if (property->combining_class != 0 || (!unchanged && !composes(form))) stable[c] = false;
    if (unchanged || !composes(form)) continue;
    // Parts after the first may compose with what stands before them. A character that composes back to itself is stable.
    const Decomposition canonical(c, NormalForm::kNfd);
    for (utf8proc_ssize_t i = 1; i < canonical.count; ++i) stable[size_t(canonical.parts[i])] = false;
    std::vector<utf8proc_int32_t> chars(alone.parts, alone.parts + alone.count);
    std::string back, self;
    flush(chars, true, back);
    append_utf8(self, c);
    if (back != self) stable[c] = false;
  }
  return stable;
}

const std::vector<bool>& stable_starters(NormalForm form) {
  static const std::vector<bool> nfc = find_stable_starters(NormalForm::kNfc);
  if (form == NormalForm::kNfc) return nfc;
  static const std::vector<bool> nfkc = find_stable_starters(NormalForm::kNfkc);
  if (form == NormalForm::kNfkc) return nfkc;
  static const std::vector<bool> nfkd = find_stable_starters(NormalForm::kNfkd);
  if (form == NormalForm::kNfkd) return nfkd;
  static const std::vector<bool> nfd = find_stable_starters(NormalForm::kNfd);
  return nfd;
}

// Bytes before the first character that the form might change.
size_t normal_prefix(std::string_view text, const std::vector<bool>& stable) {
  size_t at = 0;
  while (at < text.size()) {
    if (uint8_t(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Char c = decode_utf8(text, at);
    if (!stable[c.code_point]) break;
    at += c.length;
  }
  return at;
}

}  // namespace

std::string normalize(std::string_view text, NormalForm form) {
  const std::vector<bool>& stable = stable_starters(form);
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  std::vector<utf8proc_int32_t> chars;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    at += c.length;
    if (stable[c.code_point] || newer_than_unicode9(c.code_point)) flush(chars, composes(form), out);
    if (newer_than_unicode9(c.code_point)) {
      append_utf8(out, c.code_point);
    } else if (c.code_point < 0x80) {
      chars.push_back(utf8proc_int32_t(c.code_point));
    } else {
      const Decomposition parts(c.code_point, form);
      chars.insert(chars.end(), parts.parts, parts.parts + parts.count);
    }
  }
  flush(chars, composes(form), out);
  return out;
}

std::string_view Normalizer::apply(std::string_view text, std::string& storage) const {
  for (const NormalForm form : forms_) {
    if (normal_prefix(text, stable_starters(form)) == text.size()) continue;
    storage = normalize(text, form);
    text = storage;
  }
  return text;
}

}  // namespace finback
