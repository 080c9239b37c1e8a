//go:build bench

// Package bench_test measures the hot paths of the real binary, each against a reference that runs beside it in the
// same run, so that what counts is a ratio and not the machine:
//
//	manifest_test.go   manifests, against a bare net/http handler that answers the same bytes and headers
//	blob_test.go       blobs, against http.ServeContent of the same file
//	push_test.go       one large blob, against a loop of sha256, write and fsync of the same bytes
//	small_test.go      many small images at once, against distribution
//	pull_test.go       cold pull-through, against the upstream itself and against distribution as a proxy
//	herd_test.go       many clients on one cold blob, against distribution as a proxy
//	bundle_test.go     bundles in and out, against a loop of read, sha256, write and fsync, and against cp
//	tls_test.go        blobs by TLS, in HTTP/1.1 and HTTP/2, against nginx with the same file
//	gc_test.go         a collection, against that of distribution on the same images
//	start_test.go      the start with 5,000 images, against distribution on the same images, and the memory after it
//	grow_test.go       200,000 images: the start, the size of the index, and the commands that read it
//	carry_test.go      20 GiB from one mirror into another, for the memory that this takes
//
// The rest is what they need: client_test.go (HTTP as cheap as can be, so that the server is what is measured),
// stream_test.go (content that is cheap to make and to check), process_test.go (servers and their memory),
// helper_test.go and upstream_test.go (the references, in processes of their own), table_test.go (the result),
// markdown_test.go (the result as a page).
//
// Ours and the reference take turns in rounds, and a row shows the median of the rounds' ratios and how far apart they
// were: on a busy machine, look at that first. Every byte that comes back is checked. Nothing fails for being slow. Run
// it with `make bench`; it wants a disk below TMPDIR, and no other load. `make bench-quick` has fewer rounds.
package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The programs that are measured. The Makefile builds them and says where they are; without it they are built here.
var mirrorBin, registryBin string

// scratch is a folder for what several benchmarks share.
var scratch string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		help(role)
	}
	os.Setenv("OTEL_TRACES_EXPORTER", "none") // of distribution
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mirror-bench-bin-")
		if err != nil {
			return fail(err)
		}
		defer os.RemoveAll(dir)
		if err := onDisk(dir); err != nil {
			return fail(err)
		}
		scratch = dir
		mirrorBin, err = locate("MIRROR_BIN", dir, "../../..", "./cmd/mirror")
		if err != nil {
			return fail(err)
		}
		registryBin, err = locate("REGISTRY_BIN", dir, "../../../.ci/tools", "github.com/distribution/distribution/v3/cmd/registry")
		if err != nil {
			return fail(err)
		}
		code := m.Run()
		printTable(os.Stdout)
		if path := os.Getenv("BENCH_MARKDOWN"); path != "" && code == 0 {
			if err := replaceTable(path); err != nil {
				return fail(err)
			}
		}
		return code
	}())
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// locate returns the program that the variable names, or builds it into dir from the module in folder.
func locate(variable, dir, folder, pkg string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	build := exec.Command("go", "build", "-C", folder, "-buildvcs=false", "-trimpath", "-o", path, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// onDisk refuses a file system in memory: fsync costs nothing there.
func onDisk(dir string) error {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return err
	}
	if kind := uint32(stat.Type); kind == tmpfs || kind == ramfs {
		return fmt.Errorf("%s is in memory: set TMPDIR to a folder on a disk", filepath.Dir(dir))
	}
	return nil
}

// measure runs f as the one iteration of a benchmark: how often to repeat what is for f to say, not for the testing
// package, which would run the whole of it again to fill a second.
func measure(b *testing.B, f func()) {
	if b.N == 1 {
		f()
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
