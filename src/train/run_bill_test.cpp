#include "train/run_bill.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/fields.h"
#include "base/file.h"
#include "base/toml.h"
#include "train/run_folder.h"
#include "train/train_config.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

struct RunBill : testing::Test {
  fs::path root = fs::temp_directory_path() / fmt::format("finback-run-bill-{}", ::getpid());
  void SetUp() override {
    fs::create_directories(root);
    put("attempts.jsonl",
        "{\"started\": \"2026-01-01T00:00:00Z\", \"devices\": 2, \"seconds\": 3600}\n"
        "{\"started\": \"2026-01-02T00:00:00Z\", \"devices\": 4, \"seconds\": 1800}\n");
  }
  void TearDown() override { fs::remove_all(root); }
  void put(const std::string& name, const std::string& text) { std::ofstream(root / name) << text; }
  void put_recipe() {
    TrainConfig config;
    config.run.name = "r", config.data.corpora = {{"x", 1}}, config.train.steps = 600, config.bill.rate = 0.5;
    put("config.toml", dump_toml(dump_fields(config)));
    put("model.json", read_file(FINBACK_SOURCE_DIR "/configs/models/nano/config.json"));
  }
};

TEST_F(RunBill, AStartThatFailedHasItsHours) {
  const Bill bill = run_bill(root).value();
  EXPECT_FALSE(bill.finished);
  EXPECT_DOUBLE_EQ(bill.wall_hours, 1.5);
  EXPECT_DOUBLE_EQ(bill.device_hours, 2 + 2);
  EXPECT_EQ(bill.tokens, 0);
  EXPECT_GT(bill.usd, 0);
  EXPECT_NE(bill_table(bill).find("unfinished"), std::string::npos);
}

TEST_F(RunBill, AKilledRunHasTheTokensOfItsLastWholeLine) {
  put_recipe();
  put("metrics.jsonl",
      "{\"kind\": \"step\", \"step\": 8, \"tokens\": 800, \"step_s\": 1, \"tokens_per_s\": 100, \"peak_share\": 0.5}\n"
      "{\"kind\": \"step\", \"step\": 9, \"tokens\": 900, \"step_s\": 1, \"tokens_per_s\": 100, \"peak_share\": 0.5, \"time\": \"t\", "
      "\"machine\": \"m\"}\n"
      "{\"kind\": \"eval\", \"step\": 9, \"tokens\": 900}\n{\"kind\": \"step\", \"step_s\": 1, \"tok");
  const Bill bill = run_bill(root).value();
  EXPECT_FALSE(bill.finished);
  EXPECT_EQ(bill.tokens, 900);
  EXPECT_DOUBLE_EQ(bill.usd, 0.5 * bill.device_hours);
  EXPECT_EQ(bill.status, "not running, at step 9 of 600");
  EXPECT_GT(bill.flops, 0);
  EXPECT_NEAR(bill.peak_flops_per_s, bill.flops / 900 * 200, 1);
  const RunFolder held(root, OpenMode::kResume);
  EXPECT_EQ(run_bill(root)->status, "running, at step 9 of 600");
}

TEST_F(RunBill, AFolderWithoutAttemptsIsNoRun) {
  fs::remove(root / "attempts.jsonl");
  EXPECT_FALSE(run_bill(root).has_value());
}

// Programs before this one wrote a bill at every stop.
TEST_F(RunBill, ABillOfFewerTokensThanTheRecipeSaysIsUnfinished) {
  put_recipe();
  Bill bill;
  bill.device = "cpu", bill.tokens = 5;
  write_bill(root / "bill.json", bill);
  EXPECT_FALSE(run_bill(root)->finished);
  bill.tokens = 600 * 2048;
  write_bill(root / "bill.json", bill);
  EXPECT_TRUE(run_bill(root)->finished);
}

}  // namespace
}  // namespace finback
