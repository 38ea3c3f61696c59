// One token that is cut out of a text as a whole (added_tokens.h), with the flags that tokenizer.json gives it. Data only.
#pragma once
#include <cstdint>
#include <string>

namespace finback {

struct AddedToken {
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space after it along
  bool normalized = true;    // found in the normalized text, else in the text as given
  bool special = false;      // left out by decode(skip_special)
  int32_t id = -1;           // as a file beside tokenizer.json says; -1: the next one
  bool operator==(const AddedToken&) const = default;
};

}  // namespace finback
