#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/unicode_classes.h"

namespace finback {
namespace {

using Kind = PreTokenizerStep::Kind;

// A stretch of a piece: a match, or what lies between two.
struct Stretch {
  uint32_t begin, end;
  bool match;
};

void find_literal(std::string_view text, const std::string& pattern, std::vector<ByteRange>& matches) {
  for (size_t at = 0; (at = text.find(pattern, at)) != std::string_view::npos; at += pattern.size()) {
    matches.push_back({uint32_t(at), uint32_t(at + pattern.size())});
  }
}

void find_digits(std::string_view text, std::vector<ByteRange>& matches) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (class_table()[c.code_point] & kNumber) matches.push_back({uint32_t(at), uint32_t(at + c.length)});
    at += c.length;
  }
}

std::vector<Stretch> stretches(std::string_view text, const std::vector<ByteRange>& matches, bool invert) {
  std::vector<Stretch> all;
  uint32_t done = 0;
  for (const ByteRange& match : matches) {
    if (done != match.begin) all.push_back({done, match.begin, invert});
    all.push_back({match.begin, match.end, !invert});
    done = match.end;
  }
  if (done != text.size()) all.push_back({done, uint32_t(text.size()), invert});
  return all;
}

// A match joins the rest before it; the second of two neighbouring matches stands alone.
std::vector<Stretch> merged_with_previous(const std::vector<Stretch>& all) {
  std::vector<Stretch> out;
  bool after_match = false;
  for (const Stretch& stretch : all) {
    if (stretch.match && !after_match && !out.empty()) {
      out.back().end = stretch.end;
    } else {
      out.push_back(stretch);
    }
    after_match = stretch.match;
  }
  return out;
}

std::vector<Stretch> merged_with_next(const std::vector<Stretch>& all) {
  std::vector<Stretch> out;  // from the end
  bool before_match = false;
  for (size_t i = all.size(); i-- > 0;) {
    if (all[i].match && !before_match && !out.empty()) {
      out.back().begin = all[i].begin;
    } else {
      out.push_back(all[i]);
    }
    before_match = all[i].match;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Stretch> contiguous(const std::vector<Stretch>& all) {
  std::vector<Stretch> out;
  for (const Stretch& stretch : all) {
    if (!out.empty() && out.back().match == stretch.match) {
      out.back().end = stretch.end;
    } else {
      out.push_back(stretch);
    }
  }
  return out;
}

void apply_behavior(SplitBehavior behavior, std::vector<Stretch>& all) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(all, [](const Stretch& s) { return s.match; });
      return;
    case SplitBehavior::kMergedWithPrevious:
      all = merged_with_previous(all);
      return;
    case SplitBehavior::kMergedWithNext:
      all = merged_with_next(all);
      return;
    case SplitBehavior::kContiguous:
      all = contiguous(all);
      return;
  }
}

void split_piece(const PreTokenizerStep& step, std::string_view text, ByteRange piece, std::vector<ByteRange>& out) {
  if (step.kind == Kind::kKnown) return split_known(step.known, text, piece, out);
  const std::string_view inside = text.substr(piece.begin, piece.end - piece.begin);
  std::vector<ByteRange> matches;
  if (step.kind == Kind::kRegex) step.regex->find_all(inside, matches);
  if (step.kind == Kind::kLiteral) find_literal(inside, step.pattern, matches);
  if (step.kind == Kind::kDigit) find_digits(inside, matches);
  std::vector<Stretch> all = stretches(inside, matches, step.invert);
  apply_behavior(step.behavior, all);
  for (const Stretch& s : all) {
    if (s.begin < s.end) out.push_back({piece.begin + s.begin, piece.begin + s.end});
  }
}

// A new text in which every piece starts with a blank.
std::string with_prefix_spaces(std::string_view text, std::vector<ByteRange>& pieces) {
  std::string out;
  out.reserve(text.size() + pieces.size());
  for (ByteRange& piece : pieces) {
    const std::string_view inside = text.substr(piece.begin, piece.end - piece.begin);
    const size_t begin = out.size();
    if (inside[0] != ' ') out += ' ';
    out += inside;
    FB_CHECK(out.size() < UINT32_MAX, "expected less than 4 GiB of text at a time");
    piece = {uint32_t(begin), uint32_t(out.size())};
  }
  return out;
}

bool is_isolated_regex(const PreTokenizerStep& step) {
  return step.kind == Kind::kRegex && step.behavior == SplitBehavior::kIsolated && !step.invert;
}

bool deepseek_at(const std::vector<PreTokenizerStep>& steps, size_t at) {
  if (at + 3 > steps.size()) return false;
  for (size_t i = 0; i < 3; ++i) {
    if (!is_isolated_regex(steps[at + i]) || !same_regex(steps[at + i].pattern, kDeepSeekRegexes[i])) return false;
  }
  return true;
}

PreTokenizerStep known_step(KnownPattern pattern) { return {.kind = Kind::kKnown, .pattern = "", .regex = nullptr, .known = pattern}; }

}  // namespace

PreTokenizer::PreTokenizer(std::vector<PreTokenizerStep> steps, const std::string& where) {
  for (size_t at = 0; at < steps.size(); ++at) {
    if (deepseek_at(steps, at)) {
      steps_.push_back(known_step(KnownPattern::kDeepSeek));
      at += 2;
      continue;
    }
    PreTokenizerStep& step = steps[at];
    const auto known = is_isolated_regex(step) ? known_pattern(step.pattern) : std::nullopt;
    if (known) {
      steps_.push_back(known_step(*known));
      continue;
    }
    if (step.kind == Kind::kRegex) step.regex = std::make_shared<SplitRegex>(step.pattern, where);
    steps_.push_back(std::move(step));
  }
}

std::optional<KnownPattern> PreTokenizer::single_pattern() const {
  if (steps_.size() != 1 || steps_[0].kind != Kind::kKnown) return std::nullopt;
  return steps_[0].known;
}

void PreTokenizer::for_each_word(std::string_view text, const std::function<void(std::string_view)>& word) const {
  FB_CHECK(text.size() < UINT32_MAX, "expected less than 4 GiB of text at a time, got {} bytes", text.size());
  if (text.empty()) return;
  std::string storage;
  std::vector<ByteRange> pieces = {{0, uint32_t(text.size())}}, next;
  for (const PreTokenizerStep& step : steps_) {
    if (step.kind == Kind::kPrefixSpace) {
      std::string longer = with_prefix_spaces(text, pieces);
      storage = std::move(longer);
      text = storage;
      continue;
    }
    next.clear();
    for (const ByteRange& piece : pieces) split_piece(step, text, piece, next);
    pieces.swap(next);
  }
  for (const ByteRange& piece : pieces) word(text.substr(piece.begin, piece.end - piece.begin));
}

std::vector<PreTokenizerStep> deepseek_steps() {
  std::vector<PreTokenizerStep> steps;
  for (const std::string_view regex : kDeepSeekRegexes) {
    steps.push_back({.kind = Kind::kRegex, .pattern = std::string(regex), .regex = nullptr});
  }
  return steps;
}

}  // namespace finback
