#include "train/run_curves.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/terminal.h"
#include "train/curve_svg.h"
#include "train/curve_text.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

class RunCurvesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  // A run of so many steps whose bits a byte fall, evaluated every tenth.
  std::string lines(int steps) const {
    std::ostringstream text;
    for (int i = 1; i <= steps; ++i) {
      text << R"({"kind":"step","step":)" << i << R"(,"tokens":)" << 100 * i << R"(,"bpb":)" << 2 + 6.0 / i
           << R"(,"main_loss":3,"lr":0.1,"grad_norm":1,"tokens_per_s":5,"elapsed_s":)" << i
           << R"(,"router":{"layer":[1,2],"max_vio":[0.5,1.5]}})"
           << "\n";
      if (i % 10 == 0)
        text << R"({"kind":"eval","step":)" << i << R"(,"tokens":)" << 100 * i
             << R"(,"val_bpb":2.5,"val_loss":2,"val_mtp_acceptance":[0.25],"elapsed_s":)" << i << "}\n";
    }
    return text.str();
  }
  RunCurves read(const std::string& text, const std::string& key = "bpb") const {
    std::ofstream(folder / "metrics.jsonl") << text;
    return read_run_curves(folder, key);
  }
  fs::path folder = fs::path(testing::TempDir()) / "run_curves";
};

TEST_F(RunCurvesTest, ReadsStepsAndEvaluations) {
  const RunCurves run = read(lines(40));
  EXPECT_EQ(run.name, "run_curves");
  EXPECT_EQ(run.steps.size(), 40u);
  EXPECT_EQ(run.validation.size(), 4u);
  EXPECT_EQ(run.last_step, 40);
  EXPECT_DOUBLE_EQ(run.worst_vio.back().value, 1.5);
  EXPECT_DOUBLE_EQ(run.mean_vio.back().value, 1.0);
  EXPECT_DOUBLE_EQ(*run.evaluations.back().worst_vio, 1.5);
  EXPECT_EQ(run.bad_lines, 0);
}

TEST_F(RunCurvesTest, ALastLineThatWasCutIsNoFaultAndOthersAreCounted) {
  const std::string whole = lines(5);
  EXPECT_EQ(read(whole.substr(0, whole.size() - 20)).steps.size(), 4u);
  EXPECT_EQ(read(whole.substr(0, whole.size() - 20)).bad_lines, 0);
  const RunCurves run = read("no json\n{\"kind\":\"step\"}\n[]\n\n{\"kind\":\"sample\",\"text\":\"x\"}\n" + whole);
  EXPECT_EQ(run.bad_lines, 3);
  EXPECT_EQ(run.steps.size(), 5u);
}

TEST_F(RunCurvesTest, OtherKeysAndMistakes) {
  EXPECT_EQ(read(lines(3), "lr").validation.size(), 0u);
  EXPECT_THROW(read(lines(3), "speed"), Error);
  EXPECT_THROW(read("", "bpb"), Error);
  EXPECT_THROW(read_run_curves(folder / "absent", "bpb"), Error);
}

TEST_F(RunCurvesTest, TextFitsEveryWidth) {
  RunCurves one = read(lines(40)), two = one;
  two.name = "a run with a very long name, naïve 漢字, that fits nowhere";
  for (const bool several : {false, true}) {
    for (int columns = 20; columns <= 120; columns += 7) {
      std::vector<RunCurves> runs = {one};
      if (several) runs.push_back(two);
      std::istringstream text(curves_text(runs, {.columns = columns, .lines = 8}));
      int count = 0;
      for (std::string line; std::getline(text, line); ++count) EXPECT_LE(display_width(line), columns) << line;
      EXPECT_EQ(count, several ? 13 : 12);
    }
  }
}

TEST_F(RunCurvesTest, TheFirstStepsDoNotFlattenTheRest) {
  const RunCurves run = read(lines(400));
  const CurveRange range = curve_range({run.steps, run.validation});
  EXPECT_LT(range.high, 2.6);
  EXPECT_DOUBLE_EQ(range.tokens, 40000);
  const CurveRange flat = curve_range({{{1, 3}, {2, 3}}});
  EXPECT_LT(flat.low, 3);
  EXPECT_GT(flat.high, 3);
}

TEST_F(RunCurvesTest, ThePictureNamesRunsSafely) {
  RunCurves one = read(lines(40)), two = one;
  two.name = "a<b>&\"c";
  const std::string svg = curves_svg({one, two});
  EXPECT_NE(svg.find("a&lt;b&gt;&amp;&quot;c: validation"), std::string::npos);
  EXPECT_EQ(svg.find("a<b>"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("MTP acceptance"), std::string::npos);
}

TEST_F(RunCurvesTest, SmoothingIsTheMeanOfWhatCameLast) {
  const Curve curve = smoothed({{1, 2}, {2, 4}, {3, 6}}, 2);
  EXPECT_DOUBLE_EQ(curve[0].value, 2);
  EXPECT_DOUBLE_EQ(curve[1].value, 3);
  EXPECT_DOUBLE_EQ(curve[2].value, 5);
}

}  // namespace
}  // namespace finback
