// One line of JSON Lines as a record of text: {"text": "...", ...}. Only text, source, id and messages are looked at; every other field may hold
// anything, NaN and numbers of any size included. A line gives a text or one reason why not; it never throws. Pure functions.
#pragma once
#include <string>
#include <string_view>

namespace finback {

struct JsonRecord {
  std::string text, source, id;  // source and id where they are strings, else empty
  bool repaired = false;         // half of a surrogate pair became U+FFFD, or a bare control character stood in the text
  bool chat = false;             // no text but a list of messages
  bool empty = false;            // a text that holds nothing but blanks
  bool object = false;           // the line is one JSON object, whatever it holds
  std::string problem;           // why there is no text to use; empty when there is
};

JsonRecord read_json_record(std::string_view line);

// The JSON string at the start of `rest`, which moves behind it. False for what is none, or ends in the middle. Half a surrogate pair becomes U+FFFD.
bool read_json_text(std::string_view& rest, std::string& out, bool& repaired);

}  // namespace finback
