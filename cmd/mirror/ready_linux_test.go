package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestServerThatCannotWriteIsNotReady checks that the response names the folder that cannot be written, and why.
func TestServerThatCannotWriteIsNotReady(t *testing.T) {
	for folder, want := range map[string]string{
		"incoming":                       "not ready: the folder of uploads is not writable: permission denied\n",
		filepath.Join("blobs", "sha256"): "not ready: the folder of blobs is not writable: permission denied\n",
		filepath.Join("blobs", "sha512"): "not ready: the folder of blobs is not writable: permission denied\n",
	} {
		t.Run(folder, func(t *testing.T) {
			obeyPermissions(t)
			dir := t.TempDir()
			p := spawn(t, dir, "--offline")
			path := filepath.Join(dir, folder)
			must(t, os.Chmod(path, 0o500))
			t.Cleanup(func() { os.Chmod(path, 0o700) })
			checkReady(t, p, want)
		})
	}
}

// obeyPermissions makes the processes that this goroutine starts obey permissions, also those of root.
func obeyPermissions(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	runtime.LockOSThread() // never unlocked, so the thread ends with the test
	must(t, unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_DAC_OVERRIDE, 0, 0, 0))
}
