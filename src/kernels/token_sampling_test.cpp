#include "kernels/token_sampling.h"

#include <cmath>
#include <map>

#include "base/rng.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Rows that differ in what makes a cut hard: how much weight the best few hold, ties, tokens that cannot be drawn.
std::map<std::string, std::vector<float>> rows_of_size(int64_t w) {
  const at::Tensor noise_W = normal({w}, uint64_t(w));
  std::map<std::string, std::vector<float>> rows;
  const auto add = [&](const std::string& name, const at::Tensor& logits_W) {
    const at::Tensor flat_W = logits_W.to(at::kFloat).contiguous();
    rows[name].assign(flat_W.const_data_ptr<float>(), flat_W.const_data_ptr<float>() + w);
  };
  add("flat", noise_W * 0.01);
  add("normal", noise_W);
  add("trained", noise_W * 3 - 5);
  add("peaked", noise_W * 20);
  add("extreme", noise_W * 300);
  add("ties", (noise_W * 4).round() / 2);
  add("a few ties", noise_W.clamp_max(1));
  add("equal", at::full({w}, -7.25));
  add("both zeros", noise_W.clamp(-1, 0) * -1);
  add("holes", (noise_W * 3).masked_fill(at::arange(w).remainder(3).ne(0), -kInfinity));
  add("one left", at::full({w}, -kInfinity));
  rows["one left"][size_t(w) / 2] = 4;
  add("falling", at::arange(w).to(at::kDouble).add(1).log() * -1.1);
  return rows;
}

std::vector<SamplingFilters> many_filters() {
  std::vector<SamplingFilters> all;
  for (const double temperature : {1.0, 0.6, 1.7, 0.01, 50.0}) {
    for (const int64_t top_k : {0, 1, 2, 50}) {
      for (const double top_p : {1.0, 0.95, 0.3, 1e-9, 0.999999}) {
        for (const double min_p : {0.0, 0.05, 1.0}) all.push_back({temperature, top_k, top_p, min_p});
      }
    }
  }
  all.push_back({0, 5, 0.5, 0.1}), all.push_back({1e-200, 0, 0.5, 0}), all.push_back({1e200, 0, 0.5, 0}), all.push_back({1e-5, 0, 0.9, 0});
  return all;
}

std::string text_of(const SamplingFilters& c) { return fmt::format("T {} k {} p {} min {}", c.temperature, c.top_k, c.top_p, c.min_p); }

void expect_same(std::span<const float> logits, const SampledToken& sampled, const SampledToken& reference) {
  EXPECT_EQ(sampled.token, reference.token);
  EXPECT_EQ(sampled.logprob, reference.logprob);
  if (sampled.kept.lowest == reference.kept.lowest && sampled.kept.last == reference.kept.last) return;
  EXPECT_EQ(kept_ids(logits, sampled.kept), kept_ids(logits, reference.kept));
}

TEST(TokenSampling, TokenAndKeptSetAreThoseOfTheReference) {
  const std::vector<SamplingFilters> filters = many_filters();
  for_each_variant([&] {
    uint64_t draw = 0;
    for (const int64_t w : {1, 2, 3, 7, 63, 64, 65, 257, 1000}) {
      for (const auto& [name, logits] : rows_of_size(w)) {
        for (const SamplingFilters& cut : filters) {
          const auto words = philox(Stream::kTest, 3, ++draw);
          const double u = draw % 50 == 0 ? 0 : draw % 50 == 1 ? 1 - 0x1p-53 : uniform01_double(words[0], words[1]);
          SCOPED_TRACE(fmt::format("{} x {}, {}, u {}", name, w, text_of(cut), u));
          expect_same(logits, sample_token(logits, cut, u), sample_token_ref(logits, cut, u));
          if (HasFailure()) return;
        }
      }
    }
  });
}

TEST(TokenSampling, AtTheSizeOfAVocabularyToo) {
  const std::vector<SamplingFilters> filters = many_filters();
  size_t draw = 0;
  for (const int64_t w : {8'191, 129'280}) {
    for (const auto& [name, logits] : rows_of_size(w)) {
      for (int i = 0; i < 6; ++i) {
        const SamplingFilters& cut = filters[(draw += 37) % filters.size()];
        const auto words = philox(Stream::kTest, 4, draw);
        const double u = uniform01_double(words[0], words[1]);
        SCOPED_TRACE(fmt::format("{} x {}, {}, u {}", name, w, text_of(cut), u));
        expect_same(logits, sample_token(logits, cut, u), sample_token_ref(logits, cut, u));
      }
    }
  }
}

// Long rows are cut where a sample of them says; the last two rows lie to every sample at equal distances, by too much and by too little.
TEST(TokenSampling, LongRowsAreThoseOfTheReferenceWhateverASampleSays) {
  constexpr int64_t kLong = 5 << 13;  // the sample takes every tenth token
  std::map<std::string, std::vector<float>> rows = rows_of_size(kLong);
  for (const bool less : {false, true}) {
    std::vector<float>& row = rows[less ? "better than they look" : "worse than they look"] = rows["normal"];
    for (size_t i = 0; i < row.size(); ++i) row[i] += (i % 10 == 0) == less ? 0 : 3;
  }
  for_each_variant([&] {
    uint64_t draw = 0;
    for (const auto& [name, logits] : rows) {
      for (const SamplingFilters& cut : {SamplingFilters{1, 0, 0.95, 0}, SamplingFilters{1, 0, 1, 0}, SamplingFilters{1.7, 0, 0.3, 0}}) {
        const auto words = philox(Stream::kTest, 6, ++draw);
        const double u = uniform01_double(words[0], words[1]);
        SCOPED_TRACE(fmt::format("{}, {}, u {}", name, text_of(cut), u));
        expect_same(logits, sample_token(logits, cut, u), sample_token_ref(logits, cut, u));
        if (name == "flat" || name == "normal" || name.ends_with("look")) {
          EXPECT_TRUE(sample_without_sorting(logits, cut, u).has_value()) << "what a wrong guess costs is a survey, not a sort";
        }
      }
    }
  });
}

// u where one token's share ends and the next one's begins, as near as f64 can tell: rounding decides, so the reference must be asked.
TEST(TokenSampling, AtTheEdgeOfTwoTokensTheReferenceDecides) {
  int asked = 0, draws = 0;
  const auto at_edges = [&](std::span<const float> logits, const SamplingFilters& cut, size_t edges) {
    const std::vector<int32_t> order = kept_ids(logits, sample_token_ref(logits, cut, 0).kept);
    std::vector<double> sums = {0};
    for (const int32_t id : order) {
      sums.push_back(sums.back() + std::exp((double(logits[size_t(id)]) - logits[size_t(order[0])]) / cut.temperature));
    }
    for (size_t i = 1; i + 1 < sums.size() && i <= edges; ++i) {
      const double edge = sums[i] / sums.back();
      for (const double u : {edge, std::nextafter(edge, 0), std::nextafter(edge, 1)}) {
        if (u >= 1) continue;
        SCOPED_TRACE(fmt::format("{}, edge {}", text_of(cut), i));
        expect_same(logits, sample_token(logits, cut, u), sample_token_ref(logits, cut, u));
        ++draws, asked += !sample_without_sorting(logits, cut, u).has_value();
      }
    }
  };
  for (const int64_t w : {700, 5000}) {
    for (const auto& [name, logits] : rows_of_size(w)) {
      SCOPED_TRACE(fmt::format("{} x {}", name, w));
      for (const SamplingFilters& cut :
           {SamplingFilters{}, SamplingFilters{0.7, 0, 0.9, 0}, SamplingFilters{1, 40, 1, 0}, SamplingFilters{1, 0, 1, 0.1}}) {
        at_edges(logits, cut, w == 700 ? 25 : 5);
      }
    }
  }
  EXPECT_GT(draws, 1000);
  EXPECT_EQ(asked, draws);
}

// top_p as near to the sum of the best i tokens as f64 can tell.
TEST(TokenSampling, AtTheEdgeOfTheNucleusTheReferenceDecides) {
  for (const int64_t w : {700, 5000}) {
    for (const auto& [name, logits] : rows_of_size(w)) {
      const std::vector<int32_t> order = kept_ids(logits, {-kInfinity, INT32_MAX});
      std::vector<double> sums = {0};
      for (const int32_t id : order) sums.push_back(sums.back() + std::exp(double(logits[size_t(id)]) - logits[size_t(order[0])]));
      for (size_t i = 1; i < (w == 700 ? 25 : 8) && i < sums.size(); ++i) {
        for (const double edge : {sums[i], std::nextafter(sums[i], 0), std::nextafter(sums[i], INFINITY)}) {
          SamplingFilters cut;
          cut.top_p = edge / sums.back();
          if (cut.top_p > 1) continue;
          SCOPED_TRACE(fmt::format("{} x {}, edge {}", name, w, i));
          expect_same(logits, sample_token(logits, cut, 0.3), sample_token_ref(logits, cut, 0.3));
        }
      }
    }
  }
}

// What the path without sorting leaves to the reference: a draw in a hundred thousand, so of these at most one.
TEST(TokenSampling, TheReferenceIsSeldomAsked) {
  int asked = 0;
  for (const auto& [name, logits] : rows_of_size(20'000)) {
    if (name == "equal" || name == "ties") continue;  // sums of few different numbers do meet a target
    for (int draw = 0; draw < 60; ++draw) {
      const auto words = philox(Stream::kTest, 5, uint64_t(draw));
      const SamplingFilters filters = {1, 0, draw % 2 == 0 ? 0.95 : 1.0, 0};
      asked += !sample_without_sorting(logits, filters, uniform01_double(words[0], words[1])).has_value();
    }
  }
  EXPECT_LE(asked, 1);
}

TEST(TokenSampling, ARowThatIsNoDistributionHasNoLogprob) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for_each_variant([&] {
    for (const std::vector<float>& row : {std::vector<float>{1, nan, 2}, {1, kInfinity}, {-kInfinity, -kInfinity}}) {
      EXPECT_FALSE(std::isfinite(sample_token(row, {}, 0.5).logprob));
    }
  });
}

TEST(TokenSampling, KeptTokensAreAPrefixInTheOrderOfIdsAmongEquals) {
  const std::vector<float> logits = {1, 3, 2, 3, 3};
  EXPECT_EQ(kept_ids(logits, {3, 3}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept_ids(logits, {2, INT32_MAX}), (std::vector<int32_t>{1, 3, 4, 2}));
  EXPECT_EQ(kept_ids(logits, sample_token(logits, {1, 2, 1, 0}, 0).kept), (std::vector<int32_t>{1, 3}));
}

}  // namespace
}  // namespace finback
