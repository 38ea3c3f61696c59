#include "plan/plan_spec.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(PlanSpec, RefusesWhatCannotBe) {
  const auto message = [](auto change) -> std::string {
    PlanSpec spec = load_plan_spec("configs/plans/deepseek-v3.toml");
    change(spec);
    try {
      plan_phase(phases_of(spec)[0], fitted_parameters());
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message([](PlanSpec&) {}), "");
  EXPECT_NE(message([](PlanSpec& s) { s.hardware = "h8000"; }).find("did you mean h800"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "pp16,ep63"; }).find("ep 63 does not divide 256 experts"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "pp17"; }).find("does not divide 2048"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "zz4"; }).find("--layout: expected words"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.tokens = -1; }).find("--tokens: expected a positive count"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.gpus = 8, s.layout = ""; }).find("Nearest that fits: --gpus"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "pp1,mbs1"; }).find("Nearest that fits: --layout"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.hardware = "a100"; }).find("no 8-bit products"), std::string::npos);
  EXPECT_THROW(parse_count("14.8X", "--tokens"), Error);
  EXPECT_EQ(parse_count("14.8T", "--tokens"), 14.8e12);
}

// A batch that no number of ranks divides leaves one layout: a search moves it to one that they do.
TEST(PlanSpec, SearchedBatchIsOneThatRanksDivide) {
  const auto batch = [](int64_t gpus, double tokens) {
    PlanSpec spec;
    spec.model = "l3-8", spec.hardware = "h100", spec.gpus = gpus, spec.tokens = 1e12, spec.batch_tokens = tokens;
    return phases_of(spec)[0].setup.batch_seqs;
  };
  EXPECT_EQ(batch(256, 0), 1024);
  EXPECT_EQ(batch(24, 0) % 24, 0);
  EXPECT_EQ(batch(1000, 0) % 1000, 0);
  EXPECT_EQ(batch(2048, 62914560), 15360);                                   // a given one stays where it can
  EXPECT_THROW(load_shape("models/llama3-8b/config.json", nullptr), Error);  // a path is no alias
}

// A name that only contains a known one is another model's, and planned as none.
TEST(PlanSpec, NamesOfModelsMatchWhole) {
  for (const char* name : {"dsv3", "deepseek-v3", "DeepSeek-R1"}) EXPECT_EQ(load_shape(name, nullptr).layers, 61) << name;
  for (const char* name : {"deepseek-v3.2", "my-deepseek-v3", "deepseek-v3-lite", "llama-3.1"})
    EXPECT_THROW(load_shape(name, nullptr), Error) << name;
}

}  // namespace
}  // namespace finback
