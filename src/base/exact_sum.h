// The sum of f64 numbers without any rounding but the last: a fixed-point accumulator over the whole range of f64 (Kulisch). Its limbs are
// integers, so accumulators may be added in any order and grouping and still give the same bits. Not thread-safe.
#pragma once
#include <array>
#include <cstdint>

namespace finback {

class ExactSum {
 public:
  void add(double x);
  void add(const ExactSum& other);
  // Rounded once, to nearest even (below 2^-1022 a second time). NaN or an infinity when one was added; infinity beyond f64's range.
  double value() const;

 private:
  // Limb i counts multiples of 2^(32 i - 1152): the lowest bit of a mantissa of 53 bits is 2^-1126 at least. A number spans at most three limbs,
  // each of which grows by less than 2^32.
  static constexpr int kLimbs = 70, kLowest = -1152;
  static constexpr int64_t kCarryAfter = int64_t{1} << 30;  // additions until a limb could overflow, with room to add two accumulators
  void carry();

  std::array<int64_t, kLimbs> limbs_{};
  int64_t additions_ = 0;
  double not_finite_ = 0;  // sum of what was added that is not finite: NaN stays NaN, inf - inf is NaN
};

}  // namespace finback
