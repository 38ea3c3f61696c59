#include "plan/layout.h"

#include <charconv>

#include "base/error.h"

namespace finback {
namespace {

void set_degree(Layout& layout, const std::string& name, int64_t value, const std::string& word) {
  int64_t* const degree = name == "tp"    ? &layout.tp
                          : name == "pp"  ? &layout.pp
                          : name == "vp"  ? &layout.vp
                          : name == "cp"  ? &layout.cp
                          : name == "ep"  ? &layout.ep
                          : name == "mbs" ? &layout.micro_seqs
                                          : nullptr;
  FB_CHECK(degree, "--layout: expected words such as tp8,pp16,vp4,ep64,cp2,mbs1,zero1,fsdp,selective,full,hide-ep, got \"{}\"",
           word.substr(0, 40));
  *degree = value;
}

void set_word(Layout& layout, const std::string& word) {
  if (word == "fsdp" || word == "zero3") {
    layout.sharding = Sharding::kWeights;
  } else if (word == "zero2") {
    layout.sharding = Sharding::kGradients;
  } else if (word == "zero1") {
    layout.sharding = Sharding::kOptimizer;
  } else if (word == "full") {
    layout.recompute = Recompute::kFull;
  } else if (word == "keep") {
    layout.recompute = Recompute::kNone;
  } else if (word == "selective") {
    layout.recompute = Recompute::kSelective;
  } else if (word == "hide-ep" || word == "dualpipe") {
    layout.hide_experts = true;
  } else if (word == "async-tp") {
    layout.hide_tensor = true;
  } else {
    const size_t digit = word.find_first_of("0123456789");
    int64_t value = 0;
    const char* const end = word.data() + word.size();
    const bool number = digit != std::string::npos && std::from_chars(word.data() + digit, end, value).ptr == end;
    FB_CHECK(!number || (value >= 1 && value <= (int64_t{1} << 20)), "--layout: expected a degree from 1 to 2^20, got \"{}\"", word);
    set_degree(layout, number ? word.substr(0, digit) : "", value, word);
  }
}

}  // namespace

Layout parse_layout(const std::string& text) {
  Layout layout;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(", ", at), text.size());
    if (end > at) set_word(layout, text.substr(at, end - at));
    at = end + 1;
  }
  return layout;
}

void widen_context(Layout& l, int64_t gpus, int64_t batch_seqs) {
  l.micro_seqs = 1;
  while (l.pp > 1 && batch_seqs < 4 * l.pp * l.dp(gpus) && l.dp(gpus) % 2 == 0 && l.cp < 64) l.cp *= 2;
}

std::string layout_name(const Layout& l) {
  std::string name;
  const auto degree = [&](const char* word, int64_t value, bool always) {
    if (always || value > 1) name += (name.empty() ? "" : ",") + std::string(word) + std::to_string(value);
  };
  degree("tp", l.tp, true), degree("pp", l.pp, true), degree("vp", l.vp, false), degree("cp", l.cp, false), degree("ep", l.ep, false);
  degree("mbs", l.micro_seqs, true);
  name += l.sharding == Sharding::kWeights ? ",fsdp" : l.sharding == Sharding::kGradients ? ",zero2" : ",zero1";
  if (l.recompute != Recompute::kAuto)
    name += l.recompute == Recompute::kFull ? ",full" : l.recompute == Recompute::kNone ? ",keep" : ",selective";
  if (l.hide_experts) name += l.dual_pipe() ? ",dualpipe" : ",hide-ep";
  if (l.hide_tensor) name += ",async-tp";
  return name;
}

std::string layout_fault(const Layout& l, const ModelShape& s, int64_t gpus, int64_t batch_seqs, int64_t seq_len) {
  const int64_t inner = l.tp * l.pp * l.cp;
  if (inner > gpus || gpus % inner != 0) return fmt::format("tp x pp x cp = {} does not divide {} accelerators", inner, gpus);
  const int64_t dp = l.dp(gpus);
  if (s.heads % l.tp != 0) return fmt::format("tp {} does not divide {} heads", l.tp, s.heads);
  if (l.pp * l.vp > s.layers + s.mtp + 2) return fmt::format("pp x vp = {} stages for {} layers", l.pp * l.vp, s.layers);
  if (l.ep > 1 && !s.is_moe()) return fmt::format("ep {} for a model without experts", l.ep);
  if (l.ep > 1 && s.experts % l.ep != 0) return fmt::format("ep {} does not divide {} experts", l.ep, s.experts);
  if (dp * l.tp * l.cp % l.ep != 0) return fmt::format("ep {} does not divide the {} accelerators of a stage", l.ep, dp * l.tp * l.cp);
  if (batch_seqs % dp != 0) return fmt::format("{} data-parallel ranks do not divide a batch of {} sequences", dp, batch_seqs);
  if (batch_seqs / dp % l.micro_seqs != 0)
    return fmt::format("micro-batches of {} do not divide the {} sequences of a rank", l.micro_seqs, batch_seqs / dp);
  if (seq_len % l.cp != 0) return fmt::format("cp {} does not divide {} tokens", l.cp, seq_len);
  return "";
}

}  // namespace finback
