// Holds streamed text back while its end may still become a stop string, and cuts it there. Knows no tokens. One thread.
#pragma once
#include <string>
#include <string_view>

namespace finback {

class StopText {
 public:
  // An empty stop string never matches: text passes through.
  explicit StopText(std::string stop) : stop_(std::move(stop)) {}
  // Text that is certain to come before any stop string; after a match nothing more.
  std::string push(std::string_view text);
  // What was held back, when the stream ended without a match.
  std::string finish();
  bool found() const { return found_; }

 private:
  std::string stop_, held_;
  bool found_ = false;
};

}  // namespace finback
