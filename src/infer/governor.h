// How many tokens to draft in the next step: as many as have paid on this machine, for this model and these answers. It knows no model and reads no
// clock: it learns from steps that it is told of. A draft pays where a step with drafts yields more tokens a second than one without; that depends
// on acceptance, on how many sequences decode together (a verified row reads other experts, and what it costs falls as steps grow), and on what the
// module costs. None of its decisions changes a token.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace finback {

class SpeculationGovernor {
 public:
  // most: drafts of a sequence in a step, 0 to that many are tried.
  explicit SpeculationGovernor(int64_t most);
  // Drafts for each of so many sequences that decode in the next step.
  int64_t drafts(int64_t sequences);
  // A step in which `sequences` decoded and each verified `drafts` drafts, and nothing else was done. tokens: drawn by all of them.
  void learn(int64_t sequences, int64_t drafts, double seconds, int64_t tokens);
  // Whether steps of so many sequences draft now, tries left out: the count that paid best.
  int64_t best(int64_t sequences) const;

 private:
  static constexpr int64_t kSizes = 7;  // 1, 2 to 3, 4 to 7, ... sequences: what a row costs differs between them
  struct Count {
    std::deque<double> seconds;  // of the last steps, each divided by its sequences
    double tokens = 0;           // of a sequence and step: their mean, later a moving one
    int64_t steps = 0;
  };
  struct Size {
    std::vector<Count> counts;  // by drafts
    int64_t best = -1;          // -1: not all counts were tried yet
    int64_t trying = -1, tries_left = 0;
    int64_t until_try = 0, pause = 0;  // steps before others are tried again, and how many it was the last time
  };
  static size_t size_of(int64_t sequences);
  static double rate(const Count& count);
  void choose(Size& size);

  int64_t most_;
  std::array<Size, size_t(kSizes)> sizes_;
};

}  // namespace finback
