// Holds streamed text back while its end may still become a stop string, and cuts it there. Knows no tokens. One thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace finback {

class StopText {
 public:
  // Empty stop strings never match: with no other, text passes through.
  explicit StopText(std::vector<std::string> stops);
  // Text that is certain to come before any stop string; after a match nothing more. The first stop string that is complete counts, of several
  // that end together the longest, so how the text is cut does not matter.
  std::string push(std::string_view text);
  // What was held back, when the stream ended without a match.
  std::string finish();
  bool found() const { return found_; }

 private:
  size_t first_match() const;
  size_t uncertain_bytes() const;

  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace finback
