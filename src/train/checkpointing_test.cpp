#include "train/checkpointing.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "model/safetensors.h"
#include "train/checkpoint_format2.h"
#include "train/moments.h"
#include "train/run_folder.h"
#include "train/step_rows.h"

namespace finback {
using namespace test;
namespace {

namespace fs = std::filesystem;

struct Checkpointing : testing::Test {
  fs::path root = fs::temp_directory_path() / fmt::format("finback-checkpointing-{}", ::getpid());
  std::unique_ptr<Transformer> model = lively_model(small_config(), true, 7);
  Optimizer optimizer{model->parameters(), OptimizerSection{}};

  void SetUp() override {
    fs::remove_all(root);
    fs::create_directories(root);
  }
  void TearDown() override {
    arm_failpoint("none:1:kill");
    fs::remove_all(root);
  }
  void update_once(int64_t step) {
    model->parameters().grads_P().fill_(0.01 * double(step));
    optimizer.step(1e-2, step, 1.0, 0, 1);
  }
  void save(int64_t step) {
    TrainerState state;
    state.step = step;
    state.kernels = "test";
    state.machine = "a test's machine";
    save_checkpoint(root, *model, optimizer, state, "");
  }
  // Flips one bit in the middle of a file.
  static void damage(const fs::path& path) {
    std::string bytes = read_file(path);
    bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 1);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::string load_error() {
    try {
      load_checkpoint(root, newest_checkpoint(root).value(), *model, optimizer);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
};

TEST_F(Checkpointing, RoundTripKeepsEveryBit) {
  update_once(1);
  model->parameters().buffer("model.layers.1.mlp.gate.e_score_correction_bias").fill_(0.125);
  save(1);
  const at::Tensor values_P = model->parameters().values_P().clone(), m_P = optimizer.m_P().clone(), v_P = optimizer.v_P().clone();
  update_once(2);
  model->parameters().buffer("model.layers.1.mlp.gate.e_score_correction_bias").zero_();
  ASSERT_FALSE(at::equal(model->parameters().values_P(), values_P));
  const std::optional<TrainerState> state = newest_checkpoint(root);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->step, 1);
  EXPECT_EQ(state->machine, "a test's machine");
  load_checkpoint(root, *state, *model, optimizer);
  EXPECT_TRUE(at::equal(model->parameters().values_P(), values_P));
  EXPECT_TRUE(at::equal(optimizer.m_P(), m_P));
  EXPECT_TRUE(at::equal(optimizer.v_P(), v_P));
  EXPECT_EQ(model->parameters().buffer("model.layers.1.mlp.gate.e_score_correction_bias")[2].item<float>(), 0.125f);
  EXPECT_EQ(fs::read_symlink(root / "latest"), "step-000001");
}

TEST_F(Checkpointing, FullDiskLeavesTheEarlierCheckpointAndNoRubbish) {
  save(1);
  for (const char* failure : {"write:1:full", "write:3:short", "write:5:full"}) {
    update_once(2);
    arm_failpoint(failure);
    EXPECT_THROW(save(2), Error) << failure;
    EXPECT_EQ(finished_steps(root), std::vector<int64_t>{1});
    EXPECT_FALSE(fs::exists(root / "step-000002.tmp"));
    EXPECT_EQ(load_error(), "");
  }
}

TEST_F(Checkpointing, DamagedWeightsOrMomentsAreRefused) {
  save(1);
  damage(root / "step-000001" / "trainer.safetensors");
  EXPECT_NE(load_error().find("expected moments"), std::string::npos) << load_error();
  fs::remove_all(root / "step-000001");
  save(1);
  damage(root / "step-000001" / "model.safetensors");
  EXPECT_NE(load_error().find("expected weights"), std::string::npos) << load_error();
}

TEST_F(Checkpointing, OtherFormatVersionIsRefused) {
  save(1);
  const fs::path path = root / "step-000001" / "trainer.json";
  std::string text = read_file(path);
  const size_t at = text.find("\"format_version\": 3");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 19, "\"format_version\": 9");
  std::ofstream(path) << text;
  EXPECT_THROW(newest_checkpoint(root), Error);
}

// Turns a checkpoint into what version 2 wrote.
void rewrite_as_format2(const fs::path& folder, const Transformer& model, const Optimizer& optimizer) {
  const uint64_t bytes = uint64_t(optimizer.m_P().nbytes());
  const std::vector<int64_t> shape = {optimizer.m_P().numel()};
  SafetensorsWriter writer(folder / "trainer.safetensors", {{"m", at::kFloat, shape, 0, bytes}, {"v", at::kFloat, shape, bytes, 2 * bytes}},
                           {});
  writer.write(optimizer.m_P());
  writer.write(optimizer.v_P());
  writer.commit();
  Json json = read_json(folder / "trainer.json");
  json["format_version"] = 2;
  json["weights_fingerprint"] = format2_fingerprint(model.parameters());
  json["moments_hash"] = format2_moments_hash(optimizer);
  write_file_atomic(folder / "trainer.json", dump_json(json));
}

TEST_F(Checkpointing, FormatTwoIsRead) {
  update_once(1);
  save(1);
  rewrite_as_format2(root / "step-000001", *model, optimizer);
  const at::Tensor values_P = model->parameters().values_P().clone(), m_P = optimizer.m_P().clone(), v_P = optimizer.v_P().clone();
  update_once(2);
  testing::internal::CaptureStderr();
  EXPECT_EQ(load_error(), "");
  EXPECT_NE(testing::internal::GetCapturedStderr().find("format 2, read and saved as format 3"), std::string::npos);
  EXPECT_TRUE(at::equal(model->parameters().values_P(), values_P));
  EXPECT_TRUE(at::equal(optimizer.m_P(), m_P));
  EXPECT_TRUE(at::equal(optimizer.v_P(), v_P));
  damage(root / "step-000001" / "trainer.safetensors");
  EXPECT_NE(load_error().find("expected moments"), std::string::npos) << load_error();
}

TEST_F(Checkpointing, MomentsLieInFilesOfTheirWeightsByName) {
  update_once(1);
  SaveOptions options;
  options.shard_bytes = 40'000;
  save_model(root / "m", *model, options);
  write_moments(root / "m", *model, optimizer, options);
  const SafetensorsFolder folder(root / "m");
  ASSERT_GT(folder.shards().size(), 2u);
  int64_t moments = 0;
  for (const std::string& shard : folder.shards()) {
    const SafetensorsFile weights(root / "m" / shard), trainer(root / "m" / ("trainer" + shard.substr(5)));
    for (const auto& [name, entry] : trainer.entries()) {
      EXPECT_TRUE(weights.has(name.substr(2))) << name;
      ++moments;
    }
  }
  EXPECT_EQ(moments, 2 * int64_t(model->parameters().specs().size()));
  const at::Tensor m_P = optimizer.m_P().clone();
  const std::string hash = moments_hash(model->parameters(), optimizer);
  optimizer.m_P().zero_();
  EXPECT_NE(moments_hash(model->parameters(), optimizer), hash);
  read_moments(root / "m", model->parameters(), optimizer);
  EXPECT_TRUE(at::equal(optimizer.m_P(), m_P));
  EXPECT_EQ(moments_hash(model->parameters(), optimizer), hash);
  fs::remove(root / "m" / ("trainer" + folder.shards().back().substr(5)));
  EXPECT_THROW(read_moments(root / "m", model->parameters(), optimizer), Error);
}

TEST_F(Checkpointing, NothingToFindInAnEmptyFolder) { EXPECT_FALSE(newest_checkpoint(root)); }

}  // namespace
}  // namespace finback
