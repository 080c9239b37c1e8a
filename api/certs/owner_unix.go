//go:build unix

package certs

import (
	"os"
	"syscall"
)

// likeBefore gives file the owner of the file that it replaces, and makes it readable by the group if the old one was.
// A key that root renews stays readable by the server.
func likeBefore(file *os.File, before os.FileInfo, mode os.FileMode) error {
	if was, ok := before.Sys().(*syscall.Stat_t); ok {
		if err := file.Chown(int(was.Uid), int(was.Gid)); err != nil { // without the privilege, the current user stays the owner
			return file.Chmod(mode)
		}
		mode |= before.Mode().Perm() & 0o040
	}
	return file.Chmod(mode)
}
