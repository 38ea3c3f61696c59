#include "data/token_shard.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/error.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

fs::path place(const std::string& name) { return fs::path(testing::TempDir()) / ("token_shard_" + name); }

// Without the fsync of a real write: some tests write hundreds of files.
void spill(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

ShardContents contents_of(uint32_t vocab, int64_t tokens) {
  ShardContents contents;
  for (int64_t i = 0; i < tokens; ++i) contents.tokens.push_back(uint32_t(i * 7919) % vocab);
  if (tokens > 1) contents.documents.push_back({1, -3});
  if (tokens > 0) contents.documents.push_back({uint64_t(tokens), 5});
  for (uint32_t id = 0; id < vocab; ++id) contents.bytes_of_id.push_back(id % 9);
  contents.text_bytes = 77;
  contents.tokenizer_hash = 42;
  return contents;
}

// The message of opening the file after `damage` to its bytes.
std::string failure(const std::function<void(std::string&)>& damage) {
  const fs::path path = place("damaged.shard");
  write_shard(path, contents_of(300, 1000));
  std::string bytes = read_file(path);
  damage(bytes);
  spill(path, bytes);
  try {
    TokenShard shard(path);
    std::vector<int32_t> ids;
    shard.append_tokens(0, shard.tokens(), ids);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Sets the 64-bit payload hash (byte 56) and the header hash (byte 120) to fit the bytes: damage that checksums cannot see.
void reseal(std::string& bytes) {
  uint64_t tokens, documents, vocab;
  std::memcpy(&tokens, &bytes[16], 8);
  std::memcpy(&documents, &bytes[24], 8);
  std::memcpy(&vocab, &bytes[32], 8);
  const size_t token_end = 128 + (tokens * 2 + 7) / 8 * 8, document_end = token_end + documents * 16;
  const std::string_view all = bytes;
  const uint64_t payload =
      xxhash64(all.substr(document_end), xxhash64(all.substr(token_end, documents * 16), xxhash64(all.substr(128, token_end - 128))));
  std::memcpy(&bytes[56], &payload, 8);
  const uint64_t header = xxhash64(all.substr(0, 120));
  std::memcpy(&bytes[120], &header, 8);
}

TEST(TokenShard, ReadsBackWhatWasWrittenInBothWidths) {
  for (const uint32_t vocab : {1u, 300u, 65536u, 65537u, 129280u}) {
    for (const int64_t tokens : {0, 1, 2, 3, 1000}) {
      const fs::path path = place("round_trip.shard");
      const ShardContents contents = contents_of(vocab, tokens);
      const uint64_t hash = write_shard(path, contents);
      const TokenShard shard(path);
      EXPECT_EQ(shard.payload_hash(), hash);
      EXPECT_EQ(shard.tokenizer_hash(), 42u);
      EXPECT_EQ(shard.text_bytes(), 77);
      std::vector<int32_t> ids;
      shard.append_tokens(0, tokens, ids);
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), contents.tokens.begin(), contents.tokens.end()));
      ASSERT_EQ(shard.documents().size(), contents.documents.size());
      for (size_t i = 0; i < contents.documents.size(); ++i) {
        EXPECT_EQ(shard.documents()[i].end, contents.documents[i].end);
        EXPECT_EQ(shard.documents()[i].surplus, contents.documents[i].surplus);
      }
      EXPECT_TRUE(
          std::equal(shard.bytes_of_id().begin(), shard.bytes_of_id().end(), contents.bytes_of_id.begin(), contents.bytes_of_id.end()));
      EXPECT_EQ(fs::file_size(path) % 4, 0u);
    }
  }
}

TEST(TokenShard, TheSameContentsGiveTheSameBytes) {
  write_shard(place("a.shard"), contents_of(300, 100));
  write_shard(place("b.shard"), contents_of(300, 100));
  EXPECT_EQ(read_file(place("a.shard")), read_file(place("b.shard")));
}

TEST(TokenShard, EveryFlippedByteIsNoticed) {
  const fs::path path = place("flip.shard");
  write_shard(path, contents_of(20, 30));
  const std::string whole = read_file(path);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] ^= 0x10;
    spill(path, bytes);
    EXPECT_THROW(TokenShard shard(path), Error) << "byte " << i;
  }
}

TEST(TokenShard, EveryOtherLengthIsNoticed) {
  for (const size_t keep : {size_t(0), size_t(7), size_t(127), size_t(128), size_t(1000)}) {
    EXPECT_NE(failure([&](std::string& bytes) { bytes.resize(keep); }), "") << keep;
  }
  EXPECT_NE(failure([](std::string& bytes) { bytes.pop_back(); }).find("cut short"), std::string::npos);
  EXPECT_NE(failure([](std::string& bytes) { bytes += '\0'; }).find("added to"), std::string::npos);
}

TEST(TokenShard, SaysWhatIsWrong) {
  EXPECT_EQ(failure([](std::string&) {}), "");
  EXPECT_NE(failure([](std::string& bytes) { bytes[0] = 'X'; }).find("expected a token shard"), std::string::npos);
  EXPECT_NE(failure([](std::string& bytes) { bytes[8] = 2; }).find("expected shard version 1, got 2"), std::string::npos);
  EXPECT_NE(failure([](std::string& bytes) { bytes[20] = 1; }).find("header"), std::string::npos);
  EXPECT_NE(failure([](std::string& bytes) { bytes[200] ^= 1; }).find("damaged"), std::string::npos);
}

// A file made to deceive: its checksums fit.
TEST(TokenShard, IdsAndDocumentsAreCheckedEvenWhenTheChecksumsFit) {
  EXPECT_EQ(failure([](std::string& bytes) { reseal(bytes); }), "");
  const auto sealed = [](const std::function<void(std::string&)>& damage) {
    return failure([&](std::string& bytes) {
      damage(bytes);
      reseal(bytes);
    });
  };
  EXPECT_NE(sealed([](std::string& bytes) { bytes[129] = 127; }).find("expected ids below 300"), std::string::npos);
  const size_t documents = 128 + 2000;
  EXPECT_NE(sealed([&](std::string& bytes) { bytes[documents] = 0; }).find("in order"), std::string::npos);
  EXPECT_NE(sealed([&](std::string& bytes) { bytes[documents + 16] = 1; }).find("cover"), std::string::npos);
}

}  // namespace
}  // namespace finback
