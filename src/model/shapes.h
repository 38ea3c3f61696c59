// The letters in tensor names, used in every folder that knows tensors; a tensor is named meaning_SHAPE. No code.
//
//   T  packed tokens of a batch             B  sequences (segments)        L  layers, MTP layers included where said
//   D  hidden_size                          W  vocabulary                  H  heads
//   N  qk_nope_head_dim                     R  qk_rope_head_dim            V  v_head_dim
//   C  kv_lora_rank                         Q  q_lora_rank                 X  N + R in expanded attention; pages of a pool in the cache
//   Y  N + V in expanded attention; C + R in absorbed attention and in the cache
//   E  routed experts                       K  experts a token             F  expert (or dense FFN) width
//   S  slots (T * K rows sorted by expert); rows of a cache pool; positions of a RoPE table
//   P  page of 64 tokens in the cache; all parameters in a flat buffer     M  pages of a sequence
#pragma once
