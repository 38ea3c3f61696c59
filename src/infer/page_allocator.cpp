#include "infer/page_allocator.h"

#include "base/error.h"

namespace finback {

PageAllocator::PageAllocator(int64_t pages) : references_(size_t(pages), 0) {
  for (int64_t page = pages; page-- > 0;) free_.push_back(int32_t(page));  // low ids are handed out first
}

std::optional<int32_t> PageAllocator::allocate() {
  if (free_.empty()) return std::nullopt;
  const int32_t page = free_.back();
  free_.pop_back();
  references_[size_t(page)] = 1;
  return page;
}

void PageAllocator::share(int32_t page) {
  FB_ASSERT(references_.at(size_t(page)) > 0, "shared a page that nobody owns");
  ++references_[size_t(page)];
}

void PageAllocator::release(int32_t page) {
  FB_ASSERT(references_.at(size_t(page)) > 0, "page freed twice");
  if (--references_[size_t(page)] == 0) free_.push_back(page);
}

}  // namespace finback
