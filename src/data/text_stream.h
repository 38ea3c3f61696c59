// A text file as blocks of valid UTF-8, whatever its packing and encoding: UTF-16, UTF-32 and Windows-1252 are recognised and decoded, broken
// UTF-8 and NULs become U+FFFD, byte order marks go, CRLF becomes LF unless it is kept. What was done is counted. Memory does not grow with the
// file. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/byte_stream.h"
#include "data/text_encoding.h"

namespace finback {

// How files become text. The defaults are what every verb does with a user's files.
struct TextRules {
  std::string encoding = "auto";  // or a name that encoding_of_name knows: then nothing is recognised
  bool keep_crlf = false;         // else CRLF becomes LF, as do the single CRs of a file without any LF
  bool exact = false;             // nothing but repair of broken UTF-8: for files that we wrote
};

struct TextChanges {
  int64_t broken = 0;  // U+FFFD put in for bytes that are no text
  int64_t crlf = 0;    // line ends that became LF
  int64_t marks = 0;   // byte order marks (U+FEFF) taken out, the one in front of a file included
};

// The same for a text that came inside another: a field of a record.
void clean_line_ends_and_marks(std::string& text, const TextRules& rules, TextChanges& changes);

class TextStream {
 public:
  // Throws NoTextError for a file that holds no text by its first bytes, and for one named .gz or .zst that is neither.
  TextStream(const std::filesystem::path& path, const TextRules& rules);

  // The next block, never empty, ending at a whole character; false at the end.
  bool read(std::string& block);
  // Where in the block given last U+FFFD stands for bytes that were no text, ascending.
  const std::vector<size_t>& repaired() const { return repaired_; }

  const TextChanges& changes() const { return changes_; }
  TextEncoding encoding() const { return encoding_; }
  uint64_t bytes_behind() const { return bytes_.bytes_behind(); }  // see ByteStream
  uint64_t consumed() const { return bytes_.consumed(); }
  const std::filesystem::path& path() const { return bytes_.path(); }

 private:
  void check_text();
  void check_decoded();
  bool fill();
  void decode(std::string& block);
  void repair_utf8(std::string& block);
  void append_clean(std::string_view valid, std::string& block);
  TextRules rules_;
  ByteStream bytes_;
  std::string raw_;     // bytes not decoded yet
  bool ended_ = false;  // no more bytes behind raw_
  TextEncoding encoding_ = TextEncoding::kUtf8;
  std::optional<WideDecoder> wide_;
  bool undecided_ = false;   // UTF-8 so far, and no character above ASCII has been seen
  bool single_crs_ = false;  // lines end with CR alone
  bool held_cr_ = false;     // a block ended with CR: what follows decides
  std::vector<size_t> repaired_;
  TextChanges changes_;
};

}  // namespace finback
