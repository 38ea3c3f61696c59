// Who owns which cache page: ids and reference counts, no memory. A page may be shared by several sequences (a common prefix).
// One thread (the engine's).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace finback {

class PageAllocator {
 public:
  explicit PageAllocator(int64_t pages);
  int64_t available() const { return int64_t(free_.size()); }
  // A page with one reference, or nothing when all are in use.
  std::optional<int32_t> allocate();
  // How many hold it; 0: it is free.
  int32_t references(int32_t page) const { return references_[size_t(page)]; }
  // REQUIRES (both): the page is in use.
  void share(int32_t page);
  void release(int32_t page);

 private:
  std::vector<int32_t> free_, references_;
};

}  // namespace finback
