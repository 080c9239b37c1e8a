//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"airmirror/api/admin"
	"airmirror/cache"
)

// beginBackup requests a backup from the server of a data folder, and reads the first byte of the answer only.
func beginBackup(t *testing.T, data string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: filepath.Join(data, admin.SocketName)})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "POST /api/v1/streams/backup HTTP/1.1\r\nHost: mirror\r\nContent-Length: 3\r\n\r\n{}\n")
	must(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	must(t, err)
	return conn
}

// pushMany pushes tiny manifests one after another.
func pushMany(t *testing.T, p *process, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if !pushTiny(p.url, "team/app", fmt.Sprintf("t%d", i)) {
			t.Fatalf("push %d was not acknowledged", i)
		}
	}
}

func pushConfig(t *testing.T, p *process, repo string) {
	t.Helper()
	if status := put(http.MethodPost, p.url+"/v2/"+repo+"/blobs/uploads/?digest="+digest.FromString("{}").String(), "application/octet-stream", "{}"); status != http.StatusCreated {
		t.Fatalf("the config was answered with %d", status)
	}
}

// TestSlowBackupDoesNotGrowTheIndex checks that pages of the index are used again while a client does not read its backup.
func TestSlowBackupDoesNotGrowTheIndex(t *testing.T) {
	data := t.TempDir()
	p := spawn(t, data, "--offline")
	pushConfig(t, p, "team/app")
	pushMany(t, p, 0, 300)
	size := func() int64 {
		info, err := os.Stat(filepath.Join(data, cache.IndexName))
		must(t, err)
		return info.Size()
	}
	beginBackup(t, data)
	before := size()
	pushMany(t, p, 300, 900)
	const step = 16 << 20 // by which bbolt makes the file larger
	if grown := size() - before; grown > step {
		t.Errorf("the index grew by %d bytes during 600 pushes", grown)
	}
	names, err := filepath.Glob(filepath.Join(data, ".backup-*"))
	must(t, err)
	if len(names) > 0 {
		t.Errorf("the copy has a name, and would stay after a crash: %q", names)
	}
}

// TestStalledCommandIsDisconnected checks that the admin socket does not wait forever for a client that does not read.
func TestStalledCommandIsDisconnected(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "mirror.yaml")
	must(t, os.WriteFile(file, []byte("limits: {stallTimeout: 1s}\n"), 0o600))
	p := spawn(t, data, "--offline", "--config", file)
	pushConfig(t, p, "team/app")
	pushMany(t, p, 0, 300) // more than the buffers of the socket hold
	conn := beginBackup(t, data)
	raw, err := conn.SyscallConn()
	must(t, err)
	eventually(t, "the server disconnects", func() bool {
		var hungUp bool
		must(t, raw.Control(func(fd uintptr) {
			poll := []unix.PollFd{{Fd: int32(fd)}}
			_, _ = unix.Poll(poll, 0) // an error is tried again
			hungUp = poll[0].Revents&unix.POLLHUP != 0
		}))
		return hungUp
	})
}
