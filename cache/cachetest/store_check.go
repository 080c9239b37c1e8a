package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeCheckTests = []storeCase{
	{"Progress", testCheckProgress},
	{"Canceled", testCheckCanceled},
	{"After", testCheckAfter},
	{"DuringWrites", testCheckDuringWrites},
	{"RepairOfNothing", testRepairOfNothing},
}

// wantNoDefects checks that a check of the store finds no defects.
func (s *storeTest) wantNoDefects() {
	s.t.Helper()
	for _, fast := range []bool{true, false} {
		for defect, err := range s.Defects(s.ctx, mirror.CheckOptions{Fast: fast}) {
			s.t.Errorf("defect: %+v, %v", defect, err)
		}
	}
}

// counter is a [mirror.Progress] for one goroutine.
type counter struct {
	mirror.NoProgress
	total, done int64
}

func (c *counter) AddTotal(n int64) { c.total += n }
func (c *counter) AddDone(n int64)  { c.done += n }

func testCheckProgress(s *storeTest) {
	s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"one", "two"}}, "v1")
	var progress counter
	var read, files, bytes int64
	last := digest.Digest("")
	for defect, err := range s.Defects(s.ctx, mirror.CheckOptions{
		Read: func(_ context.Context, n int) error {
			if read += int64(n); n < 1 || n > mirror.MaxCheckRead {
				s.t.Errorf("a read of %d bytes", n)
			}
			return nil
		},
		Checked: func(d digest.Digest, size int64) {
			if d <= last {
				s.t.Errorf("%s is checked after %s", d, last)
			}
			last, files, bytes = d, files+1, bytes+size
		},
		Progress: &progress,
	}) {
		s.t.Errorf("%+v, %v", defect, err)
	}
	if files != 4 || bytes == 0 || read != bytes || progress.total != bytes || progress.done != bytes {
		s.t.Errorf("%d files of %d bytes, read %d, expected %d, did %d", files, bytes, read, progress.total, progress.done)
	}
}

func testCheckCanceled(s *storeTest) {
	s.push(repoA, "one")
	s.push(repoA, "two")
	ctx, cancel := context.WithCancel(s.ctx)
	var last error
	checked := 0
	for _, last = range s.Defects(ctx, mirror.CheckOptions{Checked: func(digest.Digest, int64) { checked++; cancel() }}) {
		continue
	}
	if !errors.Is(last, context.Canceled) || checked != 1 {
		s.t.Errorf("ended with %v after %d files", last, checked)
	}
	stop := errors.New("no more")
	for _, last = range s.Defects(s.ctx, mirror.CheckOptions{Read: func(context.Context, int) error { return stop }}) {
		if errors.Is(last, stop) {
			break
		}
	}
	if !errors.Is(last, stop) {
		s.t.Errorf("ended with %v, want what Read returned", last)
	}
}

// testCheckAfter starts a check after the digest at which another one stopped.
func testCheckAfter(s *storeTest) {
	for i := range 20 {
		s.push(repoA, fmt.Sprint("blob ", i))
	}
	var all, rest []digest.Digest
	for range s.Defects(s.ctx, mirror.CheckOptions{Checked: func(d digest.Digest, _ int64) { all = append(all, d) }}) {
		continue
	}
	for range s.Defects(s.ctx, mirror.CheckOptions{After: all[12], Checked: func(d digest.Digest, _ int64) { rest = append(rest, d) }}) {
		continue
	}
	if len(all) != 20 || fmt.Sprint(rest) != fmt.Sprint(all[13:]) {
		s.t.Errorf("after the 13th of %d: %v, want %v", len(all), rest, all[13:])
	}
}

// testCheckDuringWrites pushes and deletes images during checks. No check finds a defect.
func testCheckDuringWrites(s *storeTest) {
	ctx, stop := context.WithCancel(s.ctx)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				img := image{config: fmt.Sprint("config ", i%3), layers: []string{fmt.Sprint("layer ", w, i%5), "shared"}}
				m := s.pushImage(repoA, mirror.Pushed, img, fmt.Sprint("v", i%4))
				child := s.pushImage(repoB, mirror.Mirrored, image{config: "{}", subject: m.Digest})
				s.must(s.PutManifest(s.ctx, repoB, index(mirror.Mirrored, child), fmt.Sprint("w", w)))
				if i%2 == 0 {
					_ = s.DeleteManifest(s.ctx, repoA, m.Digest) // another writer may have deleted it
					_ = s.Unlink(s.ctx, repoA, digest.FromString(img.layers[0]))
				}
			}
		})
	}
	for range 5 {
		s.wantNoDefects()
	}
	stop()
	writers.Wait()
}

// testRepairOfNothing repairs defects that do not exist. Nothing changes.
func testRepairOfNothing(s *storeTest) {
	m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"one"}}, "v1")
	one := digest.FromString("one")
	for _, defect := range []mirror.Defect{
		{Kind: mirror.Damaged, Digest: one}, {Kind: mirror.Missing, Digest: one}, {Kind: mirror.Orphaned, Digest: one},
		{Kind: mirror.Damaged, Digest: m.Digest}, {Kind: mirror.Missing, Digest: digest.FromString("unknown")},
		{Kind: mirror.Dangling, Entry: "tags " + repoA.String() + " v1"}, {Kind: mirror.Dangling, Entry: "tags nobody's"},
		{Kind: mirror.Dangling, Entry: "manifests " + repoA.String() + " " + m.Digest.String()},
		{Kind: mirror.Dangling, Entry: "no table"}, {Kind: mirror.Dangling}, {Kind: mirror.Broken}, {},
	} {
		if repaired, err := s.Repair(s.ctx, defect); repaired || err != nil {
			s.t.Errorf("Repair of %+v = %t, %v", defect, repaired, err)
		}
	}
	s.wantBlob(repoA, "one", true)
	s.wantManifest(repoA, m)
	s.wantTag(repoA, "v1", m.Digest, mirror.Pushed)
}
