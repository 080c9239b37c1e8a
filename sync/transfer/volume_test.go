package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// volumes splits a bundle into volumes of size bytes.
func volumes(data []byte, size int) [][]byte { return slices.Collect(slices.Chunk(data, size)) }

func (s *site) sendVolume(all [][]byte, number int) (transfer.Summary, error) {
	s.t.Helper()
	summary, _, err := s.tryTake(bytes.NewReader(all[number-1]), volumeRequest(all, number))
	return summary, err
}

func volumeRequest(all [][]byte, number int) transfer.ImportRequest {
	return transfer.ImportRequest{Volume: &transfer.Volume{
		Set: "a bundle", Number: number, Size: int64(len(all[number-1])), More: number < len(all)}}
}

// nothingIsLeft fails the test if anything is stored that no manifest needs.
func (s *site) nothingIsLeft() {
	s.t.Helper()
	s.must(s.store.Survey(s.t.Context(), func(v mirror.Survey) error {
		for blob, err := range v.Blobs() {
			if err != nil || blob.Users == 0 {
				s.t.Errorf("%s of %d bytes remains: %v", blob.Digest, blob.Size, err)
			}
		}
		return nil
	}))
	for upload, err := range s.store.Uploads(s.t.Context()) {
		s.t.Errorf("a partial blob of %d bytes remains: %v", upload.Size, err)
	}
	notes, err := s.store.State(s.t.Context(), "bundle open")
	s.must(err)
	for set, note := range notes {
		if !bytes.Contains(note, []byte(`"done":true`)) {
			s.t.Errorf("%s waits for a volume: %s", set, note)
		}
	}
}

func TestImportVolumes(t *testing.T) {
	_, data, doc := staged(t)
	for _, size := range []int{len(data), len(data) - 1, len(data)/2 + 1, 5000, 2048, 1531, 512, 333} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newSite(t, transfer.Options{})
			all := volumes(data, size)
			for i := range all {
				summary, err := s.sendVolume(all, i+1)
				s.must(err)
				if summary.Next == nil && (i+1)*size >= len(data)-1024 { // only the end mark follows
					if summary.New != summary.Bytes {
						t.Errorf("%d bytes are new of %d", summary.New, summary.Bytes)
					}
					break
				}
				if summary.Next == nil || summary.Next.Number != i+2 || len(s.tags()) > 0 {
					t.Fatalf("volume %d of %d: wants %+v, tags %q", i+1, len(all), summary.Next, s.tags())
				}
				if size > 1000 || i%10 == 0 {
					s.restart()
				}
				s.collect()
			}
			s.hasAll(doc)
			s.nothingIsLeft()
		})
	}
}

func TestVolumesInOrder(t *testing.T) {
	_, data, doc := staged(t)
	all := volumes(data, 9000)
	s := newSite(t, transfer.Options{})
	_, err := s.sendVolume(all, 2)
	wantCode(t, err, mirror.CodeRangeInvalid, "import volume 1 of a bundle first")
	_, err = s.sendVolume(all, 1)
	s.must(err)
	_, err = s.sendVolume(all, 3)
	wantCode(t, err, mirror.CodeRangeInvalid, "import volume 2 of a bundle first")
	_, err = s.sendVolume(all, 2)
	s.must(err)
	for i, body := range []io.Reader{bytes.NewReader(all[0]), unread{}} {
		summary, _, err := s.tryTake(body, volumeRequest(all, i+1))
		s.must(err)
		if summary.Next == nil || summary.Next.Number != 3 || !summary.Known {
			t.Errorf("volume %d again: %+v", i+1, summary)
		}
	}
	_, err = s.sendVolume(all, 3)
	s.must(err)
	s.hasAll(doc)
	for i := range all { // all of them again
		if summary, err := s.sendVolume(all, i+1); err != nil || summary.Next != nil || !summary.Known || summary.New > 0 {
			t.Errorf("volume %d once more: %+v %v", i+1, summary, err)
		}
	}
	s.restart()
	s.must(s.store.DeleteManifest(t.Context(), app, doc.Images[1].Digest))
	s.collect()
	for i := range all {
		summary, err := s.sendVolume(all, i+1)
		if s.must(err); i == 0 && (summary.Next == nil || summary.Next.Number != 2) {
			t.Errorf("something is lost: %+v", summary)
		}
	}
	s.hasAll(doc)
}

func TestOtherBundleWithSameSet(t *testing.T) {
	source, data, _ := staged(t)
	source.image(app, mirror.Pushed, "linux/amd64", []string{content("other", 5000)}, "v2")
	other, doc := source.export(transfer.ExportRequest{All: true, To: "plant-7"})
	for _, came := range []int{1, 2, 3} {
		s := newSite(t, transfer.Options{})
		before := volumes(data, 9000)
		for i := 1; i <= came; i++ {
			_, err := s.sendVolume(before, i)
			s.must(err)
		}
		s.sendAll(volumes(other, 11000))
		s.hasAll(doc)
		s.nothingIsLeft()
	}
}

// TestSupersededImportIsDropped imports the bundle of a pending import, or a later one, as a whole. The content of the
// pending import is then not protected any more. An import for another destination stays pending.
func TestSupersededImportIsDropped(t *testing.T) {
	source, data, doc := staged(t)
	source.image(app, mirror.Pushed, "linux/amd64", []string{content("other", 5000)}, "v2")
	next, nextDoc := source.export(transfer.ExportRequest{All: true, To: doc.Destination})
	elsewhere, elsewhereDoc := source.export(transfer.ExportRequest{All: true, To: "elsewhere"})
	for name, later := range map[string]struct {
		data []byte
		doc  *bundle.Document
	}{"the same": {data, doc}, "the next": {next, nextDoc}} {
		for _, inVolumes := range []bool{false, true} {
			t.Run(fmt.Sprint(name, inVolumes), func(t *testing.T) {
				s := newSite(t, transfer.Options{})
				all, others := volumes(data, 9000), volumes(elsewhere, 9000)
				send := func(set string, all [][]byte, number int) (transfer.Summary, error) {
					req := volumeRequest(all, number)
					req.Volume.Set = set
					if number == 2 { // of the first one, an older program sent no name
						req.Volume.Name, req.Volume.Count = set+".tar", len(all)
					}
					summary, _, err := s.tryTake(bytes.NewReader(all[number-1]), req)
					return summary, err
				}
				for number := 1; number <= 2; number++ {
					for set, all := range map[string][][]byte{"waits": all, "elsewhere": others} {
						_, err := send(set, all, number)
						s.must(err)
					}
				}
				waiting, err := s.PendingImports(t.Context())
				if s.must(err); len(waiting) != 2 || waiting[0].Next != 3 || waiting[1].Bundle == "" || waiting[0].Since.IsZero() {
					t.Errorf("waiting: %+v", waiting)
				}
				if inVolumes {
					s.sendAll(volumes(later.data, 11000))
				} else {
					s.take(later.data, transfer.ImportRequest{})
				}
				waiting, err = s.PendingImports(t.Context())
				if s.must(err); len(waiting) != 1 || waiting[0].Name != "elsewhere.tar" || waiting[0].Count != len(others) {
					t.Errorf("waiting: %+v", waiting)
				}
				s.restart()
				for number := 3; number <= len(others); number++ {
					_, err := send("elsewhere", others, number)
					s.must(err)
				}
				s.hasAll(elsewhereDoc)
				s.collect()
				s.nothingIsLeft()
			})
		}
	}
}

// unread is a body that fails the test when it is read.
type unread struct{}

func (unread) Read([]byte) (int, error) { return 0, errGone }

func TestDamagedVolumeIsSentAgain(t *testing.T) {
	_, data, doc := staged(t)
	all := volumes(data, 3000)
	for _, kind := range []string{"cut off", "shorter", "longer", "broken off", "changed"} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t, transfer.Options{})
			changed := false
			for i := 1; i <= len(all); i++ {
				volume, req := all[i-1], volumeRequest(all, i)
				var err error
				switch kind {
				case "cut off":
					_, _, err = s.tryTake(&broken{bytes.NewReader(volume), len(volume) / 2}, req)
				case "shorter":
					_, _, err = s.tryTake(bytes.NewReader(volume[:len(volume)-1]), req)
				case "longer":
					_, _, err = s.tryTake(bytes.NewReader(append(slices.Clip(volume), 0)), req)
				case "broken off":
					_, _, err = s.tryTake(&broken{bytes.NewReader(volume), len(volume)}, req) // truncated
				case "changed":
					volume = slices.Clone(volume)
					volume[len(volume)/2] ^= 1
					_, _, err = s.tryTake(bytes.NewReader(volume), req)
				}
				changed = changed || err == nil
				if kind != "changed" && err == nil || kind == "shorter" && mirror.CodeOf(err) != mirror.CodeUnavailable {
					t.Fatalf("volume %d: %v", i, err)
				}
				s.restart()
				if _, err := s.sendVolume(all, i); err != nil && (!changed || mirror.CodeOf(err) != mirror.CodeRangeInvalid) {
					t.Fatalf("volume %d: %v", i, err)
				}
			}
			if changed { // half of a blob, which cannot be verified
				s.sendAll(all)
			}
			s.hasAll(doc)
			s.nothingIsLeft()
		})
	}
}

// sendAll sends the needed volumes until none is needed.
func (s *site) sendAll(all [][]byte) {
	s.t.Helper()
	next := 1
	for range 10 * len(all) {
		summary, err := s.sendVolume(all, next)
		switch {
		case summary.Next != nil:
			next = summary.Next.Number
		case err != nil:
			s.t.Fatal(err)
		case next == len(all) || summary.Images > 0:
			return
		default:
			next++
		}
	}
	s.t.Fatal("it does not end")
}

func TestDamagedSplitBlobRestarts(t *testing.T) {
	source := newSite(t, transfer.Options{})
	large := content("large", 50_000)
	source.image(app, mirror.Pushed, "linux/amd64", []string{large}, "v1")
	data, doc := source.export(transfer.ExportRequest{All: true})
	all := volumes(data, 10_000)
	begins := bytes.Index(data, []byte(large))/10_000 + 1
	s := newSite(t, transfer.Options{})
	bad := slices.Clone(all)
	bad[begins] = bytes.Clone(bad[begins])
	bad[begins][5000] ^= 1
	var err error
	var summary transfer.Summary
	for i := 1; err == nil; i++ {
		summary, err = s.sendVolume(bad, i)
		s.restart()
	}
	wantCode(t, err, mirror.CodeRangeInvalid, fmt.Sprintf("volume %d of a bundle is needed again", begins), digest.FromString(large).String())
	if summary.Next == nil || summary.Next.Number != begins || summary.Next.Reason == "" {
		t.Errorf("%+v", summary.Next)
	}
	for i := begins; i <= len(all); i++ {
		_, err := s.sendVolume(all, i)
		s.must(err)
	}
	s.hasAll(doc)
	s.nothingIsLeft()
}

func TestInvalidVolumes(t *testing.T) {
	_, data, _ := staged(t)
	m := newMade()
	m.tag("v1", m.image(t, m.blob("one"), m.blob(content("x", 2000)), missing(m)))
	s := newSite(t, transfer.Options{})
	all := volumes(m.write(t, nil), 1024)
	var err error
	for i := 1; err == nil; i++ {
		_, err = s.sendVolume(all, i)
	}
	wantCode(t, err, mirror.CodeBundleInvalid, "neither in the bundle nor stored")
	if held := s.digests(); len(held) > 0 {
		t.Errorf("%v remain", held)
	}
	s.nothingIsLeft()
	for name, tt := range map[string]struct {
		volume transfer.Volume
		code   mirror.Code
		says   string
	}{
		"no set":        {transfer.Volume{Number: 1, Size: 9}, mirror.CodeUnsupported, "invalid volume"},
		"no number":     {transfer.Volume{Set: "x", Size: 9}, mirror.CodeUnsupported, "invalid volume"},
		"said the last": {transfer.Volume{Set: "x", Number: 1, Size: 10_000}, mirror.CodeBundleInvalid, "sent as the last one"},
	} {
		if tt.volume.Size > int64(len(data)) {
			t.Fatal("the bundle is too small")
		}
		_, _, err := s.tryTake(bytes.NewReader(data[:tt.volume.Size]), transfer.ImportRequest{Volume: &tt.volume})
		wantCode(t, err, tt.code, tt.says)
		_ = name
	}
	_, _, err = s.tryTake(bytes.NewReader(layout(t)), transfer.ImportRequest{Volume: &transfer.Volume{Set: "y", Number: 1, Size: int64(len(layout(t))), More: true}})
	wantCode(t, err, mirror.CodeUnsupported, "cat FILE")
}

// missing is a blob that no bundle contains.
func missing(m *made) (desc v1.Descriptor) {
	desc = m.blob("missing")
	m.doc.Blobs = m.doc.Blobs[:len(m.doc.Blobs)-1]
	return desc
}

func TestVolumesWithStoredContent(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	s.take(data, transfer.ImportRequest{})
	all := volumes(data, 8500)
	summary, err := s.sendVolume(all, 1)
	if err != nil || summary.Next != nil || !summary.Known {
		t.Errorf("%+v: %v", summary, err)
	}
	s.hasAll(doc)
	if summary, err := s.sendVolume(all, 2); err != nil || summary.Next != nil || !summary.Known {
		t.Errorf("%+v: %v", summary, err)
	}
}

func TestConcurrentVolumes(t *testing.T) {
	_, data, _ := staged(t)
	s := newSite(t, transfer.Options{})
	all := volumes(data, 8500)
	r, w := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := s.Import(t.Context(), volumeRequest(all, 1), r, new(progress.Reporter), ignore)
		first <- err
	}()
	_, err := w.Write(all[0][:100])
	s.must(err)
	_, err = s.sendVolume(all, 1)
	wantCode(t, err, mirror.CodeUploadBusy, "another request")
	w.CloseWithError(errGone)
	if err := <-first; !errors.Is(err, errGone) {
		t.Error(err)
	}
	_, err = s.sendVolume(all, 1)
	s.must(err)
}
