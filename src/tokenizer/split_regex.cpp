#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/split_regex.h"

#include <pcre2.h>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

// A backtracking step is nanoseconds, so this is well under a second for one match.
constexpr uint32_t kMatchLimit = 50'000'000;
constexpr size_t kJitStackBytes = 64u << 20;  // reserved, touched only as deep as a match needs

std::string pcre2_message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// Scratch of one thread: match data, and the JIT's stack.
struct MatchScratch {
  MatchScratch() {
    data = pcre2_match_data_create(1, nullptr);  // one pair: groups are matched, but not reported
    setting = pcre2_match_context_create(nullptr);
    stack = pcre2_jit_stack_create(64 << 10, kJitStackBytes, nullptr);
    FB_ASSERT(data && setting && stack, "out of memory for PCRE2's scratch");
    pcre2_jit_stack_assign(setting, nullptr, stack);
    pcre2_set_match_limit(setting, kMatchLimit);
  }
  ~MatchScratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(setting);
    pcre2_match_data_free(data);
  }
  pcre2_match_data* data;
  pcre2_match_context* setting;
  pcre2_jit_stack* stack;
};

}  // namespace

struct SplitRegex::Code {
  ~Code() { pcre2_code_free(compiled); }
  pcre2_code* compiled = nullptr;
};

SplitRegex::SplitRegex(std::string_view pattern, const std::string& where) : code_(std::make_unique<Code>()), where_(where) {
  const std::string translated = translate_pattern(pattern, where);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_compile_context* setting = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(setting, PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(setting, 100);
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, setting);
  pcre2_compile_context_free(setting);
  FB_CHECK(code_->compiled != nullptr, "{}: expected a regular expression, got one with a fault: {} (near byte {})", where,
           pcre2_message(error), offset);
  pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE);  // no JIT on this processor: pcre2_match interprets instead, same matches
}

SplitRegex::~SplitRegex() = default;
SplitRegex::SplitRegex(SplitRegex&&) noexcept = default;
SplitRegex& SplitRegex::operator=(SplitRegex&&) noexcept = default;

void SplitRegex::find_all(std::string_view text, std::vector<ByteRange>& matches) const {
  thread_local MatchScratch scratch;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  PCRE2_SIZE start = 0;
  size_t last_end = SIZE_MAX;  // of the match before; an empty match right there does not count
  while (start <= text.size()) {
    const int rc = pcre2_match(code_->compiled, subject, text.size(), start, PCRE2_NO_UTF_CHECK, scratch.data, scratch.setting);
    if (rc == PCRE2_ERROR_NOMATCH) return;
    FB_CHECK(rc >= 0, "{}: matching failed on {} bytes of text: {}. Hint: the pattern backtracks too much", where_, text.size(),
             pcre2_message(rc));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(scratch.data);
    const bool empty = range[0] == range[1];
    if (!empty || range[0] != last_end) {
      matches.push_back({uint32_t(range[0]), uint32_t(range[1])});
      last_end = range[1];
    }
    start = range[1];
    if (empty) start += start < text.size() ? decode_utf8(text, start).length : 1;
  }
}

}  // namespace finback
