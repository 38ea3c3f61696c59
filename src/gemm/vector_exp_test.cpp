// Every instruction set this machine runs, against double precision, over the whole range of f32.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gemm/vector_exp_test.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/vector_exp.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// y[i] of x[i], `count` a multiple of 16; op: 0 exp, 1 log, 2 sigmoid. `narrow` computes in vectors of 4 lanes.
template <class D>
HWY_ATTR void apply_with(D d, int op, const float* x, float* y, size_t count) {
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, x + i);
    hn::StoreU(op == 0 ? vector_exp(d, v) : op == 1 ? vector_log(d, v) : vector_sigmoid(d, v), d, y + i);
  }
}

HWY_ATTR void apply(int op, bool narrow, const float* x, float* y, size_t count) {
  if (narrow) return apply_with(hn::CappedTag<float, 4>(), op, x, y, count);
  apply_with(hn::ScalableTag<float>(), op, x, y, count);
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "gemm/each_variant.h"

namespace finback {
HWY_EXPORT(apply);
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> run(int op, const std::vector<float>& x, bool narrow = false) {
  std::vector<float> y(x.size(), kNan);
  HWY_DYNAMIC_DISPATCH(apply)(op, narrow, x.data(), y.data(), x.size());
  return y;
}

// Distance in units of the last place of the exact value's binade (2^-149 below the normal numbers).
double ulps(float got, double exact) {
  if (std::isinf(got) || std::isinf(float(exact))) return got == float(exact) || std::abs(exact) > 3.4028234e38 ? 0 : 1e9;
  const double unit = std::max(std::ldexp(1.0, std::ilogb(exact == 0 ? 1e-300 : exact) - 23), std::ldexp(1.0, -149));
  return std::abs(double(got) - exact) / unit;
}

// Every 1009th bit pattern (prime, so that mantissas vary) of both signs.
std::vector<float> all_floats() {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < 0x100000000ull; bits += 1009) x.push_back(std::bit_cast<float>(uint32_t(bits)));
  while (x.size() % 16 != 0) x.push_back(1.0f);
  return x;
}

double exact_of(int op, double x) { return op == 0 ? std::exp(x) : op == 1 ? std::log(x) : 1 / (1 + std::exp(-x)); }

double worst_ulps(int op, const std::vector<float>& x) {
  const std::vector<float> y = run(op, x);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = exact_of(op, x[i]);
    if (std::isnan(exact)) {
      EXPECT_TRUE(std::isnan(y[i])) << x[i];
    } else {
      const double error = ulps(y[i], exact);
      worst = std::max(worst, std::isnan(error) ? 1e9 : error);
    }
  }
  return worst;
}

TEST(VectorExp, IsWithinTwoUlpOverTheWholeRange) {
  const std::vector<float> x = all_floats();
  for_each_variant([&] {
    for (int op = 0; op < 3; ++op) EXPECT_LE(worst_ulps(op, x), op == 2 ? 2.5 : 2.0) << "op " << op;
  });
}

TEST(VectorExp, KeepsTheEdges) {
  const std::vector<float> x = {-kInfinity, kInfinity, kNan, 0.0f,  -0.0f,  88.722f, 88.73f, -103.9f,
                                -104.1f,    -87.4f,    1.0f, -1.0f, 1e-45f, -1e-45f, 3e38f,  -3e38f};
  for_each_variant([&] {
    const std::vector<float> e = run(0, x), l = run(1, x), s = run(2, x);
    EXPECT_EQ(e[0], 0.0f);
    EXPECT_EQ(e[1], kInfinity);
    EXPECT_TRUE(std::isnan(e[2]) && std::isnan(l[2]) && std::isnan(s[2]));
    EXPECT_EQ(e[3], 1.0f);
    EXPECT_TRUE(std::isfinite(e[5]));
    EXPECT_EQ(e[6], kInfinity);
    EXPECT_GT(e[7], 0.0f);
    EXPECT_EQ(e[8], 0.0f);
    EXPECT_TRUE(std::isnan(l[0]) && std::isnan(l[11]) && std::isnan(l[13]));
    EXPECT_EQ(l[1], kInfinity);
    EXPECT_EQ(l[3], -kInfinity);
    EXPECT_EQ(l[10], 0.0f);
    EXPECT_NEAR(l[12], -103.27893f, 1e-5);
    EXPECT_EQ(s[0], 0.0f);
    EXPECT_EQ(s[1], 1.0f);
    EXPECT_EQ(s[3], 0.5f);
  });
}

TEST(VectorExp, HasTheSameBitsInANarrowVector) {
  std::vector<float> x;
  for (int i = 0; i < 4096; ++i) x.push_back(float(i - 3000) / 31.0f);
  for_each_variant([&] {
    for (int op = 0; op < 3; ++op) {
      const std::vector<float> wide = run(op, x), narrow = run(op, x, true);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(narrow[i])) << x[i];
    }
  });
}

}  // namespace
}  // namespace finback
#endif
