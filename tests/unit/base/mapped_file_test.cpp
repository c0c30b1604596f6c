#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <llm/error.hpp>

#include "base/atomic_file.h"
#include "temporary_folder.h"

namespace llm {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

template <typename Call>
std::optional<Error> error_of(Call call) {
  try {
    call();
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

TEST(MappedFile, ShowsTheBytesOfAFile) {
  const TemporaryFolder folder;
  MappedFile file(folder.write("a", "hello"));
  EXPECT_EQ(text_of(file), "hello");
  EXPECT_EQ(file.size(), 5u);
  const MappedFile moved = std::move(file);
  EXPECT_EQ(text_of(moved), "hello");
  EXPECT_TRUE(MappedFile(folder.write("empty", "")).bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  for (const std::string& path :
       {folder.file("missing"), folder.path(), folder.file("pipe"), std::string("/dev/zero")}) {
    const std::optional<Error> error = error_of([&] { MappedFile file(path); });
    ASSERT_TRUE(error.has_value()) << path;
    EXPECT_EQ(error->code(), ErrorCode::io);
    EXPECT_THAT(error->message(), HasSubstr(path));
  }
}

TEST(MappedFile, KeepsAddressAndBytesWhenReadIntoMemory) {
  const TemporaryFolder folder;
  const std::string text(20'000'001, 'x');
  const std::string path = folder.write("a", text);
  MappedFile file(path);
  const std::byte* const before = file.bytes().data();
  std::vector<std::uint64_t> reports;
  file.read_into_memory([&](std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(total, text.size());
    reports.push_back(done);
    return true;
  });
  EXPECT_EQ(file.bytes().data(), before);
  ASSERT_GE(reports.size(), 3u);
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
  EXPECT_EQ(reports.back(), text.size());
  folder.write("a", "changed");  // no longer mapped: the copy stays
  EXPECT_EQ(text_of(file), text);
}

TEST(MappedFile, ReleasedRangesStayReadable) {
  const TemporaryFolder folder;
  const std::string text(1'000'000, 'x');
  MappedFile file(folder.write("a", text));
  file.release(file.bytes().subspan(100, 500'000));
  EXPECT_EQ(text_of(file), text);
  file.read_into_memory();
  file.release(file.bytes());
  EXPECT_EQ(text_of(file), text);
  file.release({});
}

TEST(MappedFile, ReportsAFileThatHasShrunkSinceItWasOpened) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", std::string(100'000, 'x'));
  MappedFile file(path);
  MappedFile other(path);
  std::filesystem::resize_file(path, 10);
  for (const auto& error : {error_of([&] { file.read_into_memory(); }), error_of([&] { other.read_ahead(); })}) {
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::io);
  }
}

TEST(MappedFile, StopsWhenProgressSaysSo) {
  const TemporaryFolder folder;
  MappedFile file(folder.write("a", std::string(100, 'x')));
  const auto stop = [](std::uint64_t, std::uint64_t) { return false; };
  for (const auto& error : {error_of([&] { file.read_ahead(stop); }), error_of([&] { file.read_into_memory(stop); })}) {
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::cancelled);
  }
}

TEST(AtomicFile, AppearsWhenCommittedAndNotBefore) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "old");
  const std::string text(3'000'000, 'n');
  {
    AtomicFile file(path);
    file.write(std::as_bytes(std::span(text).first(10)));
  }
  EXPECT_EQ(text_of(MappedFile(path)), "old");
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text).first(10)));
  file.write(std::as_bytes(std::span(text).subspan(10)));
  EXPECT_EQ(file.n_written(), text.size());
  file.commit();
  EXPECT_EQ(text_of(MappedFile(path)), text);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(AtomicFile, WritesThroughLinksAndToDevices) {
  const TemporaryFolder folder;
  folder.write("target", "old");
  std::filesystem::create_symlink("target", folder.file("link"));
  for (const std::string& path : {folder.file("link"), std::string("/dev/null")}) {
    AtomicFile file(path);
    file.write(std::as_bytes(std::span("new", 3)));
    file.commit();
  }
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(text_of(MappedFile(folder.file("target"))), "new");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(AtomicFile, NamesTheFileItCannotWrite) {
  for (const std::string path : {"/no/such/folder/a", "/dev/full"}) {
    const std::string text(3'000'000, 'n');
    const std::optional<Error> error = error_of([&] {
      AtomicFile file(path);
      file.write(std::as_bytes(std::span(text)));
      file.commit();
    });
    ASSERT_TRUE(error.has_value()) << path;
    EXPECT_EQ(error->code(), ErrorCode::io);
    EXPECT_THAT(error->message(), HasSubstr(path));
  }
}

}  // namespace
}  // namespace llm
