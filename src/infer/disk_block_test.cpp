#include "infer/disk_block.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>

namespace finback {
namespace {

DiskBlock block_of_letters() {
  DiskBlock block;
  block.fingerprint = {1, 2}, block.parent = {3, 4};
  for (size_t i = 0; i < block.tokens.size(); ++i) block.tokens[i] = int32_t(i * 3);
  block.page = "the page's bytes";
  block.trailing = "and more";
  return block;
}

TEST(DiskBlocks, SurviveWritingAndReading) {
  const DiskBlock block = block_of_letters();
  const std::string bytes = encode_disk_block(block);
  EXPECT_EQ(int64_t(bytes.size()), disk_block_bytes(16, 8));
  EXPECT_EQ(bytes.size(), 320u + 16 + 8 + 16);
  EXPECT_EQ(bytes.substr(0, 8), "FBKVPAGE");
  const auto read = decode_disk_block(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->fingerprint, block.fingerprint);
  EXPECT_EQ(read->parent, block.parent);
  EXPECT_EQ(read->tokens, block.tokens);
  EXPECT_EQ(read->page, block.page);
  EXPECT_EQ(read->trailing, block.trailing);
}

TEST(DiskBlocks, AByteThatIsAnotherIsNoticedWhereverItIs) {
  const std::string bytes = encode_disk_block(block_of_letters());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = char(damaged[i] ^ 0x40);
    EXPECT_FALSE(decode_disk_block(damaged)) << "byte " << i;
  }
}

TEST(DiskBlocks, WhatIsTooShortOrTooLongIsNone) {
  const std::string bytes = encode_disk_block(block_of_letters());
  for (size_t length = 0; length < bytes.size(); ++length) EXPECT_FALSE(decode_disk_block(bytes.substr(0, length))) << length;
  EXPECT_FALSE(decode_disk_block(bytes + "x"));
  EXPECT_FALSE(decode_disk_block(std::string(100000, '\0')));
}

// With these four bytes at `offset`, and a checksum that is right.
std::string sealed_anew(std::string bytes, size_t offset, uint32_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  const size_t summed = bytes.size() - 16;
  XXH128_canonical_t checksum;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(bytes.data(), summed));
  std::memcpy(bytes.data() + summed, checksum.digest, 16);
  return bytes;
}

// Only the header tells: the checksum is right.
TEST(DiskBlocks, AnotherLayoutByteOrderOrLengthIsNone) {
  const std::string bytes = encode_disk_block(block_of_letters());
  EXPECT_TRUE(decode_disk_block(sealed_anew(bytes, 8, 1)));
  EXPECT_FALSE(decode_disk_block(sealed_anew(bytes, 0, 1)));
  EXPECT_FALSE(decode_disk_block(sealed_anew(bytes, 8, 2)));
  EXPECT_FALSE(decode_disk_block(sealed_anew(bytes, 12, 0x04030201)));
  for (const size_t offset : {304, 308, 312, 316}) EXPECT_FALSE(decode_disk_block(sealed_anew(bytes, offset, 0xfffffff0))) << offset;
}

}  // namespace
}  // namespace finback
