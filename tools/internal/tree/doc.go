// Package tree shows the series as a git repository to work in, and turns the
// commits of such a repository back into patch files.
//
// The patch files are the truth; a tree is derived from them and can be made
// again:
//
//	base ──○──○──○──○  branch series, one commit a patch
//	 tag   │
//	 base  └ patches of the series, in order; author and message are the mail's
//
// Sync makes the tree, or brings one up to date with patch files that changed.
// Commit ids depend only on the base and on the patches, so two people's trees
// have the same ones. Format turns commits into canonical patch files: what it
// returns for an unchanged tree is, byte for byte, what Sync read.
//
// # Nothing is lost
//
// A file in the repository's .git directory remembers which patch files the
// tree was made from and which commit they ended at. Work that is not in the
// patch files is a commit after that one, or a change not yet committed. Sync
// never moves a tree that holds such work, and export refuses when the patch
// files are not those the tree was made from.
//
// # Speed
//
// A kernel's 86,000 files take git half a minute to store. They are stored once
// a base, in a bare repository in the store; a tree is a clone of it that shares
// the packs by hard links, and costs only the writing of its work tree.
package tree
