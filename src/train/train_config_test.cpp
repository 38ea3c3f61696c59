#include "train/train_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/fields.h"
#include "base/toml.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

TrainConfig valid_config() {
  TrainConfig config;
  config.run.name = "r";
  config.data.corpora = {{"some/tokens", 1}};
  config.train.steps = 10;
  return config;
}

std::string error_of(const TrainConfig& config) {
  try {
    validate(config);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(TrainConfig, ResolvedRecipeReadsBackEqual) {
  TrainConfig config = valid_config();
  config.model.hidden_size = 96;
  config.data.corpora.push_back({"other", 0.25});
  config.schedule.constant_until = 1.0 / 3;
  const std::string text = dump_toml(dump_fields(config));
  TrainConfig again;
  load_fields(again, parse_toml(text, "text"), "text");
  EXPECT_EQ(dump_json(dump_fields(config)), dump_json(dump_fields(again)));
  EXPECT_FALSE(first_changed_key(config, again));
}

TEST(TrainConfig, OverridesWinOverTheRecipeAndNameDefaultsToTheFile) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("finback-recipe-{}", ::getpid());
  fs::create_directories(folder);
  std::ofstream(folder / "small.toml") << "[train]\nsteps = 5\n[[data.corpora]]\npath = \"x\"\n[optimizer]\nlr = 0.5\n";
  const TrainConfig config = load_train_config(folder / "small.toml", {{"optimizer.lr", "1e-3"}, {"model.kv_lora_rank", "64"}});
  fs::remove_all(folder);
  EXPECT_EQ(config.run.name, "small");
  EXPECT_EQ(config.optimizer.lr, 1e-3);
  EXPECT_EQ(config.model.kv_lora_rank, 64);
  EXPECT_EQ(config.train.steps, 5);
}

TEST(TrainConfig, EveryImpossibleSettingNamesItsKey) {
  const auto broken = [](auto change) {
    TrainConfig config = valid_config();
    change(config);
    return error_of(config);
  };
  EXPECT_EQ(error_of(valid_config()), "");
  EXPECT_NE(broken([](TrainConfig& c) { c.train.steps = 0; }).find("either steps or tokens"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.train.tokens = 5; }).find("either steps or tokens"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.train.batch_tokens = 2049; }).find("train.batch_tokens"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.train.micro_batch_tokens = 100; }).find("train.micro_batch_tokens"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.train.ramp_tokens = 100; }).find("ramp_from_tokens and ramp_tokens"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.train.precision = "fp4"; }).find("train.precision"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.train.wgrad_precision = "fp8"; }).find("train.wgrad_precision"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.train.audit_every = -1; }).find("train.audit_every"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.schedule.kind = "cosin"; }).find("schedule.kind"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.optimizer.lr = NAN; }).find("optimizer.lr"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.data.corpora.clear(); }).find("data.corpora"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.run.name = "a/b"; }).find("run.name"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.run.device = "gpu"; }).find("run.device"), std::string::npos);
  EXPECT_NE(broken([](TrainConfig& c) { c.checkpoint.keep_last = 0; }).find("checkpoint.keep_last"), std::string::npos);
}

TEST(TrainConfig, ResumeNamesTheFirstKeyThatReachesTheWeights) {
  const TrainConfig saved = valid_config();
  TrainConfig asked = saved;
  asked.eval.every = 7;
  asked.checkpoint.keep_last = 9;
  asked.bill.rate = 3;
  asked.run.dir = "elsewhere";
  EXPECT_FALSE(first_changed_key(saved, asked));
  asked.optimizer.beta2 = 0.99;
  const auto changed = first_changed_key(saved, asked);
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->key, "optimizer.beta2");
  EXPECT_EQ(changed->saved, "0.95");
  EXPECT_EQ(changed->asked, "0.99");
}

TEST(TrainConfig, ResumeTakesLookingSavingAndCostAndNothingThatReachesTheWeights) {
  TrainConfig config;
  for (const std::string& key : field_names(config)) {
    const bool free = key.starts_with("eval.") || key.starts_with("checkpoint.") || key.starts_with("bill.") || key == "run.dir" ||
                      key == "run.name" || key == "train.micro_batch_tokens";
    const bool length = key == "train.steps" || key == "train.tokens";
    EXPECT_EQ(on_resume(key), free ? OnResume::kAlways : length ? OnResume::kLonger : OnResume::kNever) << key;
  }
  TrainConfig saved = valid_config(), asked = saved;
  asked.train.steps = 20;  // a question of the schedule: Schedule.*
  EXPECT_FALSE(first_changed_key(saved, asked));
}

// Where an input lies is no difference: the data has a fingerprint, and the shape is compared. Which weights a run began with is one.
TEST(TrainConfig, InputsMayMoveBetweenTwoAttempts) {
  TrainConfig saved = valid_config(), asked = saved;
  asked.data.corpora[0].path = "/elsewhere/tokens";
  asked.model.config = "model.json";
  EXPECT_FALSE(first_changed_key(saved, asked));
  asked.data.corpora[0].weight = 2;
  EXPECT_EQ(first_changed_key(saved, asked).value().key, "data.corpora");
  asked = saved;
  saved.train.init = "runs/a/latest", asked.train.init = "/elsewhere/runs/a/latest";  // older programs kept it as it was typed
  EXPECT_FALSE(first_changed_key(saved, asked));
  asked.train.init = "/elsewhere/runs/b/latest";
  EXPECT_EQ(first_changed_key(saved, asked).value().key, "train.init");
}

struct RecipePaths : testing::Test {
  fs::path root = fs::temp_directory_path() / fmt::format("finback-paths-{}", ::getpid());
  fs::path before = fs::current_path();
  void SetUp() override {
    for (const char* folder : {"here/both", "here/mine", "recipes/both", "recipes/beside"}) fs::create_directories(root / folder);
    fs::current_path(root / "here");
  }
  void TearDown() override {
    fs::current_path(before);
    fs::remove_all(root);
  }
  // Where data.corpora[0].path ends up.
  std::string found(const std::string& path, const std::vector<std::pair<std::string, std::string>>& overrides = {}) {
    std::ofstream(root / "recipes" / "r.toml") << "[train]\nsteps = 5\n[data]\ncorpora = [{ path = \"" << path << "\" }]\n";
    return load_train_config(root / "recipes" / "r.toml", overrides).data.corpora[0].path;
  }
};

TEST_F(RecipePaths, AreThoseBesideTheRecipeThenThoseOfTheWorkingFolder) {
  EXPECT_EQ(found("beside"), root / "recipes" / "beside");
  EXPECT_EQ(found("mine"), root / "here" / "mine");
  EXPECT_EQ(found("both"), root / "recipes" / "both");
  EXPECT_EQ(found("nowhere"), "nowhere");
  EXPECT_EQ(found((root / "elsewhere").string()), root / "elsewhere");
}

TEST_F(RecipePaths, OfAFlagAreThoseOfTheWorkingFolder) {
  EXPECT_EQ(found("beside", {{"data.corpora", "both"}}), root / "here" / "both");
  EXPECT_EQ(found("beside", {{"data.corpora", "[{path = \"mine\", weight = 2}]"}}), root / "here" / "mine");
  EXPECT_EQ(found("beside", {{"data.corpora", "[{\"path\": \"mine\"}]"}}), root / "here" / "mine");
  EXPECT_THROW(found("beside", {{"data.corpora", "[{path = "}}), Error);
}

TEST_F(RecipePaths, WhatIsNotThereIsNamedWithTheKey) {
  TrainConfig config = valid_config();
  config.data.corpora[0].path = "nowhere";
  try {
    check_paths(config);
    FAIL() << "found";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("data.corpora: path: nothing is at nowhere"), std::string::npos) << e.what();
  }
  config.data.corpora[0].path = "mine";
  check_paths(config);
  config.model.config = "nowhere";
  EXPECT_THROW(check_paths(config), Error);
}

TEST(TrainConfig, AKeyGivenTwiceIsRefused) {
  const fs::path file = fs::temp_directory_path() / fmt::format("finback-twice-{}.toml", ::getpid());
  std::ofstream(file) << "[train]\nsteps = 5\n[data]\ncorpora = [{ path = \"x\" }]\n";
  EXPECT_EQ(load_train_config(file, {{"train.steps", "7"}}).train.steps, 7);
  EXPECT_THROW(load_train_config(file, {{"train.steps", "7"}, {"train.steps", "8"}}), Error);
  fs::remove(file);
}

TEST(TrainConfig, ARunFolderIsTheRunWhereverItWasMoved) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("finback-moved-{}", ::getpid());
  fs::create_directories(folder / "here");
  TrainConfig written = valid_config();
  written.run.dir = "elsewhere";
  std::ofstream(folder / "here" / "config.toml") << dump_toml(dump_fields(written));
  for (const fs::path& given : {folder / "here", folder / "here" / "", folder / "here" / ".", folder / "here" / ".." / "here"}) {
    const TrainConfig config = load_train_config(given, {});
    EXPECT_EQ(config.run.name, "here") << given;
    EXPECT_EQ(fs::path(config.run.dir), folder) << given;
  }
  EXPECT_EQ(load_train_config(folder / "here", {{"run.name", "other"}}).run.name, "other");
  fs::remove_all(folder);
}

}  // namespace
}  // namespace finback
