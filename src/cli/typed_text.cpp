#include "cli/typed_text.h"

#include <fmt/format.h>

#include "base/notice.h"
#include "tokenizer/utf8.h"

namespace finback {

std::string typed_text(std::string text, const std::string& where) {
  const size_t valid = utf8_valid_prefix(text);
  if (valid == text.size()) return text;
  notice_once(fmt::format("{}: bytes that are not UTF-8 are read as U+FFFD, the first at byte {}", where, valid + 1));
  return utf8_lossy(text);
}

}  // namespace finback
