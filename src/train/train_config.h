// A training run's recipe: every field with its default, unit and help listed once (see base/fields.h). Loading from TOML, command-line
// overrides, --help and the run folder's resolved config.toml all come from visit_fields. Knows no tensors and opens no data.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "model/model_config.h"

namespace finback {

struct RunSection {
  std::string name;  // folder under `dir`; empty: the recipe's file name
  std::string dir = "runs";
  int64_t seed = 1;
  std::string device = "cpu";  // cpu | cuda
  bool deterministic = false;
};
template <class V>
void visit_fields(RunSection& c, V& v) {
  v("name", c.name, "folder of the run below run.dir; empty: the recipe's file name");
  v("dir", c.dir, "folder that holds the runs");
  v("seed", c.seed, "of the initial weights and the order of the data");
  v("device", c.device, "cpu | cuda");
  v("deterministic", c.deterministic, "forbid every op without fixed bits (the CPU path has none)");
}

// A base config.json and overrides of its keys, under their published names.
struct ModelSection {
  std::string config;  // file, or folder with a config.json; empty: the keys below, plain values for the rest. See Note [Paths]
  std::optional<int64_t> vocab_size, hidden_size, num_hidden_layers, num_attention_heads, q_lora_rank, kv_lora_rank, qk_nope_head_dim,
      qk_rope_head_dim, v_head_dim, intermediate_size, moe_intermediate_size, n_routed_experts, n_shared_experts, num_experts_per_tok,
      first_k_dense_replace, n_group, topk_group, num_nextn_predict_layers, max_position_embeddings;
  std::optional<double> routed_scaling_factor, rope_theta, initializer_range;
  std::optional<std::string> topk_method, scoring_func;
  std::optional<bool> norm_topk_prob, tie_word_embeddings;
};
template <class V>
void visit_fields(ModelSection& c, V& v) {
  v("config", c.config, "config.json or its folder; empty: only the keys below");
  v("vocab_size", c.vocab_size, "rows of the embedding; absent: the tokenizer's vocab size");
  v("hidden_size", c.hidden_size, "D");
  v("num_hidden_layers", c.num_hidden_layers, "L, without MTP layers");
  v("num_attention_heads", c.num_attention_heads, "H");
  v("q_lora_rank", c.q_lora_rank, "Q; 0: no compression of the query");
  v("kv_lora_rank", c.kv_lora_rank, "C");
  v("qk_nope_head_dim", c.qk_nope_head_dim, "N");
  v("qk_rope_head_dim", c.qk_rope_head_dim, "R");
  v("v_head_dim", c.v_head_dim, "V");
  v("intermediate_size", c.intermediate_size, "width of the dense FFN");
  v("moe_intermediate_size", c.moe_intermediate_size, "F, width of one expert");
  v("n_routed_experts", c.n_routed_experts, "E; 0: a dense twin");
  v("n_shared_experts", c.n_shared_experts, "experts that see every token");
  v("num_experts_per_tok", c.num_experts_per_tok, "K");
  v("first_k_dense_replace", c.first_k_dense_replace, "first layers with a dense FFN");
  v("n_group", c.n_group, "groups of experts");
  v("topk_group", c.topk_group, "groups a token may use");
  v("num_nextn_predict_layers", c.num_nextn_predict_layers, "MTP modules");
  v("max_position_embeddings", c.max_position_embeddings, "tokens");
  v("routed_scaling_factor", c.routed_scaling_factor, "factor on the routed experts' sum");
  v("rope_theta", c.rope_theta, "RoPE base");
  v("initializer_range", c.initializer_range, "standard deviation of the initial matrices");
  v("topk_method", c.topk_method, "noaux_tc | group_limited_greedy | greedy");
  v("scoring_func", c.scoring_func, "sigmoid | softmax");
  v("norm_topk_prob", c.norm_topk_prob, "divide the chosen weights by their sum");
  v("tie_word_embeddings", c.tie_word_embeddings, "head = embedding");
}

struct DataSource {
  std::string path;  // folder of token shards
  double weight = 1;
};
template <class V>
void visit_fields(DataSource& c, V& v) {
  v("path", c.path, "folder of token shards written by finback tokenize");
  v("weight", c.weight, "share of the rows, relative to the other corpora");
}

struct DataSection {
  std::vector<DataSource> corpora;
  int64_t seq_len = 256;  // tokens per packed row
  bool document_mask = true;
};
template <class V>
void visit_fields(DataSection& c, V& v) {
  v("corpora", c.corpora,
    "what to train on; the first one's validation split is evaluated. As a flag: --data.corpora=FOLDER, or a list as in a recipe");
  v("seq_len", c.seq_len, "tokens per packed row");
  v("document_mask", c.document_mask, "a token attends to its own document only");
}

struct TrainSection {
  int64_t steps = 0;  // optimizer steps; exactly one of steps and tokens
  int64_t tokens = 0;
  int64_t batch_tokens = 2048;     // tokens per optimizer step
  int64_t micro_batch_tokens = 0;  // tokens per forward pass; 0: the whole batch
  int64_t ramp_from_tokens = 0;    // batch at the start; 0: no ramp
  int64_t ramp_tokens = 0;         // trained tokens at which the batch is full
  std::string precision = "f32";
  std::string wgrad_precision;  // empty: precision
  int64_t audit_every = 100;
  double snr_forward_db = 25, snr_gradient_db = 30;
  std::string mla_algebra = "expanded";
  std::string init;  // model folder to start from; empty: random
  double mtp_lambda = 0.3, mtp_lambda_late = 0.1, mtp_switch = 10.0 / 14.8;
  double balance_alpha = 1e-4;
  double bias_update_speed = 1e-3, bias_update_stop = 14.3 / 14.8;
  double z_loss = 0;
  double grad_clip = 1.0;
};
template <class V>
void visit_fields(TrainSection& c, V& v) {
  v("steps", c.steps, "optimizer steps (give this or tokens); usual: about 20 tokens a parameter, and the text read at most some 4 times");
  v("tokens", c.tokens, "trained tokens (give this or steps)");
  v("batch_tokens", c.batch_tokens, "tokens per optimizer step");
  v("micro_batch_tokens", c.micro_batch_tokens, "tokens per forward pass; 0: the whole batch at once");
  v("ramp_from_tokens", c.ramp_from_tokens, "batch size at the start, tokens; 0: no ramp");
  v("ramp_tokens", c.ramp_tokens, "trained tokens after which the batch is full; linear until then");
  v("precision", c.precision, "f32 | bf16 | fp8: operands of the linears of blocks and experts");
  v("wgrad_precision", c.wgrad_precision, "f32 | bf16 | fp8: the same of their weight gradients; empty: precision");
  v("audit_every", c.audit_every, "fp8: steps between two audits, the first at step 1; 0: none");
  v("snr_forward_db", c.snr_forward_db, "fp8: an audited sub-layer below this signal-to-noise ratio falls back to bf16");
  v("snr_gradient_db", c.snr_gradient_db, "fp8: the same for the gradients that its linears receive");
  v("mla_algebra", c.mla_algebra, "expanded | absorbed");
  v("init", c.init, "model folder whose weights to start from; empty: random");
  v("mtp_lambda", c.mtp_lambda, "weight of the MTP loss, V3 eq. 25; 0: the module is not trained");
  v("mtp_lambda_late", c.mtp_lambda_late, "the same after mtp_switch");
  v("mtp_switch", c.mtp_switch, "share of all tokens at which the MTP weight changes");
  v("balance_alpha", c.balance_alpha, "weight of the sequence-wise balance loss, V3 eq. 17");
  v("bias_update_speed", c.bias_update_speed, "gamma of the aux-loss-free balancing, per step");
  v("bias_update_stop", c.bias_update_stop, "share of all tokens after which gamma is 0");
  v("z_loss", c.z_loss, "weight of mean(log-sum-exp^2); 0: off");
  v("grad_clip", c.grad_clip, "largest global gradient norm; 0: no clipping");
}

struct OptimizerSection {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1;
};
template <class V>
void visit_fields(OptimizerSection& c, V& v) {
  v("lr", c.lr, "peak learning rate of AdamW");
  v("beta1", c.beta1, "decay of the first moment");
  v("beta2", c.beta2, "decay of the second moment");
  v("eps", c.eps, "added to the root of the second moment");
  v("weight_decay", c.weight_decay, "decoupled, on matrices only, times the learning rate");
}

struct ScheduleSection {
  std::string kind = "v3";  // v3 | wsd | cosine | constant
  int64_t warmup_steps = 100;
  double min_share = 0.1;
  double constant_until = 10.0 / 14.8, cosine_until = 14.3 / 14.8, floor_until = 14.633 / 14.8;
  double last_share = 7.3e-6 / 2.2e-4;
  double decay_share = 0.2;
};
template <class V>
void visit_fields(ScheduleSection& c, V& v) {
  v("kind", c.kind, "v3 | wsd | cosine | constant");
  v("warmup_steps", c.warmup_steps, "steps of the linear warm-up from 0");
  v("min_share", c.min_share, "lowest learning rate as a share of the peak (v3: of its fourth part)");
  v("constant_until", c.constant_until, "v3: share of all tokens at which the cosine begins");
  v("cosine_until", c.cosine_until, "v3: share of all tokens at which the cosine ends");
  v("floor_until", c.floor_until, "v3: share of all tokens at which the last part begins");
  v("last_share", c.last_share, "v3: learning rate of the last part as a share of the peak");
  v("decay_share", c.decay_share, "wsd: last share of all tokens, with a linear fall");
}

struct EvalSection {
  int64_t every = 100, tokens = 0, sample_every = 0, sample_tokens = 48;
  std::string sample_prompt = "It was";
};
template <class V>
void visit_fields(EvalSection& c, V& v) {
  v("every", c.every, "steps between evaluations; 0: only at the end");
  v("tokens", c.tokens, "validation tokens of the evaluations on the way; 0: the whole split, as always at the end");
  v("sample_every", c.sample_every, "steps between text samples; 0: only at the end");
  v("sample_tokens", c.sample_tokens, "tokens of a text sample; 0: none");
  v("sample_prompt", c.sample_prompt, "what the samples continue");
}

struct CheckpointSection {
  int64_t every = 500, keep_last = 2, keep_every = 0;
};
template <class V>
void visit_fields(CheckpointSection& c, V& v) {
  v("every", c.every, "steps between checkpoints; 0: only at the end");
  v("keep_last", c.keep_last, "newest checkpoints kept");
  v("keep_every", c.keep_every, "checkpoints at multiples of this many steps are kept too; 0: none");
}

struct BillSection {
  double rate = 0;
  std::string device;
  double plan_above_s = 60;
};
template <class V>
void visit_fields(BillSection& c, V& v) {
  v("rate", c.rate, "USD per device-hour (of a vCPU or an accelerator); 0: the price table's");
  v("device", c.device, "row of the price table; empty: cpu");
  v("plan_above_s", c.plan_above_s,
    "a run that takes longer than this at a third of the peak is rehearsed and planned before its first step");
}

struct TrainConfig {
  RunSection run;
  ModelSection model;
  DataSection data;
  TrainSection train;
  OptimizerSection optimizer;
  ScheduleSection schedule;
  EvalSection eval;
  CheckpointSection checkpoint;
  BillSection bill;
  std::string remark;  // what loading chose between, said when the run starts; no key of a recipe
};
template <class V>
void visit_fields(TrainConfig& c, V& v) {
  v("run", c.run, "");
  v("model", c.model, "");
  v("data", c.data, "");
  v("train", c.train, "");
  v("optimizer", c.optimizer, "");
  v("schedule", c.schedule, "");
  v("eval", c.eval, "");
  v("checkpoint", c.checkpoint, "");
  v("bill", c.bill, "");
}

// Note [Paths]: a relative path in a recipe (data.corpora[].path, model.config, train.init) is looked for from the recipe file's folder, then from
// the working folder; one on the command line, from the working folder. What is found becomes absolute, so that a run folder's config.toml works
// from everywhere; what is not stays as it was written, for the message of check_paths.

// A recipe file, or a run folder (its config.toml); then the overrides, then validation. Throws Error naming the key, expected and got; for a key
// that is given twice, too. Opens no data.
TrainConfig load_train_config(const std::filesystem::path& recipe, const std::vector<std::pair<std::string, std::string>>& overrides);
void validate(const TrainConfig& config);
// Throws Error for the first path that nothing was found for.
void check_paths(const TrainConfig& config);

// The model's keys: base config.json, overridden keys, vocabulary and special ids of the tokenizer where the recipe names none; and its shape.
// A run folder's model.json holds the keys, so that a resumed run reads them there.
Json resolve_model_keys(const TrainConfig& config, int64_t tokenizer_vocab, std::optional<int64_t> bos, std::optional<int64_t> eos);
ModelConfig resolve_model_config(const TrainConfig& config, int64_t tokenizer_vocab, std::optional<int64_t> bos,
                                 std::optional<int64_t> eos);

// Whether --resume takes another value of this dotted key: kAlways for what only says how often to look, save and what it costs; kLonger for the
// run's length, which may change where no step so far depended on it (check_length in preflight.h); kNever for what reaches the weights.
enum class OnResume { kNever, kLonger, kAlways };
OnResume on_resume(const std::string& key);

// The first key (dotted) of OnResume::kNever in which two recipes differ, with both values as text; empty when there is none. Where inputs lie is
// none: the data has its fingerprint, the model's shape is compared, and train.init is read once (another one is a difference all the same).
struct ChangedKey {
  std::string key, saved, asked;
};
std::optional<ChangedKey> first_changed_key(TrainConfig saved, TrainConfig asked);

}  // namespace finback
