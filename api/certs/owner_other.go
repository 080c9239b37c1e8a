//go:build !unix

package certs

import "os"

func likeBefore(file *os.File, _ os.FileInfo, mode os.FileMode) error { return file.Chmod(mode) }
