#include "train/row_feed.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/token_writer.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

fs::path fresh(const std::string& name) {
  const fs::path folder = fs::path(testing::TempDir()) / ("row_feed_" + name);
  fs::remove_all(folder);
  make_directories(folder);
  return folder;
}

// Documents of growing length over 50 ids of 3 bytes each; end-of-text is id 0 with none.
fs::path write_tokens(const std::string& name, uint32_t salt = 0) {
  const fs::path folder = fresh(name);
  write_file_atomic(folder / "tokenizer.json", "{}");
  std::vector<uint32_t> bytes(50, 3);
  bytes[0] = 0;
  TokenWriter writer(folder, {50, std::nullopt, 0, hash_file(folder / "tokenizer.json")}, bytes);
  for (const char* split : {"train", "validation"}) {
    writer.begin_split(split);
    for (uint32_t length = 1; length < 20; ++length) {
      std::vector<uint32_t> ids;
      for (uint32_t i = 0; i < length; ++i) ids.push_back(1 + (length * 31 + i * 7 + salt) % 49);
      ids.push_back(0);
      writer.add(ids, 3 * length);
    }
  }
  writer.finish();
  return folder;
}

TrainConfig config_of(const fs::path& folder, int64_t micro_batch_tokens = 0, bool document_mask = true) {
  TrainConfig config;
  config.data.corpora = {{folder.string(), 1}};
  config.data.seq_len = 8;
  config.data.document_mask = document_mask;
  config.train.micro_batch_tokens = micro_batch_tokens;
  return config;
}

at::Tensor tokens_of(const std::vector<MicroBatch>& micro_batches) {
  std::vector<at::Tensor> parts;
  for (const MicroBatch& micro : micro_batches) parts.push_back(micro.batch.tokens_T);
  return at::cat(parts);
}

TEST(MicroBatchOf, SequencesAreDocumentsPartsAndBalanceCountsRows) {
  PackedRows rows;
  rows.rows = 2;
  rows.tokens = {5, 6, 7, 8, 9, 1, 2, 3};
  rows.targets = {6, -1, 8, 9, -1, 2, 3, 4};
  rows.positions = {0, 1, 0, 1, 0, 0, 1, 2};
  rows.starts = {0, 2, 4, 5};
  rows.valid_targets = 6;
  rows.target_bytes = 12;
  const MicroBatch micro = micro_batch_of(rows, 4, at::kCPU);
  EXPECT_EQ(micro.batch.tokens_T.scalar_type(), at::kLong);
  EXPECT_TRUE(at::equal(micro.batch.tokens_T, at::tensor({5, 6, 7, 8, 9, 1, 2, 3}, at::kLong)));
  EXPECT_TRUE(at::equal(micro.targets_T, at::tensor({6, -1, 8, 9, -1, 2, 3, 4}, at::kLong)));
  EXPECT_TRUE(at::equal(micro.batch.positions_T, at::tensor({0, 1, 0, 1, 0, 0, 1, 2}, at::kLong)));
  ASSERT_EQ(micro.batch.sequences.size(), 4u);
  EXPECT_EQ(micro.batch.sequences[2].first_row, 4);
  EXPECT_EQ(micro.batch.sequences[3].rows, 3);
  EXPECT_EQ(micro.batch.balance_starts, (std::vector<int64_t>{0, 4, 8}));
  EXPECT_EQ(micro.valid_targets, 6);
  EXPECT_EQ(micro.target_bytes, 12);
}

TEST(RowFeed, AStepIsTheSameTokensInAnyMicroBatches) {
  const fs::path folder = write_tokens("micro");
  RowFeed whole(config_of(folder), at::kCPU), cut(config_of(folder, 16), at::kCPU), uneven(config_of(folder, 24), at::kCPU);
  for (int step = 0; step < 5; ++step) {
    const auto one = whole.next_step(64), four = cut.next_step(64), three = uneven.next_step(64);
    EXPECT_EQ(one.size(), 1u);
    EXPECT_EQ(four.size(), 4u);
    EXPECT_EQ(three.size(), 3u);
    EXPECT_TRUE(at::equal(tokens_of(one), tokens_of(four)));
    EXPECT_TRUE(at::equal(tokens_of(one), tokens_of(three)));
  }
  EXPECT_EQ(whole.cursor(), 40);
  EXPECT_THROW(whole.next_step(12), Error);
}

TEST(RowFeed, RestoreGoesOnWithTheSameRows) {
  const fs::path folder = write_tokens("restore");
  RowFeed straight(config_of(folder), at::kCPU), resumed(config_of(folder), at::kCPU);
  straight.next_step(64);
  const int64_t cursor = straight.cursor();
  resumed.restore(cursor, straight.fingerprint());
  EXPECT_TRUE(at::equal(tokens_of(straight.next_step(128)), tokens_of(resumed.next_step(128))));
}

TEST(RowFeed, RestoreRefusesOtherData) {
  RowFeed one(config_of(write_tokens("data_one")), at::kCPU), other(config_of(write_tokens("data_other", 1)), at::kCPU);
  EXPECT_NE(one.fingerprint(), other.fingerprint());
  EXPECT_THROW(other.restore(3, one.fingerprint()), Error);
  EXPECT_EQ(other.cursor(), 0);
}

TEST(RowFeed, ValidationCountsEveryTargetOnceAndLeavesTheCursorAlone) {
  const RowFeed feed(config_of(write_tokens("validation"), 16), at::kCPU);
  int64_t targets = 0, bytes = 0, expected = 0, passes = 0;
  for (uint32_t length = 1; length < 20; ++length) expected += length;
  for (const int64_t tokens : {int64_t(0), int64_t(1) << 40}) {
    const auto next = feed.validation(tokens);
    while (const auto micro = next()) {
      EXPECT_LE(micro->batch.tokens(), 16);
      EXPECT_EQ(micro->valid_targets, at::sum(micro->targets_T.ge(0)).item<int64_t>());
      targets += micro->valid_targets;
      bytes += micro->target_bytes;
    }
    ++passes;
  }
  EXPECT_EQ(targets, passes * expected);
  EXPECT_EQ(bytes, passes * 3 * (expected - 19));  // the 19 documents' first tokens are no targets, their end-of-text is one without bytes
  EXPECT_EQ(feed.cursor(), 0);
}

TEST(RowFeed, APartOfValidationIsSpreadOverTheSplit) {
  const RowFeed feed(config_of(write_tokens("part")), at::kCPU);
  std::vector<at::Tensor> all, part;
  const auto every = feed.validation(0), some = feed.validation(32);
  while (const auto micro = every()) all.push_back(micro->batch.tokens_T);
  while (const auto micro = some()) part.push_back(micro->batch.tokens_T);
  const at::Tensor all_T = at::cat(all).view({-1, 8}), part_T = at::cat(part).view({-1, 8});
  ASSERT_EQ(part_T.size(0), 4);
  for (int64_t i = 0; i < 4; ++i) EXPECT_TRUE(at::equal(part_T[i], all_T[i * all_T.size(0) / 4]));
}

TEST(RowsLog, WritesARowALineThatReplaysTheStep) {
  const fs::path folder = write_tokens("log");
  for (const bool document_mask : {true, false}) {
    RowFeed feed(config_of(folder, 16, document_mask), at::kCPU);
    RowsLog log(folder / "rows.jsonl");
    // What was there stays until the run begins.
    EXPECT_EQ(std::filesystem::file_size(folder / "rows.jsonl") > 0, !document_mask);
    log.open();
    const auto micro_batches = feed.next_step(48);
    // Token t of micro-batch m goes to experts m and t in layer 3; an MTP layer sees one row fewer and is left out.
    std::vector<RouterLog> routes;
    for (size_t m = 0; m < micro_batches.size(); ++m) {
      const int64_t tokens = micro_batches[m].batch.tokens();
      const at::Tensor chosen_TK = at::stack({at::full({tokens}, int64_t(m), at::kLong), at::arange(tokens, at::kLong)}, 1);
      routes.push_back({{{3, {}, chosen_TK, {}}, {4, {}, chosen_TK.slice(0, 1), {}}}});
    }
    log.append(7, micro_batches, routes);
    std::ifstream file(folder / "rows.jsonl");
    std::string line;
    int64_t row = 0;
    for (; std::getline(file, line); ++row) {
      const Json json = parse_json(line, "row");
      EXPECT_EQ(json.at("step"), 7);
      const MicroBatch& micro = micro_batches[size_t(row / 2)];
      std::vector<int64_t> starts;
      for (const Sequence& sequence : micro.batch.sequences) {
        if (sequence.first_row / 8 == row % 2) starts.push_back(sequence.first_row % 8);
      }
      EXPECT_EQ(json.at("starts").get<std::vector<int64_t>>(), starts);
      const auto expect_row = [&](const char* key, const at::Tensor& all_T) {
        const auto values = json.at(key).get<std::vector<int64_t>>();
        ASSERT_EQ(values.size(), 8u);
        for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(values[size_t(i)], all_T[row % 2 * 8 + i].item<int64_t>());
      };
      expect_row("tokens", micro.batch.tokens_T);
      expect_row("targets", micro.targets_T);
      expect_row("positions", micro.batch.positions_T);
      EXPECT_EQ(json.at("experts").size(), 1u);
      const auto experts = json.at("experts").at("3").get<std::vector<int64_t>>();
      ASSERT_EQ(experts.size(), 16u);
      for (int64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(experts[size_t(2 * i)], row / 2);
        EXPECT_EQ(experts[size_t(2 * i + 1)], row % 2 * 8 + i);
      }
    }
    EXPECT_EQ(row, 6);
  }
  EXPECT_THROW(RowsLog(folder / "nowhere" / "rows.jsonl"), Error);
  RowsLog("").append(1, {}, {});
}

}  // namespace
}  // namespace finback
