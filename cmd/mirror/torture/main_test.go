//go:build torture

// Package torture_test cuts the power of the disk below the real binary, and kills the binary, while it works:
//
//	power_test.go      power cuts: the states that a disk may have after one, and the check of each
//	kill_test.go       SIGKILL at random moments, of the server and of commands that open the data folder
//
// After each of them, the server starts, everything that was acknowledged is stored and readable with the right bytes,
// nothing incomplete is called complete, and `mirror verify` finds no defect. The rest is what they need:
//
//	disk_test.go       a block device that logs writes and flushes
//	replay_test.go     the contents of the device after a power cut
//	mount_test.go      a file system on it
//	history_test.go    what was acknowledged when, and what may be stored after that
//	workload_test.go   clients that push, pull and delete
//	operator_test.go   commands: import, collection, compaction, backup, export, users
//	check_test.go      the check of a data folder
//	client_test.go     images, and requests of a client
//	process_test.go    the server and commands
//
// Run it with `make torture`, as root. TORTURETIME bounds its duration, TORTURESEED repeats a choice of operations.
package torture_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var (
	mirrorBin = os.Getenv("MIRROR_BIN")
	duration  = flag.Duration("torture.time", time.Minute, "stop after this time, shared by all tests")
	seed      = flag.Uint64("torture.seed", 0, "seed of the choice of operations; 0 is a random seed")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	if !filepath.IsAbs(mirrorBin) {
		fmt.Fprintln(os.Stderr, "set MIRROR_BIN to the path of the binary, or run make torture")
		os.Exit(1)
	}
	time.AfterFunc(*duration+10*time.Minute, func() { panic("the tests do not end") })
	fmt.Printf("seed %d: TORTURESEED=%[1]d repeats the choice of operations\n", *seed)
	os.Exit(m.Run())
}

// random returns the source of one part of the work. Parts with the same names choose the same operations.
func random(part ...uint64) *rand.Rand {
	mixed := *seed
	for _, n := range part {
		mixed = mixed*0x9e3779b97f4a7c15 + n + 1
	}
	return rand.New(rand.NewPCG(*seed, mixed))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
