// What a file is by its first bytes, whatever its name says: packed or not, and the well-known kinds that hold no plain text. Pure functions.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace finback {

constexpr size_t kFirstBytes = size_t(64) << 10;  // as many as the functions below, and text_encoding.h, look at

enum class Packing { kPlain, kGzip, kZstd };
// A zstd file may begin with a frame that decoders skip.
Packing packing_of(std::string_view first_bytes);
const char* packing_name(Packing packing);

// "a Parquet file" and so on for what is known to be no text; empty for anything else, which need not be text.
std::string known_binary(std::string_view first_bytes);

// A file that cannot be read as text: refused when it was named, left out with a word when a walk over a folder met it.
class NoTextError : public Error {
 public:
  NoTextError(const std::string& file, const std::string& is, const std::string& hint)
      : Error(file + ": expected text, got " + is + hint), reason("no text: " + is) {}
  std::string reason;
};

}  // namespace finback
