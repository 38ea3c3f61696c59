// The header of a safetensors file as bytes in, entries out: everything is validated here, before any tensor is touched. No files, no maps;
// time and memory are linear in the header, whatever it says.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

struct TensorEntry {
  std::string name;
  at::ScalarType dtype = at::kFloat;  // F64 F32 BF16 F16 F8_E4M3 F8_E5M2 F8_E8M0 I64 I32 I16 I8 U8 BOOL; Undefined: any other
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes in the data section
  std::string dtype_name = "";  // of a dtype that is not in the list above, as the file spells it: listed, never read
};

struct SafetensorsHeader {
  uint64_t data_begin = 0;  // bytes from the start of the file
  std::map<std::string, TensorEntry> entries;
  std::map<std::string, std::string> metadata;
};

// `file`: the whole file. Throws Error (one line, `what` first) unless every shape times its element size is the byte range (where the dtype is
// one that torch has), and the ranges tile the data section without overlap or hole.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& what);
// Length and JSON, padded with spaces so that the data begins at a multiple of 64 bytes. REQUIRES: entries tile from 0 in their order.
std::string write_safetensors_header(const std::vector<TensorEntry>& entries, const std::map<std::string, std::string>& metadata);
// Bytes of a tensor of this shape; throws Error when the product does not fit.
uint64_t tensor_bytes(const std::vector<int64_t>& shape, at::ScalarType dtype, const std::string& what);
// "F32", ...; FB_ASSERT for a dtype that the format lacks.
std::string safetensors_dtype(at::ScalarType dtype);
// The same of an entry, whatever its dtype.
std::string stored_dtype(const TensorEntry& entry);
// What the first bytes of a file that is no safetensors file say it is, as ", got a zip archive ..."; empty: nothing known.
std::string other_file_kind(std::string_view begin);
// A name from a file as it may stand in a one-line message: quoted, escaped, at most 100 bytes.
std::string quoted_name(const std::string& name);

}  // namespace finback
