#include "kernels/token_sampling.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "gemm/variant.h"
#include "kernels/head_loss.h"
#include "kernels/token_sampling_cpu.h"

// Note [Sampling without sorting]
// Top-k, top-p and the draw ask one question: where, best token first, do the weights' sums reach a target? One pass over the row (a survey) gives the weight
// above each of a few pivots (values of a sample of the row), so the answer lies between two of them; the tokens there are gathered and surveyed
// again, until some 64 are left to be sorted. In a long flat row a histogram of a larger sample says beforehand where the two answers lie, within a few
// percent of the weight: a pivot each is enough then, and few tokens are gathered. A wrong guess shows in the sums, and the row is surveyed. Equal logits have equal weights, so values are enough, and an id is looked up at the end.
// The sums differ from the reference's (f64, added best first) by rounding alone: at most 2 n + 32768 units of 2^-52 of the row's weight, which
// covers the reference's own n additions, its walk, and the vector exp. Where a target is as near as that to the sum before or behind a token,
// the reference decides. So the token and the kept set are the reference's, always; a draw in a hundred thousand pays for a sort.
// At temperature 1 the log-prob's own exps, f32, stand for the tail that holds some 2 % of the weight: within 2e-6 of it, which is added to the
// rounding. What that leaves open, the whole row in f64 decides.

namespace finback {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kSample = 64;
constexpr int64_t kSampleRanks[kPivots] = {0, 4, 14, 30, 48};  // the best few hold most of the weight
constexpr int64_t kFew = 64;                                   // are sorted
constexpr int kMostSurveys = 40;                               // a row that defeats its samples is sorted

double weight_of(const TokenWeights& weights, float logit) {
  return std::exp((double(std::max(logit, weights.lowest)) - weights.best) * weights.inverse_temperature);
}

// Floats in their order as integers; both zeros are 0.
int64_t order_of(float x) {
  const auto bits = std::bit_cast<int32_t>(x);
  return bits >= 0 ? int64_t(bits) : int64_t(std::numeric_limits<int32_t>::min()) - bits;
}
float float_at(int64_t order) {
  return order >= 0 ? std::bit_cast<float>(int32_t(order)) : std::bit_cast<float>(int32_t(std::numeric_limits<int32_t>::min() - order));
}

// The lowest finite float whose weight, as the reference computes it, is at least `least` <= 1.
float lowest_logit(float best, double temperature, double least) {
  int64_t low = order_of(-std::numeric_limits<float>::max()), high = order_of(best);
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (std::exp((double(float_at(middle)) - best) / temperature) >= least) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return float_at(high);
}

// Weight of some logits, and of those above each pivot. Pivots fall.
struct Survey {
  std::array<float, kPivots> pivots;
  std::array<double, kPivots> above;
  double total = 0;
};

// Best first.
std::array<float, kSample> sorted_sample(std::span<const float> logits) {
  std::array<float, kSample> sample;
  for (int64_t i = 0; i < kSample; ++i) sample[size_t(i)] = logits[size_t(i) * logits.size() / kSample];
  std::sort(sample.begin(), sample.end(), std::greater<>());
  return sample;
}

// The tokens in (low, high], and the weight of all above.
struct Bracket {
  float low = -kInfinity, high = kInfinity;
  double before = 0;
};

// Where the target lies among tokens that were surveyed; `before`: the weight of all better ones.
Bracket bracket_of(const Survey& survey, double before, double target) {
  size_t i = 0;
  while (i < kPivots && before + survey.above[i] < target) ++i;
  return {i < kPivots ? survey.pivots[i] : -kInfinity, i > 0 ? survey.pivots[i - 1] : kInfinity,
          before + (i > 0 ? survey.above[i - 1] : 0)};
}

void weigh_at_pivots(std::span<const float> logits, const TokenWeights& weights, Survey& survey) {
  survey.total = token_sampling_loops().weigh(int64_t(logits.size()), logits.data(), weights, survey.pivots.data(), survey.above.data());
}

// Of logits in (in.low, in.high], by pivots at equal distances: as good as a sample where density changes little, and nothing is sorted.
Survey even_survey(std::span<const float> logits, const TokenWeights& weights, const Bracket& in) {
  Survey result;
  for (size_t i = 0; i < kPivots; ++i) result.pivots[i] = in.high - (in.high - in.low) * (float(i + 1) / float(kPivots + 1));
  weigh_at_pivots(logits, weights, result);
  return result;
}

// extra: a pivot that the caller wants.
Survey survey(std::span<const float> logits, const TokenWeights& weights, std::optional<float> extra = {}) {
  const std::array<float, kSample> sample = sorted_sample(logits);
  Survey result;
  for (size_t i = 0; i < kPivots; ++i) {
    result.pivots[i] = sample[size_t(kSampleRanks[i])];
    // Many equal logits get an interval of their own.
    if (i > 0 && result.pivots[i] == result.pivots[i - 1]) result.pivots[i] = std::nextafter(result.pivots[i], -kInfinity);
  }
  if (extra) result.pivots.back() = *extra;
  std::sort(result.pivots.begin(), result.pivots.end(), std::greater<>());
  weigh_at_pivots(logits, weights, result);
  return result;
}

// A token in the order best first.
struct Place {
  float logit;
  int64_t rank, ties;      // it is the rank-th (from 1) of so many tokens with this logit
  double before, through;  // weight of all better tokens, and with its own
};

// Where in `inside`, which is all that lies in an interval, the sum reaches the target.
Place place_in(std::span<float> inside, const TokenWeights& weights, double before, double target) {
  if (!std::is_sorted(inside.begin(), inside.end(), std::greater<>())) std::sort(inside.begin(), inside.end(), std::greater<>());
  size_t at = 0;
  double weight = weight_of(weights, inside[0]);
  for (; at + 1 < inside.size() && before + weight < target; ++at) {
    before += weight;
    if (inside[at + 1] != inside[at]) weight = weight_of(weights, inside[at + 1]);
  }
  const auto ties = std::equal_range(inside.begin(), inside.end(), inside[at], std::greater<>());
  const int64_t first = ties.first - inside.begin();
  return {inside[at], int64_t(at) - first + 1, ties.second - ties.first, before, before + weight};
}

// The first token, best first, through which the weights of `row` reach the target, which lies in the bracket.
std::optional<Place> find_place(std::span<const float> row, Bracket in, const TokenWeights& weights, double target) {
  thread_local std::vector<float> buffer;  // only grows: no page faults from the second call on
  if (buffer.size() < row.size() + 16) buffer.resize(row.size() + 16);
  for (int gathers = 1;; ++gathers) {
    row = {buffer.data(), size_t(token_sampling_loops().gather(int64_t(row.size()), row.data(), in.low, in.high, buffer.data()))};
    if (row.empty()) return std::nullopt;  // the target is the end, but for rounding, or a guess was wrong
    const bool all_equal = std::nextafter(in.low, kInfinity) >= in.high;
    if (int64_t(row.size()) <= kFew || all_equal || gathers == kMostSurveys) break;
    const bool narrow = std::isfinite(in.high - in.low) && gathers % 3 != 0;
    in = bracket_of(narrow ? even_survey(row, weights, in) : survey(row, weights), in.before, target);
  }
  return place_in({buffer.data(), row.size()}, weights, in.before, target);
}

int32_t id_of(std::span<const float> logits, float logit, int64_t rank) {
  const int64_t id = token_sampling_loops().find(int64_t(logits.size()), logits.data(), logit, rank);
  FB_ASSERT(id >= 0, "a logit that was found is in the row");
  return int32_t(id);
}

KeptTokens kept_through(std::span<const float> logits, const Place& last) {
  return {last.logit, last.rank == last.ties ? INT32_MAX : id_of(logits, last.logit, last.rank)};
}

KeptTokens fewer(const KeptTokens& a, const KeptTokens& b) {
  if (a.lowest != b.lowest) return a.lowest > b.lowest ? a : b;
  return a.last < b.last ? a : b;
}

// The best k logits, in no order; nothing where there are no more than k. Each token weighs 1 at an infinite temperature.
std::optional<std::pair<KeptTokens, std::vector<float>>> cut_top_k(std::span<const float> logits, TokenWeights weights, int64_t k) {
  if (k == 0 || k >= int64_t(logits.size())) return std::nullopt;
  weights.inverse_temperature = 0;
  const std::optional<Place> last = find_place(logits, bracket_of(survey(logits, weights), 0, double(k)), weights, double(k));
  if (!last) return std::nullopt;  // fewer than k above -inf
  std::vector<float> best(logits.size() + 16);
  best.resize(size_t(token_sampling_loops().gather(int64_t(logits.size()), logits.data(), last->logit, kInfinity, best.data())));
  best.insert(best.end(), size_t(last->rank), last->logit);
  return std::pair{kept_through(logits, *last), std::move(best)};
}

// What is cut and drawn from: the logits of the better tokens, and the weight of the others, within `tail_error`.
struct Candidates {
  std::span<const float> logits;
  double tail = 0, tail_error = 0;
};

// At temperature 1: all tokens above a tail of some 2 % of the weight, which is summed from exps. Nothing where that is no small part of the row.
std::optional<Candidates> without_tail(std::span<const float> logits, const RowSoftmax& softmax, std::span<const float> exps) {
  if (exps.empty() || logits.size() < 4096) return std::nullopt;
  const std::array<float, kSample> sample = sorted_sample(logits);
  const double tokens_a_sample = double(logits.size()) / kSample, most = 0.02 * std::exp(double(softmax.log_sum));
  size_t i = kSample;
  for (double tail = 0; i > 0 && tail <= most; tail += tokens_a_sample * std::exp(double(sample[i]) - softmax.highest)) --i;
  if (i > kSample / 2) return std::nullopt;
  thread_local std::vector<float> head;  // only grows
  if (head.size() < logits.size() + 16) head.resize(logits.size() + 16);
  const TokenSamplingLoops& loops = token_sampling_loops();
  const int64_t w = int64_t(logits.size()), count = loops.gather(w, logits.data(), sample[i], kInfinity, head.data());
  const double tail = loops.sum_below(w, logits.data(), exps.data(), sample[i]);
  if (count == 0) return std::nullopt;
  return Candidates{{head.data(), size_t(count)}, tail, 2e-6 * tail + 1e-12};
}

// Where top_p's cut and the draw should lie; `before` is not known yet.
struct Guess {
  Bracket cut, draw;
};

// From a histogram of every 30th token or so. Nothing for short rows, which are surveyed at once, and where a few tokens hold much of the weight.
std::optional<Guess> guess_brackets(std::span<const float> logits, const TokenWeights& weights, const SamplingFilters& filters, double u) {
  constexpr size_t kGuessed = 4096, kBins = 512;
  constexpr double kWidth = 20.0 / kBins;  // of a bin, in exponents; the last one takes all that is less
  if (logits.size() < 8 * kGuessed || filters.min_p > kLeastWeight) return std::nullopt;
  static const std::array<double, kBins> weight_of_bin = [] {
    std::array<double, kBins> table;
    for (size_t i = 0; i < kBins; ++i) table[i] = std::exp(-(double(i) + 0.5) * kWidth);
    return table;
  }();
  std::array<int32_t, kBins> counts = {};
  const float best = float(weights.best), bins_a_logit = float(weights.inverse_temperature / kWidth);
  for (size_t i = 0; i < kGuessed; ++i) {
    ++counts[size_t(std::min((best - logits[i * logits.size() / kGuessed]) * bins_a_logit, float(kBins - 1)))];
  }
  std::array<double, kBins> through, squares;  // sums of weights, and of their squares, from the best token through each bin
  double total = 0, square = 0;
  for (size_t i = 0; i < kBins; ++i) {
    through[i] = total += counts[i] * weight_of_bin[i];
    squares[i] = square += counts[i] * weight_of_bin[i] * weight_of_bin[i];
  }
  if (std::sqrt(square) > 0.06 * total) return std::nullopt;
  const auto around = [&](double share) {
    const auto bin = [&](double at) { return std::lower_bound(through.begin(), through.end() - 1, at * total) - through.begin(); };
    const size_t middle = size_t(bin(share));
    // Three standard deviations of the better tokens' share, and two tokens of the sample.
    const double variance = (1 - share) * (1 - share) * squares[middle] + share * share * (square - squares[middle]);
    const double reach = (3 * std::sqrt(variance) + 2 * weight_of_bin[middle]) / total;
    const auto first = bin(share - reach), last = bin(share + reach);
    const auto edge = [&](ptrdiff_t i) { return float(weights.best - double(i) * kWidth / weights.inverse_temperature); };
    return Bracket{last + 1 == kBins ? -kInfinity : edge(last + 1), first == 0 ? kInfinity : edge(first), 0};
  };
  return Guess{around(filters.top_p), around(u * filters.top_p)};
}

struct Choice {
  Place drawn;
  KeptTokens kept;
};

// The filters but top_k, and the draw. kept: what earlier filters keep.
std::optional<Choice> choose(std::span<const float> logits, const Candidates& from, const TokenWeights& weights, KeptTokens kept,
                             const SamplingFilters& filters, double u, std::optional<Guess> guess = {}) {
  std::optional<float> below;  // min_p keeps what lies above it
  if (filters.min_p > kLeastWeight) {
    const float lowest = lowest_logit(float(weights.best), filters.temperature, filters.min_p);
    kept = fewer(kept, {lowest, INT32_MAX});
    below = std::nextafter(lowest, -kInfinity);
  }
  Survey whole;
  if (guess) {
    const float pivots[kFewPivots] = {guess->cut.high, guess->draw.high};
    double above[kFewPivots];
    whole.total = token_sampling_loops().weigh_few(int64_t(from.logits.size()), from.logits.data(), weights, pivots, above);
    guess->cut.before = above[0], guess->draw.before = above[1];
  } else {
    whole = survey(from.logits, weights, below);
  }
  const double total = whole.total + from.tail, margin = double(2 * logits.size() + 32768) * 0x1p-52 * total + from.tail_error;
  double kept_weight = total;
  if (below) kept_weight = whole.above[size_t(std::find(whole.pivots.begin(), whole.pivots.end(), *below) - whole.pivots.begin())];
  if (filters.top_p < 1) {
    const double target = filters.top_p * total;
    const std::optional<Place> last = find_place(from.logits, guess ? guess->cut : bracket_of(whole, 0, target), weights, target);
    if (!last || (last->before > 0 && last->before >= target - margin) || last->through < target + margin) return std::nullopt;
    if (!below || last->logit > *below) kept = fewer(kept, kept_through(logits, *last)), kept_weight = last->through;
  }
  const double target = u * kept_weight;
  const std::optional<Place> drawn = find_place(from.logits, guess ? guess->draw : bracket_of(whole, 0, target), weights, target);
  if (!drawn || (drawn->before > 0 && drawn->before > target - margin) || drawn->through <= target + margin) return std::nullopt;
  return Choice{*drawn, kept};
}

// exps: of the row, or empty.
std::optional<SampledToken> sample_fast(std::span<const float> logits, const RowSoftmax& softmax, std::span<const float> exps,
                                        const SamplingFilters& filters, double u) {
  if (!(filters.temperature > 1e-30 && filters.temperature < 1e30)) return std::nullopt;
  const TokenWeights weights = {softmax.highest, 1 / filters.temperature, lowest_logit(softmax.highest, filters.temperature, kLeastWeight)};
  const KeptTokens all = {weights.lowest, INT32_MAX};
  std::optional<Choice> choice;
  if (const auto best = cut_top_k(logits, weights, filters.top_k)) {
    choice = choose(logits, {best->second}, weights, fewer(all, best->first), filters, u);
  } else {
    if (const auto head = without_tail(logits, softmax, exps)) choice = choose(logits, *head, weights, all, filters, u);
    if (!choice) {
      if (const auto guess = guess_brackets(logits, weights, filters, u))
        choice = choose(logits, {logits}, weights, all, filters, u, guess);
    }
    if (!choice) choice = choose(logits, {logits}, weights, all, filters, u);
  }
  if (!choice) return std::nullopt;
  const float logit = choice->drawn.logit;
  return SampledToken{id_of(logits, logit, choice->drawn.rank), softmax.logprob(logit), choice->kept};
}

// Room for the exps of a row where they are weights, else nothing.
std::span<float> room_for_exps(std::span<const float> logits, const SamplingFilters& filters) {
  if (filters.temperature != 1 || filters.top_k != 0) return {};
  thread_local std::vector<float> exps;  // only grows
  if (exps.size() < logits.size()) exps.resize(logits.size());
  return {exps.data(), logits.size()};
}

}  // namespace

std::optional<SampledToken> sample_without_sorting(std::span<const float> logits, const SamplingFilters& filters, double u) {
  const std::span<float> exps = room_for_exps(logits, filters);
  return sample_fast(logits, row_softmax(logits, exps.data()), exps, filters, u);
}

SampledToken sample_token(std::span<const float> logits, const SamplingFilters& filters, double u) {
  FB_ASSERT(!logits.empty(), "a row of logits");
  if (kernel_variant() == Variant::kRef) return sample_token_ref(logits, filters, u);
  const std::span<float> exps = room_for_exps(logits, filters);
  const RowSoftmax softmax = row_softmax(logits, exps.data());
  const float best_logprob = softmax.logprob(softmax.highest);
  if (filters.temperature == 0 || !std::isfinite(best_logprob)) return {softmax.best, best_logprob, {softmax.highest, softmax.best}};
  const std::optional<SampledToken> sampled = sample_fast(logits, softmax, exps, filters, u);
  return sampled ? *sampled : sample_token_ref(logits, filters, u);
}

}  // namespace finback
