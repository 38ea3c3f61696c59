#include "model/generic_keys.h"

#include <algorithm>
#include <set>

namespace finback {

bool is_generic_key(const std::string& key) {
  static const std::set<std::string> keys = {
      // DeepSeek's and Moonshot's own files
      "aux_loss_alpha", "ep_size", "moe_layer_start_index", "num_experts_shared", "output_router_logits", "pretraining_tp",
      "router_aux_loss_coef", "seq_aux", "use_cache", "use_mla",
      // every config of transformers
      "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal", "_commit_hash", "_experts_implementation",
      "_experts_implementation_internal", "_name_or_path", "_output_attentions", "add_cross_attention", "attn_implementation",
      "begin_suppress_tokens", "chunk_size_feed_forward", "cls_token_id", "cross_attention_hidden_size", "custom_pipelines",
      "decoder_start_token_id", "experts_implementation", "finetuning_task", "id2label", "is_composition", "is_decoder",
      "keys_to_ignore_at_inference", "label2id", "name_or_path", "num_labels", "output_attentions", "output_hidden_states", "pad_token_id",
      "prefix", "problem_type", "return_dict", "return_dict_in_generate", "sep_token_id", "task_specific_params", "tie_encoder_decoder",
      "tf_legacy_loss", "tokenizer_class", "torchscript", "transformers_version", "transformers_weights", "use_bfloat16", "use_return_dict",
      "xla_device",
      // sampling defaults that older releases kept here
      "bad_words_ids", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size", "epsilon_cutoff", "eta_cutoff",
      "exponential_decay_length_penalty", "forced_bos_token_id", "forced_decoder_ids", "forced_eos_token_id", "guidance_scale",
      "length_penalty", "low_memory", "max_length", "max_new_tokens", "max_time", "min_length", "min_new_tokens", "min_p",
      "no_repeat_ngram_size", "num_assistant_tokens", "num_assistant_tokens_schedule", "num_beam_groups", "num_beams",
      "num_return_sequences", "output_logits", "output_scores", "penalty_alpha", "remove_invalid_values", "renormalize_logits",
      "repetition_penalty", "sequence_bias", "suppress_tokens", "temperature", "top_k", "top_p", "typical_p",
      // hubs, trainers, servers
      "attention_probs_dropout_prob", "classifier_dropout", "embd_pdrop", "gradient_checkpointing", "hidden_dropout_prob", "layer_types",
      "max_sequence_length", "max_window_layers", "mlp_layer_types", "mlp_only_layers", "model_max_length", "n_ctx", "n_positions",
      "quantization", "resid_pdrop", "seq_length", "sliding_window", "tensor_parallel_size", "unsloth_fixed", "unsloth_version",
      "use_flash_attention", "use_sliding_window", "vocab_size_padded"};
  return keys.contains(key);
}

const std::vector<std::string>& derived_keys() {
  static const std::vector<std::string> keys = {"num_key_value_heads", "qk_head_dim", "head_dim", "auto_map"};
  return keys;
}

bool is_derived_key(const std::string& key) { return std::find(derived_keys().begin(), derived_keys().end(), key) != derived_keys().end(); }

}  // namespace finback
