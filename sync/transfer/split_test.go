package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// splitBundle returns the volumes of a bundle with a blob of size bytes that ends in the last volume.
func splitBundle(t *testing.T, size, volume int) (all [][]byte, blob string, s *site) {
	t.Helper()
	source := newSite(t, transfer.Options{})
	blob = content("large", size)
	source.image(app, mirror.Pushed, "linux/amd64", []string{content("small", 100), blob}, "v1")
	data, _ := source.export(transfer.ExportRequest{All: true})
	all = volumes(data, volume)
	if end := bytes.Index(data, []byte(blob)) + size; end <= len(data)-len(all[len(all)-1]) {
		t.Fatalf("it ends at byte %d of %d", end, len(data))
	}
	return all, blob, newSite(t, transfer.Options{})
}

// used returns the disk usage of a data folder in bytes, without the index.
func (s *site) used() (bytes int64) {
	s.t.Helper()
	s.must(filepath.WalkDir(s.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "index.db" {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) { // renamed meanwhile
			return nil
		}
		if err == nil {
			bytes += info.Size()
		}
		return err
	}))
	return bytes
}

// TestSplitBlobNeedsRoomOnce watches the disk while a blob arrives in five volumes. One of them is first sent with
// damage in the middle, and one with damage that is found at its end.
func TestSplitBlobNeedsRoomOnce(t *testing.T) {
	const size, room = 40 << 20, 1 << 20
	all, blob, s := splitBundle(t, size, 10<<20)
	held := int64(0)
	s.blob(base, content("held before", 3<<20))
	held, most := s.used(), int64(0)
	measured := func(r io.Reader) io.Reader {
		return readerFunc(func(p []byte) (int, error) {
			most = max(most, s.used())
			return r.Read(p[:min(len(p), 256<<10)])
		})
	}
	took := func(i int, r io.Reader, want error) {
		t.Helper()
		_, _, err := s.tryTake(measured(r), volumeRequest(all, i))
		if !errors.Is(err, want) {
			t.Fatalf("volume %d: %v", i, err)
		}
		most = max(most, s.used())
		s.restart()
		s.collect()
	}
	for i := range all {
		before := s.used()
		if i == 1 || i == 2 {
			took(i+1, &broken{bytes.NewReader(all[i]), len(all[i]) * i / 2}, errGone)
			if now := s.used(); now != before {
				t.Errorf("%d bytes of a damaged volume remain", now-before)
			}
		}
		took(i+1, bytes.NewReader(all[i]), nil)
		if now, came := s.used(), int64(len(all[i])); now > before+came+room/8 {
			t.Errorf("volume %d takes %d bytes and has %d", i+1, now-before, came)
		}
	}
	if most > held+size+room {
		t.Errorf("%d bytes were used at most: %d were used before, and the blob has %d", most, held, size)
	}
	if got, err := s.store.StatContent(t.Context(), digest.FromString(blob)); err != nil || got != size {
		t.Errorf("stored size %d: %v", got, err)
	}
}

// TestKilledImportOfVolumes kills the process at each step of an import in the store. The next process needs only the
// same volume again.
func TestKilledImportOfVolumes(t *testing.T) {
	all, _, s := splitBundle(t, 30_000, 7500)
	for i := range all {
		for steps := -1; ; steps++ {
			dying := &mortal{Store: s.store, left: steps}
			if steps < 0 { // the process dies before the import is recorded
				dying = &mortal{Store: s.store, left: 1000, noteless: true}
			}
			_, err := transfer.New(s.Proxy, dying, transfer.Options{}).Import(t.Context(), volumeRequest(all, i+1), bytes.NewReader(all[i]), new(progress.Reporter), ignore)
			s.restart()
			s.collect()
			if err == nil && dying.left > 0 {
				break
			}
			if len(s.tags()) > 0 && i < len(all)-1 || steps > 100 || mirror.CodeOf(err) == mirror.CodeRangeInvalid {
				t.Fatalf("volume %d, step %d: tags %q, %v", i+1, steps, s.tags(), err)
			}
		}
	}
	if len(s.tags()) != 1 {
		t.Errorf("tags %q", s.tags())
	}
	s.nothingIsLeft()
}

// mortal is the store of a process that dies after some steps. Later steps have no effect.
type mortal struct {
	*cache.Store
	mu   sync.Mutex
	left int
	// noteless makes it die before it records a state.
	noteless bool
}

func (m *mortal) step() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left == 0 {
		return errGone
	}
	m.left--
	return nil
}

func (m *mortal) SetState(ctx context.Context, kind string, notes map[string][]byte) error {
	if m.noteless {
		m.left = 0 // concurrent steps have no effect either
	}
	if err := m.step(); err != nil {
		return err
	}
	return m.Store.SetState(ctx, kind, notes)
}

func (m *mortal) ChangeState(ctx context.Context, kind string, change func(map[string][]byte) (map[string][]byte, error)) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.Store.ChangeState(ctx, kind, change)
}

func (m *mortal) ExpireUpload(ctx context.Context, id string, idle time.Time) (bool, error) {
	if err := m.step(); err != nil {
		return false, err
	}
	return m.Store.ExpireUpload(ctx, id, idle)
}

func (m *mortal) ImportManifests(ctx context.Context, manifests []mirror.ImportedManifest) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.Store.ImportManifests(ctx, manifests)
}

func (m *mortal) PointTags(ctx context.Context, tags []mirror.ImportedTag, overwrite bool) ([]mirror.ImportedTag, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	return m.Store.PointTags(ctx, tags, overwrite)
}

func (m *mortal) Receive(ctx context.Context, d digest.Digest) (mirror.BlobWriter, error) {
	return m.ResumeBlob(ctx, d, mirror.PartialBlob{})
}

func (m *mortal) ResumeBlob(ctx context.Context, d digest.Digest, part mirror.PartialBlob) (mirror.ResumableBlob, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	in, err := m.Store.ResumeBlob(ctx, d, part)
	return mortalGrowing{in, m}, err
}

type mortalGrowing struct {
	mirror.ResumableBlob
	m *mortal
}

func (g mortalGrowing) Write(p []byte) (int, error) {
	if err := g.m.step(); err != nil {
		return 0, err
	}
	return g.ResumableBlob.Write(p)
}

func (g mortalGrowing) SuspendPartial() (mirror.PartialBlob, error) {
	if err := g.m.step(); err != nil {
		return mirror.PartialBlob{}, err
	}
	return g.ResumableBlob.SuspendPartial()
}

func (g mortalGrowing) Commit(ctx context.Context, repo mirror.Repo) error {
	if err := g.m.step(); err != nil {
		return err
	}
	return g.ResumableBlob.Commit(ctx, repo)
}

func (g mortalGrowing) Abort() error {
	if err := g.m.step(); err != nil {
		return err
	}
	return g.ResumableBlob.Abort()
}

// TestFullDisk fills the disk in each volume, and in a bundle that is sent as a whole.
func TestFullDisk(t *testing.T) {
	all, _, s := splitBundle(t, 300_000, 75_000)
	disk := &disk{Store: s.store}
	carrier := transfer.New(s.Proxy, disk, transfer.Options{})
	take := func(full bool, req transfer.ImportRequest, data []byte) error {
		disk.full = full
		_, err := carrier.Import(t.Context(), req, bytes.NewReader(data), new(progress.Reporter), ignore)
		return err
	}
	wantCode(t, take(true, transfer.ImportRequest{}, slices.Concat(all...)), mirror.CodeStorageFull, "'mirror gc'", "run the command again")
	for i := range all {
		before := s.used()
		wantCode(t, take(true, volumeRequest(all, i+1), all[i]), mirror.CodeStorageFull, "'mirror gc'", "run the command again")
		if now := s.used(); i > 0 && now != before {
			t.Errorf("volume %d did not come and takes %d bytes", i+1, now-before)
		}
		s.must(take(false, volumeRequest(all, i+1), all[i]))
	}
	s.collect()
	s.nothingIsLeft()
}

// disk is a store that can be full, except for small blobs.
type disk struct {
	*cache.Store
	full bool
}

func (d *disk) Receive(ctx context.Context, want digest.Digest) (mirror.BlobWriter, error) {
	return d.ResumeBlob(ctx, want, mirror.PartialBlob{})
}

func (d *disk) ResumeBlob(ctx context.Context, want digest.Digest, part mirror.PartialBlob) (mirror.ResumableBlob, error) {
	in, err := d.Store.ResumeBlob(ctx, want, part)
	if err != nil || !d.full {
		return in, err
	}
	return &filling{ResumableBlob: in, left: 1000}, nil
}

type filling struct {
	mirror.ResumableBlob
	left int
}

func (f *filling) Write(p []byte) (int, error) {
	n, err := f.ResumableBlob.Write(p[:min(len(p), f.left)])
	if f.left -= n; err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: "incoming", Err: syscall.ENOSPC}
	}
	return n, err
}

// TestDamagedVolumeKeepsProgress damages each volume of a blob in each way that is found before its end, and checks
// that the earlier volumes stay stored.
func TestDamagedVolumeKeepsProgress(t *testing.T) {
	all, _, s := splitBundle(t, 30_000, 7500)
	for i := range all {
		for _, cut := range []int{1, len(all[i]) / 2, len(all[i])} {
			_, _, err := s.tryTake(&broken{bytes.NewReader(all[i]), cut}, volumeRequest(all, i+1))
			if !errors.Is(err, errGone) {
				t.Fatalf("volume %d, broken off after %d bytes: %v", i+1, cut, err)
			}
			if cut == 1 {
				s.restart()
			}
		}
		summary, err := s.sendVolume(all, i+1)
		if s.must(err); i < len(all)-1 && summary.Next.Number != i+2 {
			t.Fatalf("after volume %d: %+v", i+1, summary.Next)
		}
	}
	s.nothingIsLeft()
}

// TestLostPartialBlob deletes the partial blob of a pending import.
func TestLostPartialBlob(t *testing.T) {
	all, blob, s := splitBundle(t, 30_000, 7500)
	begins := bytes.Index(slices.Concat(all...), []byte(blob))/7500 + 1
	for i := 1; i < len(all); i++ {
		_, err := s.sendVolume(all, i)
		s.must(err)
	}
	parts, err := filepath.Glob(filepath.Join(s.folder, "incoming/*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("parts %q: %v", parts, err)
	}
	s.must(os.Remove(parts[0]))
	summary, err := s.sendVolume(all, len(all))
	wantCode(t, err, mirror.CodeRangeInvalid, fmt.Sprintf("volume %d of a bundle is needed again", begins))
	if summary.Next == nil || summary.Next.Number != begins {
		t.Errorf("%+v", summary.Next)
	}
	for i := begins; i <= len(all); i++ {
		_, err := s.sendVolume(all, i)
		s.must(err)
	}
	s.nothingIsLeft()
}

// TestCommittedPartIsProtected kills the process after the part of the last volume became the file of the blob, and
// before the index names it. The earlier volumes may be erased by then, so the collector must not delete the file.
func TestCommittedPartIsProtected(t *testing.T) {
	all, blob, s := splitBundle(t, 30_000, 7500)
	for i := 1; i < len(all); i++ {
		_, err := s.sendVolume(all, i)
		s.must(err)
	}
	parts, err := filepath.Glob(filepath.Join(s.folder, "incoming/*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("parts %q: %v", parts, err)
	}
	encoded := digest.FromString(blob).Encoded()
	path := filepath.Join(s.folder, "blobs/sha256", encoded[:2], encoded)
	s.must(os.WriteFile(parts[0], []byte(blob), 0o640))
	s.must(os.MkdirAll(filepath.Dir(path), 0o750))
	s.must(os.Rename(parts[0], path))
	s.restart()
	s.collect()
	_, err = s.sendVolume(all, len(all))
	s.must(err)
	if tags := s.tags(); len(tags) != 1 {
		t.Errorf("tags %q", tags)
	}
	s.nothingIsLeft()
}

// TestPartialBlobIsProtected checks that the partial blob of a pending import does not expire, and that of a dropped
// one does.
func TestPartialBlobIsProtected(t *testing.T) {
	all, _, s := splitBundle(t, 30_000, 7500)
	expire := func() (expired int) {
		for upload, err := range s.store.Uploads(t.Context()) {
			s.must(err)
			gone, err := s.store.ExpireUpload(t.Context(), upload.ID, time.Now().Add(time.Hour))
			s.must(err)
			if gone == upload.Open {
				t.Errorf("%+v: expired is %t", upload, gone)
			}
			if gone {
				expired++
			}
		}
		return expired
	}
	for i := range all {
		_, err := s.sendVolume(all, i+1)
		s.must(err)
		if n := expire(); n > 0 {
			t.Fatalf("after volume %d, %d expired", i+1, n)
		}
		s.restart()
	}
	s.nothingIsLeft()
	_, err := s.sendVolume(all, 1) // the bundle was imported, so nothing is stored
	s.must(err)
	s.nothingIsLeft()
}
