// Encodings of text files: how one is recognised by its first bytes, and the way from each to UTF-8. No files here; pure but for the carry of
// TextDecoder.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

enum class TextEncoding { kUtf8, kUtf16Le, kUtf16Be, kUtf32Le, kUtf32Be, kWindows1252 };
const char* encoding_name(TextEncoding encoding);
// Throws Error for a name that is none of utf-8, utf-16le, utf-16be, utf-32le, utf-32be, windows-1252, latin-1 (read as windows-1252, as browsers do).
TextEncoding encoding_of_name(const std::string& name);

// By a byte order mark, else by where the zeros stand (UTF-16 of text has them on one side), else by the characters that UTF-16 would give
// (unmarked_utf16.h), else UTF-8.
TextEncoding recognise_encoding(std::string_view first_bytes);

// Whether bytes that are no UTF-8 read as Windows-1252 (of which Latin-1 is the part that text uses): nearly every byte above ASCII is a letter
// beside an ASCII letter or alone, or a quotation mark, dash or sign; they are few among the letters; no character of UTF-8 is among them.
bool reads_as_windows_1252(std::string_view bytes);

// What speaks against text in the first bytes of a file in UTF-8 or an 8-bit encoding: control bytes, or so many bytes that are no UTF-8 that it
// must be another encoding; empty when nothing does.
std::string not_like_text(std::string_view first_bytes);

// UTF-16 and UTF-32 to UTF-8; a unit may be cut between two calls.
class WideDecoder {
 public:
  explicit WideDecoder(TextEncoding encoding) : encoding_(encoding) {}
  // Appends the text of `bytes` to `out`; halves of surrogate pairs and numbers that are no character become U+FFFD, and their places in `out`
  // are appended to `repaired`. last: nothing follows.
  void decode(std::string_view bytes, bool last, std::string& out, std::vector<size_t>& repaired);

 private:
  void unit(uint32_t value, std::string& out, std::vector<size_t>& repaired);
  TextEncoding encoding_;
  std::string carry_;       // bytes of a unit that has not ended
  uint32_t high_half_ = 0;  // a surrogate that waits for its other half
};

void append_windows_1252(std::string& out, std::string_view bytes);

}  // namespace finback
