#include "cli/model_flags.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <random>

#include "base/notice.h"
#include "infer/sampler.h"
#include "model/device.h"

namespace finback {

void declare_model_flags(Args& args) {
  args.flag("temperature", "T",
            "0 is greedy (default: the model's generation_config.json; without do_sample in it answers are sampled, too)")
      .flag("top-p", "P", "nucleus sampling (default: the model's)")
      .flag("top-k", "K", "keep the K best tokens, 0: all (default: the model's)")
      .flag("min-p", "P", "keep tokens at least P times as probable as the best (default: the model's)")
      .flag("seed", "N", "same seed, same text (default: another each time)")
      .flag("weights", "f32|bf16|fp8|int8", "how the matrices are kept and read (default: as the folder stores them)")
      .flag("speculative-tokens", "N|auto",
            "tokens that the model's MTP modules draft in a step; never changes the answer. 0 (default): none; auto: as many as pay here")
      .flag("device", "cpu|cuda", "where to run (default cpu)")
      .flag("cache-dir", "DIR",
            "what was read once is kept here and found by the next run (default: finback in XDG_CACHE_HOME or ~/.cache)")
      .flag("cache-gb", "N", "gigabytes of it at most; 0 keeps nothing on the disk (default 4)")
      .toggle("anyway", "load the model though the count of memory says that it does not fit")
      .flag("usage", "FILE.json", "add tokens and seconds to a usage file, for finback bill --serve");
}

GenerationConfig read_generation_config(const std::filesystem::path& folder, const Args& args) {
  GenerationConfig config = load_generation_config(folder);
  if (!config.not_followed.empty())
    notice_once(fmt::format("{}: not followed: {}", (folder / "generation_config.json").string(), fmt::join(config.not_followed, ", ")));
  if (config.do_sample_is_absent && !args.has("temperature") && config.sampling.temperature > 0) {
    notice_once(fmt::format(
        "{}: no \"do_sample\" in it: answers are sampled at temperature {:g}, where transformers would take the best token. Hint: "
        "--temperature 0 does that",
        (folder / "generation_config.json").string(), config.sampling.temperature));
  }
  return config;
}

ChatFormat chat_format_of(const Args& args, const ChatTemplate& found, const std::filesystem::path& folder) {
  if (args.has("chat-format")) return parse_chat_format(*args.get("chat-format"));
  FB_CHECK(
      found.format || found.text.empty(),
      "{0}: expected a chat template of DeepSeek-V3 or R1, got another, and templates are not run here. Hint: let transformers make the "
      "ids, and give them to generate: finback generate {0} --ids \"$(python3 -c 'import sys, transformers; "
      "print(transformers.AutoTokenizer.from_pretrained(sys.argv[1]).apply_chat_template([dict(role=\"user\", content=sys.argv[2])], "
      "add_generation_prompt=True, return_dict=False))' {0} \"Hello\")\"; or --chat-format v3 or r1, if the model was trained on that",
      folder.string());
  return found.format.value_or(ChatFormat::kV3);
}

SamplingParams sampling_of(const Args& args, SamplingParams params) {
  params.temperature = args.number("temperature", params.temperature, 0, 100);
  params.top_p = args.number("top-p", params.top_p, 0, 1);
  params.top_k = args.integer("top-k", params.top_k, 0, 1 << 30);
  params.min_p = args.number("min-p", params.min_p, 0, 1);
  check_sampling(params);
  std::vector<std::string> idle;
  for (const char* flag : {"top-p", "top-k", "min-p", "seed"})
    if (params.temperature == 0 && args.has(flag)) idle.push_back(std::string("--") + flag);
  if (!idle.empty()) notice_once(fmt::format("temperature 0 takes the best token: {} without effect", fmt::join(idle, ", ")));
  return params;
}

uint64_t seed_of(const Args& args) { return uint64_t(args.integer("seed", int64_t(std::random_device()()), 0, int64_t{1} << 53)); }

std::optional<DiskCacheOptions> disk_cache_options(const Args& args) {
  const double gigabytes = args.number("cache-gb", 4, 0, 1e6);
  FB_CHECK(gigabytes > 0 || !args.has("cache-dir"), "--cache-dir: expected --cache-gb above 0 with it, got 0");
  if (gigabytes == 0) return std::nullopt;
  const auto folder_of = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value && std::filesystem::path(value).is_absolute() ? value : "");
  };
  std::filesystem::path caches = folder_of("XDG_CACHE_HOME");
  if (caches.empty() && !folder_of("HOME").empty()) caches = folder_of("HOME") / ".cache";
  if (args.has("cache-dir")) {
    FB_CHECK(!args.get("cache-dir")->empty(), "--cache-dir: expected a folder, got \"\"");
    return DiskCacheOptions{std::filesystem::path(*args.get("cache-dir")) / "prefix_cache", int64_t(gigabytes * 1e9)};
  }
  if (caches.empty()) return std::nullopt;
  return DiskCacheOptions{caches / "finback" / "prefix_cache", int64_t(gigabytes * 1e9)};
}

int64_t speculative_tokens_of(const Args& args) {
  return args.get_or("speculative-tokens", "0") == "auto" ? -1 : args.integer("speculative-tokens", 0, 0, 1 << 10);
}

TextModelOptions text_model_options(const Args& args, int64_t cached_tokens) {
  std::optional<Precision> weights;
  if (args.has("weights")) weights = parse_precision(*args.get("weights"), "--weights");
  return {.device = parse_device(args.get_or("device", "cpu"), "--device"),
          .weights = weights,
          .cached_tokens = cached_tokens,
          .speculative_tokens = speculative_tokens_of(args),
          .anyway = args.has("anyway")};
}

}  // namespace finback
