// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "inode_table.hpp"

#include <gtest/gtest.h>

namespace efistore::shim {
namespace {

constexpr Guid vendor = guids::global_variable;

Inode file(const std::string& name, std::uint64_t size_bytes = 5) {
  Inode inode;
  inode.file_name = name + "-" + to_string(vendor);
  inode.id = {widen(name), vendor};
  inode.size_bytes = size_bytes;
  return inode;
}

TEST(InodeTable, FindsByNumberNameAndVariable) {
  InodeTable table;
  Inode* added = table.add(file("abc"));
  ASSERT_NE(added, nullptr);
  EXPECT_GE(added->number, first_file_inode);
  EXPECT_EQ(table.find(added->number), added);
  EXPECT_EQ(table.find(FileName{"abc", vendor}), added);
  EXPECT_EQ(table.find(u"abc", vendor), added);
  EXPECT_EQ(table.find(FileName{"ABC", vendor}), nullptr);
  EXPECT_EQ(table.find(u"abc", Guid{}), nullptr);
  EXPECT_EQ(table.find(added->number + 1), nullptr);
}

TEST(InodeTable, HasNameAndVariableOnce) {
  InodeTable table;
  ASSERT_NE(table.add(file("abc")), nullptr);
  EXPECT_EQ(table.add(file("abc")), nullptr);
  Inode same_variable = file("abc");
  same_variable.file_name = "other-" + to_string(vendor);
  EXPECT_EQ(table.add(same_variable), nullptr);
  Inode same_name = file("abc");
  same_name.id.name = u"other";
  EXPECT_EQ(table.add(same_name), nullptr);
  Inode malformed = file("def");
  malformed.file_name = "def";
  EXPECT_EQ(table.add(malformed), nullptr);
}

TEST(InodeTable, NumbersAreNotUsedTwice) {
  InodeTable table;
  Inode* first = table.add(file("abc"));
  const InodeNumber number = first->number;
  table.unlink(*first);
  EXPECT_EQ(table.find(number), nullptr);
  EXPECT_GT(table.add(file("abc"))->number, number);
}

TEST(InodeTable, AnUnlinkedInodeStaysWhileSomethingRefersToIt) {
  InodeTable table;
  Inode* inode = table.add(file("abc"));
  const InodeNumber number = inode->number;
  inode->lookups = 2;
  inode->opens = 1;
  table.unlink(*inode);
  EXPECT_EQ(table.find(FileName{"abc", vendor}), nullptr);
  EXPECT_EQ(table.next_linked(0), nullptr);
  EXPECT_NE(table.add(file("abc")), nullptr) << "the name is free again";
  table.forget(*inode, 2);
  EXPECT_NE(table.find(number), nullptr) << "still open";
  EXPECT_FALSE(table.close(*inode));
  EXPECT_EQ(table.find(number), nullptr);
}

TEST(InodeTable, TheLastCloseTakesAFileWithoutAVariable) {
  InodeTable table;
  Inode* inode = table.add(file("abc", 0));
  inode->opens = 2;
  inode->lookups = 1;
  EXPECT_FALSE(table.close(*inode));
  EXPECT_TRUE(inode->linked);
  EXPECT_TRUE(table.close(*inode));
  EXPECT_EQ(table.find(FileName{"abc", vendor}), nullptr);

  Inode* committed = table.add(file("def", 5));
  committed->opens = 1;
  EXPECT_FALSE(table.close(*committed));
  EXPECT_EQ(table.find(FileName{"def", vendor}), committed);
}

TEST(InodeTable, IgnoresReferencesThatWereNeverGiven) {
  InodeTable table;
  Inode* inode = table.add(file("abc"));
  table.forget(*inode, 100);
  EXPECT_EQ(inode->lookups, 0U);
  table.close(*inode);
  EXPECT_EQ(inode->opens, 0U);
  Inode* root = table.find(root_inode);
  table.forget(*root, 100);
  table.unlink(*root);
  EXPECT_EQ(table.find(root_inode), root);
}

TEST(InodeTable, ListsLinkedFilesByNumber) {
  InodeTable table;
  EXPECT_EQ(table.next_linked(0), nullptr) << "the root is not listed";
  Inode* first = table.add(file("a"));
  Inode* second = table.add(file("b"));
  Inode* third = table.add(file("c"));
  second->lookups = 1;
  table.unlink(*second);
  EXPECT_EQ(table.next_linked(0), first);
  EXPECT_EQ(table.next_linked(first->number), third);
  EXPECT_EQ(table.next_linked(third->number), nullptr);
}

}  // namespace
}  // namespace efistore::shim
