#include "base/exact_sum.h"

#include <cmath>

namespace finback {

void ExactSum::add(double x) {
  if (!std::isfinite(x)) {
    not_finite_ += x;
    return;
  }
  if (x == 0) return;
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(x), &exponent);  // [0.5, 1)
  const uint64_t mantissa = uint64_t(std::ldexp(fraction, 53));
  const int lowest_bit = exponent - 53 - kLowest;  // of the mantissa, counted from the accumulator's lowest
  const int limb = lowest_bit / 32, shift = lowest_bit % 32;
  const unsigned __int128 shifted = static_cast<unsigned __int128>(mantissa) << shift;  // below 2^85
  const int64_t sign = x < 0 ? -1 : 1;
  for (int i = 0; i < 3; ++i) limbs_[size_t(limb + i)] += sign * int64_t(uint64_t(shifted >> (32 * i)) & 0xffffffffu);
  if (++additions_ >= kCarryAfter) carry();
}

void ExactSum::add(const ExactSum& other) {
  ExactSum more = other;
  more.carry();
  carry();
  for (int i = 0; i < kLimbs; ++i) limbs_[size_t(i)] += more.limbs_[size_t(i)];
  additions_ += more.additions_;
  not_finite_ += more.not_finite_;
}

// Every limb but the last into [0, 2^32); the last carries the sign.
void ExactSum::carry() {
  for (size_t i = 0; i + 1 < kLimbs; ++i) {
    const int64_t high = limbs_[i] >> 32;  // floor
    limbs_[i] -= high * (int64_t{1} << 32);
    limbs_[i + 1] += high;
  }
  additions_ = 1;  // counts as one number a limb
}

double ExactSum::value() const {
  if (not_finite_ != 0) return not_finite_;  // NaN included
  ExactSum sum = *this;
  sum.carry();
  const bool negative = sum.limbs_.back() < 0;
  if (negative) {
    for (int64_t& limb : sum.limbs_) limb = -limb;
    sum.carry();
  }
  int top = kLimbs - 1;
  while (top > 0 && sum.limbs_[size_t(top)] == 0) --top;
  // The 65 to 96 highest bits, and whether anything lies below them: enough to round once.
  const int lowest = top >= 2 ? top - 2 : 0;
  unsigned __int128 bits = 0;
  for (int i = top; i >= lowest; --i) bits = bits << 32 | uint64_t(sum.limbs_[size_t(i)]);
  for (int i = 0; i < lowest; ++i) {
    if (sum.limbs_[size_t(i)] != 0) bits |= 1;
  }
  const double magnitude = std::ldexp(double(bits), kLowest + 32 * lowest);
  return negative ? -magnitude : magnitude;
}

}  // namespace finback
