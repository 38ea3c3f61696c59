#include "train/odd_settings.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TrainConfig usual() {
  TrainConfig c;
  c.data.corpora = {{"tokens", 1}};
  c.train.steps = 1000;
  return c;
}

std::string remarks(const TrainConfig& config, int64_t epoch_tokens = 1 << 20) {
  ModelConfig shape;
  shape.num_nextn_predict_layers = 1;
  std::string all;
  for (const std::string& line : odd_settings(config, shape, epoch_tokens)) all += line + "\n";
  return all;
}

TEST(OddSettings, AUsualRecipeHasNone) { EXPECT_EQ(remarks(usual()), ""); }

TEST(OddSettings, EachIsSaidWithItsKey) {
  const auto said = [](auto change, const char* key) {
    TrainConfig c = usual();
    change(c);
    const std::string text = remarks(c);
    EXPECT_NE(text.find(key), std::string::npos) << key << ": " << text;
    EXPECT_EQ(text.find('\n'), text.size() - 1) << "one remark: " << text;
  };
  said([](TrainConfig& c) { c.schedule.warmup_steps = 5000; }, "schedule.warmup_steps = 5000 of 1000");
  said([](TrainConfig& c) { c.optimizer.lr = 0; }, "optimizer.lr");
  said([](TrainConfig& c) { c.optimizer.lr = 3, c.optimizer.weight_decay = 0; }, "optimizer.lr");
  said([](TrainConfig& c) { c.eval.every = 2000; }, "eval.every");
  said([](TrainConfig& c) { c.eval.tokens = 3; }, "eval.tokens");
  said([](TrainConfig& c) { c.checkpoint.every = 300, c.checkpoint.keep_every = 700; }, "checkpoint.keep_every");
  said([](TrainConfig& c) { c.checkpoint.every = 0, c.checkpoint.keep_every = 700; }, "checkpoint.keep_every");
  said([](TrainConfig& c) { c.train.ramp_from_tokens = 256, c.train.ramp_tokens = 1 << 30; }, "train.ramp_tokens");
  said([](TrainConfig& c) { c.train.audit_every = 7; }, "train.audit_every");
  said([](TrainConfig& c) { c.schedule.decay_share = 0.5; }, "schedule.decay_share");
  said([](TrainConfig& c) { c.schedule.kind = "wsd", c.schedule.last_share = 0.5; }, "schedule.last_share");
  said([](TrainConfig& c) { c.schedule.kind = "constant", c.schedule.min_share = 0; }, "schedule.min_share");
}

TEST(OddSettings, DropoutThatNobodyReadsIsSaid) {
  ModelConfig shape;
  shape.num_nextn_predict_layers = 1;
  shape.other = {{"hidden_dropout_prob", 0.0}, {"classifier_dropout", nullptr}, {"resid_pdrop", 0.1}};
  const std::vector<std::string> lines = odd_settings(usual(), shape, 1 << 20);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("resid_pdrop = 0.1"), std::string::npos) << lines[0];
}

TEST(OddSettings, TextThatIsReadManyTimesIsSaid) {
  EXPECT_NE(remarks(usual(), 1000).find("2048 times"), std::string::npos) << remarks(usual(), 1000);
  const int64_t tokens = 1000 * usual().train.batch_tokens;
  EXPECT_NE(remarks(usual(), tokens / 11).find(" 11 times"), std::string::npos);
  EXPECT_EQ(remarks(usual(), tokens / 9), "");
}

TEST(OddSettings, TextOfWhichHardlyAnythingIsReadIsSaid) {
  const int64_t tokens = 1000 * usual().train.batch_tokens;
  EXPECT_NE(remarks(usual(), 20 * tokens).find("reads 5 % of its"), std::string::npos) << remarks(usual(), 20 * tokens);
  EXPECT_EQ(remarks(usual(), 9 * tokens), "");
}

}  // namespace
}  // namespace finback
