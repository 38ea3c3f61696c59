#include "data/corpus_recipe.h"

#include <set>

#include "base/error.h"
#include "base/toml.h"
#include "data/text_encoding.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

void check_source(const CorpusSource& source, const std::string& what) {
  FB_CHECK(!source.name.empty(), "{}: expected a name for every source, got none", what);
  const int places = int(!source.package.empty()) + int(!source.path.empty()) + int(!source.paths.empty());
  FB_CHECK(places == 1, "{}: source {}: expected exactly one of package, path and paths", what, source.name);
  FB_CHECK(source.paths.empty() || source.files.empty(), "{}: source {}: expected files with path or package, got it with paths", what,
           source.name);
  FB_CHECK(!source.optional || !source.package.empty(), "{}: source {}: expected optional with a package only, got it with a path", what,
           source.name);
  const std::vector<std::string> formats = {"text", "r-strings", "dictd", "wordnet"};
  const bool known = std::find(formats.begin(), formats.end(), source.format) != formats.end();
  FB_CHECK(known, "{}: source {}: expected format text, r-strings, dictd or wordnet, got \"{}\"", what, source.name, source.format);
  FB_CHECK(source.package.empty() || !source.files.empty(), "{}: source {}: expected the package's files to read, got none", what,
           source.name);
  if (source.encoding != "auto") encoding_of_name(source.encoding);
  FB_CHECK(source.crlf == "lf" || source.crlf == "keep", "{}: source {}: expected crlf lf or keep, got \"{}\"", what, source.name,
           source.crlf);
  FB_CHECK(source.format == "text" || (source.encoding == "auto" && source.crlf == "lf"),
           "{}: source {}: expected encoding and crlf with format text only, got them with {}", what, source.name, source.format);
  FB_CHECK(source.separator.empty() || source.document_start.empty(), "{}: source {}: expected separator or document_start, got both", what,
           source.name);
  FB_CHECK(source.document_bytes == 0 || (source.separator.empty() && source.document_start.empty()),
           "{}: source {}: expected document_bytes (which joins) or what cuts (separator, document_start), got both", what, source.name);
  const bool share = source.validation_share >= 0 && source.validation_share < 1;
  FB_CHECK(share, "{}: source {}: expected validation_share from 0 to below 1, got {}", what, source.name, source.validation_share);
  FB_CHECK(source.document_bytes >= 0 && source.unindent >= 0, "{}: source {}: expected document_bytes and unindent from 0", what,
           source.name);
  for (const std::string& file : source.files) {
    const fs::path inside = fs::path(file).lexically_normal();
    FB_CHECK(!file.empty() && inside.is_relative() && *inside.begin() != "..",
             "{}: source {}: expected a path inside the source, got \"{}\"", what, source.name, file);
  }
}

}  // namespace

CorpusRecipe load_corpus_recipe(const fs::path& path) {
  CorpusRecipe recipe;
  load_fields(recipe, read_toml(path), path.string());
  const fs::path folder = fs::absolute(path).parent_path();
  FB_CHECK(!recipe.sources.empty(), "{}: expected at least one [[sources]], got none", path.string());
  std::set<std::string> names;
  for (CorpusSource& source : recipe.sources) {
    check_source(source, path.string());
    FB_CHECK(names.insert(source.name).second, "{}: expected different names, got two sources \"{}\"", path.string(), source.name);
    if (!source.path.empty()) source.path = (folder / source.path).lexically_normal().string();
    for (std::string& other : source.paths) other = (folder / other).lexically_normal().string();
  }
  if (recipe.name.empty()) recipe.name = path.stem().string();
  return recipe;
}

CorpusRecipe recipe_of_paths(const std::vector<std::string>& paths, const std::string& name, double validation_share) {
  CorpusRecipe recipe;
  recipe.name = name;
  recipe.about = "files and folders named on the command line";
  CorpusSource& source = recipe.sources.emplace_back();
  source.name = "text";
  source.validation_share = validation_share;
  for (const std::string& path : paths) source.paths.push_back(fs::absolute(path).lexically_normal().string());
  check_source(source, "corpus build");
  return recipe;
}

}  // namespace finback
