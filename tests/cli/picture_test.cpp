// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The pictures of `freezerctl report` in a real browser: headless Chromium opens them, and a script
// beside them measures what it has drawn.
//
// To look at them: chromium --headless --no-sandbox --window-size=1100,1400 --screenshot=x.png
// x.html
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::run;

// Counts texts, those that another text covers in part, and those that reach out of their picture.
constexpr const char *kMeasure = R"html(<script>
const found = {pictures: 0, texts: 0, overlaps: [], outside: []};
for (const picture of document.querySelectorAll('svg')) {
  ++found.pictures;
  const frame = picture.getBoundingClientRect();
  const texts = [...picture.querySelectorAll('text')].map(
    text => [text.textContent, text.getBoundingClientRect()]);
  found.texts += texts.length;
  texts.forEach(([words, box], i) => {
    if (box.left < frame.left || box.right > frame.right || box.top < frame.top ||
        box.bottom > frame.bottom)
      found.outside.push(words);
    for (const [other, at] of texts.slice(i + 1))
      if (Math.min(box.right, at.right) - Math.max(box.left, at.left) > 1 &&
          Math.min(box.bottom, at.bottom) - Math.max(box.top, at.top) > 3)
        found.overlaps.push(words + ' | ' + other);
  });
}
document.body.innerHTML = '<pre>MEASURED' + JSON.stringify(found).replaceAll('&', '+')
  .replaceAll('<', '(').replaceAll('>', ')') + 'MEASURED</pre>';
</script>)html";

class Directory
{
  public:
    Directory()
    {
        std::string name = "/tmp/freezerctl-test-XXXXXX";
        if (!::mkdtemp(name.data()))
            throw std::system_error(errno, std::generic_category(), "mkdtemp");
        path_ = name;
    }
    Directory(const Directory &) = delete;
    Directory &operator=(const Directory &) = delete;
    ~Directory()
    {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    [[nodiscard]] std::string file(const std::string &name) const
    {
        return (path_ / name).string();
    }

  private:
    std::filesystem::path path_;
};

class Browser : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (test::cgroup2_mount().empty())
            GTEST_SKIP() << "no cgroup2";
        if (std::system("command -v chromium >/dev/null") != 0)
            GTEST_SKIP() << "optional: chromium is not installed";
    }
    // The document of a file after its scripts have run.
    std::string open(const std::string &file)
    {
        // It refuses to be root inside its sandbox; the pages are our own.
        const std::string command =
            "chromium --headless --no-sandbox --disable-gpu --user-data-dir=" +
            directory_.file("profile") + " --dump-dom file://" + file + " </dev/null 2>/dev/null";
        std::FILE *const output = ::popen(command.c_str(), "re");
        if (!output)
            throw std::system_error(errno, std::generic_category(), "popen");
        std::string dom;
        for (int c = 0; (c = std::getc(output)) != EOF;)
            dom += static_cast<char>(c);
        EXPECT_EQ(::pclose(output), 0);
        return dom;
    }
    json measure(const std::string &page)
    {
        std::ofstream(directory_.file("measured.html")) << page << kMeasure;
        const std::string dom = open(directory_.file("measured.html"));
        const std::string mark = "MEASURED";
        const size_t begin = dom.find(mark);
        const size_t end = dom.rfind(mark);
        if (begin == end) {
            ADD_FAILURE() << dom;
            return {};
        }
        return json::parse(dom.substr(begin + mark.size(), end - begin - mark.size()));
    }
    // Freezes that many tasks in a few cgroups, and looks at the pictures of it.
    void expect_readable(size_t tasks, size_t cgroups, size_t texts)
    {
        test::Scratch scratch;
        for (size_t i = 0; i < cgroups; ++i)
            scratch.mkdir(std::to_string(i));
        for (size_t i = 0; i < tasks; ++i)
            scratch.spawn_sleeper(std::to_string(i % cgroups));
        const std::string record = directory_.file("record");
        const auto recorded = run({"record", "-o", record, scratch.path(), "--", test::binary(),
                                   "freeze", scratch.path()});
        ASSERT_EQ(recorded.status, 0) << recorded.err;
        const std::string words = std::to_string(tasks) + " tasks were in the refrigerator after ";

        const std::string svg = directory_.file("freeze.svg");
        ASSERT_EQ(run({"report", "--format", "svg", "-o", svg, record}).status, 0);
        const std::string drawn = open(svg);
        EXPECT_NE(drawn.find(words), std::string::npos) << drawn.substr(0, 2000);
        EXPECT_EQ(drawn.find("parsererror"), std::string::npos) << drawn.substr(0, 2000);

        const std::string page = run({"report", "--format", "html", record}).out;
        EXPECT_NE(page.find(words), std::string::npos);
        const json found = measure(page);
        ASSERT_TRUE(found.is_object());
        EXPECT_EQ(found["pictures"], 1);
        EXPECT_GE(found["texts"], texts);
        EXPECT_EQ(found["overlaps"], json::array());
        EXPECT_EQ(found["outside"], json::array());
    }

    Directory directory_;
};

TEST_F(Browser, five_tasks)
{
    expect_readable(5, 2, 10);
}

TEST_F(Browser, five_thousand_tasks)
{
    expect_readable(test::scaled(5000), 20, 60);
}

TEST_F(Browser, the_measure_sees_what_is_wrong)
{
    const json found =
        measure("<svg width=\"200\" height=\"50\"><text x=\"9\" y=\"20\">one two</text>"
                "<text x=\"15\" y=\"22\">three</text>"
                "<text x=\"190\" y=\"45\">four five</text></svg>");
    ASSERT_TRUE(found.is_object());
    EXPECT_EQ(found["texts"], 3);
    EXPECT_EQ(found["overlaps"].size(), 1U);
    EXPECT_EQ(found["outside"].size(), 1U);
}

} // namespace
