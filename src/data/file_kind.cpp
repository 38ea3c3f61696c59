#include "data/file_kind.h"

#include <array>

namespace finback {
namespace {

using namespace std::string_view_literals;

struct Magic {
  size_t offset;
  std::string_view bytes;
  const char* kind;
};

constexpr std::array kMagics = {
    Magic{0, "PAR1"sv, "a Parquet file"},
    Magic{0, "ARROW1"sv, "an Arrow file"},
    Magic{0, "\x1f\x8b\x08"sv, "a gzip file inside another packing"},
    Magic{0, "\x28\xb5\x2f\xfd"sv, "a zstd file inside another packing"},
    Magic{0,
          "\xfd"
          "7zXZ\0"sv,
          "an xz file"},
    Magic{0, "\x5d\0\0"sv, "an lzma file"},
    Magic{0, "\x04\x22\x4d\x18"sv, "an lz4 file"},
    Magic{0, "\x1f\x9d"sv, "a .Z file"},
    Magic{0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    Magic{0, "Rar!\x1a\x07"sv, "a RAR archive"},
    Magic{0, "PK\x03\x04"sv, "a zip file (also docx, xlsx, odt, epub, npz)"},
    Magic{0, "PK\x05\x06"sv, "an empty zip file"},
    Magic{257, "ustar"sv, "a tar archive"},
    Magic{0, "%PDF-"sv, "a PDF file"},
    Magic{0, "%!PS"sv, "a PostScript file"},
    Magic{0, "{\\rtf"sv, "an RTF file"},
    Magic{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "an old Office file"},
    Magic{0, "\0\x05\x16\x07"sv, "a resource fork of macOS"},
    Magic{0, "\0\x05\x16\0"sv, "a resource fork of macOS"},
    Magic{0, "\x89PNG\r\n\x1a\n"sv, "a PNG image"},
    Magic{0, "\xff\xd8\xff"sv, "a JPEG image"},
    Magic{0, "GIF8"sv, "a GIF image"},
    Magic{8, "WEBP"sv, "a WebP image"},
    Magic{0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
    Magic{0, "\x93NUMPY"sv, "a NumPy array"},
    Magic{0, "SQLite format 3\0"sv, "an SQLite database"},
    Magic{0,
          "\x7f"
          "ELF"sv,
          "a program"},
    Magic{0, "Obj\x01"sv, "an Avro file"},
    Magic{0, "ORC"sv, "an ORC file"},
    Magic{0, "version https://git-lfs.github.com/spec/"sv, "a pointer of Git LFS, which stands for a large file that was not fetched"},
};

bool stands_at(std::string_view bytes, size_t offset, std::string_view magic) {
  return bytes.size() >= offset && bytes.substr(offset).starts_with(magic);
}

// "BZh", the block size as a digit, and the first block's own magic (or that of an empty file): text may begin with BZh.
bool is_bzip2(std::string_view bytes) {
  return bytes.size() >= 10 && bytes.starts_with("BZh") && bytes[3] >= '1' && bytes[3] <= '9' &&
         (stands_at(bytes, 4, "\x31\x41\x59\x26\x53\x59") || stands_at(bytes, 4, "\x17\x72\x45\x38\x50\x90"));
}

}  // namespace

Packing packing_of(std::string_view bytes) {
  if (bytes.starts_with("\x1f\x8b\x08")) return Packing::kGzip;
  const bool skippable = bytes.size() >= 4 && (uint8_t(bytes[0]) & 0xf0) == 0x50 && bytes.substr(1).starts_with("\x2a\x4d\x18");
  return skippable || bytes.starts_with("\x28\xb5\x2f\xfd") ? Packing::kZstd : Packing::kPlain;
}

const char* packing_name(Packing packing) { return packing == Packing::kGzip ? "gzip" : packing == Packing::kZstd ? "zstd" : "no packing"; }

std::string known_binary(std::string_view bytes) {
  if (is_bzip2(bytes)) return "a bzip2 file";
  for (const Magic& magic : kMagics) {
    const bool orc_is_a_word = magic.bytes == "ORC" && (bytes.size() < 4 || uint8_t(bytes[3]) >= 0x20);
    if (stands_at(bytes, magic.offset, magic.bytes) && !orc_is_a_word) return magic.kind;
  }
  return "";
}

}  // namespace finback
