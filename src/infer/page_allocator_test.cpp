#include "infer/page_allocator.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(PageAllocator, HandsOutEveryPageOnceAndTakesThemBack) {
  PageAllocator pages(3);
  EXPECT_EQ(pages.allocate(), 0);
  EXPECT_EQ(pages.allocate(), 1);
  EXPECT_EQ(pages.allocate(), 2);
  EXPECT_EQ(pages.allocate(), std::nullopt);
  pages.release(1);
  EXPECT_EQ(pages.available(), 1);
  EXPECT_EQ(pages.allocate(), 1);
}

TEST(PageAllocator, ASharedPageIsFreeOnlyAfterItsLastOwner) {
  PageAllocator pages(1);
  const int32_t page = *pages.allocate();
  pages.share(page);
  pages.release(page);
  EXPECT_EQ(pages.available(), 0);
  pages.release(page);
  EXPECT_EQ(pages.available(), 1);
}

TEST(PageAllocatorDeathTest, FreeingTwiceEndsTheProcess) {
  PageAllocator pages(1);
  pages.release(*pages.allocate());
  EXPECT_DEATH(pages.release(0), "page freed twice");
}

}  // namespace
}  // namespace finback
