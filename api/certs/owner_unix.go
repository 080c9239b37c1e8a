//go:build unix

package certs

import (
	"os"
	"syscall"
)

// likeBefore gives file the owner of the one that it replaces, and lets the group read it where it could read that: a key
// that is renewed by root is read by the same server as before.
func likeBefore(file *os.File, before os.FileInfo, mode os.FileMode) error {
	if was, ok := before.Sys().(*syscall.Stat_t); ok {
		if err := file.Chown(int(was.Uid), int(was.Gid)); err != nil { // who may not stays the owner
			return file.Chmod(mode)
		}
		mode |= before.Mode().Perm() & 0o040
	}
	return file.Chmod(mode)
}
