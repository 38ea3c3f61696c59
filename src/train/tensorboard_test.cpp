#include "train/tensorboard.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

// RFC 3720 appendix B.4.
TEST(Tensorboard, Crc32cGivesThePublishedValues) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
}

TEST(Tensorboard, RecordsFrameTheirData) {
  const std::string record = tfrecord("abc");
  ASSERT_EQ(record.size(), 8u + 4 + 3 + 4);
  EXPECT_EQ(record.substr(0, 8), std::string("\3\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, 3), "abc");
}

// Bytes that the reader of the tensorboard package (2.21) accepts and decodes as step 300, train/loss 2.5.
TEST(Tensorboard, ScalarEventHasTheWireFormOfItsProto) {
  const fs::path path = fs::temp_directory_path() / fmt::format("finback-events-{}", ::getpid());
  fs::remove(path);
  uint64_t head = 0;
  {
    EventFile file(path, 0, 1.5);
    head = file.size();
    file.scalars(300, 2.0, {{"train/loss", 2.5}});
  }
  const std::string bytes = read_file(path);
  const char expected[] =
      "\x09\0\0\0\0\0\0\0\x40\x10\xAC\x02\x2A\x13\x0A\x11\x0A\x0A"
      "train/loss"
      "\x15\0\0\x20\x40";
  const std::string event(expected, sizeof expected - 1);
  EXPECT_EQ(bytes.substr(head), tfrecord(event));
  {
    EventFile again(path, head, 3.0);  // a resume cuts and goes on
    again.scalars(300, 2.0, {{"train/loss", 2.5}});
  }
  EXPECT_EQ(read_file(path), bytes);
  fs::remove(path);
}

}  // namespace
}  // namespace finback
