//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// database is a PostgreSQL server, with an empty database for a cluster.
type database struct {
	*process
	folder, port string
}

// startDatabase starts PostgreSQL as its own user, since it refuses root.
func startDatabase(t *testing.T) *database {
	t.Helper()
	need(t, "root")
	_, port, _ := net.SplitHostPort(testport.Address(t))
	d := &database{folder: tempDir(t), port: port}
	account, err := user.Lookup("postgres")
	if err != nil {
		needPostgres(t)
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(d.folder, uid, gid); err != nil {
		t.Fatal(err)
	}
	initdb := exec.Command("setpriv", d.as(t, "initdb", "-D", d.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")...)
	initdb.Dir = d.folder
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	d.restart(t)
	return d
}

// needPostgres skips a test where PostgreSQL is not installed, and fails it in CI.
func needPostgres(t *testing.T) string {
	t.Helper()
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(folders) == 0 {
		need(t, "postgres")
	}
	slices.Sort(folders)
	return folders[len(folders)-1]
}

func (d *database) data() string { return filepath.Join(d.folder, "data") }

// as returns the arguments of setpriv for a program of PostgreSQL.
func (d *database) as(t *testing.T, program string, args ...string) []string {
	t.Helper()
	return append([]string{"--reuid=postgres", "--regid=postgres", "--clear-groups", filepath.Join(needPostgres(t), program)}, args...)
}

// restart starts the server anew, on its port and with what it has.
func (d *database) restart(t *testing.T) {
	t.Helper()
	argv := append([]string{"setpriv"}, d.as(t, "postgres", "-D", d.data(), "-k", d.folder, "-c", "listen_addresses=127.0.0.1", "-p", d.port, "-c", "fsync=off")...)
	d.process = start(t, environment(t), argv...)
	t.Cleanup(d.stopNow) // otherwise it would wait for its clients
	psql := append([]string{"setpriv"}, d.as(t, "psql", "-h", d.folder, "-p", d.port, "-U", "postgres", "-c", "select 1")...)
	d.waitUntil(t, func() error {
		if r := try(t, environment(t), psql...); r.code != 0 {
			return fmt.Errorf("psql: %s", r.stderr)
		}
		return nil
	})
}

// stopNow ends the server at once. Its clients lose their connections.
func (d *database) stopNow() {
	_ = d.cmd.Process.Signal(syscall.SIGQUIT)
	<-d.done
}

func (d *database) url() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", d.port)
}

// bucket is an S3 server with an empty bucket.
type bucket struct {
	*process
	addr string
}

const (
	bucketName = "mirror"
	bucketKey  = "e2e"
)

// startBucket starts versitygw, whose buckets are folders.
func startBucket(t *testing.T) *bucket {
	t.Helper()
	program := filepath.Join(os.Getenv("CLIENTS_BIN"), "versitygw")
	if os.Getenv("CLIENTS_BIN") == "" {
		program = "versitygw"
	}
	need(t, program)
	folder := tempDir(t)
	for _, name := range []string{filepath.Join("data", bucketName), "meta"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b := &bucket{addr: testport.Address(t)}
	b.process = start(t, environment(t), program, "--port", b.addr, "--access", bucketKey, "--secret", bucketKey,
		"posix", "--sidecar", filepath.Join(folder, "meta"), filepath.Join(folder, "data"))
	b.waitUntil(t, func() error {
		conn, err := new(net.Dialer).DialContext(context.WithoutCancel(t.Context()), "tcp", b.addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return b
}

// nodeOf returns the environment of a node on these engines.
func nodeOf(t *testing.T, d *database, b *bucket, more ...string) []string {
	t.Helper()
	return environment(t, append([]string{
		"MIRROR_STORE_POSTGRES_URL=" + d.url(),
		"MIRROR_STORE_S3_ENDPOINT=http://" + b.addr,
		"MIRROR_STORE_S3_BUCKET=" + bucketName,
		"MIRROR_STORE_S3_ACCESS_KEY=" + bucketKey,
		"MIRROR_STORE_S3_SECRET_KEY=" + bucketKey,
		"MIRROR_STORE_S3_PATH_STYLE=true",
	}, more...)...)
}

// get returns the answer to a request, without its body.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text := make([]byte, 4<<10)
	n, _ := response.Body.Read(text)
	return response, string(text[:n])
}
