#include "infer/governor.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace finback {
namespace {

constexpr int64_t kTries = 6;                              // steps of one try: a median of so many does not see a pause of the machine
constexpr size_t kRemembered = 15;                         // seconds of a count
constexpr double kTokensMemory = 1. / 32;                  // share of the newest step in the mean of tokens
constexpr double kMargin = 1.02;                           // drafting has to be faster by so much: it also heats the caches of others
constexpr int64_t kFirstPause = 64, kLongestPause = 2048;  // steps between tries, doubled while the answer stays the same

}  // namespace

SpeculationGovernor::SpeculationGovernor(int64_t most) : most_(most) {
  for (Size& size : sizes_) size.counts.resize(size_t(most + 1));
}

size_t SpeculationGovernor::size_of(int64_t sequences) {
  return std::min(size_t(kSizes) - 1, size_t(std::bit_width(uint64_t(std::max<int64_t>(sequences, 1)))) - 1);
}

// Tokens a second of one sequence.
double SpeculationGovernor::rate(const Count& count) {
  std::vector<double> seconds(count.seconds.begin(), count.seconds.end());
  const auto middle = seconds.begin() + ptrdiff_t(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return count.tokens / *middle;
}

int64_t SpeculationGovernor::best(int64_t sequences) const { return std::max<int64_t>(0, sizes_[size_of(sequences)].best); }

int64_t SpeculationGovernor::drafts(int64_t sequences) {
  Size& size = sizes_[size_of(sequences)];
  if (size.trying < 0 && size.best < 0) size.trying = 0, size.tries_left = kTries;
  if (size.trying < 0 && size.until_try <= 0) size.trying = size.best == 0 ? 1 : 0, size.tries_left = kTries;
  return size.trying >= 0 ? size.trying : size.best;
}

void SpeculationGovernor::learn(int64_t sequences, int64_t drafts, double seconds, int64_t tokens) {
  FB_ASSERT(drafts >= 0 && drafts <= most_ && sequences > 0, "a step that it asked for");
  Size& size = sizes_[size_of(sequences)];
  Count& count = size.counts[size_t(drafts)];
  const double each = double(tokens) / double(sequences);
  count.tokens += (each - count.tokens) * std::max(kTokensMemory, 1 / double(++count.steps));
  count.seconds.push_back(seconds / double(sequences));
  if (count.seconds.size() > kRemembered) count.seconds.pop_front();
  if (size.trying < 0) {
    --size.until_try;
    // What pays no longer is given up at once; what may pay again waits for its try.
    if (size.best > 0 && rate(size.counts[size_t(size.best)]) < rate(size.counts[0])) choose(size);
  } else if (drafts == size.trying && --size.tries_left <= 0) {
    // The next count of this round: all but the best one, which is measured all the time.
    do ++size.trying;
    while (size.trying == size.best);
    size.tries_left = kTries;
    if (size.trying > most_) choose(size);
  }
}

void SpeculationGovernor::choose(Size& size) {
  int64_t best = 0;
  for (int64_t n = 1; n <= most_; ++n) {
    const double margin = best == 0 ? kMargin : 1;
    if (rate(size.counts[size_t(n)]) > margin * rate(size.counts[size_t(best)])) best = n;
  }
  size.pause = best == size.best ? std::min(2 * size.pause, kLongestPause) : kFirstPause;
  size.until_try = size.pause;
  size.best = best;
  size.trying = -1;
}

}  // namespace finback
